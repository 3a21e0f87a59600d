import itertools
import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.core import Placement, TensorSpec, ToolError, process
from runner.measure import MeasuringLimits, mean_ms, samples_per_second
from runner.tools.ascend import _installation as installation
from runner.tools.ascend import _sample_files as sample_files
from runner.tools.ascend import ais_bench
from runner.tools.ascend._installation import Installation
from runner.tools.ascend._summary import Summary, timing_of
from runner.tools.ascend.ais_bench import AisBench
from runner.tools.tool import DryRunPaths

STANDINS = Path(__file__).resolve().parents[2] / "standins"
ONE = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
TWO = Placement(soc="310P3", kind="ascend", devices=(0, 1), soc_version="Ascend310P3")
QUICK = MeasuringLimits(warmup=2, min_iterations=5, min_seconds=0.0, max_seconds=10.0)
FED = {"x": np.ones((2, 2), np.float32)}


@pytest.fixture
def tool(card, python) -> AisBench:
    return AisBench(python=python, loop=7)


@pytest.fixture
def api(card, tmp_path, monkeypatch) -> AisBench:
    """Mode api, with the stand-in importable here."""
    monkeypatch.syspath_prepend(STANDINS)
    yield AisBench(mode="api")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ais_bench", "aclruntime")]:
        del sys.modules[name]


@pytest.fixture
def msit(card, python, monkeypatch) -> AisBench:
    """The line of github.com/Ascend/msit."""
    folders = (STANDINS / "msit", STANDINS, STANDINS / "setuptools_before_82")
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, folders)))
    return AisBench(python=python, loop=7)


def infer(tool: AisBench, model, batches, work, placement=ONE) -> dict[str, list[float]]:
    """The first value of every sample's outputs."""
    found = list(tool.infer(model, placement, batches, work))
    return {name: [float(row.flat[0]) for out in found for row in out[name]] for name in ("y", "z")}


