"""A parting node on the disk: both sides of it as models, what goes in and what came out."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner.debug.layers import Replay

if TYPE_CHECKING:
    import onnx

PROTOBUF_BYTES = 1 << 30
"""Weights beyond this go into a file beside the model; protobuf's own limit is twice that."""


@dataclass(frozen=True)
class Saved:
    """The files of a replay: the two models (their order is that of `--onnx`), their inputs, and the outputs."""

    models: tuple[Path, Path]
    inputs: Path
    outputs: Path

    def command(self, second_runtime: str | None) -> str:
        """The command line that runs the saved nodes again, the second's in another runtime than the first's if any."""
        chosen = [f"--runtime={second_runtime}"] if second_runtime else []
        files = ["--onnx", *map(str, self.models), f"--input={self.inputs}"]
        return shlex.join(["python", "-m", "runner.debug", *files, *chosen])


def save(replay: Replay, folder: Path) -> Saved:
    """Write `folder`/replay_a.onnx, replay_b.onnx, replay_inputs.npz and replay_outputs.npz (`a` and `b`)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "replay_a.onnx", folder / "replay_b.onnx"
    for model, path in zip(replay.models, paths, strict=True):
        _save_model(model, path)
    saved = Saved(paths, folder / "replay_inputs.npz", folder / "replay_outputs.npz")
    save_arrays(saved.inputs, replay.inputs)
    save_arrays(saved.outputs, dict(zip("ab", replay.outputs, strict=True)))
    return saved


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz of arrays by any name; numpy's own savez takes no array that is called `file`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array).reshape(array.shape))


def _save_model(model: onnx.ModelProto, path: Path) -> None:
    import onnx

    size_bytes = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    onnx.save(model, path, save_as_external_data=size_bytes > PROTOBUF_BYTES, location=f"{path.name}.data")
