"""The contents of a report, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass

from runner import results
from runner.report import columns, failures, tables
from runner.report.failures import FailedRun
from runner.report.tables import Section
from runner.results import Account, Found, Meaning, Result, Skipped
from runner.results.published import Published


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The tables, failed runs, sweeps with jobs that are not done, skipped files, and all results.

    Superseded results are among the last, and in no table.
    """

    sections: tuple[Section, ...]
    failed: tuple[FailedRun, ...]
    sweeps: tuple[Account, ...]
    skipped: tuple[Skipped, ...]
    results: tuple[Result, ...]
    published: Published

    @property
    def shown(self) -> list[Result]:
        """The results that the tables show."""
        return [run for section in self.sections for run in section.runs]

    @property
    def overview(self) -> str:
        """How many results, gates of each verdict, failed runs and missing jobs there are."""
        verdicts = [gate.verdict for run in self.shown for gate in run.gates]
        gates = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("pass", "fail", "skip"))
        missing = sum(len(account.missing) for account in self.sweeps)
        counts = [f"results: {len(self.results)}, {len(self.shown)} of them in the tables", f"gates: {gates}"]
        return "; ".join([*counts, f"failed runs: {len(self.failed)}", f"missing jobs: {missing}"])

    def meanings(self, model: str) -> dict[str, Meaning]:
        """Return the meanings of a model's metrics, by name."""
        return columns.meanings(result for result in self.results if result.model == model)


def gather(found: Found, published: Published) -> Contents:
    """Arrange the results that were found for a report; logs and configurations are looked for beside them."""
    return Contents(
        sections=tuple(tables.sections(results.with_edits(results.newest(found.results)), published)),
        failed=tuple(failures.described(result) for result in results.failed(found.results)),
        sweeps=tuple(account for account in results.accounts(found) if not account.is_complete),
        skipped=found.skipped,
        results=found.results,
        published=published,
    )
