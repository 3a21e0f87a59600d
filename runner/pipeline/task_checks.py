"""Checks of a run before it begins: that the model, its decoder, the data set and its metrics fit together."""

from __future__ import annotations

from collections.abc import Iterator

from runner.config import groups, options
from runner.config.callables import Target
from runner.core import Problem
from runner.pipeline.setup import Setup
from runner.tasks import TASKS, decode_of, folder_of, metric_of

SAMPLES = "samples"
"""Stands beside the metrics in result.json's `accuracy`."""


def task_problems(setup: Setup) -> Iterator[Problem]:
    """Check that the model, its decoder, the data set and its metrics belong to one task."""
    model, dataset = setup.config.model, setup.config.dataset
    kind = TASKS.get(model.task)
    if kind is None:  # a task of the user's
        return
    if dataset.task is not None and dataset.task != model.task:
        fitting = [
            name for name, path in groups.files("dataset", None).items() if options.read(path).get("task") == model.task
        ]
        yield Problem(
            f"model={model.name} is for {model.task}, and dataset={dataset.name} for {dataset.task}",
            f"choose dataset={' or dataset='.join(fitting)}" if fitting else "choose a dataset= that fits",
        )
    if setup.decode is None and kind.is_decoded and setup.scored_against == "labels":
        yield Problem(
            f"model.decode is not given, and the outputs of a model for {model.task} need decoding",
            f"name one of runner.tasks.{kind.folder}; docs/tasks.md lists them",
        )
    if setup.decode is not None:
        yield from _of_task("model.decode", setup.decode, model.task)
    task = dataset.task or (model.task if setup.scored_against == "labels" else None)
    or_reference = ", or compare with PyTorch: dataset.scored_against=reference" if dataset.reference_metrics else ""
    for name, target in setup.metrics.items():
        yield from _of_task(f"dataset.metrics.{name}", target, task, or_reference)


def _of_task(place: str, target: Target, task: str | None, alternative: str = "") -> Iterator[Problem]:
    folder, kind = folder_of(target.name), TASKS.get(task or "")
    if folder is not None and kind is not None and folder != kind.folder:
        yield Problem(
            f"{place} names {target.name}, which is not for {task}",
            f"name one of runner.tasks.{kind.folder}{alternative}",
        )


def decoder_problems(setup: Setup) -> list[Problem]:
    """Find the model's decoder; runner.pipeline.preflight reports what that raises."""
    decode_of(setup.decode)
    return []


def metric_problems(setup: Setup) -> Iterator[Problem]:
    """Check that the samples have what the metrics compare with, and that each figure has a name of its own."""
    if not setup.metrics:
        yield Problem("dataset.metrics is empty", "name at least one metric")
    if setup.scored_against == "labels" and not setup.has_truth:
        yield Problem(
            f"the metrics of dataset={setup.config.dataset.name} compare with labels, and it has none",
            "give dataset.labels=FILE where the data set takes it, or metrics and dataset.scored_against=reference",
        )
    published = {name for row in setup.config.model.published for name in row.accuracy}
    places: dict[str, str] = {SAMPLES: "the number of samples"}
    for name, target in setup.metrics.items():
        for metric, figure in metric_of(name, target).figures.items():
            if metric in places:
                yield Problem(
                    f"dataset.metrics.{name} has a figure {metric!r}, which is the name of {places[metric]}",
                    "rename it, or leave one of them out",
                )
            places[metric] = f"a figure of dataset.metrics.{name}"
            if figure.better is None and metric in published:
                yield Problem(
                    f"dataset.metrics.{name} names {target.name}, which does not say whether {metric} is better higher "
                    "or lower, and model.published has a figure for it",
                    'decorate it, as in @runner.tasks.measured_in("percent", better="higher")',
                )


def result_problems(setup: Setup) -> Iterator[Problem]:
    """Check the decoder by the metrics that ask something of it."""
    decode = decode_of(setup.decode)
    for name, target in setup.metrics.items():
        validate = getattr(metric_of(name, target), "validate", None)
        if validate is not None:
            yield from validate(decode)
