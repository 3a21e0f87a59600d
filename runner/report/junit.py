"""JUnit XML for CI: a test suite for each model, a test case for each gate.

The elements are those that Jenkins and GitLab read: https://github.com/jenkinsci/xunit-plugin, junit-10.xsd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from runner.core import StoreError, visible, write_atomically
from runner.report import failures
from runner.results import Account, Gate, Result, identity

Outcome = Literal["passed", "failure", "error", "skipped"]
_COUNTED: Mapping[str, Outcome] = {"failures": "failure", "errors": "error"}
"""Attributes, and the outcomes that they count; only of a suite the skipped cases are counted, too."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A test case; `suite` and `group` are where it stands, `message` is one line, `details` may be more."""

    suite: str
    group: str
    name: str
    outcome: Outcome = "passed"
    message: str = ""
    details: str = ""


def cases(runs: Iterable[Result], accounts: Iterable[Account]) -> Iterator[Case]:
    """Yield a test case for each gate of each run, for each run that failed or has no gates, and each missing job."""
    for run in runs:
        if run.status == "failed":
            yield failed_case(run)
        elif not run.gates:
            yield case(run, "run")
        for gate in run.gates:
            yield _gate_case(run, gate)
    yield from missing_cases(accounts)


def case(run: Result, name: str, outcome: Outcome = "passed", message: str = "", details: str = "") -> Case:
    """Return a test case of a run; its group has the overrides, as CI takes cases of one name for one case."""
    return Case(
        suite=run.model or "runner",
        group=identity.named(run),
        name=name,
        outcome=outcome,
        message=message,
        details=details,
    )


def failed_case(run: Result) -> Case:
    """Return the test case of a run that failed, with the fix."""
    if run.error is None:
        return case(run, "run", "error", "no reason is given", run.path)
    first, *others = failures.errors(run.error)
    details = [f"fix: {first.fix}", *map(str, others), run.path]
    return case(run, "run", "error", first.message, "\n".join(details))


def missing_cases(accounts: Iterable[Account]) -> Iterator[Case]:
    """Yield a test case for each job of the sweeps that left no result."""
    for account in accounts:
        for job in account.missing:
            name, message = f"{job.name} {' '.join(job.overrides)}", "the job has no result"
            yield Case(suite="sweep", group=account.folder, name=name, outcome="error", message=message)


def document(name: str, cases: Iterable[Case]) -> bytes:
    """Return the XML of test cases, with the suites in the order of their names."""
    root = ElementTree.Element("testsuites", name=name)
    ordered = sorted(cases, key=lambda each: each.suite)
    _count(root, ordered)
    for suite, grouped in groupby(ordered, key=lambda each: each.suite):
        of_suite = list(grouped)
        element = ElementTree.SubElement(root, "testsuite", name=visible(suite))
        _count(element, of_suite)
        element.set("skipped", str(sum(each.outcome == "skipped" for each in of_suite)))
        for each in of_suite:
            _add(element, each)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def write(path: Path, name: str, cases: Iterable[Case]) -> None:
    """Write test cases as JUnit XML.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        write_atomically(path, document(name, cases))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", "name another file with --junit") from error


def _gate_case(run: Result, gate: Gate) -> Case:
    outcome: Outcome = {"pass": "passed", "fail": "failure", "skip": "skipped"}[gate.verdict]  # type: ignore[assignment]
    if gate.verdict == "skip":
        return case(run, gate.name, outcome, gate.reason)
    numbers = f"{_number(gate.measured)}, expected {_number(gate.expected)} within {_number(gate.tolerance)}"
    return case(run, gate.name, outcome, numbers, "\n".join(filter(None, [gate.reason, gate.source, run.path])))


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"


def _count(element: ElementTree.Element, cases: list[Case]) -> None:
    element.set("tests", str(len(cases)))
    for attribute, outcome in _COUNTED.items():
        element.set(attribute, str(sum(each.outcome == outcome for each in cases)))


def _add(suite: ElementTree.Element, case: Case) -> None:
    element = ElementTree.SubElement(suite, "testcase", classname=visible(case.group), name=visible(case.name))
    if case.outcome != "passed":
        told = ElementTree.SubElement(element, case.outcome, message=visible(case.message))
        told.text = visible(case.details) or None
    elif case.message:
        ElementTree.SubElement(element, "system-out").text = visible(case.message)
