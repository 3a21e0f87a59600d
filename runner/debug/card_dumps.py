"""Binary dumps of a card: a file for each operator, with the values that it was given and computed.

A file is the length of a header (8 bytes, little-endian), the header (the protobuf message DumpData), then the values
of all inputs and of all outputs. The header's fields, types and layouts are those of resource/dump_data.proto in
github.com/Ascend/msprobe at 313fa13; the order of the values is that of AscendAsyncDump::DumpTensorToFile in
MindSpore's ascend_dump.cc, which reads the same files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import DataError, protobuf
from runner.core.lazy import NDArray, np

CONVERT = "python3 $ASCEND_TOOLKIT_HOME/tools/operator_cmp/compare/msaccucmp.py convert -d {} -out npy"
"""CANN's own way to make an `.npy` of each input and output."""

_BFLOAT16 = 27
_NUMBERS = ("f4", "f2", "i1", "u1", "i2", "u2", "i4", "i8", "u4", "u8", "?", "f8")
_TYPES = {**dict(enumerate(_NUMBERS, 1)), _BFLOAT16: "u2"}
"""OutputDataType -> NumPy's name of it, for bfloat16 of the upper halves of float32; others are no numbers to NumPy."""
_LENGTH_BYTES = 8
_OUTPUT, _INPUT = 3, 4
"""Fields of DumpData."""
_TYPE, _LAYOUT, _SHAPE, _INPUT_SIZE, _OUTPUT_SIZE, _ORIGINAL_SHAPE = 1, 2, 3, 5, 6, 7
"""Fields of OpInput and OpOutput."""
_FRACTAL_NZ = 29
_LAYOUTS = {0: "NCHW", 2: "ND", 3: "NC1HWC0", _FRACTAL_NZ: "FRACTAL_NZ", 30: "NCDHW"}
"""The layouts that are read; outputs in others count as not dumped."""


@dataclass(frozen=True)
class Output:
    """An output of an operator in a binary dump, at `offset_bytes`; `original_shape` is without the card's padding."""

    path: Path
    offset_bytes: int
    type: int
    layout: int
    shape: tuple[int, ...]
    original_shape: tuple[int, ...]

    def read(self) -> NDArray[Any]:
        """Return the values, as [..., rows, columns] if they are stored in blocks of a matrix.

        Raises:
            OSError: the file cannot be read. ValueError: it is shorter than its header says.
        """
        count = math.prod(self.shape)
        flat: NDArray[Any] = np.fromfile(self.path, f"<{_TYPES[self.type]}", count, offset=self.offset_bytes)
        if self.type == _BFLOAT16:
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        array = flat.reshape(self.shape)
        return self._unblocked(array) if self.layout == _FRACTAL_NZ else array

    def _unblocked(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a matrix from its blocks [..., columns / N0, rows / M0, M0, N0]."""
        *outer, across, down, block_rows, block_columns = self.shape
        axis = len(outer)
        ordered = array.transpose(*range(axis), axis + 1, axis + 2, axis, axis + 3)
        matrix = ordered.reshape(*outer, down * block_rows, across * block_columns)
        if len(self.original_shape) < 2:
            return matrix
        rows, columns = self.original_shape[-2:]
        return matrix[..., :rows, :columns]


def outputs(path: Path) -> dict[int, Output]:
    """Return the outputs of numbers in a binary dump, by their number among the operator's outputs.

    Raises:
        DataError: the file is no such dump, or its end is missing.
    """
    try:
        return _outputs(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"the dump {path} cannot be read: {error}", f"dump again, or convert it: {CONVERT.format(path)}"
        ) from error


def _outputs(path: Path) -> dict[int, Output]:
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < header_bytes <= file_bytes - _LENGTH_BYTES:
            raise ValueError(f"it begins with no length of a header within its {file_bytes} bytes")
        header = list(protobuf.fields(file.read(header_bytes)))
    inputs = [dict(protobuf.fields(_message(value))) for number, value in header if number == _INPUT]
    offset_bytes = _LENGTH_BYTES + header_bytes + sum(_number(each, _INPUT_SIZE) for each in inputs)
    found = {}
    for index, value in enumerate(value for number, value in header if number == _OUTPUT):
        fields = dict(protobuf.fields(_message(value)))
        output = _output(path, offset_bytes, fields)
        if output is not None:
            found[index] = output
        offset_bytes += _number(fields, _OUTPUT_SIZE)
    if offset_bytes > file_bytes:
        raise ValueError(f"it has {file_bytes} bytes, and its header tells of {offset_bytes}")
    return found


def _output(path: Path, offset_bytes: int, fields: Mapping[int, int | bytes]) -> Output | None:
    """Return an output, or None if it holds no values, or none that can be read."""
    output = Output(
        path,
        offset_bytes,
        _number(fields, _TYPE),
        _number(fields, _LAYOUT),
        _shape(fields, _SHAPE),
        _shape(fields, _ORIGINAL_SHAPE),
    )
    size_bytes = _number(fields, _OUTPUT_SIZE)
    if not size_bytes or output.type not in _TYPES or output.layout not in _LAYOUTS:
        return None
    if output.layout == _FRACTAL_NZ and len(output.shape) < 4:
        return None
    item_bytes = np.dtype(_TYPES[output.type]).itemsize
    if math.prod(output.shape) * item_bytes > size_bytes:  # a card may store more, to align it
        raise ValueError(f"an output {list(output.shape)} does not fit into its {size_bytes} bytes")
    return output


def _number(fields: Mapping[int, int | bytes], number: int) -> int:
    value = fields.get(number, 0)
    if not isinstance(value, int):
        raise ValueError(f"field {number} of its header is no number")
    return value


def _shape(fields: Mapping[int, int | bytes], number: int) -> tuple[int, ...]:
    """Return the sizes in a message Shape, whose only field they are, packed or each for itself."""
    sizes: list[int] = []
    for _, value in protobuf.fields(_message(fields.get(number, b""))):
        sizes += [value] if isinstance(value, int) else protobuf.varints(value)
    return tuple(sizes)


def _message(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("its header has a number in the place of a message")
    return value
