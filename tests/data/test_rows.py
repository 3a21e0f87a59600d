import json
from pathlib import Path

import pytest

from runner.core import DataError
from runner.data import Row, rows

FIVE = [Row(id=f"s{index}", truth=index * 10) for index in range(5)]


def test_what_is_written_comes_back_in_order(tmp_path: Path) -> None:
    rows.write(tmp_path, FIVE)
    assert list(rows.read(tmp_path)) == FIVE


def test_a_row_is_a_json_object_a_line(tmp_path: Path) -> None:
    path = rows.write(tmp_path, [Row(id="a", truth=3), Row(id="b")])
    assert path == tmp_path / "rows.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"id": "a", "truth": 3},
        {"id": "b"},
    ]


@pytest.mark.parametrize("truth", [None, 7, 0.5, "a caption", [1, 2, [3]], {"boxes": [[0, 1, 2, 3]], "classes": [5]}])
def test_a_truth_is_anything_that_json_holds(truth: object, tmp_path: Path) -> None:
    rows.write(tmp_path, [Row(id="a", truth=truth)])
    assert list(rows.read(tmp_path)) == [Row(id="a", truth=truth)]


def test_the_facts_of_a_picture_come_back_as_they_were(tmp_path: Path) -> None:
    tile = Row(id="a#1", sample="a", truth=None, original_size=(40, 30), scale=(0.5, 1 / 3), padding=(-8, 0, 2, -1))
    rows.write(tmp_path, [tile])
    assert list(rows.read(tmp_path)) == [tile]


def test_a_row_belongs_to_its_sample_or_is_one_itself() -> None:
    assert (Row(id="a#1", sample="a").sample_id, Row(id="a").sample_id) == ("a", "a")


@pytest.mark.parametrize("name", ["with space", "line\nbreak", 'quo"te', "ä/ö", "\u2028"])
def test_a_name_of_any_characters_stays_on_its_line(name: str, tmp_path: Path) -> None:
    rows.write(tmp_path, [Row(id=name), Row(id="next")])
    assert rows.ids(tmp_path) == [name, "next"]


def test_ids_are_the_names_of_all_rows(tmp_path: Path) -> None:
    rows.write(tmp_path, FIVE)
    assert rows.ids(tmp_path) == ["s0", "s1", "s2", "s3", "s4"]


@pytest.mark.parametrize("indices", [[], [0], [4], [1, 3], [0, 1, 2, 3, 4], [4, 1], [2, 2], range(1, 4)])
def test_rows_are_picked_in_the_order_of_their_indices(indices: list[int], tmp_path: Path) -> None:
    rows.write(tmp_path, FIVE)
    assert [row.id for row in rows.read(tmp_path, indices)] == [f"s{index}" for index in indices]


def test_rows_are_written_as_they_are_made(tmp_path: Path) -> None:
    rows.write(tmp_path, (Row(id=str(index)) for index in range(3)))
    assert rows.ids(tmp_path) == ["0", "1", "2"]


def test_no_rows_make_an_empty_file(tmp_path: Path) -> None:
    assert rows.write(tmp_path, []).read_bytes() == b""
    assert list(rows.read(tmp_path)) == []


def test_rows_that_are_written_again_replace_the_old_ones(tmp_path: Path) -> None:
    rows.write(tmp_path, FIVE)
    rows.write(tmp_path, [Row(id="other")])
    assert rows.ids(tmp_path) == ["other"]


def test_rows_that_are_gone_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl cannot be read.*\n.*force=\[prepare\]"):
        rows.ids(tmp_path)


def test_fewer_rows_than_are_picked_are_an_error(tmp_path: Path) -> None:
    rows.write(tmp_path, FIVE)
    with pytest.raises(DataError, match=r"rows\.jsonl cannot be read"):
        list(rows.read(tmp_path, [3, 5]))


@pytest.mark.parametrize(
    "line", [b"", b"no json", b"[1]", b'{"truth": 1}', b'{"id": 3}', b'{"id": "a"', b'{"id": "\xff"}']
)
def test_a_line_that_is_no_row_is_an_error(line: bytes, tmp_path: Path) -> None:
    path = rows.write(tmp_path, FIVE)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(DataError, match=r"rows\.jsonl cannot be read"):
        rows.ids(tmp_path)
