import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from runner.config import permissions
from runner.config.callables import Target
from runner.core import (
    ComparedAccuracy,
    ComparisonError,
    ConfigError,
    DataError,
    Figure,
    Predictions,
    Samples,
    TensorSpec,
)
from runner.data import Row, predictions, rows, storage
from runner.stages.score import ScoreSpec, score

TOP1 = {"top1": Target("runner.tasks.classification.top_k", {"k": 1})}
AGREEMENT = {"action_agreement": Target("runner.tasks.agreement")}
LABELLED = ScoreSpec(None, "labels", TOP1)


def write(folder: Path, name: str, values: object, ids: list[str] | None = None, output: str = "out") -> Predictions:
    array = np.asarray(values, dtype=np.float32)
    ids = [f"s{i}" for i in range(len(array))] if ids is None else ids
    return predictions.write(folder / f"{name}.npz", [output], ids, [{output: array}])


def samples(folder: Path, count: int, truths: Sequence[int] | None = None) -> Samples:
    known = [None] * count if truths is None else truths
    rows.write(folder, (Row(id=f"s{index}", truth=truth) for index, truth in enumerate(known)))
    return Samples(path=folder, sha256="digest", count=count, spec=(), has_truth=truths is not None)


def test_accuracy_is_the_mean_over_all_samples(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0]])
    assert score(LABELLED, made, made, samples(tmp_path, 3, (0, 1, 1)), out=tmp_path).accuracy["top1"] == pytest.approx(
        200 / 3
    )


def test_scores_do_not_depend_on_the_chunks(tmp_path: Path) -> None:
    count = 2 * predictions.ROWS_AT_ONCE + 7
    values = np.random.default_rng(0).standard_normal((count, 5))
    made = write(tmp_path, "a", values)
    truths = tuple(int(label) for label in values.argmax(axis=1))
    assert score(LABELLED, made, made, samples(tmp_path, count, truths), out=tmp_path).accuracy["top1"] == 100.0


def test_fidelity_counts_the_samples_that_pytorch_computed(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]], ids=["s0", "s2"])
    found = score(LABELLED, made, expected, samples(tmp_path, 3, (0, 1, 1)), out=tmp_path).fidelity["out"]
    assert (found.samples, found.top1_agreement, found.cosine) == (2, 50.0, 0.5)
    assert (found.max_abs, found.mean_abs) == (1.0, 0.5)


def test_a_value_that_is_no_number_is_told_where_pytorch_has_no_sample_too(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [np.nan, 0]])
    with pytest.raises(ComparisonError, match="of the compiled model is nan at element 0 of sample s1"):
        score(LABELLED, made, write(tmp_path, "b", [[1, 0]]), samples(tmp_path, 2, (0, 1)), out=tmp_path)


def test_a_metric_against_pytorch_needs_no_labels(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0], [0, 1]]), write(tmp_path, "b", [[3, 0], [1, 0]])
    scores = score(ScoreSpec(None, "reference", AGREEMENT), made, expected, samples(tmp_path, 2), out=tmp_path)
    assert (scores.accuracy, scores.samples) == ({"action_agreement": 50.0}, 2)


@pytest.mark.parametrize(("classifies", "agreement"), [(False, None), (True, 100.0)])
def test_agreement_is_asked_of_a_classifier_where_no_metric_counts_right_samples(
    classifies: bool, agreement: float | None, tmp_path: Path
) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1]])
    spec = ScoreSpec(None, "reference", {"cosine": Target("runner.tasks.cosine")}, classifies)
    found = score(spec, made, made, samples(tmp_path, 2), out=tmp_path).fidelity["out"]
    assert found.top1_agreement == agreement


def test_agreement_is_not_asked_of_pictures(tmp_path: Path) -> None:
    made = write(tmp_path, "a", np.ones((2, 1, 4, 4)))
    spec = ScoreSpec(None, "reference", {"cosine": Target("runner.tasks.cosine")})
    assert score(spec, made, made, samples(tmp_path, 2), out=tmp_path).fidelity["out"].top1_agreement is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_fails_and_says_where(tmp_path: Path, value: float) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, value]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]])
    with pytest.raises(ComparisonError, match=r"'out' of the compiled model is -?(nan|inf) at element 1 of sample s1"):
        score(LABELLED, made, expected, samples(tmp_path, 2, (0, 1)), out=tmp_path)


