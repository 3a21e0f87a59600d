"""Small networks through torch's exporter; what comes out is run in ONNX Runtime."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from runner.config import permissions
from runner.config.callables import Target
from runner.core.artifacts import OnnxModel, TensorSpec, Weights
from runner.core.errors import CheckpointError, ExportError
from runner.networks.network import CheckpointLayout, NetworkSpec, build_network
from runner.stages.export import ExportSpec, export

PLAIN = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
INPUT = TensorSpec("image", "float32", (2, 4, 4))


class Network(nn.Module):
    """A convolution and a linear layer; what it returns is up to the subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 3, 3)
        self.linear = nn.Linear(12, 5)

    def forward(self, image: Tensor) -> Any:
        return self.linear(torch.relu(self.convolution(image)).flatten(1))


class Pair(Network):
    def forward(self, image: Tensor) -> Any:
        return [super().forward(image), image.mean((1, 2, 3))]


class Named(Network):
    def forward(self, image: Tensor) -> Any:
        return {"mean": image.mean((1, 2, 3)), "scores": super().forward(image)}


class BatchWrittenIn(Network):
    def forward(self, image: Tensor) -> Any:
        return self.linear(torch.relu(self.convolution(image)).reshape(int(image.shape[0]), 12))


class BatchLost(Network):
    def forward(self, image: Tensor) -> Any:
        return super().forward(image).sum(0)


class DataDependent(Network):
    def forward(self, image: Tensor) -> Any:
        return super().forward(image) if image.sum() == 0 else image


class Newer(Network):
    def forward(self, image: Tensor) -> Any:
        return super().forward(image) + torch.diagonal(image[:, :, :2, :2], dim1=2, dim2=3).sum((1, 2))[:, None]


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("networks_to_export")
    for network in (Network, Pair, Named, BatchWrittenIn, BatchLost, DataDependent, Newer):
        setattr(module, network.__name__, network)
    monkeypatch.setitem(sys.modules, "networks_to_export", module)
    permissions.allow(["networks_to_export", __name__])
    yield
    permissions.allow([])


Exporter = Callable[..., OnnxModel]


@pytest.fixture
def exported(tmp_path: Path) -> Exporter:
    def run(
        network: type[nn.Module] = Network,
        outputs: tuple[str, ...] = ("class",),
        opset: int = 11,
        batch: int | None = None,
        inputs: tuple[TensorSpec, ...] = (INPUT,),
    ) -> OnnxModel:
        torch.manual_seed(0)
        save_file(network().state_dict(), tmp_path / "w.safetensors")
        spec = NetworkSpec(Target(f"networks_to_export.{network.__name__}"), PLAIN, inputs)
        return export(ExportSpec(spec, outputs, opset, batch), weights(tmp_path), tmp_path)

    return run


def weights(folder: Path) -> Weights:
    return Weights(folder / "w.safetensors", "", "random")


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *INPUT.shape), dtype=np.float32)


def run_onnx(model: OnnxModel, count: int) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    return list(session.run([tensor.name for tensor in model.outputs], {"image": images(count)}))


def test_values_are_those_of_torch(exported: Exporter, tmp_path: Path) -> None:
    model = exported()
    network = build_network(NetworkSpec(Target("networks_to_export.Network"), PLAIN, (INPUT,)), weights(tmp_path))
    with torch.no_grad():
        expected = network(torch.from_numpy(images(3))).numpy()
    np.testing.assert_allclose(run_onnx(model, 3)[0], expected, rtol=1e-5, atol=1e-5)


def test_the_artifact_describes_the_model(exported: Exporter, tmp_path: Path) -> None:
    model = exported()
    assert model.path == tmp_path / "model.onnx"
    assert (model.opset, model.batch, model.inputs, model.outputs) == (
        11,
        None,
        (INPUT,),
        (TensorSpec("class", "float32", (5,)),),
    )


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_the_opset_is_the_one_asked_for(exported: Exporter, opset: int) -> None:
    assert onnx.load(exported(opset=opset).path).opset_import[0].version == opset


