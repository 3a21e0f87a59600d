"""`python -m runner.diff A B`: what differs between two runs, or two sets of overrides."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from runner import overrides
from runner.errors import ConfigError, DataError
from runner.report import output, results, tables
from runner.report.results import Result

SAME, DIFFERENT, TROUBLE = 0, 1, 2
"""diff(1)'s exit codes."""
ABSENT = "(none)"
RATIOS_TOLD = ("samples_per_second", "latency_ms.mean", "latency_ms.p99")

Flat = Mapping[str, object]


@dataclass(frozen=True)
class Side:
    """One of the two: what it is made of, by name. A part that it does not have is None."""

    name: str
    config: Flat | None
    artifacts: Flat | None = None
    results: Flat | None = None


@dataclass(frozen=True)
class Change:
    """A name whose value differs; ABSENT where one side lacks it. `note` is a ratio, where there is one."""

    name: str
    before: object
    after: object
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """The changes by part; `missing` names the parts that only one side has, or neither."""

    changes: Mapping[str, Sequence[Change]]
    missing: Sequence[str] = field(default_factory=tuple)

    @property
    def exit_code(self) -> int:
        """0 same, 1 different."""
        return DIFFERENT if any(self.changes.values()) else SAME


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs; returns 0 where nothing does, 1 where something does, 2 on trouble."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.diff",
        description="What differs between two runs, or two sets of overrides. Exits 0 same, 1 different, 2 trouble.",
    )
    told = "a run folder, a result.json, or overrides in quotes, as in 'model=dcgan batch=4'"
    parser.add_argument("a", metavar="A", help=told)
    parser.add_argument("b", metavar="B", help="the same")
    parser.add_argument(*overrides.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, where both are overrides")
    options = parser.parse_args(arguments)
    return output.exit_code_of(lambda: _diff(options), TROUBLE)


def _diff(options: argparse.Namespace) -> int:
    own = overrides.config_dir_arguments(options.config_dir)
    before, after = side(options.a, own), side(options.b, own)
    found = compare(before, after)
    with output.forgiving():  # here, so that a reader that leaves does not change the verdict
        _show(before, after, found)
    return found.exit_code


def side(text: str, own: Sequence[str] = ()) -> Side:
    """A run folder, a result.json or overrides as something to compare; `own` goes before the overrides.

    Raises:
        ConfigError: overrides that compose to nothing.
        DataError: neither a run nor overrides, or a run that cannot be read.
    """
    path = Path(text)
    if path.exists():
        return _run(path if path.is_file() else path / results.NAME)
    if "=" not in text:
        raise DataError(
            f"{text} is no file and no folder, and no overrides either",
            "give a run folder, its result.json, or overrides in quotes, as in 'model=dcgan batch=4'",
        )
    from runner import composing

    return Side(text, _flat_config(composing.compose([*own, *_words(text)])))


def compare(before: Side, after: Side) -> Difference:
    """What differs, part by part. Pure."""
    changes: dict[str, list[Change]] = {}
    missing = []
    parts = {
        "config": (before.config, after.config),
        "artifacts": (before.artifacts, after.artifacts),
        "results": (before.results, after.results),
    }
    for part, (one, other) in parts.items():
        if one is None or other is None:
            missing.append(part)
        else:
            changes[part] = list(_changes(one, other))
    return Difference(changes, missing)


def flat(value: Any, name: str = "") -> dict[str, object]:
    """Nested mappings, and lists of mappings, as one mapping: `model.inputs[0].name`."""
    if isinstance(value, Mapping) and value:
        parts = {f"{name}.{key}" if name else str(key): part for key, part in value.items()}
    elif isinstance(value, list) and any(isinstance(part, (Mapping, list)) for part in value):
        parts = {f"{name}[{index}]": part for index, part in enumerate(value)}
    else:
        return {name: value}
    return {key: leaf for inner, part in parts.items() for key, leaf in flat(part, inner).items()}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{text}: {error}", "close the quotes") from error


def _run(path: Path) -> Side:
    if not path.exists():
        raise DataError(f"{path.parent} holds no {results.NAME}", "name the folder of a run that has ended")
    found = results.find([path])
    if not found.results:
        raise DataError(f"{path}: {found.skipped[0].reason}", "name the result of a run of this version")
    result = found.results[0]
    keys = {record.name: record.key or record.status for record in result.stages}
    return Side(str(path.parent), _saved_config(path.parent / "config.yaml"), keys, _figures(result))


def _saved_config(path: Path) -> Flat | None:
    try:
        return flat(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read: {error}", "name another run") from error


def _flat_config(composed: Any) -> Flat:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return flat(OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(str(error), "correct the value: see --cfg job") from error


def _figures(result: Result) -> Flat:
    performance = result.performance
    figures: dict[str, object] = {"status": result.status}
    figures |= {f"accuracy.{name}": value for name, value in (result.accuracy or {}).items()}
    if result.fidelity:
        figures["fidelity.cosine"] = result.fidelity.cosine
        figures["fidelity.top1_agreement"] = result.fidelity.top1_agreement
    if performance:
        figures["samples_per_second"] = performance.samples_per_second
        figures["latency_ms.mean"] = performance.latency_ms.mean
        figures["latency_ms.p99"] = performance.latency_ms.p99
        figures["valid"] = performance.valid
    figures |= {f"gates.{gate.name}": gate.verdict for gate in result.gates}
    if result.error:
        figures["error"] = tables.told_error(result)
    return figures


def _changes(before: Flat, after: Flat) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name, ABSENT), after.get(name, ABSENT)
        if not _same(one, other):
            yield Change(name, one, other, _ratio(one, other) if name in RATIOS_TOLD else "")


def _same(one: object, other: object) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or (one == other and isinstance(one, bool) == isinstance(other, bool))


def _ratio(before: object, after: object) -> str:
    if not isinstance(before, (int, float)) or not isinstance(after, (int, float)):
        return ""
    quotient = tables.ratio(after, before)
    return "" if quotient is None else f"x{quotient:.3f}"


def _told(change: Change) -> tuple[str, str]:
    """The two values; floats with six digits, where those differ."""
    if isinstance(change.before, float) and isinstance(change.after, float):
        short = f"{change.before:.6g}", f"{change.after:.6g}"
        if short[0] != short[1]:
            return short
    return str(change.before), str(change.after)


def _show(before: Side, after: Side, found: Difference) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if found.exit_code == SAME:
        console.print("no difference", end="")
        console.print(f" in {', '.join(found.changes)}" if found.changes else "")
    else:
        console.print(f"[red]- {escape(before.name)}[/]\n[green]+ {escape(after.name)}[/]")
    for part, changes in found.changes.items():
        if changes:
            console.print(f"[bold]{part}[/]")
        for change in changes:
            told = _told(change)
            note = f"  ({change.note})" if change.note else ""
            console.print(f"  {escape(change.name)}: [red]{escape(told[0])}[/] -> [green]{escape(told[1])}[/]{note}")
    one_has = [part for part in found.missing if (getattr(before, part) is None) != (getattr(after, part) is None)]
    if one_has:
        console.print(f"not compared, as only one side has them: {', '.join(one_has)}")


if __name__ == "__main__":
    sys.exit(main())
