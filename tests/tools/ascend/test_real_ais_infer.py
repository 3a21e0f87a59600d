"""The adapter against real versions of ais_infer.py, over the stand-in of their C++ backend.

AIS_INFER_SCRIPTS are paths of ais_infer.py, separated by colons, each in the folder ais-bench_workload/tool/ais_infer
of github.com/Ascend/tools (at 256ed1f, 63a74de, ...). They need tqdm. Nothing of them is in this repository.
"""

import os

import numpy as np
import pytest

from runner.core import Placement, ToolError
from runner.measure import MeasuringLimits
from runner.tools.ascend.ais_infer import AisInfer

SCRIPTS = [path for path in os.environ.get("AIS_INFER_SCRIPTS", "").split(":") if path]
ONE = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
QUICK = MeasuringLimits(warmup=2, min_iterations=5, min_seconds=0.0, max_seconds=10.0)
FED = {"x": np.ones((2, 2), np.float32)}

pytestmark = pytest.mark.skipif(not SCRIPTS, reason="AIS_INFER_SCRIPTS names no ais_infer.py")


@pytest.fixture(params=SCRIPTS)
def tool(request, card, python) -> AisInfer:
    return AisInfer(python=python, script=request.param, loop=7, timeout_seconds=60)


def infer(tool, model, batches, work) -> list[float]:
    return [float(row.flat[0]) for out in tool.infer(model, ONE, batches, work) for row in out["y"]]


def test_a_tail_of_two_in_batches_of_three(tool, compiled, batches, work) -> None:
    model = compiled(3)
    assert infer(tool, model, batches(model, 8), work) == [0, 2, 4, 6, 8, 10, 12, 14, 12]


def test_two_inputs(tool, compiled, batches, work) -> None:
    model = compiled(2, inputs=2)
    assert infer(tool, model, batches(model, 3), work) == [100, 101, 102, 102]


def test_a_measurement(tool, compiled, work) -> None:
    timing = tool.measure(compiled(2), ONE, FED, QUICK, work)
    assert len(timing.latencies_ms) == 7 or (timing.mean_ms > 0 and timing.iterations == 7)


def test_a_device_that_cannot_be_opened(tool, compiled, batches, work) -> None:
    model = compiled(2)
    with pytest.raises(ToolError, match=r"(?s)exit status 1.*open device 9 failed"):
        list(tool.infer(model, Placement(soc="310P3", kind="ascend", devices=(9,)), batches(model, 2), work))


@pytest.mark.parametrize(
    ("inputs", "gears"),
    [(1, ((1, 4, 6), (1, 6, 4), (1, 8, 8))), (1, ((5,), (7,))), (2, ((1, 4, 6), (1, 6, 4)))],
    ids=["dymHW", "dymDims", "dymDims of two inputs"],
)
def test_a_model_of_several_shapes(tool, inputs, gears, compiled, batches, work) -> None:
    for number, gear in enumerate(gears):
        model = compiled(2, inputs=inputs, gears=gears).at([gear] * inputs)
        folder = work / str(number)
        folder.mkdir()
        outputs = list(tool.infer(model, ONE, batches(model, 3), folder))
        assert [output["y"].shape for output in outputs] == [(2, *gear)] * 2
        expected = [0, 2, 4, 4] if inputs == 1 else [100, 101, 102, 102]
        assert [float(row.flat[0]) for output in outputs for row in output["y"]] == expected


def test_a_measurement_of_one_of_several_shapes(tool, compiled, batches, work) -> None:
    model = compiled(2, gears=((1, 4, 6), (1, 6, 4))).at([(1, 6, 4)])
    (batch,) = batches(model, 2)
    timing = tool.measure(model, ONE, batch.inputs, QUICK, work)
    assert len(timing.latencies_ms) == 7 or timing.iterations == 7
