from pathlib import Path

import numpy as np
import pytest

from runner import invariance, predictions
from runner.artifacts import Predictions, Samples, Weights
from runner.store import Store

SAMPLES = Samples(Path("/s"), "samples", 2, (), ("a", "b"))
WEIGHTS = Weights(Path("/w"), "weights", "file")


@pytest.fixture
def compare(run_config, tmp_path):
    """Publish the outputs of a batch size and set them beside the others'."""
    store = Store(tmp_path)

    def run(batch: int, values: list[list[float]], weights: Weights = WEIGHTS) -> invariance.Compared | None:
        out = store.workplace("infer", f"key{batch}", resume=False)
        made = predictions.write(out / "p.npz", ["y"], SAMPLES.ids, [{"y": np.array(values, dtype=np.float32)}])
        stored: Predictions = store.publish("infer", f"key{batch}", made, 0.0).artifact
        config = run_config("model=dqn", f"batch={batch}")
        artifacts = {"weights": weights, "prepare": SAMPLES, "infer": stored}
        return invariance.compared(config, store, artifacts, f"key{batch}")

    return run


def test_the_first_batch_size_has_no_other(compare) -> None:
    assert compare(1, [[1.0, 0.0], [0.0, 1.0]]) is None


def test_another_batch_size_is_compared_with_the_smallest(compare) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    compare(4, [[1.0, 0.0], [0.0, 1.0]])
    compared = compare(8, [[1.0, 0.0], [1.0, 0.0]])
    assert compared is not None
    assert (compared.other_batch, compared.outputs["y"].cosine, compared.outputs["y"].samples) == (1, 0.5, 2)


def test_other_weights_are_another_run(compare) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    assert compare(4, [[1.0, 0.0], [0.0, 1.0]], Weights(Path("/w"), "others", "file")) is None


def test_a_comparison_is_made_once(compare, monkeypatch) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    first = compare(4, [[1.0, 0.0], [0.0, 1.0]])
    monkeypatch.setattr("runner.stages.score.compare", None)
    assert compare(4, [[1.0, 0.0], [0.0, 1.0]]) == first


def test_an_other_whose_predictions_are_gone_is_passed_over(compare, tmp_path) -> None:
    compare(1, [[1.0, 0.0], [0.0, 1.0]])
    (tmp_path / "infer" / "key1" / "p.npz").unlink()
    assert compare(4, [[1.0, 0.0], [0.0, 1.0]]) is None
