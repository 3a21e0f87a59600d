"""A diverging node saved to disk: the node of both models, each as a model, its inputs and its outputs."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core.lazy import NDArray, np, onnx
from runner.debug.layers import Replay

PROTOBUF_BYTES = 1 << 30
"""Larger weights go into an external data file beside the model; protobuf's own limit is twice that."""


@dataclass(frozen=True)
class Saved:
    """The files of a replay: the two models (their order is that of `--onnx`), their inputs, and the outputs."""

    models: tuple[Path, Path]
    inputs: Path
    outputs: Path

    def command(self, second_runtime: str | None) -> str:
        """Return the command line that reruns the saved nodes, the second in `second_runtime` if given."""
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
    """Write arrays of any name as .npz; numpy.savez cannot write an array named `file`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array).reshape(array.shape))


def _save_model(model: onnx.ModelProto, path: Path) -> None:
    size_bytes = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    onnx.save(model, path, save_as_external_data=size_bytes > PROTOBUF_BYTES, location=f"{path.name}.data")
