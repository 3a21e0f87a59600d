"""Dumps of a made-up card: what ONNX Runtime computes, in float16, under the names that CANN gives its files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runner.core import ComparisonError, DataError
from runner.debug import __main__ as debug
from runner.debug import dumps, runtimes

FEEDS = {"x": np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)}
Dump = Callable[..., Path]


@pytest.fixture
def path(tmp_path) -> Path:
    """A convolution, its activation, and two classes: atc fuses the first two."""
    random = np.random.default_rng(1)
    weights = {"kernel": random.normal(size=(20, 3, 3, 3)), "matrix": random.normal(size=(320, 2))}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["conv"], name="/body/Conv.1", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv"], ["relu"], name="/body/Relu"),
            helper.make_node("Flatten", ["relu"], ["flat"], name="/Flatten"),
            helper.make_node("MatMul", ["flat", "matrix"], ["y"], name="/head/MatMul"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, tmp_path / "small.onnx")
    return tmp_path / "small.onnx"


@pytest.fixture
def values(path) -> Mapping[str, NDArray[np.float32]]:
    """All tensors, by name."""
    model = onnx.load(path)
    names = ["conv", "relu", "flat", "y"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[:-1])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, FEEDS), strict=True))


@pytest.fixture
def dump(tmp_path) -> Dump:
    """Write a converted dump of an operator's output, and return the folder of all of them."""

    def write(operator: str, array: NDArray[np.float32], time: int = 1700000000000001) -> Path:
        folder = tmp_path / "dumps/20241120/0/small/1/0"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"Some.{operator}.7.12.{time}.output.0.npy", array.astype(np.float16))
        return tmp_path / "dumps"

    return write


def compared(path: Path, folder: Path) -> dumps.DumpsCompared:
    work = folder.parent / "work"
    work.mkdir(exist_ok=True)
    return dumps.compare(runtimes.open_model(path, runtimes.UNOPTIMISED, work), folder, FEEDS)


def test_an_operator_is_found_by_its_name_without_slashes_and_dots(path, values, dump) -> None:
    found = compared(path, dump("_body_Conv_1", values["conv"]))
    assert (list(found.compared), found.diverging, found.missing) == (
        ["conv"],
        (),
        ("/body/Relu", "/Flatten", "/head/MatMul"),
    )


def test_the_latest_dump_of_an_operator_counts(path, values, dump) -> None:
    dump("_head_MatMul", -values["y"], time=1700000000000001)
    assert compared(path, dump("_head_MatMul", values["y"], time=1700000000000002)).diverging == ()


def test_a_fused_operator_is_compared_with_the_last_tensor_that_agrees(path, values, dump) -> None:
    found = compared(path, dump("_body_Conv_1", values["relu"]))
    assert (list(found.compared), found.renamed, found.diverging) == (["flat"], {"flat": "conv"}, ())


def test_the_cards_own_layout_is_compared_as_the_models(path, values, dump) -> None:
    padded = np.pad(values["conv"], ((0, 0), (0, 12), (0, 0), (0, 0)))
    assert compared(path, dump("_body_Conv_1", padded.reshape(2, 2, 16, 4, 4).transpose(0, 1, 3, 4, 2))).diverging == ()


def test_the_first_node_that_diverges_is_named_with_what_it_was_given(path, values, dump) -> None:
    dump("_body_Conv_1", values["conv"])
    first = compared(path, dump("_head_MatMul", values["y"] + 9)).first
    assert first is not None
    assert (first.node.name, first.between, list(first.inputs)) == (
        "/head/MatMul",
        ("/body/Relu", "/Flatten", "/head/MatMul"),
        ["conv"],
    )


def test_an_array_of_another_size_diverges_and_says_so(path, values, dump) -> None:
    first = compared(path, dump("_head_MatMul", values["y"][:1])).first
    assert first is not None
    assert first.output.incomparable == "its shape is [1, 2], not [2, 2]"


def test_a_binary_dump_is_read_as_it_is(path, values, tmp_path) -> None:
    content = values["y"].astype("<f4").tobytes()
    output = b"\x08\x01\x1a\x04\x0a\x02\x02\x02\x30\x10"  # float32, the shape [2, 2], 16 bytes
    header = b"\x1a" + bytes([len(output)]) + output
    (tmp_path / "dumps").mkdir()
    place = tmp_path / "dumps/MatMul._head_MatMul.7.12.1700000000000001"
    place.write_bytes(len(header).to_bytes(8, "little") + header + content)
    found = compared(path, tmp_path / "dumps")
    assert (list(found.compared), found.diverging) == (["y"], ())


def test_a_folder_without_dumps_is_told(path, tmp_path) -> None:
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/notes.txt").write_text("")
    with pytest.raises(DataError, match="holds no dump that is named") as caught:
        compared(path, tmp_path / "dumps")
    assert "msaccucmp.py convert" in caught.value.fix


def test_dumps_of_another_model_are_told(path, values, dump) -> None:
    with pytest.raises(ComparisonError, match=r"none of the dumps .* is of an operator of .*small.onnx: other"):
        compared(path, dump("other", values["y"]))


def test_a_damaged_dump_is_told(path, values, dump) -> None:
    folder = dump("_head_MatMul", values["y"])
    (written,) = folder.rglob("*.npy")
    written.write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="cannot be read"):
        compared(path, folder)


@pytest.fixture
def command(path, tmp_path) -> list[str]:
    np.savez(tmp_path / "x.npz", **FEEDS)
    return ["--onnx", str(path), f"--input={tmp_path / 'x.npz'}", f"--out={tmp_path / 'out'}"]


def test_the_command_tells_where_a_card_diverges(command, values, dump, tmp_path, capsys) -> None:
    dump("_body_Conv_1", values["conv"])
    assert debug.main([*command, f"--dump={dump('_head_MatMul', values['y'] + 9)}"]) == 2
    told = capsys.readouterr().out
    assert "2 tensors compared, 2 nodes without a dump, 1 diverge (limit: cosine >= 0.999)" in told
    assert "first node that diverges: /head/MatMul (MatMul)" in told
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["status"], report["first"]["tensor"], report["parting"]) == ("part", "y", ["y"])


def test_the_command_tells_that_all_agree(command, values, dump) -> None:
    assert debug.main([*command, f"--dump={dump('_head_MatMul', values['y'])}"]) == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["--onnx", "a.onnx"], "--dump needs the ONNX model that was compiled, and what the card was given"),
        (["--onnx", "a.onnx", "b.onnx", "--input=x.npz"], "--dump needs the ONNX model"),
        (["--onnx", "a.onnx", "--input=x.npz", "--runtime=reference"], "--runtime is of a second model"),
    ],
)
def test_what_does_not_go_with_dumps_is_told(changed, told, capsys) -> None:
    assert debug.main([*changed, "--dump=dumps"]) == 1
    assert told in capsys.readouterr().err
