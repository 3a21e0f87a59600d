"""Bounded reading of YAML files, which may come from people whom the user does not know.

The limits are checked on the parser's events, before anything is built: a few lines of aliases can stand for billions
of values, and brackets within brackets exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from runner.core import ConfigError, read_regular

LARGEST_BYTES = 1 << 18
"""Limit of a file; the largest of the runner's own has 12 KiB, and composing one of this size takes seconds."""
MOST_NODES = 20_000
"""Limit of the values of a file with its aliases written out."""
MOST_LEVELS = 50
"""Limit of mappings and lists within each other."""
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader if available: ten times faster for a whole zoo."""
UNUSABLE = (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError)
"""What reading YAML raises: ValueError for bytes that are no UTF-8, and for dates and numbers that cannot be."""


def load(path: Path) -> Any:
    """Return the content of a file; interpolations are text.

    Raises:
        ConfigError: it is not a regular file that can be read, is larger or deeper than any configuration, or not YAML.
    """
    text = text_of(path)
    try:
        return yaml.load(text, Loader)
    except UNUSABLE as error:
        raise not_yaml(path, error) from error


def text_of(path: Path) -> str:
    """Return the text of a file whose YAML is within the limits.

    Raises:
        ConfigError: as `load`; what only building its values would find is not checked.
    """
    try:
        text = read_regular(path, LARGEST_BYTES).decode()
        excess = _excess(yaml.parse(text, Loader))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}", "correct the file") from error
    except UNUSABLE as error:
        raise not_yaml(path, error) from error
    if excess is not None:
        raise ConfigError(f"{path} holds {excess}", "no configuration needs as many: use fewer")
    return text


def not_yaml(path: Path, error: Exception) -> ConfigError:
    """Return the error for a file that is not valid YAML."""
    return ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}", "correct the file")


def _excess(events: Iterable[yaml.Event]) -> str | None:
    """Return which limit a document exceeds, counting each alias as the values that it stands for."""
    total = 0
    open_nodes: list[tuple[str | None, int]] = []  # the anchor of each open mapping or list, and the total before it
    anchored: dict[str | None, int] = {}
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            total += anchored.get(event.anchor, MOST_NODES + 1)  # unknown within itself
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                anchored[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            anchored.pop(event.anchor, None)
            open_nodes.append((event.anchor, total))
            total += 1
            if len(open_nodes) > MOST_LEVELS:
                return f"more than {MOST_LEVELS} mappings and lists within each other"
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                anchored[anchor] = total - before
        if total > MOST_NODES:
            return f"more than {MOST_NODES} values once its aliases are written out"
    return None
