import json
from pathlib import Path

import pytest

from runner.core import ToolError
from runner.tools.ascend import _summary as summary

HERE = Path("2022_07_01-10_00_00_summary.json")
NEW = {
    "filesinfo": {
        "0": {"infiles": ["in/7.bin", "in2/7.bin"], "outfiles": ["out/7_0.bin", "out/7_1.bin"]},
        "1": {"infiles": ["in/8.bin", "in2/8.bin"], "outfiles": ["out/8_0.bin", "out/8_1.bin"]},
    },
    "args": ["/usr/lib/ais_bench/__main__.py", "--model", "m.om"],
    "NPU_compute_time": {"min": 1.0, "max": 3.0, "mean": 2.0, "median": 2.0, "percentile(99%)": 2.98, "count": 2},
    "H2D_latency": {"min": 0.1, "max": 0.1, "mean": 0.1, "median": 0.1, "percentile(99%)": 0.1, "count": 1},
    "D2H_latency": {"min": 0.1, "max": 0.1, "mean": 0.1, "median": 0.1, "percentile(99%)": 0.1, "count": 1},
    "throughput": 500.0,
    "npu_compute_time_list": [1.0, 3.0],
    "pid": 4711,
}
OLD = {
    "filesinfo": {},
    "args": ["ais_infer.py", "--model=m.om"],
    "NPU_compute_time": {"min": 1.0, "max": 3.0, "mean": 2.5, "median": 2.0, "percentile(99%)": 2.98},
    "throughput": 400.0,
}


def test_a_new_summary_tells_the_time_of_every_call() -> None:
    told = summary.parse(json.dumps(NEW), HERE)
    assert (told.latencies_ms, told.mean_ms, told.count) == ((1.0, 3.0), 2.0, 2)


def test_an_old_summary_tells_the_mean_alone() -> None:
    told = summary.parse(json.dumps(OLD), HERE)
    assert (told.latencies_ms, told.mean_ms, told.count) == ((), 2.5, None)


def test_outputs_are_found_by_the_first_input() -> None:
    found = summary.outputs_by_input([summary.parse(json.dumps(NEW), HERE)])
    assert found["8.bin"] == (Path("out/8_0.bin"), Path("out/8_1.bin"))


def test_one_output_for_two_samples_is_told() -> None:
    twice = NEW | {"filesinfo": {str(i): {"infiles": [f"in/a.{i}.bin"], "outfiles": ["out/a_0.bin"]} for i in (0, 1)}}
    with pytest.raises(ToolError, match=r"stands for two samples, a\.0\.bin and a\.1\.bin"):
        summary.outputs_by_input([summary.parse(json.dumps(twice), HERE)])


def test_a_truncated_summary_is_told() -> None:
    with pytest.raises(ToolError, match="is truncated or no JSON"):
        summary.parse(json.dumps(NEW)[:100], HERE)


def test_an_empty_summary_is_told() -> None:
    with pytest.raises(ToolError, match="is truncated or no JSON"):
        summary.parse("", HERE)


@pytest.mark.parametrize("content", [{"latency": 1}, [], NEW | {"filesinfo": []}, NEW | {"npu_compute_time_list": 3}])
def test_a_summary_of_an_unknown_version_is_told(content) -> None:
    with pytest.raises(ToolError, match="of a version that the runner does not know"):
        summary.parse(json.dumps(content), HERE)


def test_a_missing_summary_is_told(tmp_path) -> None:
    with pytest.raises(ToolError, match="cannot be read"):
        summary.read(tmp_path / "gone_summary.json")


def test_a_measurement_that_took_no_time_is_told(tmp_path) -> None:
    path = tmp_path / "a_summary.json"
    path.write_text(json.dumps(NEW | {"npu_compute_time_list": [], "NPU_compute_time": {"mean": 0.0}}))
    with pytest.raises(ToolError, match=r"a mean latency of 0\.0 ms"):
        summary.measured(path)
