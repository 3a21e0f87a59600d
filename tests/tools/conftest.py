"""A machine with a stand-in card: the tools under tests/standins, and small offline models for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import FREE, CompiledModel, Gear, TensorSpec, process
from runner.data.batches import Batch

STANDINS = Path(__file__).resolve().parents[1] / "standins"


@pytest.fixture
def card(card: None, logs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins of CANN, ais_bench and a 310P3, none of them told to fail; programs log."""
    for name in ("STANDIN_FAULT", "STANDIN_DEVICES", "STANDIN_AIS_INFER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[None]:
    """Programs log to `logs` in the test's folder."""
    with process.logging_to(tmp_path / "logs"):
        yield


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompiledModel]:
    """An offline model of `shape` per sample: y = 2 x and z = -x; with two inputs, y = x + w and z = x - w.

    With `gears`, one that serves each of these shapes.
    """
    monkeypatch.syspath_prepend(STANDINS)
    import om_file

    def build(
        batch: int,
        inputs: int = 1,
        shape: tuple[int, ...] = (2,),
        soc: str = "Ascend310P3",
        gears: tuple[tuple[int, ...], ...] = (),
    ) -> CompiledModel:
        if gears:
            shape = tuple(sizes[0] if len(set(sizes)) == 1 else FREE for sizes in zip(*gears, strict=True))
        names = ["x", "w"][:inputs]
        other = names[-1]
        nodes = [helper.make_node("Add", ["x", other], ["y"])]
        nodes += [helper.make_node("Neg", ["x"], ["z"]) if inputs == 1 else helper.make_node("Sub", ["x", "w"], ["z"])]
        full = [batch, *shape]
        axes = [batch, *(None if size == FREE else size for size in shape)]
        graph = helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in names],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in ("y", "z")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        header = {
            "soc_version": soc,
            "batch": batch,
            "inputs": [{"name": name, "dtype": "float32", "shape": full} for name in names],
            "outputs": [{"name": name, "dtype": "float32", "shape": full} for name in ("y", "z")],
            "aipp": None,
            "gears": {
                "by": "dynamic_image_size" if inputs == 1 and len(shape) == 3 else "dynamic_dims",
                "shapes": [{name: [batch, *gear] for name in names} for gear in gears],
            }
            if gears
            else None,
            "profile": None,
        }
        path = tmp_path / f"small_bs{batch}.om"
        om_file.pack(path, header, onnx.ModelProto.SerializeToString(model))

        def specs(names: Sequence[str], shape: tuple[int, ...]) -> tuple[TensorSpec, ...]:
            return tuple(TensorSpec(name, "float32", shape) for name in names)

        return CompiledModel(
            path=path,
            sha256="digest",
            soc="310P3",
            batch=batch,
            inputs=specs(names, shape),
            outputs=specs("yz", shape),
            gears=tuple(Gear(specs(names, gear), specs("yz", gear)) for gear in gears),
        )

    return build


@pytest.fixture
def doubling(tmp_path: Path) -> CompiledModel:
    """y = x + x on [batch, 2], and z = -x."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("y", "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")

    def tensors(*names: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", (2,)) for name in names)

    return CompiledModel(
        path=tmp_path / "m.onnx", sha256="digest", soc="cpu", batch=2, inputs=tensors("x"), outputs=tensors("y", "z")
    )


@pytest.fixture
def batches() -> Callable[..., list[Batch]]:
    """Batches of samples 0, 1, 2, ...: sample i of `x` holds i, of `w` holds 100; the tail padded with its first."""

    def build(model: CompiledModel, samples: int) -> list[Batch]:
        rows, shape = model.batch, model.inputs[0].shape
        made = []
        for start in range(0, samples, rows):
            real = [float(i) for i in range(start, min(start + rows, samples))]
            values = real + [real[0]] * (rows - len(real))
            x = np.stack([np.full(shape, value, np.float32) for value in values])
            arrays = {"x": x, "w": np.full_like(x, 100.0)}
            ids = tuple(str(int(value)) for value in real)
            made.append(Batch(ids, {tensor.name: arrays[tensor.name] for tensor in model.inputs}))
        return made

    return build


@pytest.fixture
def python() -> str:
    return sys.executable
