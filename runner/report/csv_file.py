"""The results as CSV: a row for each result, including failed and superseded ones. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from runner import results
from runner.report import tables
from runner.report.contents import Contents
from runner.results import Performance, Result, WorstFidelity

Cell = str | int | float | None


def text(contents: Contents) -> str:
    """Return the file's content: a header with units, then a row for each result; what was not measured is blank.

    The column `newest` is yes for the results that the tables show.
    """
    shown = {result.path for result in results.newest(contents.results)}
    metrics = list(dict.fromkeys(name for result in contents.results for name in result.figures))
    compared = {name for result in contents.results if result.fidelity for name in result.fidelity.accuracy}
    rates = {
        (model, row.soc, row.batch): row.samples_per_second
        for model, rows in contents.published.items()
        for row in rows
    }
    rows = [
        _row(result, metrics, compared, rates.get((result.model, result.soc, result.batch)), result.path in shown)
        for result in contents.results
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else [])
    writer.writerows(row.values() for row in rows)
    return out.getvalue()


def _row(
    result: Result, metrics: list[str], compared: set[str], published: float | None, newest: bool
) -> Mapping[str, Cell]:
    performance, fidelity = result.performance, result.fidelity or WorstFidelity()
    measured = performance or Performance()
    latency = measured.latency_ms
    return {
        "model": result.model,
        "soc": result.soc,
        "tool": result.tool,
        "batch": result.batch,
        "dataset": result.dataset,
        "weights_origin": result.weights_origin,
        "limit": result.limit,
        "stand_in": result.stand_in,
        "created": result.created,
        "status": result.status,
        "newest": "yes" if newest else "no",
        "samples": (result.accuracy or {}).get("samples"),
        **{column: value for name in metrics for column, value in _metric(result, name, name in compared)},
        "fidelity.reference": fidelity.reference if result.fidelity else None,
        "fidelity.samples": fidelity.samples,
        "fidelity.cosine": fidelity.cosine,
        "fidelity.top1_agreement_percent": fidelity.top1_agreement,
        "fidelity.equal_percent": fidelity.equal,
        "samples_per_second": result.samples_per_second,
        "published_samples_per_second": published,
        "measured/published": tables.ratio(result.samples_per_second, published),
        "latency_mean_ms": latency.mean,
        "latency_p50_ms": latency.p50,
        "latency_p90_ms": latency.p90,
        "latency_p99_ms": latency.p99,
        "load_ms": measured.load_ms,
        "first_call_ms": measured.first_call_ms,
        "peak_rss_mib": measured.peak_rss_mib,
        "valid": None if performance is None else "yes" if performance.valid else "no",
        "invalid_because": "; ".join(performance.reasons) if performance else None,
        "gates_failed": "; ".join(gate.name for gate in result.failed_gates),
        "error": tables.error_in_words(result) if result.status == "failed" else None,
        "weights_sha256": result.weights.sha256 if result.weights else None,
        "path": result.path,
    }


def _metric(result: Result, name: str, compared: bool) -> Iterator[tuple[str, Cell]]:
    """Yield the columns of a metric: on all samples; by the reference and by the tool on those it computed."""
    yield f"accuracy.{name}", result.figures.get(name)
    if compared:
        fidelity = result.fidelity or WorstFidelity()
        yield f"accuracy.{name}_reference", fidelity.accuracy.get(name)
        yield f"accuracy.{name}_same_samples", fidelity.tool_accuracy.get(name)
