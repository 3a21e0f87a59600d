"""A small network of free sizes, exported, and samples whose shapes differ."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from runner.config import permissions
from runner.config.callables import Target
from runner.core import FREE, OnnxModel, Samples, TensorSpec, Weights
from runner.data import Row, storage
from runner.networks import CheckpointLayout, NetworkSpec
from runner.stages.export import ExportSpec, export

FREE_INPUT = TensorSpec("image", "float32", (3, FREE, FREE))
OUTPUTS = ("map", "scores")
MODULE = "networks_of_free_sizes"


class AnySize(nn.Module):
    """A map as large as the picture, and four scores."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.scale = nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.scale(self.down(image)).relu()
        grown = nn.functional.interpolate(features, size=image.shape[2:], mode="bilinear", align_corners=False)
        return grown, features.mean((2, 3))


Export = Callable[..., OnnxModel]


@pytest.fixture
def any_size() -> AnySize:
    """The network with seeded weights."""
    torch.manual_seed(0)
    return AnySize().eval()


@pytest.fixture
def export_any_size(any_size: AnySize, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Export]:
    """Export the network with free sizes: (opset, batch or None) -> the ONNX model."""
    module = ModuleType(MODULE)
    module.AnySize = AnySize  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    permissions.allow([MODULE, __name__])
    layout = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
    spec = NetworkSpec(Target(f"{MODULE}.AnySize"), layout, (FREE_INPUT,))

    def run(opset: int = 11, batch: int | None = None) -> OnnxModel:
        save_file(any_size.state_dict(), tmp_path / "w.safetensors")
        out = tmp_path / f"export{opset}"
        out.mkdir()
        weights = Weights(tmp_path / "w.safetensors", "", "random")
        return export(ExportSpec(spec, OUTPUTS, opset, batch), weights, out)

    yield run
    permissions.allow([])


def expected(network: nn.Module, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """What PyTorch computes for pictures [N, 3, height, width]."""
    with torch.no_grad():
        return [output.numpy() for output in network(torch.from_numpy(images))]


def pictures(*sizes: tuple[int, int]) -> list[NDArray[np.float32]]:
    """A picture [3, height, width] of each size."""
    random = np.random.default_rng(0)
    return [random.standard_normal((3, *size), dtype=np.float32) for size in sizes]


def stored(folder: Path, images: Sequence[NDArray[np.float32]]) -> Samples:
    """The pictures as samples s0, s1, ..."""
    folder.mkdir(exist_ok=True)
    array = storage.create_array(folder, FREE_INPUT, len(images), [image.shape for image in images])
    with array.path.open("r+b") as file:
        for index, image in enumerate(images):
            storage.write_at(file.fileno(), image, array.position(index))
    return storage.finish(folder, [FREE_INPUT], [Row(id=f"s{index}") for index in range(len(images))])
