"""What becomes of a tool's outputs: padding is cut, and batches that do not match are told."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.config import targets
from runner.config.callables import Target
from runner.core import FREE, ComparisonError, CompiledModel, Placement, Predictions, TensorSpec
from runner.data import Batch, Normalisation, Row, predictions, storage
from runner.stages.infer import InferSpec, ResultsSpec, infer

INPUT = TensorSpec("x", "float32", (FREE,))
MODEL = CompiledModel(
    path=Path("/m"), sha256="", soc="cpu", batch=2, inputs=(INPUT,), outputs=(TensorSpec("y", "float32", (FREE,)),)
)
SPEC = InferSpec(
    tool=Target("a.b"),
    tool_version="1",
    placement=Placement(soc="cpu", kind="cpu", devices=(0,)),
    batch=2,
    normalisation=Normalisation(1.0, (0.0,), (1.0,)),
)
Outputs = Iterator[dict[str, np.ndarray]]


class Echo:
    """A tool that returns its inputs; `last` are batches that it adds at the end of each run."""

    def __init__(self, last: int = 0, skipped: int = 0) -> None:
        self.last, self.skipped = last, skipped
        self.runs: list[tuple[tuple[TensorSpec, ...], list[str], list[int]]] = []

    def infer(self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path) -> Outputs:
        assert list(work.iterdir()) == []
        (work / "left").write_text("over")
        taken = list(batches)
        self.runs.append((model.inputs, [batch.ids[0] for batch in taken], [len(batch.inputs["x"]) for batch in taken]))
        for batch in (*taken[self.skipped :], *taken[:1] * self.last):
            yield {"y": batch.inputs["x"]}


Infer = Callable[..., Predictions]


@pytest.fixture
def inferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Infer:
    """The predictions of a tool for samples of the given widths."""

    def run(tool: Echo, *widths: int) -> Predictions:
        monkeypatch.setattr("runner.stages.infer.targets.call", lambda target: tool)
        array = storage.create_array(tmp_path, INPUT, len(widths), [(width,) for width in widths])
        with array.path.open("r+b") as file:
            for index, width in enumerate(widths):
                storage.write_at(file.fileno(), np.full(width, index, np.float32), array.position(index))
        samples = storage.finish(tmp_path, [INPUT], [Row(id=f"s{index}") for index in range(len(widths))])
        return infer(SPEC, MODEL, samples, tmp_path)

    return run


def values(made: Predictions) -> list[list[float]]:
    return [row.tolist() for chunk in predictions.iterate(made) for row in chunk["y"]]


def test_padding_is_cut_in_every_shape(inferred: Infer) -> None:
    made = inferred(Echo(), 1, 1, 1, 2)
    assert values(made) == [[0], [1], [2], [3, 3]]
    assert predictions.read_ids(made.path) == ["s0", "s1", "s2", "s3"]


def test_a_tool_gets_full_batches_in_a_run_for_each_shape(inferred: Infer) -> None:
    tool = Echo()
    inferred(tool, 1, 1, 1, 2)
    assert tool.runs == [((INPUT.at((1,)),), ["s0", "s2"], [2, 2]), ((INPUT.at((2,)),), ["s3"], [2])]


def test_the_files_of_the_tool_are_removed(inferred: Infer, tmp_path: Path) -> None:
    inferred(Echo(), 1, 2)
    assert not (tmp_path / "work").exists()


def test_more_outputs_than_batches_are_told(inferred: Infer) -> None:
    with pytest.raises(ComparisonError, match="more batches came out than went in"):
        inferred(Echo(last=1), 1, 1, 1)


def test_fewer_outputs_than_batches_are_told(inferred: Infer) -> None:
    with pytest.raises(ComparisonError, match="3 samples went in, 2 outputs came out"):
        inferred(Echo(skipped=1), 1, 1, 1)


LOGITS = TensorSpec("x", "float32", (2, 2, 2))
MAPS = ResultsSpec(decode=Target("runner.tasks.segmentation.Maps"), samples=2)


@pytest.fixture
def segmented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], Predictions]:
    """The predictions of a tool that returns the given logits [samples, 2, 2, 2], whose label maps are stored."""

    def run(logits: np.ndarray) -> Predictions:
        call = targets.call
        monkeypatch.setattr(targets, "call", lambda target: Echo() if target == SPEC.tool else call(target))
        array = storage.create_array(tmp_path, LOGITS, len(logits))
        with array.path.open("r+b") as file:
            storage.write_at(file.fileno(), logits.astype(np.float32), array.position(0))
        samples = storage.finish(tmp_path, [LOGITS], [Row(id=f"s{index}") for index in range(len(logits))])
        model = replace(MODEL, inputs=(LOGITS,), outputs=(replace(LOGITS, name="y"),))
        return infer(replace(SPEC, results=MAPS), model, samples, tmp_path)

    return run


def test_results_of_all_samples_are_stored_and_outputs_of_those_that_pytorch_computes(segmented) -> None:
    logits = np.random.default_rng(0).standard_normal((5, 2, 2, 2)).astype(np.float32)
    made = segmented(logits)
    assert made.results is not None
    assert predictions.read_ids(made.path) == ["s0", "s4"]
    np.testing.assert_array_equal(np.concatenate(values(made)).reshape(2, 2, 2, 2), logits[[0, 4]])
    maps = [row.tolist() for chunk in predictions.iterate(made.results) for row in chunk["map"]]
    assert maps == logits.argmax(axis=1).tolist()


def test_other_results_are_another_artifact(segmented) -> None:
    logits = np.zeros((3, 2, 2, 2))
    before = segmented(logits)
    logits[1, 1] = 1
    after = segmented(logits)
    assert before.sha256 == after.sha256
    assert before.identity != after.identity


def test_an_output_that_is_no_number_is_told_though_it_is_not_stored(segmented) -> None:
    logits = np.zeros((5, 2, 2, 2))
    logits[3, 0, 1, 1] = np.nan
    with pytest.raises(ComparisonError, match="'y' of the compiled model is nan at element 3 of sample s3"):
        segmented(logits)
