"""Find the runs that a command line names, and pair them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import results
from runner.compare import pairing
from runner.compare.pairing import Pair
from runner.core import DataError
from runner.results import Account, Found, Result, Skipped

LAST_GOOD = "last-good"


@dataclass(frozen=True)
class Chosen:
    """The runs to compare, the sweeps of new runs that lack jobs, and the files that were skipped."""

    pairs: Sequence[Pair]
    incomplete: Sequence[Account] = ()
    skipped: Sequence[Skipped] = ()


def choose(baseline: str, new: str | None, below: Path) -> Chosen:
    """Pair the runs of NEW with those of BASELINE.

    Each is a run's folder, its result.json or a folder of many, of which each job's newest run counts. BASELINE may
    also be `last-good`, each run's own. Without NEW, it is the newest run below the folder `below`, with all jobs of
    its sweep; there `last-good` is looked for, too.

    Raises:
        DataError: there is no such path, or no result in it.
    """
    history = _read(below) if new is None or baseline == LAST_GOOD else Found((), ())
    found = history if new is None else _read(Path(new))
    news = _latest(found) if new is None else pairing.newest_of_each_job(found.results)
    incomplete = _incomplete(found, news)
    if baseline == LAST_GOOD:
        return Chosen(pairing.with_last_good(history.results, news), incomplete, found.skipped)
    baselines = _read(Path(baseline))
    skipped = (*found.skipped, *baselines.skipped)
    if len(baselines.results) == len(news) == 1:
        return Chosen([_pair_named(baselines.results[0], news[0])], incomplete, skipped)
    return Chosen(pairing.by_job(baselines.results, news), incomplete, skipped)


def _read(path: Path) -> Found:
    if not path.exists():
        raise DataError(
            f"{path}: there is no such file or folder",
            f"name a run's folder, its {results.NAME}, a folder of many, or {LAST_GOOD} as BASELINE",
        )
    own = path / results.NAME
    found = results.find([own if own.is_file() else path])
    if not found.results:
        reason = f": {found.skipped[0].path}: {found.skipped[0].reason}" if found.skipped else ""
        raise DataError(f"{path} holds no result{reason}", "name the folder of a run that has ended")
    return found


def _latest(found: Found) -> list[Result]:
    """Return the newest run, or if it is a job of a sweep all of the sweep's runs."""
    newest = max(found.results, key=lambda run: run.ended_at)
    sweep = next((f"{each.folder}/" for each in found.sweeps if newest.path.startswith(f"{each.folder}/")), newest.path)
    return [run for run in found.results if run.path.startswith(sweep)]


def _incomplete(found: Found, news: Sequence[Result]) -> list[Account]:
    """Return the sweeps of new runs, some of whose jobs have no result."""
    of_news = (each for each in results.accounts(found) if any(run.path.startswith(f"{each.folder}/") for run in news))
    return [account for account in of_news if account.missing]


def _pair_named(baseline: Result, new: Result) -> Pair:
    if baseline.status == "failed":
        raise DataError(f"the baseline {baseline.path} is a run that failed", "name one that did not, or last-good")
    return Pair(baseline, new)
