from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.core import Placement, TensorSpec, ToolError
from runner.measure import MeasuringLimits
from runner.tools.ascend import ais_infer
from runner.tools.ascend.ais_infer import AisInfer
from runner.tools.tool import DryRunPaths

STANDINS = Path(__file__).resolve().parents[2] / "standins"
ONE = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
QUICK = MeasuringLimits(warmup=2, min_iterations=5, min_seconds=0.0, max_seconds=10.0)
FED = {"x": np.ones((2, 2), np.float32)}


@pytest.fixture
def tool(card, python) -> AisInfer:
    return AisInfer(python=python, script=str(STANDINS / "ais_infer.py"), loop=7)


def infer(tool: AisInfer, model, batches, work) -> list[float]:
    return [float(row.flat[0]) for out in tool.infer(model, ONE, batches, work) for row in out["y"]]


def dry_run_paths(*inputs: TensorSpec) -> DryRunPaths:
    """Of a model at batch 4."""
    return DryRunPaths(
        model=Path("m.om"),
        batch=4,
        inputs=inputs,
        samples=Path("samples"),
        one_batch=Path("one_batch"),
        results=Path("result"),
    )


def test_the_inference_is_the_dqn_guides() -> None:
    argv = ais_infer.infer_argv(
        "python3.7",
        "ais_infer.py",
        model=Path("dqn_bs1.om"),
        folders=[Path("bin_path")],
        output=Path("result"),
        batch=1,
        device=0,
    )
    assert " ".join(argv) == (
        "python3.7 ais_infer.py --model=dqn_bs1.om --input bin_path --output result --outfmt BIN"
        " --batchsize 1 --device 0"
    )


def test_the_measurement_is_the_inference_of_one_batch_many_times() -> None:
    x = TensorSpec("x", "float32", (2,))
    (_, measurement) = AisInfer().commands(dry_run_paths(x), ONE, QUICK)
    assert " ".join(measurement.argv) == (
        "python3 ais_infer.py --model=m.om --input one_batch/0 --output result --outfmt BIN --batchsize 4 --device 0"
        " --loop=20"
    )


def test_a_dry_run_tells_both_commands() -> None:
    assert [command.stage for command in AisInfer().commands(dry_run_paths(), ONE, QUICK)] == ["infer", "benchmark"]


def test_outputs_come_in_order_padding_included(tool, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 8), work) == [0, 2, 4, 6, 8, 10, 12, 14, 12]


def test_the_oldest_one_that_drops_partial_batches_sees_none(tool, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_AIS_INFER", "oldest")
    model = compiled(3)
    assert infer(tool, model, batches(model, 4), work) == [0, 2, 4, 6, 6, 6]


def test_two_inputs_are_paired_by_position(tool, compiled, batches, work) -> None:
    model = compiled(2, inputs=2)
    assert infer(tool, model, batches(model, 3), work) == [100, 101, 102, 102]


def test_a_measurement_tells_the_mean_of_its_calls(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), ONE, FED, QUICK, work)
    assert (timing.latencies_ms, timing.iterations, timing.warmup) == ((), 7, 1)
    assert timing.mean_ms > 0


@pytest.mark.parametrize("name", ["2022_07_01-10_00_00/sumary.json", "2022_12_01-10_00_00_summary.json"])
def test_the_summary_is_inside_or_beside_the_folder(tmp_path, name) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    assert ais_infer.summary_in(tmp_path) == tmp_path / name


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("error", "failed with exit status 1"),
        ("silent", "wrote 0 summaries"),
        ("no-summary", "wrote 0 summaries"),
        ("truncated", "is truncated or no JSON"),
        ("fewer", "the tool wrote 1 for"),
        ("duplicate", "stands for two samples"),
        ("tail", "4 samples went in, 3 came out"),
    ],
)
def test_a_tool_that_fails_is_told_with_command_and_log(
    tool, compiled, batches, work, monkeypatch, fault, told
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    model = compiled(2)
    with pytest.raises(ToolError, match=rf"(?s){told}.*ais_infer\.py --model=.*ais_infer\.log"):
        infer(tool, model, batches(model, 4), work)


def test_a_tool_that_hangs_is_told(card, python, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "hang")
    hanging = AisInfer(python=python, script=str(STANDINS / "ais_infer.py"), timeout_seconds=1.0)
    model = compiled(2)
    with pytest.raises(ToolError, match="still running after 1 seconds"):
        infer(hanging, model, batches(model, 2), work)


def test_nothing_is_wrong_where_everything_is_there(tool) -> None:
    assert tool.validate(ONE) == []


def test_a_missing_script_is_a_problem(card, python) -> None:
    (problem,) = AisInfer(python=python, script="nowhere/ais_infer.py").validate(ONE)
    assert "tool.script=nowhere/ais_infer.py is not there" in problem.message


def test_several_devices_are_a_problem(tool) -> None:
    (problem,) = tool.validate(Placement(soc="310P3", kind="ascend", devices=(0, 1)))
    assert "ais_infer uses one device" in problem.message


def test_device_255_is_a_problem_as_its_range_ends_before(tool) -> None:
    (problem,) = tool.validate(Placement(soc="310P3", kind="ascend", devices=(255,)))
    assert "from 0 to 254" in problem.fix


def test_the_version_is_the_scripts_digest(tool) -> None:
    assert tool.version().startswith("ais_infer ")
    assert AisInfer(script="nowhere.py").version() == "ais_infer (not found)"


def test_flags_of_the_users_are_added_to_both_commands() -> None:
    argvs = [command.argv for command in AisInfer(arguments={"debug": True}).commands(dry_run_paths(), ONE, QUICK)]
    assert [argv[argv.index("--debug") + 1] for argv in argvs] == ["1", "1"]


def test_a_mistyped_flag_is_a_problem_with_the_scripts_nearest(tool) -> None:
    (problem,) = replace(tool, arguments={"outfm": "NPY"}).validate(ONE)
    assert "the installed tool has no flag outfm" in problem.message


def test_a_flag_of_the_runners_own_is_a_problem(tool) -> None:
    (problem,) = replace(tool, arguments={"device_id": 1}).validate(ONE)
    assert problem.message.startswith("tool.arguments.device_id=1 cannot be given")
