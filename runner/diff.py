"""`python -m runner.diff A B`: show what differs between two runs, or two sets of overrides."""

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

from runner import cli, results
from runner.config import groups
from runner.core import ConfigError, DataError
from runner.report import tables
from runner.results import Result

SAME, DIFFERENT, TROUBLE = 0, 1, 2
"""The exit codes of diff(1)."""
ABSENT = "(none)"
COSTS = ("load_ms", "first_call_ms", "peak_rss_mib")
WITH_RATIO = ("samples_per_second", "latency_ms.mean", "latency_ms.p99", *COSTS)

Flat = Mapping[str, object]


@dataclass(frozen=True)
class Side:
    """One side of the comparison: its values by name, in sections; a section that it lacks is None."""

    name: str
    config: Flat | None
    artifacts: Flat | None = None
    results: Flat | None = None


@dataclass(frozen=True)
class Change:
    """A name whose value differs; ABSENT on a side that lacks it. `note` is the ratio, if there is one."""

    name: str
    before: object
    after: object
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """The changes by section; `missing` names the sections that one side or both lack."""

    changes: Mapping[str, Sequence[Change]]
    missing: Sequence[str] = field(default_factory=tuple)

    @property
    def exit_code(self) -> int:
        """0 if same, 1 if different."""
        return DIFFERENT if any(self.changes.values()) else SAME


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs; return 0 if nothing does, 1 if anything does, 2 on an error."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.diff",
        description="What differs between two runs, or two sets of overrides. Exits 0 same, 1 different, 2 trouble.",
    )
    what = "a run folder, a result.json, or overrides in quotes, as in 'model=dcgan batch=4'"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", help="the same")
    parser.add_argument(*groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, where both are overrides")
    options = parser.parse_args(arguments)
    return cli.exit_code_of(lambda: _diff(options), TROUBLE)


def _diff(options: argparse.Namespace) -> int:
    own = groups.config_dir_arguments(options.config_dir)
    before, after = side(options.a, own), side(options.b, own)
    difference = compare(before, after)
    with cli.forgiving():  # here, so that a closed pipe does not change the exit code
        _show(before, after, difference)
    return difference.exit_code


def side(text: str, own: Sequence[str] = ()) -> Side:
    """Read a run folder, a result.json or overrides as a side; `own` goes before the overrides.

    Raises:
        ConfigError: the overrides do not compose.
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
    from runner.config.compose import compose

    return Side(text, _flat_config(compose([*own, *_words(text)])))


def compare(before: Side, after: Side) -> Difference:
    """Compare two sides, section by section. Pure."""
    changes: dict[str, list[Change]] = {}
    missing = []
    sections = {
        "config": (before.config, after.config),
        "artifacts": (before.artifacts, after.artifacts),
        "results": (before.results, after.results),
    }
    for section, (old, new) in sections.items():
        if old is None or new is None:
            missing.append(section)
        else:
            changes[section] = list(_changes(old, new))
    return Difference(changes, missing)


def flat(value: Any, name: str = "") -> dict[str, object]:
    """Flatten nested mappings and lists of mappings into one mapping, with names such as `model.inputs[0].name`."""
    if isinstance(value, Mapping) and value:
        items = {f"{name}.{key}" if name else str(key): item for key, item in value.items()}
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        items = {f"{name}[{index}]": item for index, item in enumerate(value)}
    else:
        return {name: value}
    return {key: leaf for path, item in items.items() for key, leaf in flat(item, path).items()}


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
        figures |= {name: getattr(performance, name) for name in COSTS if getattr(performance, name) is not None}
        figures["valid"] = performance.valid
    figures |= {f"gates.{gate.name}": gate.verdict for gate in result.gates}
    if result.error:
        figures["error"] = tables.error_in_words(result)
    return figures


def _changes(before: Flat, after: Flat) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if not _same(old, new):
            yield Change(name, old, new, _ratio(old, new) if name in WITH_RATIO else "")


def _same(old: object, new: object) -> bool:
    both_nan = isinstance(old, float) and isinstance(new, float) and math.isnan(old) and math.isnan(new)
    return both_nan or (old == new and isinstance(old, bool) == isinstance(new, bool))


def _ratio(before: object, after: object) -> str:
    if not isinstance(before, (int, float)) or not isinstance(after, (int, float)):
        return ""
    quotient = tables.ratio(after, before)
    return "" if quotient is None else f"x{quotient:.3f}"


def _as_text(change: Change) -> tuple[str, str]:
    """Return the two values as text; floats with six digits, if those differ."""
    if isinstance(change.before, float) and isinstance(change.after, float):
        short = f"{change.before:.6g}", f"{change.after:.6g}"
        if short[0] != short[1]:
            return short
    return str(change.before), str(change.after)


def _show(before: Side, after: Side, difference: Difference) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if difference.exit_code == SAME:
        console.print("no difference", end="")
        console.print(f" in {', '.join(difference.changes)}" if difference.changes else "")
    else:
        console.print(f"[red]- {escape(before.name)}[/]\n[green]+ {escape(after.name)}[/]")
    for section, changes in difference.changes.items():
        if changes:
            console.print(f"[bold]{section}[/]")
        for change in changes:
            old, new = _as_text(change)
            note = f"  ({change.note})" if change.note else ""
            console.print(f"  {escape(change.name)}: [red]{escape(old)}[/] -> [green]{escape(new)}[/]{note}")
    one_sided = [
        name for name in difference.missing if (getattr(before, name) is None) != (getattr(after, name) is None)
    ]
    if one_sided:
        console.print(f"not compared, as only one side has them: {', '.join(one_sided)}")


if __name__ == "__main__":
    sys.exit(main())