def test_nan_in_a_sample_that_pytorch_did_not_compute_fails_too(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [np.nan, 0]])
    with pytest.raises(ComparisonError, match="sample s1"):
        score(LABELLED, made, write(tmp_path, "b", [[1, 0]]), samples(tmp_path, 2, (0, 1)), out=tmp_path)


def test_nan_in_pytorch_fails_and_says_so(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[np.nan, 0]])
    with pytest.raises(ComparisonError, match="of PyTorch is nan"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), out=tmp_path)


def test_outputs_are_matched_by_exact_name(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[1, 0]], output="Out")
    with pytest.raises(ComparisonError, match="gives out, PyTorch Out"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), out=tmp_path)


def test_outputs_of_another_shape_fail(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[1, 0, 0]])
    with pytest.raises(ComparisonError, match=r"\[2\] compiled and \[3\] in PyTorch"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), out=tmp_path)


def test_a_data_set_without_labels_cannot_be_scored_against_them(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0]])
    with pytest.raises(DataError, match="need labels"):
        score(LABELLED, made, made, samples(tmp_path, 1), out=tmp_path)


def test_what_both_would_score_on_the_samples_that_pytorch_computed_is_told(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0], [0, 1]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]], ids=["s0", "s2"])
    scores = score(LABELLED, made, expected, samples(tmp_path, 4, (0, 0, 1, 1)), out=tmp_path)
    assert scores.accuracy == {"top1": 50.0}
    assert scores.compared == ComparedAccuracy(2, {"top1": 50.0}, {"top1": 100.0})


def test_where_pytorch_computed_all_samples_the_tools_metrics_are_its_accuracy(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0], [0, 1]]), write(tmp_path, "b", [[1, 0], [1, 0]])
    scores = score(LABELLED, made, expected, samples(tmp_path, 2, (0, 0)), out=tmp_path)
    assert scores.compared == ComparedAccuracy(2, {"top1": 50.0}, {"top1": 100.0})
    assert scores.accuracy == {"top1": 50.0}


def test_there_is_nothing_to_compare_without_ground_truth(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0]])
    spec = ScoreSpec(None, "reference", AGREEMENT)
    assert score(spec, made, made, samples(tmp_path, 1), out=tmp_path).compared is None


def test_two_metrics_of_one_figure_are_refused(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0]])
    spec = ScoreSpec(None, "reference", {"same": Target("own_scores.Same"), "other": Target("own_scores.Same")})
    with pytest.raises(ConfigError, match="two metrics have a figure of one name among same"):
        score(spec, made, made, samples(tmp_path, 1), out=tmp_path)


class Same:
    """The share of samples whose result is the truth."""

    figures: Mapping[str, object] = {"same": Figure(unit="percent", better="higher")}

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def add(self, results: Sequence[object], truths: Sequence[object]) -> None:
        self.seen += [bool(np.array_equal(one, other)) for one, other in zip(results, truths, strict=True)]

    def merge(self, other: "Same") -> None:
        self.seen += other.seen

    def compute(self) -> dict[str, float]:
        return {"same": 100.0 * sum(self.seen) / len(self.seen)}


def joined(outputs: Mapping[str, np.ndarray], own_rows: Sequence[Row]) -> list[list[float]]:
    """The values of all rows of each sample."""
    values = iter(next(iter(outputs.values())))
    grouped = [list(group) for _, group in groupby(own_rows, key=lambda row: row.sample_id)]
    return [[float(each) for _ in group for each in np.ravel(next(values))] for group in grouped]


def each_row(outputs: Mapping[str, np.ndarray], own_rows: Sequence[Row]) -> np.ndarray:
    return next(iter(outputs.values()))


@pytest.fixture(autouse=True)
def own_scores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("own_scores")
    for hook in (Same, joined, each_row):
        setattr(module, hook.__name__, hook)
    monkeypatch.setitem(sys.modules, "own_scores", module)
    permissions.allow(["own_scores", __name__])
    yield
    permissions.allow([])


JOINED = ScoreSpec(Target("own_scores.joined"), "labels", {"same": Target("own_scores.Same")})
PARTS = ("a", "a", "a", "b", "c", "c")
"""The sample of each row."""
IDS = [f"{name}{number}" for number, name in enumerate(PARTS)]


