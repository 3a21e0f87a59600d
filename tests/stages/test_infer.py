"""What becomes of a tool's outputs: padding is cut, and batches that do not match are told."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from runner.config.targets import Target
from runner.core import FREE, ComparisonError, CompiledModel, Placement, Predictions, TensorSpec
from runner.data import Batch, Normalisation, Row, predictions, storage
from runner.stages.infer import InferSpec, infer

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
