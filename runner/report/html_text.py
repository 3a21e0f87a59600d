"""Text from results as HTML."""

from __future__ import annotations

import html
from functools import lru_cache

from runner.core import visible


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """Return HTML that shows text as it is, in an element or a quoted attribute, with control characters as escapes."""
    return html.escape(visible(text))
