"""PyTorch computes the samples as the run does."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from runner.config import permissions
from runner.config.callables import Target
from runner.core import FREE, Samples, TensorSpec, Weights
from runner.data import Normalisation, Row, predictions, storage
from runner.networks import CheckpointLayout, NetworkSpec
from runner.stages.reference import ReferenceSpec, reference

PLAIN = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
IDENTITY = Normalisation(1.0, (0.0,), (1.0,))


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Centred(Doubled):
    """Its outputs depend on the other samples of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("networks_of_reference")
    module.Doubled, module.Centred = Doubled, Centred  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "networks_of_reference", module)
    permissions.allow(["networks_of_reference", __name__])
    yield
    permissions.allow([])


def samples_of(folder: Path, widths: list[int], names: list[str] | None = None) -> Samples:
    """Samples [width] that hold their index; `names` are the samples that the rows belong to."""
    shapes = [(width,) for width in widths]
    array = storage.create_array(folder, TensorSpec("x", "float32", (FREE,)), len(widths), shapes)
    with array.path.open("r+b") as file:
        for index, width in enumerate(widths):
            storage.write_at(file.fileno(), np.full(width, index, np.float32), array.position(index))
    facts = [Row(id=f"s{index}", sample=names[index] if names else None) for index in range(len(widths))]
    return storage.finish(folder, [TensorSpec("x", "float32", (FREE,))], facts)


def computed(folder: Path, samples: Samples, network: str, wanted: int | None, batch: int | None = None):
    """The outputs by id."""
    save_file(Doubled().state_dict(), folder / "w.safetensors")
    spec = NetworkSpec(Target(f"networks_of_reference.{network}"), PLAIN, samples.spec)
    made = reference(
        ReferenceSpec(network=spec, outputs=("y",), normalisation=IDENTITY, samples=wanted, batch=batch),
        Weights(folder / "w.safetensors", "", "random"),
        samples,
        folder,
    )
    values = [row.tolist() for chunk in predictions.iterate(made) for row in chunk["y"]]
    return dict(zip(predictions.read_ids(made.path), values, strict=True))


def test_outputs_are_the_networks_on_samples_of_any_shape(tmp_path: Path) -> None:
    samples = samples_of(tmp_path, [1, 1, 2, 3])
    assert computed(tmp_path, samples, "Doubled", None) == {"s0": [0], "s1": [2], "s2": [4, 4], "s3": [6, 6, 6]}


def test_a_model_that_depends_on_the_batch_sees_the_batches_of_the_run(tmp_path: Path) -> None:
    samples = samples_of(tmp_path, [1] * 5)
    found = computed(tmp_path, samples, "Centred", 3, batch=2)
    assert found == {"s0": [-0.5], "s1": [0.5], "s4": [0.0]}  # the last batch is padded with its own first


def test_other_batches_are_not_padded(tmp_path: Path) -> None:
    samples = samples_of(tmp_path, [1, 1, 1])
    assert computed(tmp_path, samples, "Centred", None) == {"s0": [-1.0], "s1": [0.0], "s2": [1.0]}
