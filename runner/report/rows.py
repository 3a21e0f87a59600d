"""Arrange runs into the rows of a table: what tells the jobs of a SoC and tool apart gets a column. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from runner.results import Result, identity

IN_TITLE = frozenset({"model", "soc", "tool", "batch", "dataset"})
"""Settings that a table tells elsewhere."""
LAST = ("limit", "weights", "measured", "devices", "chips", "host", "cpu", "versions")
"""The settings whose columns stand after those of overridden keys."""

Setup = tuple[str, str]
"""A SoC and a tool, which stand side by side in a table."""


@dataclass(frozen=True)
class Key:
    """What tells jobs of one batch size apart, such as an overridden key or the host, and its text for each row."""

    title: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """The batch size of each row, what else tells rows apart, what differs between setups, and each run's place."""

    batches: tuple[int, ...]
    keys: tuple[Key, ...]
    remarks: tuple[str, ...]
    places: tuple[tuple[Setup, int, Result], ...]

    def of(self, setup: Setup) -> dict[int, Result]:
        """Return the runs of a setup by the index of their row."""
        return {row: run for each, row, run in self.places if each == setup}


def in_words(keys: Sequence[Key], index: int) -> list[str]:
    """Return what tells a row apart as texts such as "threads=2"; what it does not have is left out."""
    return [f"{key.title}={key.texts[index]}" for key in keys if key.texts[index]]


def arranged(runs: Sequence[Result], labels: Mapping[Setup, str]) -> Rows:
    """Arrange the runs of a table so that no two of a setup share a row. `labels` name the setups."""
    setups = [(run.soc, run.tool) for run in runs]
    settings = _settings(runs)
    by_setup: dict[Setup, list[dict[str, str]]] = {setup: [] for setup in labels}
    for setup, each in zip(setups, settings, strict=True):
        by_setup[setup].append(each)
    unequal = [name for name in _names(settings) if _differ(name, settings)]
    varying = [name for name in unequal if any(_differ(name, group) for group in by_setup.values())]
    cells = [
        (run.batch, tuple(each.get(name, "") for name in varying)) for run, each in zip(runs, settings, strict=True)
    ]
    ordered = sorted(set(cells), key=lambda cell: (cell[0], [*map(_natural, cell[1])]))
    row_of = {cell: row for row, cell in enumerate(ordered)}
    titles = _titles(unequal)
    return Rows(
        batches=tuple(batch for batch, _ in ordered),
        keys=tuple(
            Key(titles[name], tuple(texts[place] for _, texts in ordered)) for place, name in enumerate(varying)
        ),
        remarks=tuple(
            f"{titles[name]}: {_by_label(name, by_setup, labels)}" for name in unequal if name not in varying
        ),
        places=tuple((setup, row_of[cell], run) for setup, cell, run in zip(setups, cells, runs, strict=True)),
    )


def differing(runs: Sequence[Result]) -> list[Key]:
    """Return what tells the jobs of any runs apart, besides what a table names, with its text for each run."""
    settings = _settings(runs)
    titles = _titles([name for name in _names(settings) if _differ(name, settings)])
    return [Key(title, tuple(each.get(name, "") for each in settings)) for name, title in titles.items()]


def _settings(runs: Sequence[Result]) -> list[dict[str, str]]:
    """Return what may tell each run from others of its model, data set, SoC, tool and batch size, by name."""
    versions = [identity.versions(run) for run in runs]
    names = [name for name in dict.fromkeys(name for each in versions for name in each) if _differ(name, versions)]
    return [
        _settings_of(run, ", ".join(f"{name} {each[name]}" for name in names if name in each))
        for run, each in zip(runs, versions, strict=True)
    ]


def _settings_of(run: Result, versions: str) -> dict[str, str]:
    settings = {name: text for name, text in identity.job(run).items() if name not in IN_TITLE}
    if run.weights:
        own = [] if run.weights.origin == "random" else [PurePath(run.weights.path).name]
        settings["weights"] = " ".join([*own, run.weights.sha256[: identity.SHA256_DIGITS]])
    if run.accuracy is None or run.performance is None:
        settings["measured"] = "throughput" if run.accuracy is None else "accuracy"
    return settings | run.edited | {"versions": versions}


def _names(settings: Iterable[Mapping[str, str]]) -> list[str]:
    names = dict.fromkeys(name for each in settings for name in each)
    return sorted(names, key=lambda name: LAST.index(name) if name in LAST else -1)


def _differ(name: str, settings: Iterable[Mapping[str, str]]) -> bool:
    return len({each.get(name, "") for each in settings}) > 1


def _titles(names: Sequence[str]) -> dict[str, str]:
    """Return a title for each name: the last part of an overridden key, where no other name ends in it."""
    lasts = [name.rpartition(".")[2] for name in names]
    return {
        name: last if lasts.count(last) == 1 and last not in IN_TITLE else name
        for name, last in zip(names, lasts, strict=True)
    }


def _by_label(name: str, by_setup: Mapping[Setup, Sequence[Mapping[str, str]]], labels: Mapping[Setup, str]) -> str:
    return ", ".join(f"{group[0].get(name) or 'none'} ({labels[setup]})" for setup, group in by_setup.items())


def _natural(text: str) -> tuple[int, float, str]:
    """Return a sort key that orders numbers by size, before other texts."""
    try:
        return 0, float(text), ""
    except ValueError:
        return 1, 0.0, text
