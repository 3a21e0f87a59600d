"""Pages that are run word for word: their files are written, their commands typed, their output lines looked for."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PAGES = pytest.mark.parametrize(
    "page",
    [
        DOCS / f"{name}.md"
        for name in ("add_a_model", "arrays", "score_a_model", "tasks", "detector", "onnx_from_outside")
    ],
    ids=lambda page: page.stem,
)
BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```(?P<kind>python|yaml|console)\n(?P<text>.*?)```", re.DOTALL)
FILE = re.compile(r"(?P<how>In|Append to) `(?P<path>[^`]+)`")
MASKS = ((r"\d+\.\d s\b", "# s"), (r" +", " "))
"""What differs from run to run, and how it is made the same."""


def blocks(page: Path) -> Iterator[re.Match[str]]:
    return BLOCK.finditer(page.read_text())


def masked(line: str) -> str:
    for pattern, instead in MASKS:
        line = re.sub(pattern, instead, line)
    return line.strip()


def typed(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the output lines that are shown."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def write(folder: Path, place: re.Match[str], text: str) -> None:
    path = folder / place["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if place["how"] == "Append to" else ""
    path.write_text(before + text)


def run(command: str, folder: Path) -> list[str]:
    """A command's output lines; it must end well, and without a traceback."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "COLUMNS": "80"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    assert "Traceback" not in done.stdout
    return [masked(line) for line in done.stdout.splitlines()]


@PAGES
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        place = FILE.search(block["before"])
        if block["kind"] != "console":
            assert place, f"a file without a name: {block['text']}"
            write(tmp_path, place, block["text"])
            continue
        for command, shown in typed(block["text"]):
            told = run(command, tmp_path)
            for line in shown:
                assert masked(line) in told, f"{command}\nsaid\n" + "\n".join(told)


@PAGES
def test_every_block_of_the_page_is_found(page: Path) -> None:
    assert len(list(blocks(page))) == page.read_text().count("\n```") / 2


@PAGES
def test_the_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    ("line", "same"),
    [("export     ran          6.0 s", "export ran # s"), ("│ top1 │    100.00 % │", "│ top1 │ 100.00 % │")],
)
def test_times_and_padding_are_no_difference(line: str, same: str) -> None:
    assert masked(line) == same
