import numpy as np
import pytest

from runner.core import FREE, ComparisonError, TensorSpec
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


def test_chunks_of_all_outputs_are_read_back_in_order(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(predictions, "ROWS_AT_ONCE", 2)
    written = predictions.write(tmp_path / "p.npz", ["a", "b"], list("vwxyz"), batches(5, 1, a=(2,), b=()))
    chunks = list(predictions.iterate(written))
    assert [{name: array.shape for name, array in chunk.items()} for chunk in chunks] == [
        {"a": (2, 2), "b": (2,)},
        {"a": (2, 2), "b": (2,)},
        {"a": (1, 2), "b": (1,)},
    ]
    assert np.concatenate([chunk["a"] for chunk in chunks])[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert np.concatenate([chunk["b"] for chunk in chunks]).tolist() == [0, 1, 2, 3, 4]


def of_lengths(*lengths: int) -> list[dict[str, np.ndarray]]:
    """A batch of one row for each length; its values are its index."""
    return [{"a": np.full((1, length), index, np.int64)} for index, length in enumerate(lengths)]


def test_an_output_of_differing_shapes_is_flat_with_the_shape_of_each_sample(tmp_path) -> None:
    written = predictions.write(tmp_path / "p.npz", ["a"], ["x", "y", "z"], of_lengths(2, 0, 3))
    with np.load(written.path) as arrays:
        assert sorted(arrays) == ["a", "a.shapes", "ids"]
        assert arrays["a"].tolist() == [0, 0, 2, 2, 2]
        assert arrays["a.shapes"].tolist() == [[2], [0], [3]]


def test_a_chunk_holds_rows_of_one_shape(tmp_path) -> None:
    written = predictions.write(tmp_path / "p.npz", ["a"], list("vwxyz"), of_lengths(2, 2, 3, 0, 2))
    assert [chunk["a"].tolist() for chunk in predictions.iterate(written)] == [
        [[0, 0], [1, 1]],
        [[2, 2, 2]],
        [[]],
        [[4, 4]],
    ]


def test_a_chunk_ends_where_any_output_changes_its_shape(tmp_path) -> None:
    made = [
        {"a": np.full((1, a), index), "b": np.full((1, b), index)}
        for index, (a, b) in enumerate([(1, 5), (2, 5), (2, 5), (2, 4)])
    ]
    written = predictions.write(tmp_path / "p.npz", ["a", "b"], list("wxyz"), made)
    chunks = [(chunk["a"].shape, chunk["b"].shape) for chunk in predictions.iterate(written)]
    assert chunks == [((1, 1), (1, 5)), ((2, 2), (2, 5)), ((1, 2), (1, 4))]
    assert [chunk["b"][-1, 0] for chunk in predictions.iterate(written)] == [0, 2, 3]


def test_a_chunk_of_all_outputs_stays_below_its_limit_of_bytes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(predictions, "BYTES_AT_ONCE", 100)
    written = predictions.write(tmp_path / "p.npz", ["a", "b"], list("vwxyz"), batches(5, 1, a=(4,), b=(4,)))
    assert [len(chunk["a"]) for chunk in predictions.iterate(written)] == [3, 2]  # 32 bytes a row


def test_a_row_beyond_the_limit_comes_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(predictions, "BYTES_AT_ONCE", 10)
    written = predictions.write(tmp_path / "p.npz", ["a"], ["x", "y"], batches(2, 1, a=(4,)))
    assert [len(chunk["a"]) for chunk in predictions.iterate(written)] == [1, 1]


def test_an_axis_on_which_samples_differ_is_free(tmp_path) -> None:
    made = [{"a": np.zeros((1, 3, width))} for width in (2, 4)]
    written = predictions.write(tmp_path / "p.npz", ["a"], ["x", "y"], made)
    assert predictions.row_shape(written.path, "a") == (3, FREE)


def test_a_renamed_output_fails_and_both_names_are_told(tmp_path) -> None:
    with pytest.raises(ComparisonError, match=r"named b, the model declares a"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x"], batches(1, 1, b=(1,)))


def test_a_missing_output_fails(tmp_path) -> None:
    with pytest.raises(ComparisonError, match="declares a, b"):
        predictions.write(tmp_path / "p.npz", ["a", "b"], ["x"], batches(1, 1, a=(1,)))


def test_fewer_outputs_than_samples_fail(tmp_path) -> None:
    with pytest.raises(ComparisonError, match="3 samples went in, 2 outputs came out"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x", "y", "z"], batches(2, 1, a=(1,)))


def test_more_outputs_than_samples_fail(tmp_path) -> None:
    with pytest.raises(ComparisonError, match="1 samples went in, 2 outputs came out"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x"], batches(2, 1, a=(1,)))


@pytest.mark.parametrize("second", [np.zeros((1, 2, 1)), np.zeros((1, 2), np.float32)], ids=["axes", "type"])
def test_an_output_that_changes_its_type_or_its_axes_fails(tmp_path, second) -> None:
    changing = [{"a": np.zeros((1, 2))}, {"a": second}]
    with pytest.raises(ComparisonError, match=r"'a' changes from float64 with 2 axes to .* at sample 1"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x", "y"], changing)


def test_nothing_but_the_npz_is_left(tmp_path) -> None:
    predictions.write(tmp_path / "p.npz", ["a/b"], ["x"], batches(1, 1, **{"a/b": (1,)}))
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_chosen_rows_are_read_alone_across_shapes(tmp_path):
    parts = [{"a": np.arange(4.0).reshape(2, 2)}, {"a": np.arange(9.0).reshape(3, 3)}]
    written = predictions.write(tmp_path / "p.npz", ["a"], list("vwxyz"), parts)
    chosen = [row.tolist() for chunk in predictions.iterate(written, [1, 2, 4]) for row in chunk["a"]]
    assert chosen == [[2.0, 3.0], [0.0, 1.0, 2.0], [6.0, 7.0, 8.0]]


def test_an_output_of_a_known_shape_is_written_without_a_spool(tmp_path):
    seen = []

    def parts():
        for start in (0, 2):
            yield {"a": np.full((2, 3), start, np.float32), "b": np.full((2, 1), start, np.float32)}
            seen.append(len(list(tmp_path.glob(".*.spool"))))

    known = TensorSpec("a", "float32", (3,))
    written = predictions.write(tmp_path / "p.npz", ["a", "b"], list("wxyz"), parts(), known)
    assert seen == [1, 1]
    with np.load(written.path) as arrays:
        assert arrays["a"].tolist() == [[0.0] * 3] * 2 + [[2.0] * 3] * 2


def test_an_output_of_another_shape_than_declared_fails(tmp_path):
    known = TensorSpec("a", "float32", (3,))
    with pytest.raises(ComparisonError, match="output 'a' is"):
        predictions.write(tmp_path / "p.npz", ["a"], list("wx"), [{"a": np.zeros((2, 4), np.float32)}], known)


def test_an_output_of_another_shape_than_the_model_declares_is_told(tmp_path) -> None:
    made = [*batches(1, 1, a=(3, 4)), *batches(1, 1, a=(2, 4))]
    with pytest.raises(ComparisonError, match=r"'a' is float32 \[3, 4\], \[2, 4\] per sample, .* float32 \[3, 4\]\n"):
        predictions.write(tmp_path / "p.npz", ["a"], ["x", "y"], made, TensorSpec("a", "float32", (3, 4)))
