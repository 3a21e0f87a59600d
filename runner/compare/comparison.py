"""The comparison of a run with its baseline: what changed, and what else differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.compare import judging, noise
from runner.compare.judging import Change, Run
from runner.compare.pairing import Pair
from runner.results import Result, identity
from runner.results.differences import ABSENT, Difference, Values, configuration, differences, environment


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The changes of a run's figures, and how its environment and configuration differ from the baseline's."""

    new: Result
    baseline: Result | None = None
    changes: Sequence[Change] = ()
    environment: Sequence[Difference] = ()
    configuration: Sequence[Difference] = ()

    @property
    def fell(self) -> bool:
        """Whether a figure fell beyond its tolerance."""
        return any(change.verdict == "worse" for change in self.changes)


def of_pair(pair: Pair, tolerances: Mapping[str, float]) -> Comparison:
    """Compare a pair of runs; without a baseline, or with a run that failed, there is nothing to compare.

    Raises:
        DataError: a run's latencies or its configuration cannot be read.
    """
    baseline, new = pair.baseline, pair.new
    if baseline is None or new.status == "failed":
        return Comparison(new=new, baseline=baseline)
    return Comparison(
        new=new,
        baseline=baseline,
        changes=judging.changes(_run(baseline), _run(new), tolerances),
        environment=list(differences(environment(baseline), environment(new))),
        configuration=_configurations(baseline, new),
    )


def _run(result: Result) -> Run:
    return Run(result, noise.standard_errors_ms(noise.latencies_ms(Path(result.path).parent)))


def _configurations(baseline: Result, new: Result) -> list[Difference]:
    """Return how the configurations and the checkpoints differ, without what only steers a run.

    A key that is null is as one that another version of the runner does not have.
    """
    weights = [run.weights.sha256 if run.weights else "" for run in (baseline, new)]
    found = [Difference("weights.sha256", *weights)] if weights[0] != weights[1] else []
    before, after = (configuration(Path(run.path).parent) for run in (baseline, new))
    if before is None or after is None:
        return found
    all_found = differences(_without_steering(before), _without_steering(after))
    return [*found, *(each for each in all_found if (each.before, each.after) not in _BOTH_NOTHING)]


_BOTH_NOTHING = ((ABSENT, None), (None, ABSENT))


def _without_steering(config: Values) -> Values:
    return {key: value for key, value in config.items() if key not in identity.STEERING}
