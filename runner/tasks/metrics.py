"""Protocols of scoring: outputs are decoded to results, and metrics score results against ground truth.

    outputs of some rows, their facts --decode--> a result a row --metric.add(results, truths)--> metric.compute()

The task defines results and truths. `Mean` makes a metric of a function of both that returns one number per sample.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeVar

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import ConfigError, Figure
from runner.core.lazy import NDArray, np
from runner.tasks.decode import Results

F = TypeVar("F", bound=Callable[..., Any])


class Metric(Protocol):
    """Scores results; a class whose arguments are given beside `_target_`.

    It may have a method `validate(decode) -> list[Problem]` too: what it asks of the decoder, known before anything
    runs.
    """

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The meaning of each value of `compute`, by name."""

    def add(self, results: Results, truths: Results) -> None:
        """Add the results of some rows and their truths."""

    def merge(self, other: Any) -> None:
        """Add everything that another metric of the same kind has accumulated."""

    def compute(self) -> dict[str, float]:
        """Return the values over everything added, by name."""


class Mean:
    """The mean of a function of a result and its truth over all samples.

    `function` takes arrays of results [N, ...] and truths [N, ...] and returns one number per sample, [N].
    """

    def __init__(self, function: Callable[..., NDArray[Any]], name: str = "mean") -> None:
        self.figures = {name: getattr(function, "figure", Figure())}
        self._function = function
        self._total = 0.0
        self._count = 0

    def rename(self, name: str) -> None:
        """Give its one figure another name."""
        self.figures = dict.fromkeys((name,), *self.figures.values())

    def add(self, results: Results, truths: Results) -> None:
        """Add the function's values to the sum."""
        for part in _of_one_shape(results, truths):
            self._total += float(self._values(*part).sum())
        self._count += len(results)

    def _values(self, results: NDArray[Any], truths: NDArray[Any]) -> NDArray[Any]:
        values = np.asarray(self._function(results, truths))
        if values.dtype.kind not in "biuf" or values.shape != (len(results),):
            got = f"{values.dtype} {list(values.shape)}"
            raise hooks.wrong_result(self._function, got, f"a number per sample, [{len(results)}]")
        return values

    def merge(self, other: Mean) -> None:
        """Add the other's sum and count."""
        self._total += other._total
        self._count += other._count

    def compute(self) -> dict[str, float]:
        """Return the mean, by the metric's name."""
        return {name: self._total / self._count for name in self.figures}


def _of_one_shape(results: Results, truths: Results) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield results and truths as arrays: all at once, or one sample at a time where their shapes differ."""
    same = all(len({np.shape(each) for each in values}) <= 1 for values in (results, truths))
    for part in (slice(None),) if same else (slice(index, index + 1) for index in range(len(results))):
        yield np.asarray(results[part]), np.asarray(truths[part])


def measured_in(
    unit: str, better: Literal["higher", "lower"], *, is_share: bool = False, tolerance: float = Figure.tolerance
) -> Callable[[F], F]:
    """Return a decorator that attaches a Figure, the meaning of the mean, to a function of results and truths."""

    def mark(function: F) -> F:
        function.figure = Figure(  # type: ignore[attr-defined]
            unit=unit, better=better, is_share=is_share, tolerance=tolerance
        )
        return function

    return mark


def metric_of(name: str, target: Target) -> Metric:
    """Return a data set's metric: an instance of a class, or of a function the mean; means have their name in the YAML.

    Raises:
        ConfigError: it cannot be found, does not take its arguments, or is a class without a metric's methods.
    """
    if not inspect.isclass(targets.locate(target)):
        return Mean(targets.bind(target, positional=2), name)
    metric: Metric = hooks.made(target, {"figures": Mapping})
    if isinstance(metric, Mean):
        metric.rename(name)
    lacking = [method for method in ("add", "merge", "compute", "figures") if not hasattr(metric, method)]
    if lacking:
        raise ConfigError(
            f"dataset.metrics.{name} names {target.name}, which lacks {', '.join(lacking)}",
            "name a function of results and truths, or a class with what runner.tasks.Metric asks for",
        )
    for figure, meaning in metric.figures.items():
        if not isinstance(figure, str) or not isinstance(meaning, Figure):
            raise hooks.wrong_result(targets.locate(target), f"{figure!r}: {meaning!r}", "Figure by name", "figures")
    return metric


def values_of(metric: Metric) -> dict[str, float]:
    """Return the values that a metric computes, by name; those of its figures that are not defined may be missing.

    Raises:
        HookError: there is none, or one is NaN, no number, or not among its figures.
    """
    values, wanted = metric.compute(), f"a number for each of {', '.join(metric.figures)}"
    by_name: dict[str, Any] = hooks.checked(values, dict, metric.compute)
    if not by_name or not set(by_name) <= set(metric.figures):
        raise hooks.wrong_result(metric.compute, f"values of {', '.join(map(str, by_name)) or 'nothing'}", wanted)
    for name, value in by_name.items():
        if not isinstance(value, (int, float, np.integer, np.floating)) or np.isnan(value):
            raise hooks.wrong_result(metric.compute, f"{name}={value!r}", wanted)
    return {name: float(value) for name, value in by_name.items()}
