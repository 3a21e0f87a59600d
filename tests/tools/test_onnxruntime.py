from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.core import CompiledModel, Placement, TensorSpec, ToolError
from runner.data.batches import Batch
from runner.measure import MeasuringLimits
from runner.tools import _onnxruntime_options as onnxruntime_options
from runner.tools.onnxruntime import OnnxRuntime

CPU = Placement(soc="cpu", kind="cpu", devices=(0,))
CARD = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
GPU = Placement(soc="cuda", kind="cuda", devices=(0,))
AVAILABLE = onnxruntime.get_available_providers()
TAKES_NO_NODES = "AzureExecutionProvider"
"""It is in the package for CPUs, and takes no nodes of ordinary models."""
NOWHERE = Path("/nonexistent")
LIMITS = MeasuringLimits(2, 7, 0.0, 10.0)


def batch(value: float) -> Batch:
    return Batch(("a", "b"), {"x": np.full((2, 2), value, dtype=np.float32)})


def test_outputs_come_by_name_a_batch_at_a_time(doubling) -> None:
    first, second = OnnxRuntime().infer(doubling, CPU, [batch(1.0), batch(2.0)], NOWHERE)
    assert first["y"].tolist() == [[2.0, 2.0]] * 2
    assert second["z"].tolist() == [[-2.0, -2.0]] * 2


@pytest.mark.parametrize(("threads", "expected"), [(1, [1.0]), (2, [1.0, 2.0])])
def test_no_more_than_two_batches_are_worked_on_and_one_by_one_thread(doubling, threads, expected) -> None:
    taken = []

    def feed():
        for value in (1.0, 2.0, 3.0):
            taken.append(value)
            yield batch(value)

    outputs = OnnxRuntime(threads=threads).infer(doubling, CPU, feed(), NOWHERE)
    next(outputs)
    assert taken == expected


def test_raw_latencies_of_every_call_are_kept(doubling) -> None:
    timing = OnnxRuntime().measure(doubling, CPU, batch(1.0).inputs, LIMITS, NOWHERE)
    assert (timing.batch, timing.warmup) == (2, 2)
    assert len(timing.latencies_ms) >= 7
    assert timing.source.startswith("onnxruntime ")


def test_load_time_first_call_and_memory_are_told(doubling) -> None:
    timing = OnnxRuntime().measure(doubling, CPU, batch(1.0).inputs, LIMITS, NOWHERE)
    assert timing.load_ms
    assert timing.first_call_ms
    assert timing.peak_rss_bytes


