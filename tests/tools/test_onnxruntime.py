from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.core import CompiledModel, Placement, TensorSpec, ToolError
from runner.data.batches import Batch
from runner.measure import MeasuringLimits
from runner.tools.onnxruntime import OnnxRuntime

CPU = Placement(soc="cpu", kind="cpu", devices=(0,))
NOWHERE = Path("/nonexistent")
LIMITS = MeasuringLimits(2, 7, 0.0, 10.0)


def batch(value: float) -> Batch:
    return Batch(("a", "b"), {"x": np.full((2, 2), value, dtype=np.float32)})


def test_outputs_come_by_name_a_batch_at_a_time(doubling) -> None:
    first, second = OnnxRuntime().infer(doubling, CPU, [batch(1.0), batch(2.0)], NOWHERE)
    assert first["y"].tolist() == [[2.0, 2.0]] * 2
    assert second["z"].tolist() == [[-2.0, -2.0]] * 2


def test_batches_are_taken_only_as_outputs_are(doubling) -> None:
    taken = []

    def feed():
        for value in (1.0, 2.0, 3.0):
            taken.append(value)
            yield batch(value)

    outputs = OnnxRuntime().infer(doubling, CPU, feed(), NOWHERE)
    next(outputs)
    assert taken == [1.0]


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


def test_cuda_without_its_provider_is_a_fault_and_no_silent_fall_back() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    (problem,) = OnnxRuntime().validate(Placement(soc="cuda", kind="cuda", devices=(0,)))
    assert "no CUDAExecutionProvider; it has" in problem.message
    assert "onnxruntime-gpu" in problem.fix
