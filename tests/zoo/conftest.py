"""What the networks' tests share: comparing a network with its ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from runner.graph import export_patches, running

OnnxCheck = Callable[..., None]


def check_onnx_equals_torch(
    path: Path, network: torch.nn.Module, traced: Sequence[int], run: Sequence[int], opset: int = 11
) -> None:
    """Export with an input of the shape `traced` and compare outputs for the shape `run`; axes that differ are free.

    Outputs may differ by a thousandth of their range.
    """
    network.eval()
    axes = {axis: f"axis{axis}" for axis, (before, now) in enumerate(zip(traced, run, strict=True)) if before != now}
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(*run, generator=generator)
    with torch.no_grad():
        outputs = network(inputs)
        expected = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        with export_patches():
            torch.onnx.export(
                network,
                (torch.rand(*traced, generator=generator),),
                path,
                dynamo=False,
                opset_version=opset,
                input_names=["input"],
                dynamic_axes={"input": axes},
            )
    found = running.run(path, {"input": inputs.numpy()})
    for ours, theirs in zip(found, expected, strict=True):
        spread = float(theirs.max() - theirs.min())
        assert spread > 0
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=0, atol=1e-3 * spread)


@pytest.fixture
def onnx_equals_torch(tmp_path: Path) -> OnnxCheck:
    return lambda *arguments, **named: check_onnx_equals_torch(tmp_path / "model.onnx", *arguments, **named)
