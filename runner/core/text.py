"""Names in messages: abbreviated lists, suggestions for mistyped names, and characters that cannot be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

MOST_NEAREST = 5
LEAST_ALIKE = 0.6
"""Minimum similarity, from 0 to 1, at which a name is suggested for a mistyped one."""
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""What moves the cursor, colours, reorders or hides text, or is no character; neither the tab nor the line feed.

What XML 1.0 cannot hold is among it: https://www.w3.org/TR/xml/#charsets.
"""


def first_few(names: Sequence[str], shown: int = 4) -> str:
    """Return text such as "a, b and 3 more"; "none" for no names."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "") if names else "none"


def either(names: Sequence[str]) -> str:
    """Return text such as "a, b or c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def nearest(name: str, names: Iterable[str], most: int = MOST_NEAREST) -> list[str]:
    """Return suggestions for a mistyped name, best first: similar names, then names that contain it."""
    wanted = name.casefold()
    alike = {candidate: likeness(name, candidate) for candidate in names}
    ranked = sorted(alike, key=lambda candidate: (-alike[candidate], -_shared_prefix(wanted, candidate), candidate))
    close = [candidate for candidate in ranked if alike[candidate] >= LEAST_ALIKE]
    holding = [candidate for candidate in ranked if wanted in candidate.casefold()] if len(wanted) > 1 else []
    return list(dict.fromkeys([*close, *holding]))[:most]


def did_you_mean(name: str, names: Iterable[str], most: int = MOST_NEAREST) -> str:
    """Return text such as "did you mean a or b?"; empty if no name is similar."""
    near = nearest(name, names, most)
    return f"did you mean {either(near)}?" if near else ""


def likeness(name: str, other: str) -> float:
    """Return the similarity from 0 (nothing in common) to 1 (equal except for case)."""
    return SequenceMatcher(None, name.casefold(), other.casefold()).ratio()


def is_unicode(text: str) -> bool:
    """Return whether text can be encoded as UTF-8; undecodable file names contain lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def visible(text: str) -> str:
    """Return text with control characters as escapes such as `\\x1b`, which a terminal shows and does not obey."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _shared_prefix(name: str, other: str) -> int:
    pairs = zip(name.casefold(), other.casefold(), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
