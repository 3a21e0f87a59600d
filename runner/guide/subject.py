"""What a guide is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from runner.config.schema import RunConfig
from runner.core import TensorSpec
from runner.guide import by_hand, wording
from runner.guide.wording import Words
from runner.pipeline.setup import Setup
from runner.results import Meaning, Result
from runner.tasks import metric_of


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a guide is about: a configuration, the overrides that it was composed from, and what is known of the model.

    `typed` holds no batch, `model_file` is the path of the model's YAML. `measured` are the results that may stand as
    measured, `outputs` the known outputs by name.
    """

    config: RunConfig
    typed: tuple[str, ...]
    model_file: str
    batches: tuple[int, ...]
    measured: Sequence[Result]
    outputs: Mapping[str, TensorSpec]
    language: str

    @property
    def words(self) -> Words:
        """The texts in the guide's language."""
        return wording.LANGUAGES[self.language]

    @cached_property
    def setup(self) -> Setup:
        """Everything that the configuration names."""
        return Setup(self.config)

    @property
    def asks_for_root(self) -> bool:
        """Whether the commands take the data set's folder from a variable, as none is given."""
        return by_hand.ROOT_VARIABLE in self.typed

    @cached_property
    def meanings(self) -> dict[str, Meaning]:
        """The meanings of the data set's metrics, by name."""
        metrics = (metric_of(name, target) for name, target in self.setup.metrics.items())
        figures = {name: figure for metric in metrics for name, figure in metric.figures.items()}
        return {name: Meaning(figure.unit, figure.better) for name, figure in figures.items()}
