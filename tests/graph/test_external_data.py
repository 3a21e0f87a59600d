"""The files beside an ONNX model with its weights, found in its bytes as onnx itself would find them."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import ExportError
from runner.graph import external_data

FLOATS = 4


def tensor(location: str) -> TensorProto:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[FLOATS], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="offset", value="0")
    made.external_data.add(key="location", value=location)
    return made


def write(folder: Path, *locations: str) -> Path:
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=map(tensor, locations)))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def leading_to_tensors() -> dict[str, dict[int, str]]:
    """What FIELDS must hold, as onnx's own description of its messages has it."""
    fields: dict[str, dict[int, str]] = {}
    waiting = [onnx.ModelProto.DESCRIPTOR]
    while waiting:
        message = waiting.pop()
        inner = {field.number: field.message_type for field in message.fields if field.message_type is not None}
        waiting += [each for each in inner.values() if each.name not in fields]
        fields[message.name] = {number: each.name for number, each in inner.items()}
    fields["TensorProto"] = {13: "StringStringEntryProto"}
    leading = {"TensorProto"}
    while more := {name for name, inner in fields.items() if leading & {*inner.values()}} - leading:
        leading |= more
    ends = leading | {"StringStringEntryProto"}
    return {
        name: {
            number: each
            for number, each in fields[name].items()
            if each in (ends if name == "TensorProto" else leading)
        }
        for name in leading
    }


def test_every_field_that_leads_to_a_tensor_is_followed() -> None:
    assert {name: dict(inner) for name, inner in external_data.FIELDS.items()} == leading_to_tensors()


def test_locations_are_found_wherever_tensors_are(tmp_path: Path) -> None:
    branch = onnx.GraphProto(initializer=[tensor("branch")])
    node = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=onnx.GraphProto())
    constant = helper.make_node("Constant", [], ["k"], value=tensor("constant"))
    sparse = onnx.SparseTensorProto(values=tensor("values"), indices=tensor("indices"))
    graph = onnx.GraphProto(
        node=[node], initializer=[tensor("weights"), tensor("weights")], sparse_initializer=[sparse]
    )
    model = onnx.ModelProto(graph=graph, functions=[onnx.FunctionProto(node=[constant])])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    found = external_data.locations(tmp_path / "m.onnx")
    assert found == ["branch", "constant", "indices", "values", "weights"]


@pytest.mark.parametrize("content", [b"", b"no model", b"\xff" * 100, b"\x3a\x7f", b"\x3a" * 10000])
def test_a_file_that_is_no_model_names_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert external_data.locations(tmp_path / "m.onnx") == []


def test_the_digest_counts_the_files_beside_the_model(tmp_path: Path) -> None:
    path = write(tmp_path, "w.data")
    digests = set()
    for content in (b"a" * 16, b"b" * 16):
        (tmp_path / "w.data").write_bytes(content)
        digests.add(external_data.digest(path))
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("", "is not in its own folder"),
        ("sub/../w", "is not in its own folder"),
        ("/w", "is not in its own folder"),
        ("w\0", "is not in its own folder"),
        ("link", "is reached by a link"),
        ("linked/w", "is reached by a link"),
        ("sub", "is no regular file"),
        ("fifo", "is no regular file"),
        ("none", "is missing"),
        ("w/w", "cannot be read"),
        ("w" * 300, "cannot be read"),
    ],
)
def test_what_is_no_file_beside_the_model_is_refused(location: str, fault: str, tmp_path: Path) -> None:
    path = write(tmp_path, location)
    (tmp_path / "w").write_bytes(bytes(16))
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("w")
    (tmp_path / "linked").symlink_to(".")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ExportError, match=fault):
        external_data.digest(path)
