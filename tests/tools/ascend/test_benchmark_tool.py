import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.core import Placement, TensorSpec, ToolError, process
from runner.measure import MeasuringLimits, samples_per_second
from runner.tools.ascend import benchmark_tool
from runner.tools.ascend.benchmark_tool import BenchmarkTool
from runner.tools.tool import DryRunPaths

STANDINS = Path(__file__).resolve().parents[2] / "standins"
ONE = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
QUICK = MeasuringLimits(warmup=2, min_iterations=5, min_seconds=0.0, max_seconds=10.0)
PICTURE = TensorSpec("actual_input_1", "float32", (3, 224, 224))
SHAPE = (3, 4, 6)
PATHS = DryRunPaths(
    model=Path("m.om"),
    batch=4,
    inputs=(PICTURE,),
    samples=Path("samples"),
    one_batch=Path("one_batch"),
    results=Path("results"),
)


@pytest.fixture
def tool(card) -> BenchmarkTool:
    return BenchmarkTool(program=str(STANDINS / "benchmark.x86_64"), loop=7)


def infer(tool: BenchmarkTool, model, batches, work) -> dict[str, list[float]]:
    found = list(tool.infer(model, ONE, batches, work))
    return {name: [float(row.flat[0]) for out in found for row in out[name]] for name in ("y", "z")}


def test_the_inference_is_mocos_guides_in_binary() -> None:
    argv = benchmark_tool.vision_argv(
        "./benchmark.x86_64", model=Path("./moco.om"), info=Path("./prep_bin.info"), size=(224, 224), batch=1, device=0
    )
    assert " ".join(argv) == (
        "./benchmark.x86_64 -model_type=vision -batch_size=1 -device_id=0 -input_text_path=prep_bin.info"
        " -input_width=224 -input_height=224 -om_path=moco.om -useDvpp=False -output_binary=True"
    )


def test_the_measurement_is_pure_inference() -> None:
    argv = benchmark_tool.pure_argv("./benchmark.x86_64", model=Path("moco.om"), batch=16, device=0, rounds=1000)
    assert " ".join(argv) == "./benchmark.x86_64 -round=1000 -om_path=moco.om -batch_size=16 -device_id=0"


def test_a_dry_run_tells_both_commands_of_this_machines_program(monkeypatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    commands = BenchmarkTool().commands(PATHS, ONE, QUICK)
    assert [(command.stage, command.argv[0]) for command in commands] == [
        ("infer", "benchmark.aarch64"),
        ("benchmark", "benchmark.aarch64"),
    ]


@pytest.mark.parametrize("inputs", [(TensorSpec("noise", "float32", (100,)),), (PICTURE, PICTURE), ()])
def test_a_model_that_takes_no_picture_is_told(inputs) -> None:
    with pytest.raises(ToolError, match="takes one picture"):
        benchmark_tool.picture_shape(inputs)


def test_outputs_come_by_name_in_order_padding_included(tool, compiled, batches, work) -> None:
    model = compiled(3, shape=SHAPE)
    assert infer(tool, model, batches(model, 4), work) == {"y": [0, 2, 4, 6, 6, 6], "z": [0, -1, -2, -3, -3, -3]}


def test_nothing_is_left_in_the_work_folder(tool, compiled, batches, work) -> None:
    model = compiled(2, shape=SHAPE)
    infer(tool, model, batches(model, 2), work)
    assert list(work.iterdir()) == []


def test_the_mean_follows_from_the_rate(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2, shape=SHAPE), ONE, {}, QUICK, work)
    assert (timing.latencies_ms, timing.iterations, timing.batch) == ((), 7, 2)
    assert 0 < timing.mean_ms < 100


def test_a_first_measurement_says_how_many_calls_fit(tool, compiled, work) -> None:
    with process.recording() as commands:
        tool.measure(compiled(2, shape=SHAPE), ONE, {}, QUICK, work)
    assert [command.argv[1] for command in commands] == ["-round=2", "-round=7"]


