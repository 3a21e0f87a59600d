"""Blocks of Markdown that the sections of a guide are made of.

No fence is indented, since some renderers show those in lists as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.core import FREE
from runner.guide.wording import Words
from runner.report.markdown import code


def section(words: Words, anchor: str, level: str = "#") -> str:
    """Return the heading of a section, which the table of contents leads to."""
    return f'{level} {words[f"section_{anchor}"]}<a name="{anchor}"></a>'


def fence(lines: Iterable[str], language: str = "shell") -> str:
    """Return lines of code."""
    return "\n".join(code(lines, language))


def items(lines: Iterable[str]) -> str:
    """Return a list, an item a line."""
    return "\n".join(f"- {line}" for line in lines)


def linked_grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table whose cells may hold links."""
    separator = "| " + " | ".join("---" for _ in headings) + " |"
    return [f"| {' | '.join(headings)} |", separator, *(f"| {' | '.join(row)} |" for row in rows)]


def sizes(words: Words, shape: Iterable[int]) -> list[str]:
    """Return the sizes of axes as text; what the samples decide is told so."""
    return [words["any_size"] if size == FREE else str(size) for size in shape]
