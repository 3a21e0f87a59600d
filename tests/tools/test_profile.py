import json
from dataclasses import replace

import numpy as np
import pytest

from runner.core import OperatorTime, Placement, ToolError
from runner.tools import ProfilingTool
from runner.tools import _onnxruntime_profile as onnxruntime_profile
from runner.tools.ascend import AisInfer
from runner.tools.onnxruntime import OnnxRuntime
from runner.tools.profile import SLOWEST, Execution, slowest

CPU = Placement(soc="cpu", kind="cpu", devices=(0,))


def test_the_slowest_operator_comes_first_with_its_share() -> None:
    executions = [Execution("a", "Conv", 1.0), Execution("b", "Relu", 3.0)]
    assert slowest(executions) == (
        OperatorTime(name="b", type="Relu", mean_ms=3.0, percent=75.0),
        OperatorTime(name="a", type="Conv", mean_ms=1.0, percent=25.0),
    )


def test_the_first_of_several_executions_does_not_count() -> None:
    (only,) = slowest([Execution("a", "Conv", time) for time in (90.0, 1.0, 3.0)])
    assert only.mean_ms == 2.0


def test_shares_are_of_all_operators_though_ten_are_told() -> None:
    told = slowest([Execution(str(place), "Conv", 1.0) for place in range(20)])
    assert (len(told), told[0].percent) == (SLOWEST, 5.0)


def test_a_profile_without_operators_tells_none() -> None:
    assert slowest([]) == ()


def test_onnxruntimes_events_of_kernels_are_executions() -> None:
    events = [
        {"cat": "Session", "name": "model_run", "dur": 900},
        {"cat": "Node", "name": "conv1_fence_before", "dur": 1, "args": {"op_name": "Conv"}},
        {"cat": "Node", "name": "conv1_kernel_time", "dur": 250, "args": {"op_name": "Conv", "provider": "CPU"}},
    ]
    assert list(onnxruntime_profile.executions(json.dumps(events))) == [Execution("conv1", "Conv", 0.25)]


@pytest.mark.parametrize(
    "text",
    [
        "[{",
        "[1]",
        '[{"cat": "Node", "name": "a_kernel_time"}]',
        f'[{{"cat": "Node", "name": "a_kernel_time", "args": {{"op_name": "Conv"}}, "dur": 1{"0" * 400}}}]',
        "[" * 200_000,
    ],
    ids=["cut off", "no event", "no time", "too large", "too deep"],
)
def test_a_profile_of_onnxruntime_that_cannot_be_read_is_told(text) -> None:
    with pytest.raises(ToolError, match="ONNX Runtime's profile cannot be read"):
        list(onnxruntime_profile.executions(text))


def test_onnxruntime_tells_its_operators(doubling, work) -> None:
    told = OnnxRuntime().profile(doubling, CPU, {"x": np.ones((2, 2), np.float32)}, work)
    assert {operator.type for operator in told} == {"Add", "Neg"}
    assert sum(operator.percent for operator in told) == pytest.approx(100)


def test_a_tool_without_a_profiler_is_no_profiling_tool() -> None:
    assert not isinstance(AisInfer(), ProfilingTool)
    assert isinstance(replace(OnnxRuntime(), threads=1), ProfilingTool)
