from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runner.config import permissions
from runner.config.callables import Target
from runner.core import ConfigError, Figure
from runner.tasks import Mean, measured_in, metric_of

RESULTS = np.array([1.0, 2.0, 6.0, 7.0])
TRUTHS = [1.0, 4.0, 5.0, 7.0]

METRICS = """
import numpy as np

from runner.core import Figure


class Extremes:
    '''The smallest and the largest difference: two figures of one metric.'''

    def __init__(self, scale: float = 1.0) -> None:
        self.figures = {"least": Figure(unit="dB", better="lower"), "most": Figure(better="higher")}
        self.scale = scale
        self.seen = []

    def add(self, results, truths):
        self.seen += (self.scale * (np.asarray(results) - np.asarray(truths))).tolist()

    def merge(self, other):
        self.seen += other.seen

    def compute(self):
        return {"least": min(self.seen), "most": max(self.seen)}


class NoMetric:
    def add(self, results, truths):
        pass


def exact(results, truths):
    return results == truths
"""


@measured_in("dB", better="lower", tolerance=0.5)
def difference(results: NDArray[np.float64], truths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(results - truths)


def undeclared(results: NDArray[np.float64], truths: NDArray[np.float64]) -> NDArray[np.float64]:
    return results


@pytest.fixture
def own_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The name of a user's own module of metrics, which is allowed."""
    (tmp_path / "own_metrics.py").write_text(METRICS)
    monkeypatch.syspath_prepend(tmp_path)
    permissions.allow(["own_metrics"])
    yield "own_metrics"
    permissions.allow([])


# The mean of a function.


def test_a_mean_is_over_all_samples_that_were_added() -> None:
    mean = Mean(difference, "error")
    mean.add(RESULTS[:3], TRUTHS[:3])
    mean.add(RESULTS[3:], TRUTHS[3:])
    assert mean.compute() == {"error": 0.75}


def test_a_mean_of_parts_of_different_sizes_is_no_mean_of_means() -> None:
    mean = Mean(difference)
    mean.add([0.0], [8.0])
    mean.add([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert mean.compute() == {"mean": 2.0}


def test_two_merged_halves_are_the_whole() -> None:
    whole, first, second = (Mean(difference, "error") for _ in range(3))
    whole.add(RESULTS, TRUTHS)
    first.add(RESULTS[:1], TRUTHS[:1])
    second.add(RESULTS[1:], TRUTHS[1:])
    first.merge(second)
    assert first.compute() == whole.compute()


def test_a_merged_metric_can_be_added_to() -> None:
    first, second = Mean(difference), Mean(difference)
    first.add([0.0], [2.0])
    second.add([0.0], [4.0])
    first.merge(second)
    first.add([0.0], [6.0])
    assert first.compute() == {"mean": 4.0}
    assert second.compute() == {"mean": 4.0}


def test_a_function_that_answers_in_booleans_is_counted() -> None:
    mean = Mean(lambda results, truths: results == truths)
    mean.add(RESULTS, TRUTHS)
    assert mean.compute() == {"mean": 0.5}


def test_results_and_truths_may_be_lists_and_reach_the_function_as_arrays() -> None:
    mean = Mean(lambda results, truths: (results - truths).sum(axis=1))
    mean.add([[1, 2], [3, 4]], [[0, 0], [0, 0]])
    assert mean.compute() == {"mean": 5.0}


def test_results_of_differing_shapes_reach_the_function_one_by_one() -> None:
    seen = []

    def mean_square(results: NDArray[np.float64], truths: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append((results.shape, truths.shape))
        return np.asarray(((results - truths) ** 2).reshape(len(results), -1).mean(axis=1))

    mean = Mean(mean_square)
    mean.add([np.ones((2, 2)), np.full((1, 3), 2.0)], [np.zeros((2, 2)), np.zeros((1, 3))])
    assert mean.compute() == {"mean": 2.5}
    assert seen == [((1, 2, 2), (1, 2, 2)), ((1, 1, 3), (1, 1, 3))]


def test_what_is_computed_is_a_plain_number() -> None:
    mean = Mean(difference)
    mean.add(RESULTS.astype(np.float32), TRUTHS)
    assert type(mean.compute()["mean"]) is float


# What a value means.


def test_a_function_says_its_unit_and_direction_beside_it() -> None:
    assert difference.figure == Figure(unit="dB", better="lower", is_share=False, tolerance=0.5)


def test_a_function_that_is_marked_is_still_the_function() -> None:
    assert difference(np.array([3.0]), np.array([1.0])).tolist() == [2.0]


def test_a_share_is_said_to_be_one() -> None:
    marked = measured_in("percent", better="higher", is_share=True)(lambda results, truths: results)
    assert (marked.figure.is_share, marked.figure.tolerance) == (True, 1e-4)


def test_a_mean_hands_its_functions_figure_on() -> None:
    assert Mean(difference, "error").figures == {"error": Figure(unit="dB", better="lower", tolerance=0.5)}


def test_a_function_that_says_nothing_has_no_direction() -> None:
    assert Mean(undeclared).figures == {"mean": Figure(unit="", better=None)}


# Metrics of a configuration.


def test_a_function_becomes_a_mean_under_the_name_of_the_yaml() -> None:
    metric = metric_of("distance", Target("runner.tasks.mean_absolute_difference"))
    metric.add(np.array([[1.0, 3.0], [0.0, 0.0]]), np.zeros((2, 2)))
    assert metric.compute() == {"distance": 1.0}
    assert metric.figures == {"distance": Figure(unit="", better="lower")}


def test_a_function_keeps_its_figure_where_the_yaml_gives_arguments() -> None:
    metric = metric_of("top5", Target("runner.tasks.classification.top_k", {"k": 5}))
    assert metric.figures == {"top5": Figure(unit="percent", better="higher", is_share=True)}


def test_a_function_of_a_users_own_needs_no_figure(own_metrics) -> None:
    metric = metric_of("exact", Target(f"{own_metrics}.exact"))
    metric.add(RESULTS, TRUTHS)
    assert metric.compute() == {"exact": 0.5}
    assert metric.figures == {"exact": Figure()}


def test_a_class_that_is_a_mean_has_the_name_of_the_yaml() -> None:
    metric = metric_of("psnr_y", Target("runner.tasks.restoration.Psnr", {"channel": "y"}))
    assert {name: figure.unit for name, figure in metric.figures.items()} == {"psnr_y": "dB"}


def test_a_class_has_several_figures_under_names_of_its_own(own_metrics) -> None:
    metric = metric_of("extremes", Target(f"{own_metrics}.Extremes", {"scale": 2.0}))
    metric.add(RESULTS, TRUTHS)
    assert metric.compute() == {"least": -4.0, "most": 2.0}
    assert {name: (figure.unit, figure.better) for name, figure in metric.figures.items()} == {
        "least": ("dB", "lower"),
        "most": ("", "higher"),
    }


def test_two_merged_halves_of_a_class_are_the_whole(own_metrics) -> None:
    whole, first, second = (metric_of("extremes", Target(f"{own_metrics}.Extremes")) for _ in range(3))
    whole.add(RESULTS, TRUTHS)
    first.add(RESULTS[:2], TRUTHS[:2])
    second.add(RESULTS[2:], TRUTHS[2:])
    first.merge(second)
    assert first.compute() == whole.compute()


def test_a_class_that_is_no_metric_is_told_what_it_lacks(own_metrics) -> None:
    with pytest.raises(ConfigError) as caught:
        metric_of("odd", Target(f"{own_metrics}.NoMetric"))
    assert caught.value.message == (
        "dataset.metrics.odd names own_metrics.NoMetric, which lacks merge, compute, figures"
    )
    assert "runner.tasks.Metric" in caught.value.fix


def test_a_metric_without_an_argument_that_it_needs_is_told() -> None:
    with pytest.raises(ConfigError, match="lacks its argument 'k'"):
        metric_of("top1", Target("runner.tasks.classification.top_k"))


def test_a_metric_with_an_unknown_argument_is_told(own_metrics) -> None:
    with pytest.raises(ConfigError, match="has no argument 'scales'"):
        metric_of("extremes", Target(f"{own_metrics}.Extremes", {"scales": 2.0}))


def test_what_is_not_made_to_be_a_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"class_scores is not made to be called as dataset\.metrics"):
        metric_of("odd", Target("runner.tasks.class_scores", place="dataset.metrics"))
