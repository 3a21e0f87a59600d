"""What a report tells, whatever it is written as. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runner.report import results, tables
from runner.report.published import Published
from runner.report.results import Found, Result, Skipped
from runner.report.tables import Section


@dataclass(frozen=True)
class Contents:
    """The tables, the runs that failed, the files that were not read, and all results, superseded ones too."""

    sections: tuple[Section, ...]
    failed: tuple[Result, ...]
    skipped: tuple[Skipped, ...]
    results: tuple[Result, ...]
    published: Published


def gather(found: Found, published: Published) -> Contents:
    """Lay out what was found."""
    return Contents(
        tuple(tables.sections(found.results, published)),
        tuple(results.failed(found.results)),
        found.skipped,
        found.results,
        published,
    )
