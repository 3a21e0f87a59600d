"""The comparison of a run with its baseline: what changed, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.compare import judging, noise
from runner.compare.judging import Change, Run
from runner.compare.pairing import Pair
from runner.core import DataError, Problem
from runner.results import Result, identity
from runner.results.differences import ABSENT, Difference, Values, configuration, differences, environment


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The changes of a run's figures, and how its environment and configuration differ from the baseline's.

    `problems` tell which files beside the results cannot be read, so that the noise or the configuration is unknown.
    """

    new: Result
    baseline: Result | None = None
    changes: Sequence[Change] = ()
    environment: Sequence[Difference] = ()
    configuration: Sequence[Difference] = ()
    problems: Sequence[Problem] = ()

    @property
    def fell(self) -> bool:
        """Whether a figure fell beyond its tolerance."""
        return any(change.verdict == "worse" for change in self.changes)


def of_pair(pair: Pair, tolerances: Mapping[str, float]) -> Comparison:
    """Compare a pair of runs; without a baseline, or with a run that failed, there is nothing to compare."""
    baseline, new = pair.baseline, pair.new
    if baseline is None or new.status == "failed":
        return Comparison(new=new, baseline=baseline)
    before, after = _files(baseline), _files(new)
    return Comparison(
        new=new,
        baseline=baseline,
        changes=judging.changes(
            Run(baseline, before.standard_errors_ms), Run(new, after.standard_errors_ms), tolerances
        ),
        environment=list(differences(environment(baseline), environment(new))),
        configuration=[*_checkpoints(baseline, new), *_configurations(before, after)],
        problems=[*before.problems, *after.problems],
    )


@dataclass(frozen=True)
class _Files:
    """What the files beside a result say; None or empty where there is no such file, or `problems` say why not."""

    standard_errors_ms: Mapping[str, float]
    configuration: Values | None
    problems: Sequence[Problem]


def _files(run: Result) -> _Files:
    folder = Path(run.path).parent
    problems: list[Problem] = []
    latencies_ms: Sequence[float] = ()
    config: Values | None = None
    try:
        latencies_ms = noise.latencies_ms(folder)
    except DataError as error:
        problems.append(error.problem)
    try:
        config = configuration(folder)
    except DataError as error:
        problems.append(error.problem)
    return _Files(noise.standard_errors_ms(latencies_ms), config, problems)


def _checkpoints(baseline: Result, new: Result) -> list[Difference]:
    before, after = (run.weights.sha256 if run.weights else "" for run in (baseline, new))
    return [Difference("weights.sha256", before, after)] if before != after else []


def _configurations(before: _Files, after: _Files) -> list[Difference]:
    """Return how the configurations differ, without what only steers a run.

    A key that is null is as one that another version of the runner does not have.
    """
    if before.configuration is None or after.configuration is None:
        return []
    found = differences(_without_steering(before.configuration), _without_steering(after.configuration))
    return [each for each in found if (each.before, each.after) not in _BOTH_NOTHING]


_BOTH_NOTHING = ((ABSENT, None), (None, ABSENT))


def _without_steering(config: Values) -> Values:
    return {key: value for key, value in config.items() if key not in identity.STEERING}