def in_parts(folder: Path) -> Samples:
    """Three samples of three, one and two rows; the truth of a sample is the indices of its rows."""
    truth = {name: [index for index, each in enumerate(PARTS) if each == name] for name in PARTS}
    firsts = {PARTS.index(name) for name in PARTS}
    rows.write(
        folder,
        (
            Row(id=id, sample=None if name == "b" else name, truth=truth[name] if index in firsts else None)
            for index, (id, name) in enumerate(zip(IDS, PARTS, strict=True))
        ),
    )
    return Samples(path=folder, sha256="digest", count=len(PARTS), spec=(), has_truth=True)


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 5, 6])
def test_the_rows_of_a_sample_are_decoded_together_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(predictions, "ROWS_AT_ONCE", at_once)
    made = write(tmp_path, "a", [[index] for index in range(6)], ids=IDS)
    scores = score(JOINED, made, made, in_parts(tmp_path), out=tmp_path)
    assert (scores.accuracy, scores.samples) == ({"same": 100.0}, 3)
    assert scores.compared == ComparedAccuracy(3, {"same": 100.0}, {"same": 100.0})


def test_samples_of_several_rows_are_compared_whole(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[index] for index in range(6)], ids=IDS)
    expected = write(tmp_path, "b", [[0], [1], [9], [4], [5]], ids=[IDS[index] for index in (0, 1, 2, 4, 5)])
    scores = score(JOINED, made, expected, in_parts(tmp_path), out=tmp_path)
    assert scores.compared == ComparedAccuracy(2, {"same": 100.0}, {"same": 50.0})


@pytest.mark.parametrize("against", ["labels", "reference"])
def test_a_decoder_that_gives_another_number_of_results_than_samples_is_told(tmp_path: Path, against: str) -> None:
    made = write(tmp_path, "a", [[index] for index in range(6)], ids=IDS)
    spec = ScoreSpec(Target("own_scores.each_row"), against, {"same": Target("own_scores.Same")})
    with pytest.raises(DataError, match=r"model\.decode returned 4 results for 4 rows of 2 samples"):
        score(spec, made, made, in_parts(tmp_path), out=tmp_path)


def test_outputs_of_differing_shapes_are_scored_in_their_order(tmp_path: Path) -> None:
    values = [np.arange(width, dtype=np.float32)[None] for width in (2, 2, 3, 1)]
    made = predictions.write(tmp_path / "a.npz", ["out"], ["a", "b", "c", "d"], [{"out": each} for each in values])
    rows.write(tmp_path, [Row(id=id, truth=list(range(width))) for id, width in zip("abcd", (2, 2, 3, 9), strict=True)])
    given = Samples(path=tmp_path, sha256="digest", count=4, spec=(), has_truth=True)
    assert score(JOINED, made, made, given, out=tmp_path).accuracy == {"same": 75.0}


def test_a_truth_that_is_an_array_reaches_the_metric(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    array = storage.create_array(tmp_path / "truth", TensorSpec("truth", "float32", (2,)), 2)
    truths = np.array([[1, 2], [3, 4]], np.float32)
    with array.path.open("r+b") as file:
        storage.write_at(file.fileno(), truths, array.offset)
    made = write(tmp_path, "a", [[1, 2], [3, 5]], ids=["a", "b"])
    rows.write(tmp_path, [Row(id="a"), Row(id="b")])
    given = Samples(path=tmp_path, sha256="digest", count=2, spec=(), has_truth=True)
    assert score(JOINED, made, made, given, out=tmp_path).accuracy == {"same": 50.0}


def test_stored_results_are_scored_as_outputs_would_be(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).standard_normal((4, 3, 2, 2)).astype(np.float32)
    truths = np.random.default_rng(1).integers(0, 3, (4, 2, 2)).astype(np.uint8)
    ids = [f"s{index}" for index in range(4)]
    decode = Target("runner.tasks.segmentation.Maps")
    spec = ScoreSpec(decode, "labels", {"miou": Target("runner.tasks.segmentation.ConfusionMatrix", {"classes": 3})})
    (tmp_path / "truth").mkdir()
    array = storage.create_array(tmp_path / "truth", TensorSpec("truth", "uint8", (2, 2)), 4)
    with array.path.open("r+b") as file:
        storage.write_at(file.fileno(), truths, array.position(0))
    rows.write(tmp_path, [Row(id=each) for each in ids])
    known = Samples(path=tmp_path, sha256="digest", count=4, spec=(), has_truth=True)
    whole = write(tmp_path, "whole", logits)
    part = write(tmp_path, "part", logits[:2], ids[:2])
    label_maps = logits.argmax(axis=1).astype(np.uint8)
    maps = predictions.write(tmp_path / "results.npz", ["map"], ids, [{"map": label_maps}])
    assert score(spec, replace(part, results=maps), part, known, out=tmp_path) == score(
        spec, whole, part, known, out=tmp_path
    )
