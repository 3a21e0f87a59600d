"""`python -m runner.compare BASELINE [NEW]`: what fell since an earlier run, beyond its tolerance and its noise."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from runner import cli
from runner.compare import choosing, comparison, verdicts
from runner.compare.choosing import Chosen
from runner.compare.comparison import Comparison
from runner.compare.judging import ACCURACY, TOLERANCES_PERCENT
from runner.core import ConfigError, did_you_mean
from runner.core.terminal import Console
from runner.report import junit

FELL = 2
"""As where a gate fails."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what changed; return 0 if nothing fell, 2 if anything fell beyond its tolerance, 1 on an error."""
    return cli.exit_code_of(lambda: _compare(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.compare",
        description="What fell since an earlier run. Exits 0 if nothing fell, 2 if something fell beyond its tolerance,"
        " 1 on an error.",
        usage="%(prog)s [options] BASELINE [NEW]",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="BASELINE [NEW]",
        help="a run folder, a result.json, a folder of many; as BASELINE also last-good: the newest earlier run of the"
        " same job without an error or a failed gate. NEW is the newest run, with all jobs of its sweep, if not given",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("outputs"),
        metavar="DIR",
        help="where last-good, and NEW if not given, are looked for [%(default)s]",
    )
    parser.add_argument(
        "--tolerance",
        action="append",
        default=[],
        type=_tolerance,
        metavar="FIGURE=NUMBER",
        help="how far a figure may fall: "
        + ", ".join(f"{name} [{percent:g} %%]" for name, percent in TOLERANCES_PERCENT.items())
        + f", {ACCURACY} in percentage points; may be given several times",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML too")
    return parser


def _tolerance(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    known = (*TOLERANCES_PERCENT, ACCURACY)
    if name not in known:
        hint = did_you_mean(name, known) or f"choose from {', '.join(known)}"
        raise ConfigError(f"--tolerance {text}: there is no figure {name}", hint)
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"--tolerance {text}: {number!r} is no number of at least 0", f"as in --tolerance {name}=5")
    return name, value


def _compare(options: argparse.Namespace) -> int:
    baseline, new = _sides(options.runs)
    chosen = choosing.choose(baseline, new, options.results)
    comparisons = [comparison.of_pair(pair, dict(options.tolerance)) for pair in chosen.pairs]
    _show(chosen, comparisons)
    if options.junit:
        cases = [case for each in comparisons for case in verdicts.cases(each)]
        junit.write(options.junit, "runner.compare", [*cases, *junit.missing_cases(chosen.incomplete)])
    return exit_code(chosen, comparisons)


def _sides(words: Sequence[str]) -> tuple[str, str | None]:
    """Return BASELINE and NEW; `last good` may be two words."""
    if [*words[:2]] == ["last", "good"]:
        words = [choosing.LAST_GOOD, *words[2:]]
    if len(words) > 2:
        raise ConfigError(f"{len(words)} runs are given: {', '.join(words)}", "give BASELINE, or BASELINE and NEW")
    return words[0], words[1] if len(words) > 1 else None


def exit_code(chosen: Chosen, comparisons: Sequence[Comparison]) -> int:
    """Return 2 if anything fell; 1 if a job failed or is missing, a file is spoilt, or nothing was compared; else 0."""
    if any(each.fell for each in comparisons):
        return FELL
    failed = any(each.new.status == "failed" or each.problems for each in comparisons)
    return int(failed or bool(chosen.incomplete) or all(each.baseline is None for each in comparisons))


def _show(chosen: Chosen, comparisons: Sequence[Comparison]) -> None:
    console = Console(markup=True, soft_wrap=True)
    remarks = Console(soft_wrap=True, stderr=True)
    for each in comparisons:
        for line in verdicts.lines(each):
            console.print(line)
    for skipped in chosen.skipped:
        remarks.print(f"skipped: {skipped.path}: {skipped.reason}", style="yellow")
    for line in verdicts.missing_lines(chosen.incomplete):
        remarks.print(line, style="red")
    console.print(verdicts.summary(comparisons, sum(len(account.missing) for account in chosen.incomplete)))


if __name__ == "__main__":
    gc.disable()  # as runner.report does: all results stay in use
    sys.exit(main())