def after(flag: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The values that follow a flag."""
    return tuple(value for name, value in itertools.pairwise(argv) if name == flag)


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


# --- command lines ---------------------------------------------------------------------------------------------------


def test_the_inference_is_spelt_as_in_the_guides() -> None:
    argv = ais_bench.infer_argv(
        "python3", model=Path("m.om"), folders=[Path("in")], output=Path("result"), name="subdir", batch=4, devices=(0,)
    )
    assert " ".join(argv) == (
        "python3 -m ais_bench --model m.om --input in --output result --output_dirname subdir --outfmt BIN"
        " --batchsize 4 --device 0"
    )


def test_several_inputs_and_devices_are_separated_by_commas() -> None:
    argv = ais_bench.infer_argv(
        "python3",
        model=Path("m.om"),
        folders=[Path("a"), Path("b")],
        output=Path("r"),
        name="s",
        batch=4,
        devices=(0, 1),
    )
    assert (argv[argv.index("--input") + 1], argv[argv.index("--device") + 1]) == ("a,b", "0,1")


def test_the_measurement_is_the_inference_of_one_batch_many_times() -> None:
    x = TensorSpec("x", "float32", (2,))
    (_, measurement) = AisBench().commands(dry_run_paths(x), ONE, QUICK)
    assert " ".join(measurement.argv) == (
        "python3 -m ais_bench --model m.om --input one_batch/0 --output result --output_dirname benchmark --outfmt BIN"
        " --batchsize 4 --device 0 --loop 1000 --warmup_count 2"
    )


def test_a_dry_run_tells_both_commands() -> None:
    stages = [command.stage for command in AisBench().commands(dry_run_paths(), ONE, QUICK)]
    assert stages == ["infer", "benchmark"]


def test_mode_api_has_no_commands() -> None:
    assert AisBench(mode="api").commands(dry_run_paths(), ONE, QUICK) == []


# --- inference -------------------------------------------------------------------------------------------------------


def test_outputs_come_by_name_in_order_padding_included(tool, compiled, batches, work) -> None:
    model = compiled(3)
    found = infer(tool, model, batches(model, 8), work)
    assert found == {"y": [0, 2, 4, 6, 8, 10, 12, 14, 12], "z": [0, -1, -2, -3, -4, -5, -6, -7, -6]}


def test_outputs_have_the_shape_of_the_model(tool, compiled, batches, work) -> None:
    model = compiled(2, shape=(3, 4, 5))
    (found,) = tool.infer(model, ONE, batches(model, 2), work)
    assert found["y"].shape == (2, 3, 4, 5)


def test_values_are_the_cards_in_float16(tool, compiled, batches, work) -> None:
    model = compiled(1)
    (batch,) = batches(model, 1)
    batch.inputs["x"][:] = 0.1
    assert infer(tool, model, [batch], work)["y"] == [float(np.float32(np.float16(0.2)))]


def test_two_inputs_are_paired_by_position(tool, compiled, batches, work) -> None:
    model = compiled(2, inputs=2)
    assert infer(tool, model, batches(model, 3), work) == {"y": [100, 101, 102, 102], "z": [-100, -99, -98, -98]}


def test_more_than_a_chunk_is_one_sequence(tool, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setattr(sample_files, "CHUNK_FILES", 4)
    model = compiled(2)
    assert infer(tool, model, batches(model, 6), work)["y"] == [0, 2, 4, 6, 8, 10]


def test_two_devices_share_the_samples(tool, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 8), work, TWO)["y"] == [0, 2, 4, 6, 8, 10, 12, 14, 12]


def test_two_devices_share_the_samples_of_msits_line(msit, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(msit, model, batches(model, 8), work, TWO)["y"] == [0, 2, 4, 6, 8, 10, 12, 14, 12]


@pytest.mark.parametrize(("placement", "count"), [(ONE, 0), (TWO, 1)], ids=["one device", "two devices"])
def test_msits_line_is_asked_to_divide_inputs_between_devices(msit, placement, count) -> None:
    argvs = [command.argv for command in msit.commands(dry_run_paths(), placement, QUICK)]
    assert [argv.count("--divide_input") for argv in argvs] == [count] * 2


def test_inputs_are_none_that_the_group_may_write(msit, compiled, batches, work, group_may_write) -> None:
    model = compiled(3)
    assert infer(msit, model, batches(model, 2), work)["y"] == [0, 2, 0]


@pytest.mark.parametrize("name", ["two words", "zoo+cache", "缓存"])
def test_characters_of_a_path_that_msits_line_refuses_are_told(msit, tmp_path, name) -> None:
    (problem,) = msit.path_problems(tmp_path / name)
    assert f"refuses the path {(tmp_path / name).resolve()}" in problem.message
    assert "cache_dir=PATH" in problem.fix


def test_msits_line_takes_other_paths_and_tools_line_any(msit, tool, tmp_path, monkeypatch) -> None:
    assert msit.path_problems(tmp_path / "zoo-cache_1.0") == []
    monkeypatch.setenv("PYTHONPATH", str(STANDINS))
    assert tool.path_problems(tmp_path / "two words") == []


@pytest.mark.parametrize("placement", [ONE, TWO], ids=["one device", "two devices"])
def test_a_model_that_the_group_may_write_is_read_all_the_same(msit, compiled, batches, work, placement) -> None:
    model = compiled(2)
    model.path.chmod(0o664)
    assert infer(msit, model, batches(model, 4), work, placement)["y"] == [0, 2, 4, 6]
    assert msit.measure(model, placement, FED, QUICK, work).latencies_ms
    assert (model.path.stat().st_mode & 0o777, list(work.iterdir())) == (0o664, [])


def test_a_folder_of_the_users_does_not_count_for_the_tools(
    msit, compiled, batches, work, tmp_path, monkeypatch
) -> None:
    tmp_path.joinpath("infer").mkdir()
    tmp_path.joinpath("infer").chmod(0o777)  # msit's line refuses such a folder of the name of --output_dirname
    monkeypatch.chdir(tmp_path)
    model = compiled(3)
    assert infer(msit, model, batches(model, 2), work)["y"] == [0, 2, 0]


def test_an_interpreter_by_a_relative_path_runs_from_any_folder(
    tool, python, compiled, batches, work, tmp_path, monkeypatch
) -> None:
    tmp_path.joinpath("python").symlink_to(python)
    monkeypatch.setenv("PYTHONPATH", f"{STANDINS}:{':'.join(path for path in sys.path if path)}")
    monkeypatch.chdir(tmp_path)
    model = compiled(3)
    assert infer(replace(tool, python="./python"), model, batches(model, 2), work)["y"] == [0, 2, 0]


def test_fewer_batches_than_devices_are_filled(tool, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 2), work, TWO)["y"] == [0, 2, 0]


def test_nothing_is_left_in_the_work_folder(tool, compiled, batches, work) -> None:
    model = compiled(2)
    infer(tool, model, batches(model, 2), work)
    assert list(work.iterdir()) == []


def test_every_command_is_recorded(tool, compiled, batches, work) -> None:
    model = compiled(2)
    with process.recording() as commands:
        infer(tool, model, batches(model, 2), work)
    assert [(command.stage, command.argv[1:3]) for command in commands] == [("infer", ("-m", "ais_bench"))]


# --- measurement -----------------------------------------------------------------------------------------------------


def test_the_time_of_every_call_is_kept(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), ONE, FED, QUICK, work)
    assert (len(timing.latencies_ms), timing.batch, timing.warmup) == (7, 2, 2)
    assert "--loop, host clock around the device call" in timing.source


def test_a_first_measurement_says_how_many_calls_fit(tool, compiled, work) -> None:
    with process.recording() as commands:
        tool.measure(compiled(2), ONE, FED, QUICK, work)
    assert [loop for command in commands for loop in after("--loop", command.argv)] == ["2", "7"]


def test_calls_that_take_too_long_are_few_and_do_not_count(tool, compiled, work) -> None:
    hardly_any_time = MeasuringLimits(warmup=0, min_iterations=5, min_seconds=0.0, max_seconds=1e-6)
    timing = tool.measure(compiled(2), ONE, FED, hardly_any_time, work)
    assert (len(timing.latencies_ms), timing.reasons) == (
        2,
        ("too short: 2 of 5 iterations within benchmark.max_seconds=1e-06",),
    )


def test_the_calls_of_two_devices_are_pooled_and_their_rates_add_up(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), TWO, FED, QUICK, work)
    assert (len(timing.latencies_ms), timing.chips) == (14, 2)


def test_a_card_of_four_chips_is_told_as_a_card(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), Placement(soc="310", kind="ascend", devices=(0,), chips=4), FED, QUICK, work)
    assert samples_per_second(timing) == pytest.approx(4 * 2000 / mean_ms(timing))
    assert "samples/s told for all 4" in timing.source


def test_an_old_summary_tells_the_mean_alone(tool, compiled, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "old-keys")
    timing = tool.measure(compiled(2), ONE, FED, QUICK, work)
    assert (timing.latencies_ms, timing.iterations) == ((), None)
    assert timing.mean_ms > 0


def test_rates_of_equally_fast_devices_add_up_exactly() -> None:
    told = [Summary((), (2.0, 2.0), 2.0, 2)] * 2
    timing = timing_of(told, batch=4, warmup=0, source="s", reasons=())
    assert samples_per_second(replace(timing, chips=2)) == 2 * 1000 * 4 / 2.0


# --- failures --------------------------------------------------------------------------------------------------------


def failing(tool, compiled, batches, work, placement=ONE, **model) -> ToolError:
    built = compiled(2, **model)
    with pytest.raises(ToolError) as caught:
        infer(tool, built, batches(built, 4), work, placement)
    message = caught.value.message
    assert "-m ais_bench --model" in message
    assert "ais_bench.log" in message
    return caught.value


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("error", "failed with exit status 1"),
        ("silent", "wrote 0 summaries"),
        ("no-summary", "wrote 0 summaries"),
        ("truncated", "is truncated or no JSON"),
        ("other-keys", "of a version that the runner does not know"),
        ("unwritten", "which is not there"),
        ("fewer", r"declares 2 outputs \(y, z\), the tool wrote 1"),
        ("tail", "4 samples went in, 3 came out"),
        ("duplicate", "stands for two samples, 00000000.bin and 00000001.bin"),
    ],
)
def test_a_tool_that_fails_is_told_with_command_and_log(
    tool, compiled, batches, work, monkeypatch, fault, told
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    assert re.search(told, failing(tool, compiled, batches, work).message)


def test_a_device_that_cannot_be_opened(tool, compiled, batches, work) -> None:
    error = failing(tool, compiled, batches, work, Placement(soc="310P3", kind="ascend", devices=(9,)))
    assert "open device 9 failed" in error.message
    assert "Traceback" not in error.message
    assert "npu-smi info" in error.fix


def test_an_om_built_for_another_soc(tool, compiled, batches, work) -> None:
    assert "built for another SoC" in failing(tool, compiled, batches, work, soc="Ascend310").fix


def test_a_tool_that_hangs_is_killed_and_told(card, python, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "hang")
    error = failing(AisBench(python=python, timeout_seconds=2.0), compiled, batches, work)
    assert "still running after 2 seconds" in error.message


def test_a_device_outside_the_range_is_refused_by_the_tool(tool, compiled, batches, work) -> None:
    error = failing(tool, compiled, batches, work, Placement(soc="310P3", kind="ascend", devices=(256,)))
    assert "exit status 2" in error.message


def test_a_measurement_without_a_summary_is_told(tool, compiled, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "silent")
    with pytest.raises(ToolError, match=r"(?s)^the tool wrote 0 summaries.*--loop 2.*log: "):
        tool.measure(compiled(2), ONE, FED, QUICK, work)


# --- what is known before --------------------------------------------------------------------------------------------


def problems(tool: AisBench, placement=ONE) -> list[str]:
    return [str(problem) for problem in tool.validate(placement)]


def test_nothing_is_wrong_where_everything_is_there(tool) -> None:
    assert problems(tool, TWO) == []


def test_settings_out_of_range_are_problems(card, python) -> None:
    (first, second, third) = problems(
        AisBench(python=python, loop=0, timeout_seconds=0), Placement(soc="a", kind="ascend", devices=(256,))
    )
    assert ("loop is 0" in first, "timeout_seconds is 0" in second, "device is 256" in third) == (True, True, True)


def test_an_unknown_mode_is_a_problem_with_the_choices(card, python) -> None:
    (problem,) = problems(AisBench(python=python, mode="server"))
    assert "tool.mode is 'server'" in problem
    assert "cli, api" in problem


def test_a_device_named_twice_is_a_problem(tool) -> None:
    (problem,) = problems(tool, Placement(soc="310P3", kind="ascend", devices=(1, 1)))
    assert "one stands twice" in problem


def test_a_missing_interpreter_is_a_problem(card) -> None:
    (problem,) = problems(AisBench(python="python9.9"))
    assert "tool.python=python9.9 is not there" in problem


def test_missing_packages_are_one_problem_with_the_way_to_install(card, python, monkeypatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    (problem,) = problems(AisBench(python=python))
    assert f"ais_bench and aclruntime are not installed in tool.python={python}" in problem
    assert "install the wheels" in problem


def test_the_evaluation_of_language_models_is_not_taken_for_it(card, python, tmp_path, monkeypatch) -> None:
    for package in ("ais_bench", "ais_bench/benchmark"):
        tmp_path.joinpath(package).mkdir()
        tmp_path.joinpath(package, "__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{STANDINS}")
    (problem,) = problems(AisBench(python=python))
    assert "is ais_bench_benchmark, which evaluates language models" in problem


@pytest.mark.parametrize(
    ("flags", "pkg_resources", "count"),
    [(("divide_input",), False, 1), (("divide_input",), True, 0), ((), False, 0)],
    ids=["msit without", "msit with", "tools without"],
)
def test_msits_line_needs_pkg_resources(flags, pkg_resources, count) -> None:
    found = Installation(True, True, "0.0.2", False, pkg_resources, flags)
    told = installation.command_line_problems(found, "tool.python=python3.9", "python3.9")
    assert [problem.fix for problem in told] == ["python3.9 -m pip install 'setuptools<82', or tool.mode=api"] * count


def test_a_missing_cann_is_a_problem(card, python, monkeypatch) -> None:
    monkeypatch.delenv("ASCEND_HOME_PATH")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (problem,) = problems(AisBench(python=python, environment_script="/nonexistent/set_env.sh"))
    assert "CANN is not set up" in problem


def test_mode_api_takes_one_device(api) -> None:
    (problem,) = problems(api, TWO)
    assert "uses one device" in problem


def test_mode_api_needs_cann_before_the_process_starts(api, tmp_path, monkeypatch) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export ASCEND_HOME_PATH=/cann\n")
    monkeypatch.delenv("ASCEND_HOME_PATH")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (problem,) = problems(AisBench(mode="api", environment_script=str(script)))
    assert f"`source {script}` before the runner" in problem


def test_the_version_is_the_other_interpreters(card, python, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "site" / "ais_bench-0.0.2.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: ais_bench\nVersion: 0.0.2\n")
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}:{tmp_path / 'site'}")
    assert AisBench(python=python).version() == "ais_bench 0.0.2"


def test_the_version_of_a_missing_tool_says_so(card) -> None:
    assert AisBench(python="python9.9").version() == "ais_bench (not found)"


def test_the_interpreter_is_asked_once(tool) -> None:
    with process.recording() as commands:
        first, second = tool.version(), tool.version()
    assert (first, second, len(commands) <= 1) == ("ais_bench (version unknown)", first, True)


# --- flags of the user's own -----------------------------------------------------------------------------------------


def test_flags_of_the_users_are_added_to_both_commands() -> None:
    tool = AisBench(arguments={"run_mode": "full", "debug": True})
    argvs = [command.argv for command in tool.commands(dry_run_paths(), ONE, QUICK)]
    assert [(*after("--run_mode", argv), *after("--debug", argv)) for argv in argvs] == [("full", "1")] * 2


@pytest.mark.parametrize("stage", ["infer", "benchmark"])
def test_flags_of_the_users_make_another_result(stage) -> None:
    assert "arguments" not in AisBench().excluded_from_key(stage)


def test_the_tool_gets_them(tool, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match="invalid choice: 'slow'"):
        infer(replace(tool, arguments={"run_mode": "slow"}), model, batches(model, 2), work)


@pytest.mark.parametrize("arguments", [{"run_mode": "full"}, {"debug": True}])
def test_a_flag_of_the_tool_is_no_problem(tool, arguments) -> None:
    assert problems(replace(tool, arguments=arguments)) == []


@pytest.mark.parametrize("flag", ["model", "loop", "dymHW", "profiler", "threads"])
def test_a_flag_of_the_runners_own_is_a_problem(tool, flag) -> None:
    (problem,) = problems(replace(tool, arguments={flag: 4}))
    assert f"tool.arguments.{flag}=4 cannot be given: " in problem


def test_a_flag_that_only_msits_line_has_is_a_problem_of_the_other(tool) -> None:
    (problem,) = problems(replace(tool, arguments={"aipp_config": str(STANDINS / "atc")}))
    assert "the installed tool has no flag aipp_config" in problem


def test_a_flag_that_only_msits_line_has_is_none_of_its_own(msit) -> None:
    assert problems(replace(msit, arguments={"aipp_config": str(STANDINS / "atc")})) == []


def test_a_mistyped_flag_is_a_problem_with_the_nearest(tool) -> None:
    (problem,) = problems(replace(tool, arguments={"runmode": "full"}))
    assert "the installed tool has no flag runmode" in problem
    assert "did you mean run_mode?" in problem


def test_mode_api_has_no_flags(api) -> None:
    (problem,) = problems(replace(api, arguments={"debug": True}))
    assert "tool.mode=api has none" in problem


# --- mode api --------------------------------------------------------------------------------------------------------


def test_the_interface_gives_the_same_outputs(api, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(api, model, batches(model, 4), work) == {"y": [0, 2, 4, 6, 6, 6], "z": [0, -1, -2, -3, -3, -3]}


def test_the_interfaces_times_are_those_of_the_calls_that_count(api, compiled, batches, work) -> None:
    model = compiled(2)
    (batch,) = batches(model, 2)
    timing = api.measure(model, ONE, batch.inputs, QUICK, work)
    assert (len(timing.latencies_ms) >= 5, min(timing.latencies_ms) > 0) == (True, True)
    assert "exec_time_list" in timing.source


def test_a_warm_up_of_the_interface_that_is_cut_short_is_told_as_it_was(api, compiled, batches, work) -> None:
    model = compiled(2)
    (batch,) = batches(model, 2)
    hardly_any_time = MeasuringLimits(warmup=10_000, min_iterations=1, min_seconds=0.0, max_seconds=1e-6)
    assert api.measure(model, ONE, batch.inputs, hardly_any_time, work).warmup < 10_000


def test_the_later_interfaces_intervals_become_times(api, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "intervals")
    model = compiled(2)
    (batch,) = batches(model, 2)
    timing = api.measure(model, ONE, batch.inputs, QUICK, work)
    assert 0 < max(timing.latencies_ms) < 100


def test_fewer_outputs_of_the_interface_are_told(api, compiled, batches, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "fewer")
    model = compiled(2)
    with pytest.raises(ToolError, match="declares 2 outputs, InferSession returns 1"):
        infer(api, model, batches(model, 2), work)


def test_a_device_that_the_interface_cannot_open_is_told(api, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match=r"InferSession cannot load .* on device 9: .*invalid device id"):
        infer(api, model, batches(model, 2), work, Placement(soc="310P3", kind="ascend", devices=(9,)))


def test_the_process_group_is_gone_after_a_time_out(card, python, compiled, batches, work, monkeypatch) -> None:
    started = []
    monkeypatch.setenv("STANDIN_FAULT", "hang")
    real = process.subprocess.Popen

    def popen(*arguments, **named):
        started.append(real(*arguments, **named))
        return started[-1]

    monkeypatch.setattr(process.subprocess, "Popen", popen)
    failing(AisBench(python=python, timeout_seconds=1.0), compiled, batches, work)
    with pytest.raises(ProcessLookupError):
        os.killpg(started[-1].pid, signal.SIGTERM)


# --- profile ---------------------------------------------------------------------------------------------------------


def test_the_slowest_operators_are_told_by_msprof(tool, compiled, work) -> None:
    slowest = tool.profile(compiled(2), ONE, FED, work)
    assert [(operator.name, operator.type, operator.mean_ms) for operator in slowest] == [
        ("z", "Neg", pytest.approx(0.02)),
        ("y", "Add", pytest.approx(0.01)),
    ]


def test_a_profile_is_of_the_first_device_alone(tool, compiled, work) -> None:
    assert len(tool.profile(compiled(2), TWO, FED, work)) == 2


def test_a_profile_without_a_table_is_told(tool, compiled, work, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "profile")
    with pytest.raises(ToolError, match=r"msprof wrote no op_summary\*\.csv"):
        tool.profile(compiled(2), ONE, FED, work)


def test_a_missing_profiler_is_told(tool, tmp_path) -> None:
    (tmp_path / "bin/msprof").unlink()
    (problem,) = tool.profile_problems(ONE)
    assert problem.message.startswith("msprof is ")


def test_the_interface_has_no_profiler(api) -> None:
    (problem,) = api.profile_problems(ONE)
    assert "tool.mode=api has no profiler" in problem.message


def test_a_dry_run_shows_the_profile(tool) -> None:
    (command,) = tool.profile_commands(dry_run_paths(TensorSpec("x", "float32", (2,))), TWO)
    assert command.argv[-8:] == ("--device", "0", "--loop", "11", "--warmup_count", "0", "--profiler", "1")


def test_another_chip_than_the_soc_s_is_a_problem(tool, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_CHIPS", "310,310")
    (problem,) = tool.validate(ONE)
    assert "npu-smi info names 310" in problem.message