@pytest.mark.parametrize("opset", [6, 21])
def test_an_opset_that_torch_does_not_export_is_refused(exported: Exporter, opset: int) -> None:
    with pytest.raises(ExportError, match=f"opset is {opset}") as caught:
        exported(opset=opset)
    assert "7..20" in caught.value.fix


def test_an_operator_of_a_newer_opset_is_told_with_the_newest_that_atc_reads(exported: Exporter) -> None:
    with pytest.raises(ExportError, match="aten::diagonal") as caught:
        exported(Newer)
    assert "model.export.opset=13" in caught.value.fix
    assert exported(Newer, opset=13).opset == 13


def test_a_free_batch_takes_every_size(exported: Exporter) -> None:
    model = exported()
    assert [run_onnx(model, count)[0].shape for count in (1, 5)] == [(1, 5), (5, 5)]


def test_a_fixed_batch_is_written_in(exported: Exporter) -> None:
    model = exported(batch=4)
    graph = onnx.load(model.path).graph
    assert model.batch == 4
    assert [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim] == [4, 2, 4, 4]
    assert [axis.dim_value for axis in graph.output[0].type.tensor_type.shape.dim] == [4, 5]


def test_a_batch_that_the_network_writes_in_is_found(exported: Exporter) -> None:
    with pytest.raises(ExportError, match="2") as caught:
        exported(BatchWrittenIn)
    assert "fixed_batch=true" in caught.value.fix


def test_a_network_that_writes_its_batch_in_exports_with_a_fixed_one(exported: Exporter) -> None:
    assert run_onnx(exported(BatchWrittenIn, batch=2), 2)[0].shape == (2, 5)


def test_an_output_without_a_batch_axis_is_refused(exported: Exporter) -> None:
    with pytest.raises(ExportError, match="output class"):
        exported(BatchLost)


def test_several_outputs_are_named_in_order(exported: Exporter) -> None:
    scores, mean = run_onnx(exported(Pair, outputs=("scores", "mean")), 2)
    assert (scores.shape, mean.shape) == ((2, 5), (2,))


def test_outputs_in_a_dict_are_taken_by_name(exported: Exporter) -> None:
    scores, mean = run_onnx(exported(Named, outputs=("scores", "mean")), 2)
    assert (scores.shape, mean.shape) == ((2, 5), (2,))


@pytest.mark.parametrize(
    ("network", "outputs"), [(Network, ("a", "b")), (Pair, ("a",)), (Pair, ("a", "b", "c")), (Named, ("scores", "b"))]
)
def test_another_number_of_outputs_is_refused(
    exported: Exporter, network: type[nn.Module], outputs: tuple[str, ...]
) -> None:
    with pytest.raises(ExportError, match="output") as caught:
        exported(network, outputs=outputs)
    assert "model.outputs" in caught.value.fix


def test_an_input_that_the_network_cannot_take_is_told(exported: Exporter) -> None:
    with pytest.raises(ExportError, match=r"image \[1, 3, 4, 4\]"):
        exported(inputs=(TensorSpec("image", "float32", (3, 4, 4)),))


def test_another_number_of_inputs_is_told(exported: Exporter) -> None:
    with pytest.raises(ExportError, match="cannot export"):
        exported(inputs=(INPUT, TensorSpec("second", "float32", (2,))))


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    save_file({"other": torch.ones(1)}, tmp_path / "w.safetensors")
    spec = NetworkSpec(Target("networks_to_export.Network"), PLAIN, (INPUT,))
    with pytest.raises(CheckpointError, match="another network"):
        export(ExportSpec(spec, ("class",), 11, None), weights(tmp_path), tmp_path)


@pytest.mark.filterwarnings("error")
def test_torch_prints_nothing(exported: Exporter, capfd: pytest.CaptureFixture[str]) -> None:
    exported(DataDependent)
    assert capfd.readouterr() == ("", "")
