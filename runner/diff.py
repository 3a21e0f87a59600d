"""`python -m runner.diff A B`: show what differs between two runs, or two sets of overrides.

It answers as diff(1) does, 0 for the same and 1 for different, but with 3 for an error: 2 is kept for a failed gate, or
a figure that fell (runner.compare), so that a script can tell those by the code alone.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from runner import cli, results
from runner.config import groups
from runner.core import ConfigError, DataError
from runner.core.terminal import Console
from runner.report import columns, failures
from runner.results import Result
from runner.results.differences import Difference, Values, as_text, configuration, differences, environment

SAME, DIFFERENT, TROUBLE = 0, 1, 3
COSTS = ("load_ms", "first_call_ms", "peak_rss_mib")
WITH_RATIO = ("samples_per_second", "latency_ms.mean", "latency_ms.p99", *COSTS)


@dataclass(frozen=True)
class Side:
    """One side of the comparison: its values by name, in sections; a section that it lacks is None.

    `remarks` are what a reader has to know of its figures.
    """

    name: str
    config: Values | None
    artifacts: Values | None = None
    results: Values | None = None
    environment: Values | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The differences by section; `missing` names the sections that one side or both lack."""

    sections: Mapping[str, Sequence[Difference]]
    missing: Sequence[str] = field(default_factory=tuple)

    @property
    def exit_code(self) -> int:
        """0 if same, 1 if different."""
        return DIFFERENT if any(self.sections.values()) else SAME


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs; return 0 if nothing does, 1 if anything does, 3 on an error."""
    return cli.exit_code_of(lambda: _diff(_parser().parse_args(arguments)), TROUBLE)


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.diff",
        description="What differs between two runs, or two sets of overrides. Exits 0 same, 1 different, 3 error.",
    )
    what = "a run folder, a result.json, or overrides in quotes, as in 'model=dcgan batch=4'"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", help="the same")
    parser.add_argument(*groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, where both are overrides")
    return parser


def _diff(options: argparse.Namespace) -> int:
    own = groups.config_dir_arguments(options.config_dir)
    before, after = side(options.a, own), side(options.b, own)
    comparison = compare(before, after)
    with cli.forgiving():  # here, so that a closed pipe does not change the exit code
        _show(before, after, comparison)
    return comparison.exit_code


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

    return Side(text, _resolved(compose([*own, *_words(text)])))


def compare(before: Side, after: Side) -> Comparison:
    """Compare two sides, section by section. Pure."""
    found: dict[str, list[Difference]] = {}
    missing = []
    sections = {
        "config": (before.config, after.config),
        "artifacts": (before.artifacts, after.artifacts),
        "results": (before.results, after.results),
        "environment": (before.environment, after.environment),
    }
    for section, (old, new) in sections.items():
        if old is None or new is None:
            missing.append(section)
        else:
            found[section] = list(differences(old, new))
    return Comparison(found, missing)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{text}: {error}", "close the quotes") from error


def _run(path: Path) -> Side:
    if not path.is_file():
        raise DataError(f"{path.parent} holds no {results.NAME}", "name the folder of a run that has ended")
    found = results.find([path])
    if not found.results:
        raise DataError(f"{path}: {found.skipped[0].reason}", "name the result of a run of this version")
    result = found.results[0]
    keys = {record.name: record.key or record.status for record in result.stages}
    return Side(
        str(path.parent),
        configuration(path.parent),
        keys,
        _figures(result),
        environment(result),
        tuple(_remarks(result)),
    )


def _remarks(result: Result) -> Iterator[str]:
    if result.performance and not result.performance.valid:
        reasons = "; ".join(result.performance.reasons) or "no reason is given"
        yield f"the measurement is not valid ({reasons}): its latencies and throughput say little"


def _resolved(composed: Any) -> Values:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        resolved: Values = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(str(error), "correct the value: see --cfg job") from error
    return resolved


def _figures(result: Result) -> Values:
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
        figures["error"] = failures.shortly(result)
    return figures


def _ratio(difference: Difference) -> str:
    before, after = difference.before, difference.after
    if difference.name not in WITH_RATIO or not isinstance(before, (int, float)) or not isinstance(after, (int, float)):
        return ""
    quotient = columns.ratio(after, before)
    return "" if quotient is None else f"  (x{quotient:.3f})"


def _show(before: Side, after: Side, comparison: Comparison) -> None:
    console = Console(soft_wrap=True)
    if comparison.exit_code == SAME:
        console.print("no difference", end="")
        console.print(f" in {', '.join(comparison.sections)}" if comparison.sections else "")
    else:
        console.print(f"- {before.name}", style="red")
        console.print(f"+ {after.name}", style="green")
    for section, found in comparison.sections.items():
        if found:
            console.print(section, style="bold")
        for each in found:
            old, new = as_text(each)
            console.print(Text.assemble(f"  {each.name}: ", (old, "red"), " -> ", (new, "green"), _ratio(each)))
    for name, remarks in ((before.name, before.remarks), (after.name, after.remarks)):
        for remark in remarks:
            console.print(Text.assemble(f"{name}: ", (remark, "yellow")))
    one_sided = [
        name for name in comparison.missing if (getattr(before, name) is None) != (getattr(after, name) is None)
    ]
    if one_sided:
        console.print(f"not compared, as only one side has them: {', '.join(one_sided)}")


if __name__ == "__main__":
    sys.exit(main())
