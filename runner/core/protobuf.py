"""Messages of protobuf, read field by field without a description of them.

The encoding is that of https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

_VARINT, _EIGHT_BYTES, _LENGTH_DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
"""Kinds of fields; groups, which are deprecated, are not read."""
_FIXED_BYTES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}

Bytes = TypeVar("Bytes", bytes, memoryview)


def fields(message: Bytes) -> Iterator[tuple[int, int | Bytes]]:
    """Yield the number and the value of each field; texts, messages and packed numbers as bytes.

    Raises:
        ValueError: the message is damaged; the fields before are yielded.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            raise ValueError("there is no protobuf message in it where one belongs")
        content = message[position : position + length]
        if len(content) < length:
            raise ValueError("a protobuf message in it ends within a field")
        yield number, content if kind == _LENGTH_DELIMITED else int.from_bytes(content, "little")
        position += length


def varints(packed: bytes | memoryview) -> Iterator[int]:
    """Yield the numbers of a packed field.

    Raises:
        ValueError: the last one is cut off.
    """
    position = 0
    while position < len(packed):
        number, position = _varint(packed, position)
        yield number


def _varint(message: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    number = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    raise ValueError("a protobuf message in it ends within a number")
