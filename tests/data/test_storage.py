import numpy as np
import pytest

from runner.core import FREE, DataError, StoreError, TensorSpec
from runner.data import Row
from runner.data.storage import (
    TRUTH,
    create_array,
    facts,
    finish,
    numbered,
    open_array,
    read_at,
    shapes_path,
    stored_bytes,
    write_at,
)

TENSOR = TensorSpec("x", "float32", (3,))


def test_created_array_is_an_npy_of_zeros(tmp_path):
    array = create_array(tmp_path, TENSOR, 4)
    np.testing.assert_array_equal(np.load(array.path), np.zeros((4, 3), np.float32))


def test_folder_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write .*No such file or directory\n.*cache_dir=DIR"):
        create_array(tmp_path / "gone", TENSOR, 4)


def digest(folder, ids=("a", "b"), truths=(1, 2), value=0.0, scale=None):
    folder.mkdir()
    array = create_array(folder, TENSOR, 2)
    with array.path.open("r+b") as file:
        file.seek(array.offset)
        file.write(np.float32(value).tobytes())
    rows = [Row(id=name, truth=truth, scale=scale) for name, truth in zip(ids, truths, strict=True)]
    return finish(folder, (TENSOR,), rows, note=folder.name).sha256


def test_digest_follows_content_alone(tmp_path):
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


@pytest.mark.parametrize(
    "change",
    [{"ids": ("a", "c")}, {"truths": (1, 3)}, {"truths": (None, None)}, {"value": 1.0}, {"scale": (0.5, 0.5)}],
)
def test_digest_covers_arrays_ids_truths_and_facts(tmp_path, change):
    assert digest(tmp_path / "1") != digest(tmp_path / "2", **change)


def test_names_are_padded_for_all_that_there_are():
    assert numbered("n_", 2, 2, 1000) == ("n_000", "n_001")


def test_stored_bytes_count_every_tensor():
    assert stored_bytes((TENSOR, TensorSpec("y", "uint8", (2, 2))), 10) == 10 * (12 + 4)


FREE_TENSOR = TensorSpec("x", "int64", (2, FREE))


def store(folder, values, tensor=FREE_TENSOR):
    """The array of values of any shapes."""
    folder.mkdir(exist_ok=True)
    array = create_array(folder, tensor, len(values), [each.shape for each in values])
    with array.path.open("r+b") as file:
        for index, each in enumerate(values):
            write_at(file.fileno(), np.ascontiguousarray(each, array.dtype), array.position(index))
    return array


def of_widths(*widths):
    return [np.arange(2 * width).reshape(2, width) + 100 * index for index, width in enumerate(widths)]


def test_samples_of_differing_shapes_are_one_flat_array_and_their_shapes(tmp_path):
    array = store(tmp_path, of_widths(1, 3))
    assert np.load(array.path).tolist() == [0, 1, 100, 101, 102, 103, 104, 105]
    assert np.load(tmp_path / "x.shapes.npy").tolist() == [[2, 1], [2, 3]]


def test_samples_of_differing_shapes_are_read_back_one_by_one(tmp_path):
    values = of_widths(4, 1, 2)
    store(tmp_path, values)
    array = open_array(tmp_path, "x")
    assert (array.count, array.shape, array.shape_of(2), array.bytes_of(2)) == (3, (2, FREE), (2, 2), 32)
    with array.path.open("rb", buffering=0) as file:
        for index in (2, 0, 1):
            np.testing.assert_array_equal(read_at(file, array, index), values[index])


def test_samples_that_turn_out_to_have_one_shape_are_one_array(tmp_path):
    values = of_widths(3, 3)
    array = store(tmp_path, values)
    np.testing.assert_array_equal(np.load(array.path), np.stack(values))
    assert (array.shape, array.shapes, shapes_path(array.path).exists()) == ((2, 3), None, False)


def test_an_array_created_anew_has_no_shapes_of_the_one_before(tmp_path):
    store(tmp_path, of_widths(1, 2))
    store(tmp_path, of_widths(2, 2))
    assert open_array(tmp_path, "x").shape == (2, 2)


def test_a_sample_without_elements_is_read_back(tmp_path):
    store(tmp_path, of_widths(2, 0, 1))
    array = open_array(tmp_path, "x")
    with array.path.open("rb", buffering=0) as file:
        assert read_at(file, array, 1).shape == (2, 0)
        assert read_at(file, array, 2).tolist() == [[200], [201]]


def test_shapes_that_do_not_fit_the_values_are_an_error(tmp_path):
    array = store(tmp_path, of_widths(1, 2))
    np.save(shapes_path(array.path), [[2, 1], [2, 3]])
    with pytest.raises(DataError, match=r"x\.npy have \d+ bytes, not \d+"):
        open_array(tmp_path, "x")


def test_a_digest_covers_the_shapes(tmp_path):
    def finished(name, *shapes):
        store(tmp_path / name, [np.zeros(shape) for shape in shapes])
        return finish(tmp_path / name, (FREE_TENSOR,), [Row(id="a"), Row(id="b")])

    assert finished("1", (2, 1), (2, 3)).sha256 != finished("2", (2, 3), (2, 1)).sha256


def test_facts_without_truth_arrays_are_the_rows(tmp_path):
    store(tmp_path, of_widths(1))
    made = finish(tmp_path, (FREE_TENSOR,), [Row(id="a", truth=3)])
    assert made.has_truth
    assert list(facts(tmp_path)) == [Row(id="a", truth=3)]


def test_a_truth_that_is_an_array_comes_with_the_first_row_of_its_sample(tmp_path):
    store(tmp_path, of_widths(1, 1, 1))
    truths = of_widths(1, 2)
    store(tmp_path / TRUTH, truths, TensorSpec(TRUTH, "uint8", (FREE, FREE)))
    made = finish(tmp_path, (FREE_TENSOR,), [Row(id="a#0", sample="a"), Row(id="a#1", sample="a"), Row(id="b")])
    first, second, third = facts(tmp_path)
    assert made.has_truth
    assert (first.id, second.truth, third.id) == ("a#0", None, "b")
    np.testing.assert_array_equal(first.truth, truths[0])
    np.testing.assert_array_equal(third.truth, truths[1])


def test_a_digest_covers_the_truth_arrays(tmp_path):
    def finished(name, truth):
        store(tmp_path / name, of_widths(1))
        store(tmp_path / name / TRUTH, [np.array([truth])], TensorSpec(TRUTH, "uint8", (1,)))
        return finish(tmp_path / name, (FREE_TENSOR,), [Row(id="a")])

    assert finished("1", 1).sha256 != finished("2", 2).sha256
