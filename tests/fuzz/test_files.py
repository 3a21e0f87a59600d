"""Checkpoints, pictures, label files and ONNX files of strangers: taken, or refused by a typed error."""

from __future__ import annotations

import functools
import io
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import save as save_safetensors

from runner.core import FREE, RunnerError, TensorSpec
from runner.data import Geometry, Picture, Request, files_source, write_pictures
from runner.data.storage import open_array
from runner.graph import onnx_files
from runner.networks import CheckpointLayout
from runner.networks.checkpoints import load, read_state_dict, state_dict_for
from runner.tasks.classification.image_folder import read_labels
from tests.fuzz.values import damaged

pytestmark = pytest.mark.fuzz

LAYOUT = CheckpointLayout(unwrap=("state_dict",), rename={"fc": "head"}, drop_background="head", settings=None)


def network() -> torch.nn.Module:
    module = torch.nn.Module()
    module.add_module("head", torch.nn.Linear(3, 2))
    return module


@functools.cache
def checkpoints() -> tuple[bytes, ...]:
    torch.manual_seed(0)
    state = {f"module.{name}": value for name, value in network().state_dict().items()}
    made = [save_safetensors(state), pickle.dumps({"w": [1.0]}, 2), pickle.dumps(network(), 4)]
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save({"epoch": 1, "state_dict": state}, buffer, _use_new_zipfile_serialization=zipped)
        made.append(buffer.getvalue())
    return tuple(made)


KINDS = [
    *[("PNG", "RGB"), ("PNG", "P"), ("JPEG", "L"), ("JPEG", "CMYK"), ("BMP", "RGB"), ("PPM", "RGB")],
    *[("WEBP", "RGBA"), ("TIFF", "RGB"), ("GIF", "P")],
]


@functools.cache
def pictures() -> tuple[bytes, ...]:
    noise = np.random.default_rng(0).integers(0, 255, (12, 9, 3), dtype=np.uint8)
    made = []
    for kind, mode in KINDS:
        buffer = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(buffer, kind)
        made.append(buffer.getvalue())
    return tuple(made)


@functools.cache
def models() -> tuple[bytes, ...]:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../secret")
    made = []
    for tensor in (weights, outside):
        graph = helper.make_graph([node], "g", ends[:1], ends[1:], [tensor])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        made.append(onnx.ModelProto.SerializeToString(model))
    return tuple(made)


def one_of(made: Any) -> st.SearchStrategy[bytes]:
    whole = st.sampled_from(range(len(made()))).flatmap(lambda index: damaged(made()[index]))
    return st.one_of(whole, st.binary(max_size=100))


def only(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@given(content=one_of(checkpoints))
@settings(max_examples=150)
def test_checkpoints(content: bytes, tmp_path: Path) -> None:
    path = only(tmp_path, "a.pth", content)
    try:
        load(network(), state_dict_for(read_state_dict(path), LAYOUT), LAYOUT, path)
    except RunnerError as error:
        assert error.fix
    assert [place.name for place in tmp_path.iterdir()] == ["a.pth"]


@given(content=one_of(pictures), crop=st.sampled_from([None, 4]), bgr=st.booleans())
@settings(max_examples=200)
def test_pictures(content: bytes, crop: int | None, bgr: bool, tmp_path: Path) -> None:
    path = only(tmp_path, "a.png", content)
    geometry = Geometry(resize=5, interpolation="bicubic", crop=crop, channels="bgr" if bgr else "rgb")
    request = Request((TensorSpec("image", "float32", (3, FREE, FREE)),), geometry, None, 0)
    with tempfile.TemporaryDirectory() as out:
        try:
            rows = write_pictures(files_source(path.parent, geometry), [Picture("a.png", "a")], request, Path(out))
            assert rows[0].original_size is not None
            assert open_array(Path(out), "image").dtype == np.uint8
        except RunnerError as error:
            assert "a.png" in error.message
    assert [place.name for place in tmp_path.iterdir()] == ["a.png"]


LINES = ["a.png 1", "b.png  2", "with space.png 3", "a.png 1", "", "\ufeffc 0", "x -1", "x 1e9", "x ٣", "x 99999999999"]
labels = st.one_of(
    st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=12)), max_size=6).map("\n".join),
    st.text(max_size=60),
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(content=st.one_of(labels, st.binary(max_size=60), damaged("\n".join(LINES[:4]).encode())))
@settings(max_examples=200)
def test_label_files(content: bytes, tmp_path: Path) -> None:
    path = only(tmp_path, "val_label.txt", content)
    try:
        assert all(isinstance(label, int) and label >= 0 for label in read_labels(path).values())
    except RunnerError as error:
        assert "val_label.txt" in error.message


@given(content=one_of(models))
@settings(max_examples=150)
def test_onnx_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    path = only(folder, "a.onnx", content)
    try:
        model = onnx_files.load(path)
        assert not any(tensor.raw_data == bytes(16) for tensor in model.graph.initializer)
        onnx_files.check(model, (), ["y"], 11, None)
    except RunnerError:
        pass
