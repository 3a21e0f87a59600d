from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runner.config.schema import RunConfig
from runner.core import BatchComparison, Predictions, Samples, Scores, Weights
from runner.data import predictions
from runner.pipeline.execute import Run
from runner.pipeline.setup import Setup
from runner.store import Store
from runner.tasks import fidelity

SAMPLES = Samples(path=Path("/s"), sha256="samples", count=2, spec=())
IDS = ["a", "b"]
WEIGHTS = Weights(Path("/w"), "weights", "file")
SCORES = Scores(accuracy={}, figures={}, samples=2, fidelity={})

Compare = Callable[..., Run]


@pytest.fixture
def compare(run_config: Callable[..., RunConfig], tmp_path: Path) -> Compare:
    """Publish the outputs of a batch size and let a run that was scored compare them with the others'."""
    store = Store(tmp_path)

    def run(batch: int, values: list[list[float]], weights: Weights = WEIGHTS) -> Run:
        out = store.staging_folder("infer", f"key{batch}", resumes=False)
        made = predictions.write(out / "p.npz", ["y"], IDS, [{"y": np.array(values, dtype=np.float32)}])
        stored: Predictions = store.publish("infer", f"key{batch}", made, 0.0).artifact
        compared = Run(Setup(run_config("model=dqn", f"batch={batch}")), store, tmp_path)
        compared.artifacts = {"weights": weights, "prepare": SAMPLES, "infer": stored, "score": SCORES}
        compared.keys = {"infer": f"key{batch}"}
        compared.compare_batches()
        return compared

    return run


def comparison(run: Run) -> BatchComparison:
    """What the run found."""
    found = run.artifacts["invariance"]
    assert isinstance(found, BatchComparison)
    return found


def test_the_first_batch_size_has_no_other(compare: Compare) -> None:
    first = compare(1, [[1.0, 0.0], [0.0, 1.0]])
    assert "invariance" not in first.artifacts
    assert first.records == []


def test_another_batch_size_is_compared_with_the_smallest(compare: Compare) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    compare(4, [[1.0, 0.0], [0.0, 1.0]])
    compared = comparison(compare(8, [[1.0, 0.0], [1.0, 0.0]]))
    assert (compared.other_batch, compared.outputs["y"].cosine, compared.outputs["y"].samples) == (1, 0.5, 2)


def test_other_weights_are_another_run(compare: Compare) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    other = compare(4, [[1.0, 0.0], [0.0, 1.0]], Weights(Path("/w"), "others", "file"))
    assert "invariance" not in other.artifacts


def test_a_comparison_is_made_once(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    first = compare(4, [[1.0, 0.0], [0.0, 1.0]])
    monkeypatch.setattr(fidelity, "compare", None)
    again = compare(4, [[1.0, 0.0], [0.0, 1.0]])
    assert comparison(again) == comparison(first)
    assert [record.status for run in (first, again) for record in run.records] == ["ran", "reused"]


def test_an_other_whose_predictions_are_gone_is_passed_over(compare: Compare, tmp_path: Path) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    (tmp_path / "infer" / "key1" / "p.npz").unlink()
    assert "invariance" not in compare(4, [[1.0, 0.0], [0.0, 1.0]]).artifacts


def test_a_store_that_cannot_be_written_leaves_the_run_as_it_is_and_says_so(
    compare: Compare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "batches").write_text("a file in the place of the folder")
    run = compare(1, [[1.0, 0.0], [0.0, 1.0]])
    assert run.records == []
    assert "batch sizes are not compared" in capfd.readouterr().err


def test_a_comparison_that_cannot_be_stored_leaves_no_record(
    compare: Compare, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    (tmp_path / "invariance").write_text("a file in the place of the folder")
    run = compare(4, [[1.0, 0.0], [0.0, 1.0]])
    assert run.records == []
    assert "batch sizes are not compared" in capfd.readouterr().err
