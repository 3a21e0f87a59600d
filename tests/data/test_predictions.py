import numpy as np
import pytest

from runner.core import ComparisonError
from runner.data import predictions


def batches(count: int, batch: int, **outputs: tuple[int, ...]):
    for start in range(0, count, batch):
        yield {
            name: (np.arange(batch * int(np.prod(shape)), dtype=np.float32) + start).reshape(batch, *shape)
            for name, shape in outputs.items()
        }


def test_an_npz_holds_one_array_per_output_and_the_ids(tmp_path) -> None:
    written = predictions.write(tmp_path / "p.npz", ["a", "b"], ["x", "y", "z"], batches(3, 1, a=(2,), b=(1, 2)))
    with np.load(written.path) as arrays:
        assert sorted(arrays) == ["a", "b", "ids"]
        assert arrays["a"].tolist() == [[0, 1], [1, 2], [2, 3]]
        assert arrays["b"].shape == (3, 1, 2)
        assert arrays["ids"].tolist() == ["x", "y", "z"]


def test_the_padding_of_the_last_batch_is_cut(tmp_path) -> None:
    written = predictions.write(tmp_path / "p.npz", ["a"], ["x", "y", "z"], batches(4, 2, a=(1,)))
    assert np.load(written.path)["a"].tolist() == [[0], [1], [2]]


def test_chunks_are_read_back_in_order(tmp_path) -> None:
    written = predictions.write(tmp_path / "p.npz", ["a"], list("vwxyz"), batches(5, 1, a=(2,)))
    chunks = list(predictions.iterate(written.path, "a", 2))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    assert np.concatenate(chunks)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_renamed_output_fails_and_both_names_are_told(tmp_path) -> None:
    with pytest.raises(ComparisonError, match=r"named b, the model declares a"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x"], batches(1, 1, b=(1,)))


def test_a_missing_output_fails(tmp_path) -> None:
    with pytest.raises(ComparisonError, match="declares a, b"):
        predictions.write(tmp_path / "p.npz", ["a", "b"], ["x"], batches(1, 1, a=(1,)))


def test_fewer_outputs_than_samples_fail(tmp_path) -> None:
    with pytest.raises(ComparisonError, match="3 samples went in, 2 outputs came out"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x", "y", "z"], batches(2, 1, a=(1,)))


def test_an_output_that_changes_its_shape_fails(tmp_path) -> None:
    changing = [{"a": np.zeros((1, 2))}, {"a": np.zeros((1, 3))}]
    with pytest.raises(ComparisonError, match="changes from"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x", "y"], changing)


def test_nothing_but_the_npz_is_left(tmp_path) -> None:
    predictions.write(tmp_path / "p.npz", ["a/b"], ["x"], batches(1, 1, **{"a/b": (1,)}))
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
