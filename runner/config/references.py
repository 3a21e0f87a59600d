"""References between values, `${model.name}`, in files of people whom the user does not know.

OmegaConf would also call resolvers: `${oc.env:NAME}` reads a secret of the user, `${hydra:...}` the paths of the
machine, and a model's URL sends what it holds to a server. So a stranger's file holds plain references alone, to its
own group and to values that tell nothing of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

OPEN = ("model", "soc", "batch", "limit", "seed")
"""What files of every group may refer to; `dataset` and `tool` hold paths of the user's."""
_OPENING = re.compile(r"\$\{")
_PLAIN = re.compile(r"\$\{\s*(?P<dots>\.*)(?P<key>[\w-]+(?:\.[\w-]+)*)\s*\}")


def beyond(content: Mapping[Any, Any], group: str) -> Iterator[tuple[str, str, str]]:
    """Yield the key, the text and the reason of each reference that a file of a group may not hold. Pure."""
    for parts, text in _texts(content, (group,)):
        for opening in _OPENING.finditer(text):
            why = _objection(_PLAIN.match(text, opening.start()), parts, group)
            if why is not None:
                yield ".".join(parts), text, why


def _texts(node: Any, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each text below a node with the parts of its key."""
    if isinstance(node, str):
        yield parts, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, (*parts, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, (*parts, str(index)))


def _objection(reference: re.Match[str] | None, parts: tuple[str, ...], group: str) -> str | None:
    if reference is None:
        return "only plain references such as ${model.name} are resolved in a folder of the user's own"
    climbed = len(reference["dots"])
    named = (*(parts[:-climbed] if climbed else ()), *reference["key"].split("."))
    if climbed >= len(parts) or named[0] not in (group, *OPEN):
        return f"it may refer to {', '.join(dict.fromkeys((group, *OPEN)))} alone"
    return None
