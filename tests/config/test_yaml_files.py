"""Limits of YAML files that may come from anybody."""

import os
from pathlib import Path

import pytest

from runner.config import yaml_files
from runner.core import ConfigError


@pytest.fixture
def refused(tmp_path: Path):
    """Write a file, and return the message with which it is refused."""

    def message(content: str | bytes) -> str:
        path = tmp_path / "file.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ConfigError, match=r"file\.yaml") as error:
            yaml_files.load(path)
        return error.value.message

    return message


def test_a_file_is_read_with_its_interpolations_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &x [1, 2]\nb: *x\nc: ${oc.env:HOME}\n")
    assert yaml_files.load(tmp_path / "a.yaml") == {"a": [1, 2], "b": [1, 2], "c": "${oc.env:HOME}"}


def test_aliases_count_as_what_they_stand_for(refused) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    assert "aliases" in refused("\n".join(lines))


@pytest.mark.parametrize("text", ["a: &a {x: *a}", "a: &a [*a]", "a: &a 1\nb: &a [*a]"])
def test_an_alias_within_itself_is_refused(text: str, refused) -> None:
    assert "aliases" in refused(text)


@pytest.mark.parametrize("text", ["[" * 20_000, "[" * 51 + "]" * 51, "{a: " * 51 + "1" + "}" * 51, "- " * 20_000])
def test_what_is_too_deep_is_refused(text: str, refused) -> None:
    assert "within each other" in refused(text)


def test_too_many_values_are_refused(refused) -> None:
    assert "values" in refused(f"[{','.join('1' for _ in range(20_001))}]")


def test_a_large_file_is_refused(refused) -> None:
    assert "more than 262144 bytes" in refused("#" * ((1 << 18) + 1))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"\0", "a: [", "a: 2021-99-99", "a: 1" + "0" * 5000, "? {a: b}\n: c", "a: !!python/none"]
)
def test_what_is_not_yaml_is_refused(content: str | bytes, refused) -> None:
    assert "cannot be read" in refused(content)


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    with pytest.raises(ConfigError, match="not a regular file"):
        yaml_files.load(tmp_path / "fifo.yaml")


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/full"])
def test_a_link_to_what_is_no_regular_file_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(place)
    with pytest.raises(ConfigError, match="not a regular file"):
        yaml_files.load(tmp_path / "link.yaml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        yaml_files.load(tmp_path / "none.yaml")
