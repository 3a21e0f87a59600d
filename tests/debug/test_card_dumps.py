"""Binary dumps, written here byte by byte as github.com/Ascend/msprobe, resource/dump_data.proto has them."""

import math
from pathlib import Path

import numpy as np
import pytest

from runner.core import DataError
from runner.debug import card_dumps

FLOAT, FLOAT16, INT32, STRING, BFLOAT16 = 1, 2, 7, 13, 27
NCHW, FRACTAL_Z, FRACTAL_NZ = 0, 4, 29
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def shape(sizes: tuple[int, ...]) -> bytes:
    return field(1, b"".join(map(varint, sizes)))


def output(
    sizes: tuple[int, ...], size_bytes: int, kind: int = FLOAT, layout: int = NCHW, original: tuple[int, ...] = ()
) -> bytes:
    content = field(1, kind) + field(2, layout) + field(3, shape(sizes)) + field(6, size_bytes)
    return field(3, content + field(7, shape(original)))


def written(folder: Path, header: bytes, values: bytes) -> Path:
    path = folder / "Conv2D.conv.7.12.1700000000000001"
    path.write_bytes(len(header).to_bytes(8, "little") + header + values)
    return path


def read(folder: Path, header: bytes, values: bytes) -> list[np.ndarray]:
    return [each.read() for each in card_dumps.outputs(written(folder, header, values)).values()]


def test_an_output_is_read_in_its_shape(tmp_path) -> None:
    (array,) = read(tmp_path, field(1, b"2.0") + field(2, 1) + output((2, 3), 24), VALUES.tobytes())
    assert (array.dtype, array.tolist()) == (np.float32, VALUES.tolist())


def test_values_of_inputs_stand_before_those_of_outputs(tmp_path) -> None:
    header = output((2, 3), 24) + field(4, field(1, FLOAT) + field(5, 8)) + field(4, field(1, INT32) + field(5, 4))
    (array,) = read(tmp_path, header, bytes(12) + VALUES.tobytes())
    assert array.tolist() == VALUES.tolist()


def test_outputs_that_hold_no_numbers_keep_their_place(tmp_path) -> None:
    header = output((1,), 4, STRING) + output((), 0) + output((2, 3), 24)
    found = card_dumps.outputs(written(tmp_path, header, bytes(4) + VALUES.tobytes()))
    assert {index: each.read().tolist() for index, each in found.items()} == {2: VALUES.tolist()}


def test_bytes_that_align_an_output_are_left_out(tmp_path) -> None:
    header = output((2, 3), 32) + output((2, 3), 24)
    first, second = read(tmp_path, header, VALUES.tobytes() + bytes(8) + 2 * VALUES.tobytes())
    assert (first.tolist(), second.tolist()) == (VALUES.tolist(), VALUES.tolist())


@pytest.mark.parametrize(("kind", "name"), [(FLOAT16, "<f2"), (INT32, "<i4"), (12, "<f8"), (11, "?")])
def test_types_of_values(tmp_path, kind, name) -> None:
    values = VALUES.astype(name)
    (array,) = read(tmp_path, output((2, 3), values.nbytes, kind), values.tobytes())
    assert (array.dtype, array.tolist()) == (np.dtype(name), values.tolist())


def test_bfloat16_is_read_as_float32(tmp_path) -> None:
    upper_halves = (VALUES.view(np.uint32) >> 16).astype("<u2")
    (array,) = read(tmp_path, output((2, 3), 12, BFLOAT16), upper_halves.tobytes())
    assert (array.dtype, array.tolist()) == (np.float32, VALUES.tolist())


def test_blocks_of_a_matrix_are_put_together_without_their_padding(tmp_path) -> None:
    matrix = np.arange(20 * 18, dtype=np.float16).reshape(20, 18)
    padded = np.pad(matrix, ((0, 12), (0, 14)))
    blocks = padded.reshape(2, 16, 2, 16).transpose(2, 0, 1, 3)  # [columns / 16, rows / 16, 16, 16]
    header = output(blocks.shape, blocks.nbytes, FLOAT16, FRACTAL_NZ, original=matrix.shape)
    (array,) = read(tmp_path, header, blocks.tobytes())
    assert np.array_equal(array, matrix)


def test_an_output_in_another_layout_counts_as_not_dumped(tmp_path) -> None:
    assert read(tmp_path, output((2, 3), 24, layout=FRACTAL_Z), VALUES.tobytes()) == []


@pytest.mark.parametrize(
    ("header", "values", "why"),
    [
        (output((2, 3), 24), bytes(20), "its header tells of"),
        (output((2, 3), 20), bytes(20), r"an output \[2, 3\] does not fit into its 20 bytes"),
        (b"", b"", "no length of a header"),
        (b"\x1a\x7f", b"", "ends within a field"),
        (b"\x1b", b"", "no protobuf message"),
        (b"\xff", b"", "ends within a number"),
        (field(3, 1), b"", "a number in the place of a message"),
    ],
)
def test_a_damaged_dump_is_told_with_what_converts_it(tmp_path, header, values, why) -> None:
    path = written(tmp_path, header, values)
    with pytest.raises(DataError, match=why) as caught:
        card_dumps.outputs(path)
    assert f"msaccucmp.py convert -d {path} -out npy" in caught.value.fix


def test_only_as_much_as_an_output_is_read(tmp_path) -> None:
    huge = (2**40,)
    with pytest.raises(DataError, match="does not fit"):
        card_dumps.outputs(written(tmp_path, output(huge, math.prod(VALUES.shape)), VALUES.tobytes()))