def test_a_file_that_is_no_model_is_named(tmp_path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    broken = CompiledModel(
        path=tmp_path / "m.onnx",
        sha256="digest",
        soc="cpu",
        batch=1,
        inputs=(),
        outputs=(TensorSpec("y", "float32", (2,)),),
    )
    with pytest.raises(ToolError, match=r"cannot load .*m\.onnx"):
        next(OnnxRuntime().infer(broken, CPU, [batch(1.0)], NOWHERE))


def test_an_input_of_another_shape_is_told_with_its_shape(doubling) -> None:
    wrong = Batch(("a",), {"x": np.zeros((1, 3), dtype=np.float32)})
    with pytest.raises(ToolError, match=r"failed on x \[1, 3\]"):
        next(OnnxRuntime().infer(doubling, CPU, [wrong], NOWHERE))


def test_zeros_in_front_of_a_pooling_stay_zeros(tmp_path) -> None:
    nodes = [
        helper.make_node("Pad", ["x", "pads", "zero"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    constants = [
        numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])
    graph = helper.make_graph(nodes, "pooling", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    model = CompiledModel(
        path=tmp_path / "m.onnx",
        sha256="digest",
        soc="cpu",
        batch=1,
        inputs=(),
        outputs=(TensorSpec("y", "float32", (1, 2, 2)),),
    )
    (found,) = OnnxRuntime().infer(model, CPU, [Batch(("a",), {"x": -np.ones((1, 1, 4, 4), np.float32)})], NOWHERE)
    assert found["y"].tolist() == [[[[0.0, 0.0], [0.0, -1.0]]]]


def test_a_device_that_the_cpu_has_not_is_a_problem() -> None:
    (problem,) = OnnxRuntime().validate(Placement(soc="cpu", kind="cpu", devices=(1,)))
    assert "device is [1]" in problem.message


def test_a_negative_number_of_threads_is_a_problem() -> None:
    (problem,) = OnnxRuntime(threads=-1).validate(CPU)
    assert "threads is -1" in problem.message


def test_several_devices_are_a_problem() -> None:
    (problem,) = OnnxRuntime().validate(Placement(soc="cuda", kind="cpu", devices=(0, 1)))
    assert "device is [0, 1]" in problem.message


@pytest.mark.parametrize(
    ("tool", "placement", "provider", "fix"),
    [
        (OnnxRuntime(), GPU, "CUDAExecutionProvider", "pip install onnxruntime-gpu"),
        (OnnxRuntime(provider="TensorrtExecutionProvider"), GPU, "TensorrtExecutionProvider", "install TensorRT"),
        (OnnxRuntime(), CARD, "CANNExecutionProvider", "pip install onnxruntime-cann"),
        (OnnxRuntime(provider="NoExecutionProvider"), CPU, "NoExecutionProvider", "choose from "),
    ],
)
def test_a_provider_that_is_not_there_is_told_with_what_to_install(tool, placement, provider, fix) -> None:
    if provider in AVAILABLE:
        pytest.skip(f"this ONNX Runtime has {provider}")
    (problem,) = tool.validate(placement)
    assert problem.message == f"this ONNX Runtime has no {provider}"
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("provider", "placement"), [("CPUExecutionProvider", CARD), ("CANNExecutionProvider", CPU)], ids=["card", "cpu"]
)
def test_a_provider_of_other_hardware_than_the_soc_is_a_problem(provider, placement) -> None:
    (problem,) = OnnxRuntime(provider=provider).validate(placement)
    assert problem.message == f"tool.adapter.provider={provider} does not run on soc={placement.soc}"


@pytest.mark.skipif(TAKES_NO_NODES not in AVAILABLE, reason=f"this ONNX Runtime has no {TAKES_NO_NODES}")
def test_nodes_that_a_provider_does_not_take_are_an_error_and_run_nowhere_else(doubling) -> None:
    tool = OnnxRuntime(provider=TAKES_NO_NODES)
    assert tool.validate(CPU) == []
    with pytest.raises(ToolError, match=f"with {TAKES_NO_NODES}: .*explicitly disabled") as caught:
        next(tool.infer(doubling, CPU, [batch(1.0)], NOWHERE))
    assert "'+tool.session_options={session.disable_cpu_ep_fallback: false}' lets the CPU" in caught.value.fix


@pytest.mark.skipif(TAKES_NO_NODES not in AVAILABLE, reason=f"this ONNX Runtime has no {TAKES_NO_NODES}")
def test_nodes_run_on_the_cpu_where_the_user_lets_them(doubling) -> None:
    tool = OnnxRuntime(provider=TAKES_NO_NODES, session_options={"session.disable_cpu_ep_fallback": False})
    (found,) = tool.infer(doubling, CPU, [batch(1.0)], NOWHERE)
    assert found["y"].tolist() == [[2.0, 2.0]] * 2
    assert TAKES_NO_NODES in tool.measure(doubling, CPU, batch(1.0).inputs, LIMITS, NOWHERE).source


@pytest.mark.skipif("CUDAExecutionProvider" not in AVAILABLE, reason="this ONNX Runtime has no CUDA")
def test_provider_options_reach_the_provider(doubling) -> None:
    tool = OnnxRuntime(provider_options={"no_such_option": 1})
    with pytest.raises(ToolError, match="no_such_option") as caught:
        next(tool.infer(doubling, GPU, [batch(1.0)], NOWHERE))
    assert "correct tool.provider_options" in caught.value.fix


def test_session_options_reach_onnx_runtime(doubling) -> None:
    tool = OnnxRuntime(session_options={"session.disable_cpu_ep_fallback": True})
    with pytest.raises(ToolError, match="explicitly added the CPU EP"):
        next(tool.infer(doubling, CPU, [batch(1.0)], NOWHERE))


def test_a_session_option_is_an_attribute_of_its_own_type_or_an_entry() -> None:
    options = onnxruntime.SessionOptions()
    given = {
        "graph_optimization_level": "ORT_ENABLE_BASIC",
        "enable_mem_pattern": False,
        "inter_op_num_threads": 3,
        "session.intra_op.allow_spinning": False,
    }
    assert OnnxRuntime(session_options=given).validate(CPU) == []
    onnxruntime_options.apply(options, given)
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert (options.enable_mem_pattern, options.inter_op_num_threads) == (False, 3)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"graph_optimization_level": "ALL"}, "graph_optimization_level is 'ALL'", "ORT_ENABLE_ALL"),
        ({"enable_mem_pattern": 0}, "enable_mem_pattern is 0", "type bool"),
        ({"graph_optimization_level": [1]}, "graph_optimization_level is [1]", "ORT_ENABLE_ALL"),
        ({"inter_op_num_threads": 2**31}, "inter_op_num_threads is 2147483648, which ONNX", "in its range"),
        ({"inter_op_num_threads": "3"}, "inter_op_num_threads is '3'", "type int"),
        ({"inter_op_threads": 3}, "inter_op_threads is no attribute", "did you mean inter_op_num_threads?"),
        ({"intra_op_num_threads": 3}, "which the runner sets", "tool.adapter.threads"),
        ({"session.intra_op.allow_spinning": [1]}, "allow_spinning is [1]", "give a text, a number"),
    ],
)
def test_a_session_option_that_cannot_be_is_a_problem(options, message, fix) -> None:
    (problem,) = OnnxRuntime(session_options=options).validate(CPU)
    assert message in problem.message
    assert fix in problem.fix


def test_the_cpu_has_no_provider_options() -> None:
    (problem,) = OnnxRuntime(provider_options={"arena": 1}).validate(CPU)
    assert problem.message == "tool.provider_options: CPUExecutionProvider has none"


def test_a_device_is_chosen_by_device_alone() -> None:
    problems = OnnxRuntime(provider=TAKES_NO_NODES, provider_options={"device_id": 1}).validate(CPU)
    assert problems[0].fix == "give device=N instead"


def test_latencies_include_copies() -> None:
    assert OnnxRuntime().measuring().includes_copies
