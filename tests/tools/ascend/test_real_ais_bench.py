"""The adapter against real front ends of ais_bench, over the stand-in of their C++ backend.

AIS_BENCH_SOURCE are folders that hold the package ais_bench, separated by colons: ais-bench_workload/tool/ais_bench of
github.com/Ascend/tools (at 9d6da90), ait/components/benchmark of github.com/Ascend/msit (at 6394cfe1d^), the two lines
in use. They need tqdm. Nothing of them is in this repository.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.core import Placement, ToolError
from runner.measure import MeasuringLimits
from runner.tools.ascend.ais_bench import AisBench

SOURCES = [path for path in os.environ.get("AIS_BENCH_SOURCE", "").split(":") if path]
STANDINS = Path(__file__).resolve().parents[2] / "standins"
ONE = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
TWO = Placement(soc="310P3", kind="ascend", devices=(0, 1), soc_version="Ascend310P3")
QUICK = MeasuringLimits(warmup=2, min_iterations=5, min_seconds=0.0, max_seconds=10.0)
FED = {"x": np.ones((2, 2), np.float32)}

pytestmark = pytest.mark.skipif(not SOURCES, reason="AIS_BENCH_SOURCE names no source of ais_bench")


@pytest.fixture(params=SOURCES)
def source(request, card, monkeypatch) -> str:
    if Path(request.param, "ais_bench/infer/args_adapter.py").exists():
        monkeypatch.setenv("STANDIN_ACLRUNTIME", "msit")
    return request.param


@pytest.fixture
def tool(source, python, monkeypatch) -> AisBench:
    monkeypatch.setenv("PYTHONPATH", f"{source}:{STANDINS}:{STANDINS / 'setuptools_before_82'}")
    return AisBench(python=python, loop=7, timeout_seconds=60)


@pytest.fixture
def api(source, monkeypatch) -> AisBench:
    monkeypatch.syspath_prepend(STANDINS)
    monkeypatch.syspath_prepend(source)
    yield AisBench(mode="api")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ais_bench", "aclruntime")]:
        del sys.modules[name]


def infer(tool, model, batches, work, placement=ONE) -> dict[str, list[float]]:
    found = list(tool.infer(model, placement, batches, work))
    return {name: [float(row.flat[0]) for out in found for row in out[name]] for name in ("y", "z")}


def test_a_tail_of_two_in_batches_of_three(tool, compiled, batches, work) -> None:
    model = compiled(3)
    found = infer(tool, model, batches(model, 8), work)
    assert found == {"y": [0, 2, 4, 6, 8, 10, 12, 14, 12], "z": [0, -1, -2, -3, -4, -5, -6, -7, -6]}


def test_two_inputs(tool, compiled, batches, work) -> None:
    model = compiled(2, inputs=2)
    assert infer(tool, model, batches(model, 3), work) == {"y": [100, 101, 102, 102], "z": [-100, -99, -98, -98]}


def test_one_sample_a_batch(tool, compiled, batches, work) -> None:
    model = compiled(1, shape=(3, 4, 4))
    assert infer(tool, model, batches(model, 12), work)["y"] == [2 * i for i in range(12)]


def test_two_devices(tool, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 8), work, TWO)["y"] == [0, 2, 4, 6, 8, 10, 12, 14, 12]


def test_two_inputs_on_two_devices(tool, compiled, batches, work) -> None:
    model = compiled(2, inputs=2)
    assert infer(tool, model, batches(model, 6), work, TWO)["y"] == [100, 101, 102, 103, 104, 105]


def test_one_batch_on_two_devices(tool, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 2), work, TWO)["y"] == [0, 2, 0]


def test_a_measurement(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), ONE, FED, QUICK, work)
    assert (len(timing.latencies_ms), timing.chips) == (7, 1)


def test_a_measurement_on_two_devices(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), TWO, FED, QUICK, work)
    assert (len(timing.latencies_ms), timing.chips) == (14, 2)


@pytest.mark.parametrize("placement", [ONE, TWO], ids=["one device", "two devices"])
def test_a_profile(tool, compiled, work, placement) -> None:
    assert [operator.type for operator in tool.profile(compiled(2), placement, FED, work)] == ["Neg", "Add"]


def test_a_device_that_cannot_be_opened(tool, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match=r"(?s)exit status 1.*open device 9 failed") as caught:
        infer(tool, model, batches(model, 2), work, Placement(soc="310P3", kind="ascend", devices=(9,)))
    assert "npu-smi info" in caught.value.fix


def test_one_of_two_devices_that_cannot_be_opened(tool, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match=r"(?s)exit status 1.*open device 9 failed"):
        infer(tool, model, batches(model, 4), work, Placement(soc="310P3", kind="ascend", devices=(0, 9)))


def test_an_om_built_for_another_soc(tool, compiled, batches, work) -> None:
    model = compiled(2, soc="Ascend310")
    with pytest.raises(ToolError, match="exit status 1") as caught:
        infer(tool, model, batches(model, 2), work)
    assert "another SoC" in caught.value.fix


def test_a_device_out_of_range(tool, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match=r"(?s)exit status 2.*valid value range is \[0, 255\]"):
        infer(tool, model, batches(model, 2), work, Placement(soc="310P3", kind="ascend", devices=(256,)))


def test_nothing_is_missing(tool) -> None:
    assert tool.validate(TWO) == []


def test_a_user_whose_group_may_write_new_files(tool, compiled, batches, work, group_may_write) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 4), work)["y"] == [0, 2, 4, 6, 6, 6]


@pytest.mark.parametrize("placement", [ONE, TWO], ids=["one device", "two devices"])
def test_a_model_that_the_group_may_write(tool, compiled, batches, work, placement) -> None:
    model = compiled(2)
    model.path.chmod(0o664)
    assert infer(tool, model, batches(model, 4), work, placement)["y"] == [0, 2, 4, 6]
    assert tool.measure(model, placement, FED, QUICK, work).latencies_ms


def test_a_users_folder_that_others_may_write(tool, compiled, batches, work, tmp_path, monkeypatch) -> None:
    model = compiled(3)
    tmp_path.joinpath("infer").mkdir()
    tmp_path.joinpath("infer").chmod(0o777)
    monkeypatch.chdir(tmp_path)
    assert infer(tool, model, batches(model, 4), work)["y"] == [0, 2, 4, 6, 6, 6]


@pytest.mark.parametrize("run_mode", ["array", "files", "tensor", "full"])
def test_a_flag_of_the_users(tool, compiled, batches, work, run_mode) -> None:
    model = compiled(3)
    tool = replace(tool, arguments={"run_mode": run_mode, "debug": True})
    assert tool.validate(ONE) == []
    assert infer(tool, model, batches(model, 4), work)["y"] == [0, 2, 4, 6, 6, 6]


def test_a_flag_that_neither_line_has(tool) -> None:
    (problem,) = replace(tool, arguments={"runmode": "full"}).validate(ONE)
    assert "did you mean run_mode" in problem.fix


def test_the_interface_in_this_process(api, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(api, model, batches(model, 4), work) == {"y": [0, 2, 4, 6, 6, 6], "z": [0, -1, -2, -3, -3, -3]}


def test_the_interface_with_two_inputs(api, compiled, batches, work) -> None:
    model = compiled(2, inputs=2)
    assert infer(api, model, batches(model, 3), work)["y"] == [100, 101, 102, 102]


def test_a_measurement_in_this_process(api, compiled, batches, work) -> None:
    model = compiled(2)
    (batch,) = batches(model, 2)
    timing = api.measure(model, ONE, batch.inputs, QUICK, work)
    assert (len(timing.latencies_ms) >= 5, min(timing.latencies_ms) > 0) == (True, True)


def test_a_device_that_the_interface_cannot_open(api, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match=r"cannot load .* on device 9"):
        infer(api, model, batches(model, 2), work, Placement(soc="310P3", kind="ascend", devices=(9,)))


@pytest.mark.parametrize(
    ("inputs", "gears"),
    [(1, ((1, 4, 6), (1, 6, 4), (1, 8, 8))), (1, ((5,), (7,))), (2, ((1, 4, 6), (1, 6, 4)))],
    ids=["dymHW", "dymDims", "dymDims of two inputs"],
)
@pytest.mark.parametrize("mode", ["cli", "api"])
def test_a_model_of_several_shapes(request, source, mode, inputs, gears, compiled, batches, work) -> None:
    tool = request.getfixturevalue({"cli": "tool", "api": "api"}[mode])
    for number, gear in enumerate(gears):
        model = compiled(2, inputs=inputs, gears=gears).at([gear] * inputs)
        folder = work / str(number)
        folder.mkdir()
        outputs = list(tool.infer(model, ONE, batches(model, 3), folder))
        assert [output["y"].shape for output in outputs] == [(2, *gear)] * 2
        expected = [0, 2, 4, 4] if inputs == 1 else [100, 101, 102, 102]
        assert [float(row.flat[0]) for output in outputs for row in output["y"]] == expected


@pytest.mark.parametrize("mode", ["cli", "api"])
def test_a_shape_that_is_no_gear(request, source, mode, compiled, batches, work) -> None:
    tool = request.getfixturevalue({"cli": "tool", "api": "api"}[mode])
    model = compiled(2, gears=((1, 4, 6), (1, 6, 4))).at([(1, 4, 4)])
    with pytest.raises(ToolError, match="exit status 1" if mode == "cli" else "set_dynamic_hw failed"):
        infer(tool, model, batches(model, 2), work)


def test_a_measurement_of_one_of_several_shapes(tool, compiled, batches, work) -> None:
    model = compiled(2, gears=((1, 4, 6), (1, 6, 4))).at([(1, 6, 4)])
    (batch,) = batches(model, 2)
    assert len(tool.measure(model, ONE, batch.inputs, QUICK, work).latencies_ms) == 7


@pytest.mark.parametrize("is_range", [False, True], ids=["dymBatch", "dymShape"])
@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("mode", ["cli", "api"])
def test_a_model_of_several_batch_sizes(request, source, mode, inputs, is_range, compiled, batches, work) -> None:
    tool = request.getfixturevalue({"cli": "tool", "api": "api"}[mode])
    for rows in (1, 4):
        model = compiled(rows, inputs=inputs, shape=(3, 4, 4), batches=(1, 2, 4), is_range=is_range)
        folder = work / str(rows)
        folder.mkdir()
        found = infer(tool, model, batches(model, 4), folder)["y"]
        assert found == ([0, 2, 4, 6] if inputs == 1 else [100, 101, 102, 103])


def test_a_batch_size_that_is_no_gear(tool, compiled, batches, work) -> None:
    model = compiled(3, batches=(1, 2, 4))
    with pytest.raises(ToolError, match=r"(?s)--dymBatch 3.*the dymBatch parameter is not correct"):
        infer(tool, model, batches(model, 3), work)


@pytest.mark.parametrize("is_range", [False, True], ids=["dymBatch", "dymShape"])
def test_a_measurement_of_one_of_several_batch_sizes(tool, is_range, compiled, work) -> None:
    model = compiled(2, batches=(1, 2, 4), is_range=is_range)
    timing = tool.measure(model, ONE, FED, QUICK, work)
    assert (len(timing.latencies_ms), timing.batch) == (7, 2)


def test_several_batch_sizes_on_two_devices(tool, compiled, batches, work) -> None:
    model = compiled(2, batches=(1, 2, 4))
    assert infer(tool, model, batches(model, 8), work, TWO)["y"] == [0, 2, 4, 6, 8, 10, 12, 14]
