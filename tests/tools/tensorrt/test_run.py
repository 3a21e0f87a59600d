"""trtexec as an inference tool: both log formats, raw times, outputs, over the stand-in (tests/standins/trtexec)."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import CompiledModel, Placement, TensorSpec, ToolError, process, process_tree
from runner.data.batches import Batch
from runner.measure import MeasuringLimits
from runner.tools.compiler import CompileRequest
from runner.tools.tensorrt import _profile
from runner.tools.tensorrt.build import TrtexecBuild
from runner.tools.tensorrt.run import Trtexec, parse_log, read_outputs, read_times
from runner.tools.tool import DryRunPaths

STANDINS = Path(__file__).parents[2] / "standins"
T4 = Placement(soc="t4", kind="nvidia", devices=(0,))
LIMITS = MeasuringLimits(warmup=3, min_iterations=20, min_seconds=0.1, max_seconds=1.0)
X = TensorSpec("x", "float32", (4,))

LOG_8 = """
[I] Warmup completed 101 queries over 200 ms
[I] Timing trace has 1510 queries over 3.00453 s
[I] Throughput: 502.575 qps
[I] Latency: min = 1.99 ms, max = 2.95 ms, mean = 2.51 ms, median = 2.5 ms, percentile(99%) = 2.8 ms
[I] Enqueue Time: min = 0.1 ms, max = 0.4 ms, mean = 0.2 ms, median = 0.2 ms, percentile(99%) = 0.3 ms
[I] H2D Latency: min = 0.1 ms, max = 0.4 ms, mean = 0.2 ms, median = 0.2 ms, percentile(99%) = 0.3 ms
[I] GPU Compute Time: min = 1.87 ms, max = 2.62 ms, mean = 1.98347 ms, median = 1.9 ms, percentile(99%) = 2.5 ms
[I] D2H Latency: min = 0.1 ms, max = 0.4 ms, mean = 0.3 ms, median = 0.2 ms, percentile(99%) = 0.3 ms
"""
LOG_7 = """
[11/11/2020-13:10:03] [I] Warmup completed 0 queries over 200 ms
[11/11/2020-13:10:03] [I] Timing trace has 0 queries over 3.00 s
[11/11/2020-13:10:03] [I] Host Latency
[11/11/2020-13:10:03] [I] min: 1.30 ms (end to end 2.40 ms)
[11/11/2020-13:10:03] [I] mean: 1.35 ms (end to end 2.48 ms)
[11/11/2020-13:10:03] [I] percentile: 1.50 ms at 99% (end to end 2.60 ms at 99%)
[11/11/2020-13:10:03] [I] throughput: 0 qps
[11/11/2020-13:10:03] [I] GPU Compute
[11/11/2020-13:10:03] [I] min: 1.21 ms
[11/11/2020-13:10:03] [I] max: 1.90 ms
[11/11/2020-13:10:03] [I] mean: 1.2541 ms
[11/11/2020-13:10:03] [I] median: 1.25 ms
"""


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{STANDINS}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    with process.logging_to(tmp_path / "logs"):
        yield


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder whose name would end an entry in trtexec's lists."""
    folder = tmp_path / "a,b:c"
    folder.mkdir()
    return folder


