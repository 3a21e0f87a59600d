"""Show comparisons: as text, and as test cases of a JUnit file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.markup import escape

from runner.compare.comparison import Comparison
from runner.compare.judging import Change, Verdict
from runner.report import failures, junit
from runner.report.junit import Case, Outcome
from runner.results import Account, Result, identity, values
from runner.results.differences import Difference, as_text

MOST_DIFFERENCES = 12
"""How many differences of the configurations are shown."""
MOST_CHARACTERS = 80
"""How much is shown of a value that differs."""
RELATIVE = ("samples/s", "ms")
"""Units of figures whose change is told in percent."""
NO_BASELINE = "there is no earlier run of this job to compare with"
STYLES: Mapping[Verdict, str] = {"worse": "red", "better": "green", "same": "none", "not judged": "yellow"}
OUTCOMES: Mapping[Verdict, Outcome] = {
    "worse": "failure",
    "better": "passed",
    "same": "passed",
    "not judged": "skipped",
}


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield a comparison as lines of rich's markup."""
    new, baseline = comparison.new, comparison.baseline
    yield f"[bold]{escape(identity.named(new))}[/]"
    if new.status == "failed":
        yield f"  [red]failed[/]: {escape(_failure(new))}"
    elif baseline is None:
        yield f"  [yellow]{NO_BASELINE}[/]: {escape(_folder(new))}"
    else:
        yield f"  [red]- {escape(_folder(baseline))}[/]"
        yield f"  [green]+ {escape(_folder(new))}[/]"
        yield from (f"  [red]error[/]: {escape(str(problem))}" for problem in comparison.problems)
        yield from _change_lines(comparison.changes)
        yield from _difference_lines("environment", comparison.environment)
        shown, more = comparison.configuration[:MOST_DIFFERENCES], len(comparison.configuration) - MOST_DIFFERENCES
        yield from _difference_lines("configuration", shown)
        if more > 0:
            yield escape(f"    and {more} more: python -m runner.diff {_folder(baseline)} {_folder(new)}")


def summary(comparisons: Sequence[Comparison], missing: int) -> str:
    """Return one line that counts the runs by what became of them, and the figures that could not be judged."""
    compared = [each for each in comparisons if each.baseline and each.new.status == "ok"]
    fell = sum(each.fell for each in compared)
    failed = sum(each.new.status == "failed" for each in comparisons)
    counts = {
        "worse": fell,
        "not worse": len(compared) - fell,
        "failed": failed,
        "without a baseline": len(comparisons) - len(compared) - failed,
        "missing": missing,
    }
    total = len(comparisons) + missing
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    open_figures = sum(change.verdict == "not judged" for each in compared for change in each.changes)
    unjudged = f"; {open_figures} {'figure' if open_figures == 1 else 'figures'} not judged" if open_figures else ""
    return f"{total} {'run' if total == 1 else 'runs'}: {told}{unjudged}"


def cases(comparison: Comparison) -> Iterator[Case]:
    """Yield a test case for each figure and each spoilt file, or one for a run that failed or has no baseline."""
    new = comparison.new
    if new.status == "failed":
        yield junit.failed_case(new)
    elif comparison.baseline is None:
        yield junit.case(new, "baseline", "skipped", NO_BASELINE)
    for problem in comparison.problems:
        yield junit.case(new, "files", "error", problem.message, f"fix: {problem.fix}")
    for change in comparison.changes:
        yield junit.case(new, change.figure, OUTCOMES[change.verdict], details(change))


def missing_lines(accounts: Iterable[Account]) -> Iterator[str]:
    """Yield a line for each job of the sweeps that left no result."""
    for account in accounts:
        for job in account.missing:
            yield f"missing: {account.folder}/{job.name} ({' '.join(job.overrides)}) has no result"


def details(change: Change) -> str:
    """Describe a change in one line: both values, how far apart they are, what is allowed, and its noise."""
    return "  ".join(filter(None, (_values(change), _step(change), _why(change))))


def _change_lines(changes: Sequence[Change]) -> Iterator[str]:
    width = max((len(change.figure) for change in changes), default=0)
    reason = ""
    for change in changes:
        shown = replace(change, reason="as above") if change.reason == reason and change.allowed is None else change
        verdict = f"[{STYLES[change.verdict]}]{change.verdict:<10}[/]"
        yield f"  {verdict}  {escape(f'{change.figure:<{width}}')}  {escape(details(shown))}"
        reason = change.reason


def _difference_lines(title: str, differences: Sequence[Difference]) -> Iterator[str]:
    if differences:
        yield f"  [bold]{title}[/]"
    for each in differences:
        old, new = map(_cut, as_text(each))
        yield f"    {escape(each.name)}: {escape(old)} -> {escape(new)}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def _values(change: Change) -> str:
    shown = ("none" if value is None else values.number(value, change.unit) for value in (change.before, change.after))
    return f"{' -> '.join(shown)} {values.sign(change.unit)}".rstrip()


def _step(change: Change) -> str:
    """Return the change, in points of a percentage, in percent of a rate or a latency, else in its own unit."""
    if change.before is None or change.after is None:
        return ""
    step = change.after - change.before
    if change.unit in RELATIVE:
        return f"{100 * step / change.before:+.1f} %" if change.before else ""
    return f"{'+' if step >= 0 else ''}{values.number(step, change.unit)}"


def _why(change: Change) -> str:
    if change.allowed is None or change.after is None:
        return f"({change.reason})" if change.reason else ""
    if change.unit not in RELATIVE:
        return f"(allowed {values.number(change.allowed, change.unit)}: {change.reason})"
    noise = f"{100 * change.noise / change.before:.1f} %" if change.noise is not None and change.before else "unknown"
    return f"(allowed {change.reason}, noise {noise})"


def _failure(run: Result) -> str:
    if run.error is None:
        return "no reason is given"
    return "\n".join([*map(str, failures.errors(run.error)), f"    log: {_folder(run)}/run.log"])


def _folder(run: Result) -> str:
    """Return a run's folder, relative to the working folder if it is below it."""
    folder = Path(run.path).parent
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
