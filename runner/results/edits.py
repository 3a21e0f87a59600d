"""Keys that nobody typed and whose values yet differ between runs: a YAML file was edited from one run to the next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from runner.config import yaml_files
from runner.core import DataError, read_regular
from runner.results import differences, identity
from runner.results.result import Result

PARTS = ("model", "dataset", "soc", "tool")
"""The options whose files are compared, each between runs that name the same option."""
DESCRIPTIVE = re.compile(
    r"model\.(about|paper|reference|guide|deviations|batch_dependent|published)\b"
    r"|model\.(checkpoint|onnx)\.(url|sha256|size_bytes|where|made_by)\b|dataset\.(url|preview)\b|soc\.source\b"
)
"""Keys that describe, and change nothing that is computed or measured."""
MOST_KEYS = 3
"""Of more keys, or of longer values, a digest of the whole part is told instead."""
MOST_CHARACTERS = 60

_PART = re.compile(rf"^({'|'.join(PARTS)}):.*\n(?:[ \-].*\n|\n)*", re.MULTILINE)


def with_edits(runs: Iterable[Result]) -> list[Result]:
    """Return the runs, each with the values (`edited`) of the keys that differ from those of its like, untyped.

    The saved configurations (config.yaml) beside the results are compared, between runs of one model and data set. A
    run without one is not compared. Nothing is parsed where the files' texts are the same.
    """
    ordered = list(runs)
    alike: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for index, run in enumerate(ordered):
        for part, text in _parts(run):
            key = part, run.model, run.dataset, str(getattr(run, part))
            alike.setdefault(key, {}).setdefault(text, []).append(index)
    edited: dict[int, dict[str, str]] = {}
    for (part, *_), by_text in alike.items():
        if len(by_text) > 1:
            values = _values(part, [[ordered[index] for index in indices] for indices in by_text.values()])
            for indices, own in zip(by_text.values(), values, strict=True):
                for index in indices:
                    edited.setdefault(index, {}).update(own)
    return [replace(run, edited=edited[index]) if index in edited else run for index, run in enumerate(ordered)]


def _parts(run: Result) -> Iterator[tuple[str, str]]:
    """Yield each part of a run's saved configuration and its text, as it stands in the file."""
    try:
        text = read_regular(Path(run.path).parent / differences.CONFIG, yaml_files.LARGEST_BYTES).decode()
    except (OSError, ValueError):
        return
    for found in _PART.finditer(text):
        yield found[1], found[0]


def _values(part: str, groups: Sequence[Sequence[Result]]) -> list[dict[str, str]]:
    """Return the differing values of a part by key, for each group of runs that have its text in common."""
    contents = [_content(part, group[0]) for group in groups]
    typed = {key for group in groups for run in group for key, _ in identity.typed(run.overrides)}.difference(PARTS)
    values: list[dict[str, str]] = [{} for _ in groups]
    for own, content in zip(values[1:], contents[1:], strict=True):
        for each in differences.differences(contents[0], content):
            if not DESCRIPTIVE.match(each.name) and not any(_overlap(each.name, key) for key in typed):
                values[0][each.name], own[each.name] = differences.as_text(each)
    texts = [text for own in values for text in own.values()]
    if len(values[0]) > MOST_KEYS or max(map(len, texts), default=0) > MOST_CHARACTERS:
        return [{f"{part} configuration": _digest(content)} for content in contents]
    return [values[0] | own for own in values]


def _content(part: str, run: Result) -> dict[str, object]:
    """Return a part of a run's saved configuration; nothing of a file that cannot be read."""
    try:
        saved = differences.configuration(Path(run.path).parent) or {}
    except DataError:
        return {}
    return {part: saved[part]} if part in saved else {}


def _overlap(name: str, key: str) -> bool:
    """Return whether one of two keys is the other or holds it."""
    return f"{name}.".startswith((f"{key}.", f"{key}[")) or key.startswith((f"{name}.", f"{name}["))


def _digest(content: object) -> str:
    return sha256(repr(content).encode()).hexdigest()[: identity.SHA256_DIGITS]