@pytest.fixture
def doubling(tmp_path: Path) -> CompiledModel:
    """The engine of y = x + x and z = argmax(x), [2, 4]."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["y"]),
            helper.make_node("ArgMax", ["x"], ["z"], axis=1, keepdims=0),
        ],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("z", TensorProto.INT64, ["batch"]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    path = TrtexecBuild().compile(
        CompileRequest(model=tmp_path / "m.onnx", inputs=(X,), batch=2, is_static=False, placement=T4, flags={}),
        tmp_path / "m",
    )
    return CompiledModel(
        path=path,
        sha256="digest",
        soc="t4",
        batch=2,
        inputs=(X,),
        outputs=(replace(X, name="y"), TensorSpec("z", "int64", ())),
    )


def fake_trtexec(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "trtexec").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "trtexec").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def batch(*values: float) -> Batch:
    return Batch(("a", "b"), {"x": np.asarray(values, np.float32).reshape(2, 4)})


def test_the_mean_is_that_of_the_gpu_s_compute_time_in_the_log_of_8() -> None:
    report = parse_log(LOG_8)

    assert (report.mean_ms, report.warmup, report.measured) == (1.98347, 101, 1510)


def test_the_mean_is_that_of_the_gpu_s_compute_time_in_the_log_of_7() -> None:
    report = parse_log(LOG_7)

    assert (report.mean_ms, report.warmup, report.measured) == (1.2541, 0, 0)


@pytest.mark.parametrize(
    "log", ["", "mean: 3 ms", LOG_8[:200], LOG_8.replace("1.98347", "0"), LOG_8.replace("1.98", ".e")]
)
def test_a_log_without_the_time_is_an_error(log: str) -> None:
    with pytest.raises(ToolError, match="GPU compute time"):
        parse_log(log)


def test_times_of_the_warm_up_do_not_count(tmp_path: Path) -> None:
    entries = [{"startComputeMs": start, "computeMs": start / 100} for start in (0, 100, 200, 300)]
    (tmp_path / "t.json").write_text(json.dumps(entries))

    assert read_times(tmp_path / "t.json", 200) == (2.0, 3.0)


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"startComputeMs": 1}]', "[]"])
def test_times_that_cannot_be_read_are_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(content)

    assert read_times(tmp_path / "t.json", 0) is None


@pytest.mark.parametrize("release", ["7", "8", "10"])
def test_raw_times_are_measured_whatever_the_release(
    release: str, doubling: CompiledModel, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_TENSORRT", release)

    timing = Trtexec().measure(doubling, T4, {}, LIMITS, work)

    assert set(timing.latencies_ms) == {2.0}
    assert 50 <= len(timing.latencies_ms) <= 55
    assert (timing.batch, timing.warmup, timing.reasons, timing.chips) == (2, 3, (), 1)


@pytest.mark.parametrize(("release", "iterations"), [("7", 20), ("8", 55)])
def test_without_raw_times_the_log_s_mean_is_told(
    release: str, iterations: int, doubling: CompiledModel, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_TENSORRT", release)
    monkeypatch.setattr("runner.tools.tensorrt.run.read_times", lambda path, warmup_ms: None)

    timing = Trtexec().measure(doubling, T4, {}, LIMITS, work)

    assert (timing.latencies_ms, timing.mean_ms, timing.iterations) == ((), 2.0, iterations)


@pytest.mark.parametrize(("max_seconds", "iterations"), [(1.0, [7, 23]), (0.02, [7, 10])])
def test_a_first_measurement_says_how_many_calls_fit(
    max_seconds: float, iterations: list[int], doubling: CompiledModel, work: Path
) -> None:
    limits = replace(LIMITS, max_seconds=max_seconds, min_seconds=0.01)
    with process.recording() as commands:
        Trtexec().measure(doubling, T4, {}, limits, work)

    flags = [flag for command in commands for flag in command.argv if flag.startswith("--iterations")]
    assert flags == [f"--iterations={calls}" for calls in iterations]


def test_calls_that_the_warm_up_lacked_are_taken_off(doubling: CompiledModel, work: Path) -> None:
    few = Trtexec(warmup_ms=4).measure(doubling, T4, {}, replace(LIMITS, warmup=10), work)

    assert len(few.latencies_ms) == 55 - (10 - 2)


def test_outputs_come_by_name_a_batch_at_a_time(doubling: CompiledModel, work: Path) -> None:
    batches = [batch(1, 2, 3, 4, 8, 7, 6, 5), batch(*[0.5] * 8)]

    first, second = Trtexec().infer(doubling, T4, batches, work)

    np.testing.assert_array_equal(first["y"], [[2, 4, 6, 8], [16, 14, 12, 10]])
    np.testing.assert_array_equal(first["z"], [3, 0])
    assert first["y"].dtype == np.float32
    assert first["z"].dtype == np.int64
    np.testing.assert_array_equal(second["y"], np.ones((2, 4)))


def test_values_that_are_no_numbers_are_read(tmp_path: Path, doubling: CompiledModel) -> None:
    path = tmp_path / "o.json"
    path.write_text(
        '[ { "name" : "y", "dimensions" : "2x4", "values" : [ nan, -nan, inf, -inf, 1e-5, 0, 1, 2 ] }, '
        '{ "name" : "z", "dimensions" : "2", "values" : [ 1, 2 ] } ]'
    )

    values = read_outputs(path, doubling)["y"].ravel()

    np.testing.assert_array_equal(values, np.float32([np.nan, np.nan, np.inf, -np.inf, 1e-5, 0, 1, 2]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "cannot be read"),
        ('[{"name": "y"}]', "cannot be read"),
        ('[{"name": "y", "dimensions": "2x4", "values": [1]}]', "wrote the outputs"),
        (
            '[{"name": "y", "dimensions": "2x4", "values": [1]}, {"name": "z", "dimensions": "2", "values": [1, 2]}]',
            "output y that trtexec wrote is no array",
        ),
        (
            '[{"name": "y", "dimensions": "1x4", "values": [1, 2, 3, 4]},'
            ' {"name": "z", "dimensions": "2", "values": [1, 2]}]',
            "not of batch 2",
        ),
    ],
)
def test_outputs_that_are_not_the_model_s_are_errors(
    content: str, message: str, tmp_path: Path, doubling: CompiledModel
) -> None:
    (tmp_path / "o.json").write_text(content)

    with pytest.raises(ToolError, match=message):
        read_outputs(tmp_path / "o.json", doubling)


def test_a_trtexec_that_succeeds_without_outputs_is_an_error(
    doubling: CompiledModel, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_trtexec(tmp_path / "bin", "echo PASSED", monkeypatch)

    with pytest.raises(ToolError, match=r"(?s)wrote no outputs.*command: trtexec.*trtexec-2\.log"):
        list(Trtexec().infer(doubling, T4, [batch(*range(8))], work))


def test_a_device_that_is_not_there_is_an_error_with_the_log(doubling: CompiledModel, work: Path) -> None:
    with pytest.raises(ToolError, match=r"(?s)^trtexec failed.*Cannot find device ID 3"):
        Trtexec().measure(doubling, replace(T4, devices=(3,)), {}, LIMITS, work)


def test_an_engine_that_cannot_be_loaded_is_an_error(doubling: CompiledModel, work: Path) -> None:
    doubling.path.write_bytes(b"of another TensorRT")

    with pytest.raises(ToolError, match="deserialization failed"):
        Trtexec().measure(doubling, T4, {}, LIMITS, work)


def test_a_hanging_trtexec_is_ended(
    doubling: CompiledModel, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "GRACE_SECONDS", 0.2)
    fake_trtexec(tmp_path / "bin", "sleep 600", monkeypatch)

    with pytest.raises(ToolError, match=r"still running after 0\.3 seconds"):
        Trtexec(timeout_seconds=0.3).measure(doubling, T4, {}, LIMITS, work)


def test_the_commands_are_told_before_they_run() -> None:
    paths = DryRunPaths(
        model=Path("m.engine"),
        batch=8,
        inputs=(X,),
        samples=Path("samples"),
        one_batch=Path("one_batch"),
        results=Path("out"),
    )

    infer, benchmark = Trtexec().commands(paths, replace(T4, devices=(1,)), LIMITS)

    assert (infer.stage, benchmark.stage) == ("infer", "benchmark")
    assert infer.argv == (
        "trtexec",
        "--loadEngine=m.engine",
        "--shapes=x:8x4",
        "--device=1",
        "--loadInputs=x:out/input0.bin",
        "--warmUp=0",
        "--duration=0",
        "--iterations=1",
        "--exportOutput=out/output.json",
    )
    assert benchmark.argv[4:] == (
        "--warmUp=200",
        "--duration=0.11",
        "--iterations=23",
        "--exportTimes=out/times.json",
    )


def test_a_missing_trtexec_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert "not on the PATH" in Trtexec().validate(T4)[0].message


def test_several_devices_and_settings_out_of_range_are_problems() -> None:
    problems = Trtexec(timeout_seconds=0, warmup_ms=-1).validate(replace(T4, devices=(0, 1)))

    assert [problem.message.split(" is ")[0] for problem in problems] == [
        "tool.adapter.timeout_seconds",
        "tool.adapter.warmup_ms",
        "device",
    ]


def test_the_slowest_layers_are_told(doubling: CompiledModel, work: Path) -> None:
    told = Trtexec().profile(doubling, T4, {}, work)
    assert [(layer.name, layer.mean_ms) for layer in told] == [("z", 2.0), ("y", 1.0)]


def test_a_dry_run_shows_the_profile() -> None:
    paths = DryRunPaths(
        model=Path("m.engine"), batch=2, inputs=(X,), samples=Path("s"), one_batch=Path("o"), results=Path("result")
    )
    (command,) = Trtexec().profile_commands(paths, T4)
    assert command.argv[-2:] == ("--iterations=11", "--exportProfile=result/profile.json")


@pytest.mark.parametrize(
    "content",
    ["[{", '[{"name": "conv1"}]', '{"name": "conv1"}', f'[{{"name": "c", "averageMs": 1{"0" * 400}}}]', "[" * 200_000],
    ids=["cut off", "no time", "no list", "too large", "too deep"],
)
def test_a_profile_of_another_format_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(content)
    with pytest.raises(ToolError, match="profile that trtexec wrote cannot be read"):
        list(_profile.layers(tmp_path / "profile.json"))
