"""The results as CSV: a row for each result, including failed and superseded ones, and each missing job."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from functools import lru_cache

from runner.core import visible
from runner.report import columns, failures
from runner.report.contents import Contents
from runner.results import Account, Performance, Result, SweepJob, WorstFidelity, identity

Cell = str | int | float | None
FORMULA_STARTS = tuple("=+-@\t\n\uff1d\uff0b\uff0d\uff20")
"""A spreadsheet takes a text that begins so as a formula: https://owasp.org/www-community/attacks/CSV_Injection."""


def text(contents: Contents) -> str:
    """Return the file's content: a header with units, then a row for each result; what was not measured is blank.

    The column `newest` is yes for the results that the tables show. Each overridden key has a column. A text that a
    spreadsheet would take as a formula begins with an apostrophe, and control characters are shown as escapes.
    """
    shown = {result.path: result for result in contents.shown}
    metrics = list(dict.fromkeys(name for result in contents.results for name in result.figures))
    compared = {name for result in contents.results if result.fidelity for name in result.fidelity.accuracy}
    rates = {
        (model, row.soc, row.batch): row.samples_per_second
        for model, rows in contents.published.items()
        for row in rows
        if not row.misprint
    }
    rows = [
        _row(result, metrics, compared, _published(result, rates), shown.get(result.path))
        for result in contents.results
    ]
    rows += [_missing(account, job) for account in contents.sweeps for job in account.missing]
    header = list(dict.fromkeys(name for names in dict.fromkeys(map(tuple, rows)) for name in names))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_literal, header))
    writer.writerows([_literal(cell) if type(cell) is str else cell for cell in map(row.get, header)] for row in rows)
    return out.getvalue()


def _published(result: Result, rates: Mapping[tuple[str, str, int], float | None]) -> float | None:
    """Return the published throughput that a result's may stand beside."""
    return None if result.includes_copies else rates.get((result.model, result.soc, result.batch))


@lru_cache(maxsize=4096)
def _literal(text: str) -> str:
    """Return text that a spreadsheet shows as it is."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(FORMULA_STARTS) else shown


def _missing(account: Account, job: SweepJob) -> dict[str, Cell]:
    """Return the row of a sweep's job without a result."""
    typed = dict(identity.typed(job.overrides))
    named = {name: typed.pop(name, None) for name in ("model", "soc", "tool", "batch", "dataset")}
    return {
        **named,
        "created": account.sweep.created,
        "status": "missing",
        "newest": "no",
        "host": account.sweep.host,
        **{f"override.{key}": value for key, value in typed.items()},
        "path": f"{account.folder}/{job.name}",
    }


def _row(
    result: Result, metrics: list[str], compared: set[str], published: float | None, shown: Result | None
) -> dict[str, Cell]:
    fidelity, measured = result.fidelity or WorstFidelity(), result.performance or Performance()
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
        "newest": "yes" if shown else "no",
        "host": result.environment.host,
        "cpu": result.environment.cpu,
        "devices": "; ".join(measured.devices),
        "chips": result.performance.chips if result.performance else None,
        "gears": "; ".join(measured.gears),
        "commit": result.environment.commit,
        "measured_at": measured.measured_at,
        **{f"override.{key}": value for key, value in identity.overrides(result).items()},
        **{f"edited.{key}": value for key, value in (shown.edited if shown else {}).items()},
        "samples": (result.accuracy or {}).get("samples"),
        **{column: value for name in metrics for column, value in _metric(result, name, name in compared)},
        "fidelity.reference": fidelity.reference if result.fidelity else None,
        "fidelity.samples": fidelity.samples,
        "fidelity.cosine": fidelity.cosine,
        "fidelity.top1_agreement_percent": fidelity.top1_agreement,
        "fidelity.equal_percent": fidelity.equal,
        **_measured(result, published),
        "gates_failed": "; ".join(gate.name for gate in result.failed_gates),
        "error": failures.shortly(result) if result.status == "failed" else None,
        "fix": result.error.fix if result.error else None,
        "log": failures.described(result).log if result.status == "failed" else None,
        **{f"version.{name}": version for name, version in identity.versions(result).items()},
        "weights_sha256": result.weights.sha256 if result.weights else None,
        "path": result.path,
    }


def _measured(result: Result, published: float | None) -> dict[str, Cell]:
    performance = result.performance
    measured = performance or Performance()
    latency = measured.latency_ms
    return {
        "samples_per_second": result.samples_per_second,
        "published_samples_per_second": published,
        "measured/published": columns.ratio(result.samples_per_second, published),
        "latency_mean_ms": latency.mean,
        "latency_p50_ms": latency.p50,
        "latency_p90_ms": latency.p90,
        "latency_p99_ms": latency.p99,
        "load_ms": measured.load_ms,
        "first_call_ms": measured.first_call_ms,
        "peak_rss_mib": measured.peak_rss_mib,
        "valid": None if performance is None else "yes" if performance.valid else "no",
        "invalid_because": "; ".join(performance.reasons) if performance else None,
    }


def _metric(result: Result, name: str, compared: bool) -> Iterator[tuple[str, Cell]]:
    """Yield the columns of a metric: on all samples; by the reference and by the tool on those it computed."""
    yield f"accuracy.{name}", result.figures.get(name)
    if compared:
        fidelity = result.fidelity or WorstFidelity()
        yield f"accuracy.{name}_reference", fidelity.accuracy.get(name)
        yield f"accuracy.{name}_same_samples", fidelity.tool_accuracy.get(name)
