"""Text of strangers on the terminal."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from runner.core.terminal import Console


def shown(renderable: object, **options: object) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80, **options).print(renderable)
    return stream.getvalue()


@pytest.mark.parametrize("wrapped", [str, Text, lambda text: Text.assemble((text, "red"))])
def test_control_characters_are_shown_and_not_obeyed(wrapped) -> None:
    # rich takes BEL and CR out
    assert shown(wrapped("a\x1b]0;title\x07b\x9bc\rd\u202ee")) == "a\\x1b]0;titleb\\x9bcd\\u202ee\n"


def test_cells_and_titles_of_tables_are_no_markup() -> None:
    table = Table("[red]heading", title="[/x]")
    table.add_row("[bold]:smile:\x1b[2J")
    told = shown(table)
    assert "[red]heading" in told
    assert "[/x]" in told
    assert "[bold]:smile:" in told
    assert "\x1b" not in told


def test_colours_of_the_runners_own_stay() -> None:
    told = shown(Text("\x1b[2J", style="red"), force_terminal=True, color_system="standard")
    assert told == "\x1b[31m\\x1b[2J\x1b[0m\n"
