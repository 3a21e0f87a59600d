"""Protobuf messages, written here byte by byte."""

import pytest

from runner.core import protobuf


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", []),
        (b"\x08\x96\x01", [(1, 150)]),
        (b"\x08" + b"\xff" * 9 + b"\x01", [(1, 2**64 - 1)]),
        (b"\x12\x07testing", [(2, b"testing")]),
        (b"\x1d\x01\x02\x00\x00\x11\x01\x00\x00\x00\x00\x00\x00\x80", [(3, 513), (2, 2**63 + 1)]),
        (b"\x82\x01\x00\x08\x01", [(16, b""), (1, 1)]),
    ],
    ids=["empty", "number", "largest number", "bytes", "fixed size", "two bytes of tag"],
)
def test_each_kind_of_field_is_read(message, expected) -> None:
    assert list(protobuf.fields(message)) == expected


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (b"\x12\x07test", "ends within a field"),
        (b"\x1d\x01", "ends within a field"),
        (b"\x08\x96", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "ends within a number"),
        (b"\x0b", "no protobuf message"),
    ],
)
def test_fields_before_the_fault_are_yielded(damaged, why) -> None:
    found = []
    with pytest.raises(ValueError, match=why):
        found.extend(protobuf.fields(b"\x08\x01" + damaged))
    assert found == [(1, 1)]


def test_bytes_of_a_view_are_not_copied() -> None:
    message = bytearray(b"\x12\x01a")
    ((_, value),) = protobuf.fields(memoryview(message))
    message[2] = ord("b")
    assert value == b"b"


def test_packed_numbers() -> None:
    assert list(protobuf.varints(b"\x03\x8e\x02\x9e\xa7\x05")) == [3, 270, 86942]
