"""The summary file of ais_bench and ais_infer: output files of each input file, and the times of the calls.

Keys as in ais_bench 0.0.2 (github.com/Ascend/tools at 9d6da90, ais_bench/infer/summary.py): `filesinfo {id: {infiles,
outfiles}}`, `NPU_compute_time {min max mean median "percentile(99%)" count}`, `throughput`, `npu_compute_time_list`.
The ais_infer of 2022 (at 256ed1f and 63a74de) writes neither the list nor the count.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import Timing, ToolError
from runner.tools.command_line import MALFORMED


@dataclass(frozen=True)
class SampleFiles:
    """The files of one sample: one per model input, and one per model output, in order."""

    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True)
class Summary:
    """A device's summary. `latencies_ms` is empty and `count` is None if an older version does not report them."""

    samples: tuple[SampleFiles, ...]
    latencies_ms: tuple[float, ...]
    mean_ms: float
    count: int | None


def read(path: Path) -> Summary:
    """Read a summary file.

    Raises:
        ToolError: it is missing, truncated, or lacks required keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"the summary {path} cannot be read: {error}", "look into the tool's log") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Summary:
    """Parse a summary; `path` is only named in errors.

    Raises:
        ToolError: it is truncated, or lacks required keys.
    """
    try:
        content = json.loads(text)
    except MALFORMED as error:
        raise ToolError(
            f"the summary {path} is truncated or no JSON: {error}", "the tool did not get to its end; is the disk full?"
        ) from error
    try:
        return _summary(content)
    except MALFORMED as error:
        keys = ", ".join(content) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ToolError(
            f"the summary {path} is of a version that the runner does not know: {error!r}; it holds {keys}",
            "install ais_bench 0.0.2 or later, or ais_infer as of 2022",
        ) from error


def _summary(content: Any) -> Summary:
    compute = content["NPU_compute_time"]
    latencies_ms = tuple(float(value) for value in content.get("npu_compute_time_list") or ())
    mean_ms = math.fsum(latencies_ms) / len(latencies_ms) if latencies_ms else float(compute["mean"])
    count = compute.get("count")
    samples = tuple(_sample(entry) for entry in content["filesinfo"].values())
    return Summary(samples, latencies_ms, mean_ms, None if count is None else int(count))


def _sample(entry: Any) -> SampleFiles:
    return SampleFiles(tuple(map(Path, entry["infiles"])), tuple(map(Path, entry["outfiles"])))


def measured(path: Path) -> Summary:
    """Read the summary of a measurement.

    Raises:
        ToolError: as in `read`, or the times are invalid.
    """
    summary = read(path)
    times = (summary.mean_ms, *summary.latencies_ms)
    if not all(math.isfinite(time) and time > 0 for time in (times[0], sum(times))) or min(times) < 0:
        raise ToolError(f"the summary {path} tells a mean latency of {summary.mean_ms} ms", "look into the tool's log")
    if summary.count is not None and summary.count < 1:
        raise ToolError(f"the summary {path} tells of {summary.count} calls", "look into the tool's log")
    return summary


def outputs_by_input(summaries: Iterable[Summary]) -> dict[str, tuple[Path, ...]]:
    """Return a sample's outputs in order, by the file name of its first input.

    Raises:
        ToolError: two samples have the same output file, since the tools truncate names at the first dot.
    """
    outputs: dict[str, tuple[Path, ...]] = {}
    owners: dict[Path, str] = {}
    for summary in summaries:
        for sample in summary.samples:
            name = sample.inputs[0].name if sample.inputs else "a sample without inputs"
            for output in sample.outputs:
                owner = owners.setdefault(output, name)
                if owner != name or name in outputs:
                    raise ToolError(
                        f"the output {output} stands for two samples, {owner} and {name}: one overwrote the other",
                        "the tool names outputs by what stands before an input's first dot: that must differ",
                    )
            outputs[name] = sample.outputs
    return outputs


def of_devices(output: Path, devices: int) -> list[Path]:
    """Return the summary files below `output`, one per device in order, beside the result folders.

    Raises:
        ToolError: their number differs from the devices'.
    """
    paths = sorted(output.rglob("*_summary.json"), key=lambda path: (len(path.name), path.name))
    if len(paths) != devices:
        raise ToolError(
            f"the tool wrote {len(paths)} summaries below {output} for {devices} device{'s' if devices > 1 else ''}",
            "it failed, perhaps without saying so: look into its log",
        )
    return paths


def calls_of(summary: Summary, asked: int) -> int:
    """Return the number of calls in a summary; `asked` if an old version does not report it."""
    if summary.latencies_ms:
        return len(summary.latencies_ms)
    return asked if summary.count is None else summary.count


def timing_of(
    summaries: Sequence[Summary], *, batch: int, warmup: int, source: str, reasons: tuple[str, ...]
) -> Timing:
    """Return one Timing of all devices: their latencies interleaved, or without latencies the mean of the means.

    Samples/s are then chips * 1000 * batch / mean: for equally fast parallel devices the sum of their rates, for
    unequal ones slightly less (0.8 % less at a difference of 20 %).
    """
    if all(each.latencies_ms for each in summaries):
        in_turns = itertools.zip_longest(*(each.latencies_ms for each in summaries))
        latencies_ms = tuple(latency for turn in in_turns for latency in turn if latency is not None)
        return Timing(batch=batch, latencies_ms=latencies_ms, warmup=warmup, source=source, reasons=reasons)
    mean_ms = sum(each.mean_ms for each in summaries) / len(summaries)
    counts = [each.count for each in summaries if each.count is not None]
    return Timing(
        batch=batch,
        latencies_ms=(),
        warmup=warmup,
        source=source,
        reasons=reasons,
        mean_ms=mean_ms,
        iterations=sum(counts) if counts else None,
    )