def test_a_310_card_counts_its_four_chips(tool, compiled, work) -> None:
    timing = tool.measure(
        compiled(2, shape=SHAPE), Placement(soc="310", kind="ascend", devices=(0,), chips=4), {}, QUICK, work
    )
    assert samples_per_second(timing) == pytest.approx(4 * 2000 / timing.mean_ms)
    assert "samples/s told for all 4" in timing.source


def test_the_guides_measurement_on_files(card, compiled, batches, work) -> None:
    model = compiled(2, shape=SHAPE)
    (batch,) = batches(model, 2)
    tool = BenchmarkTool(program=str(STANDINS / "benchmark.x86_64"), loop=7, measured="files")
    timing = tool.measure(model, ONE, batch.inputs, QUICK, work)
    assert timing.mean_ms > 0
    assert "Interface throughputRate on files" in timing.source


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("error", "failed with exit status 1"),
        ("silent", "4 samples went in, 0 came out"),
        ("fewer", r"declares 2 outputs \(y, z\), the tool wrote 1"),
    ],
)
def test_a_tool_that_fails_is_told_with_command_and_log(
    tool, compiled, batches, work, monkeypatch, fault, told
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    model = compiled(2, shape=SHAPE)
    with pytest.raises(ToolError, match=rf"(?s){told}.*benchmark\.x86_64 -model_type.*benchmark\.log"):
        infer(tool, model, batches(model, 4), work)


@pytest.mark.parametrize(("fault", "told"), [("silent", "wrote 0 files"), ("other-keys", "tells no ave_through")])
def test_a_measurement_that_fails_is_told(tool, compiled, work, monkeypatch, fault, told) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    with pytest.raises(ToolError, match=rf"(?s){told}.*-round=2"):
        tool.measure(compiled(2, shape=SHAPE), ONE, {}, QUICK, work)


def test_a_tool_that_hangs_is_told(card, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "hang")
    tool = BenchmarkTool(program=str(STANDINS / "benchmark.x86_64"), timeout_seconds=1.0)
    model = compiled(2, shape=SHAPE)
    with pytest.raises(ToolError, match="still running after 1 seconds"):
        infer(tool, model, batches(model, 2), work)


def test_an_om_of_another_soc_is_told(tool, compiled, batches, work) -> None:
    model = compiled(2, shape=SHAPE, soc="Ascend310")
    with pytest.raises(ToolError, match="exit status 1") as caught:
        infer(tool, model, batches(model, 2), work)
    assert "another SoC" in caught.value.fix


def test_nothing_is_wrong_where_everything_is_there(tool) -> None:
    assert tool.validate(ONE) == []


def test_the_program_of_this_machine_is_found_on_the_path(card, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "benchmark.x86_64").symlink_to(STANDINS / "benchmark.x86_64")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert BenchmarkTool().validate(ONE) == []


def test_a_missing_program_is_a_problem(card) -> None:
    (problem,) = BenchmarkTool(program="./nowhere").validate(ONE)
    assert "tool.program=./nowhere is not there" in problem.message


def test_flags_of_the_users_are_added() -> None:
    tool = BenchmarkTool(program="./benchmark", arguments={"dvpp_device": 1})
    assert [command.argv[-1] for command in tool.commands(PATHS, ONE, QUICK)] == ["-dvpp_device=1"] * 2


def test_a_flag_of_the_runners_own_is_a_problem(tool) -> None:
    (problem,) = replace(tool, arguments={"batch_size": 8}).validate(ONE)
    assert problem.message == "tool.arguments.batch_size=8 cannot be given: the runner chooses it, as in batch=8"


def test_a_program_that_lost_its_executable_bit_is_a_problem(card, tmp_path) -> None:
    shutil.copy(STANDINS / "benchmark.x86_64", tmp_path / "benchmark")
    (tmp_path / "benchmark").chmod(0o644)
    (problem,) = BenchmarkTool(program=str(tmp_path / "benchmark")).validate(ONE)
    assert "chmod u+x" in problem.fix


def test_settings_out_of_range_are_problems(card) -> None:
    tool = BenchmarkTool(program=str(STANDINS / "benchmark.x86_64"), loop=0, measured="half", timeout_seconds=-1)
    assert len(tool.validate(Placement(soc="310P3", kind="ascend", devices=(0, 1)))) == 4
