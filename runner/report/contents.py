"""The contents of a report, whatever its format. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runner import results
from runner.report import tables
from runner.report.tables import Section
from runner.results import Found, Meaning, Result, Skipped
from runner.results.published import Published


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The tables, failed runs, skipped files, and all results including superseded ones."""

    sections: tuple[Section, ...]
    failed: tuple[Result, ...]
    skipped: tuple[Skipped, ...]
    results: tuple[Result, ...]
    published: Published

    def meanings(self, model: str) -> dict[str, Meaning]:
        """Return the meanings of a model's metrics, by name."""
        return tables.meanings(result for result in self.results if result.model == model)


def gather(found: Found, published: Published) -> Contents:
    """Arrange the results that were found for a report."""
    return Contents(
        sections=tuple(tables.sections(found.results, published)),
        failed=tuple(results.failed(found.results)),
        skipped=found.skipped,
        results=found.results,
        published=published,
    )
