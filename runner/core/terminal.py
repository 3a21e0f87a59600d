"""A console for text that may come from anybody: names in files of strangers, what servers and tools say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import console
from rich.segment import Segment

from runner.core.text import visible


class Console(console.Console):
    """A console that shows text as it is: no markup unless asked for, no emoji, control characters by their escapes."""

    def __init__(self, *, markup: bool = False, **options: Any) -> None:
        super().__init__(markup=markup, emoji=False, highlight=False, **options)

    def render(
        self, renderable: console.RenderableType, options: console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the parts of what is shown: colours and cursor movements are rich's own, and no part of the text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
