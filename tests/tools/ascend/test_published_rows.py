"""What the zoo has published says how long its measurements and inferences would take on the cards."""

from dataclasses import dataclass

import pytest
import yaml

from runner.config.groups import CONF
from runner.config.schema import BenchmarkConfig
from runner.measure import MeasuringLimits, first_calls, planned_calls
from runner.tools.ascend import AisBench, BenchmarkTool
from runner.tools.ascend._sample_files import CHUNK_FILES

DEFAULTS = BenchmarkConfig()
LIMITS = MeasuringLimits(DEFAULTS.warmup, DEFAULTS.min_iterations, DEFAULTS.min_seconds, DEFAULTS.max_seconds)


@dataclass(frozen=True)
class Row:
    """A published throughput, of one chip."""

    name: str
    batch: int
    samples_per_second: float

    @property
    def call_seconds(self) -> float:
        return self.batch / self.samples_per_second


def published_rows() -> list[Row]:
    socs = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / "soc").glob("*.yaml")}
    rows = []
    for path in sorted((CONF / "model").glob("*.yaml")):
        for row in yaml.safe_load(path.read_text()).get("published") or ():
            soc, rate = socs.get(str(row["soc"])), row.get("samples_per_second")
            if soc is not None and soc.get("kind") == "ascend" and rate is not None:
                name = f"{path.stem} soc={row['soc']} batch={row['batch']}"
                rows.append(Row(name, row["batch"], rate / soc.get("chips", 1)))
    return rows


ROWS = published_rows()


def measuring_seconds(row: Row, usual_calls: int) -> tuple[float, float]:
    """The calls that count, and all calls: those, the first few, and twice the warm-up."""
    planned = planned_calls(LIMITS, 1000.0 * row.call_seconds, usual_calls)
    return planned * row.call_seconds, (planned + first_calls(LIMITS) + 2 * LIMITS.warmup) * row.call_seconds


def test_there_are_published_rows() -> None:
    assert len(ROWS) > 400


@pytest.mark.parametrize("tool", [AisBench(), BenchmarkTool()], ids=["ais_bench", "benchmark"])
def test_every_row_is_measured_within_the_longest_time_and_the_time_out(tool) -> None:
    seconds = {row.name: measuring_seconds(row, tool.loop) for row in ROWS}
    margin_seconds = 150.0  # the first calls and the warm-up of the slowest row, 14 s a call
    too_long = {
        name: each
        for name, each in seconds.items()
        if each[0] > 1.001 * LIMITS.max_seconds
        or each[1] > min(LIMITS.max_seconds + margin_seconds, tool.timeout_seconds)
    }
    assert too_long == {}


def test_a_chunk_of_samples_of_every_row_is_inferred_within_the_time_out() -> None:
    slowest = max(ROWS, key=lambda row: CHUNK_FILES / row.samples_per_second)
    assert CHUNK_FILES / slowest.samples_per_second < AisBench().timeout_seconds, slowest.name
