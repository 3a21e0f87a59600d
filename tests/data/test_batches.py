import threading

import numpy as np
import pytest

from runner.core import FREE, DataError, TensorSpec
from runner.data import Normalisation, Row
from runner.data.batches import at_once, indices, iterate, one_ahead, one_behind, shapes_of
from runner.data.storage import array_path, create_array, finish, write_at

IDENTITY = Normalisation(1.0, (0.0,), (1.0,))
HALVED = Normalisation(0.5, (1.0,), (1.0,))


def make_samples(folder, arrays, taken="float32"):
    """Samples of the arrays [count, ...] by input name, called s0, s1, ..., for inputs of type `taken`."""
    tensors = []
    for name, values in arrays.items():
        tensors.append(TensorSpec(name, taken, values.shape[1:]))
        array = create_array(folder, TensorSpec(name, str(values.dtype), values.shape[1:]), len(values))
        with array.path.open("r+b") as file:
            write_at(file.fileno(), np.ascontiguousarray(values), array.offset)
    return finish(folder, tensors, [Row(id=f"s{index}") for index in range(len(values))])


def pixels(count):
    return np.arange(count * 2 * 3 * 3, dtype=np.uint8).reshape(count, 2, 3, 3)


def test_batches_hold_normalised_samples_in_order(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(4)})
    batches = list(iterate(samples, HALVED, 2))
    assert [batch.ids for batch in batches] == [("s0", "s1"), ("s2", "s3")]
    np.testing.assert_array_equal(batches[1].inputs["image"], pixels(4)[2:] * np.float32(0.5) - 1)
    assert batches[1].inputs["image"].dtype == np.float32


def test_last_batch_is_padded_with_its_own_first_sample(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(5)})
    last = list(iterate(samples, IDENTITY, 3))[-1]
    assert last.ids == ("s3", "s4")
    np.testing.assert_array_equal(last.inputs["image"], pixels(5)[[3, 4, 3]])


def test_indices_pick_samples_in_their_order(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(5)})
    batch = next(iterate(samples, IDENTITY, 2, [4, 1]))
    assert batch.ids == ("s4", "s1")
    np.testing.assert_array_equal(batch.inputs["image"], pixels(5)[[4, 1]])


def test_no_indices_make_no_batches(tmp_path):
    assert list(iterate(make_samples(tmp_path, {"image": pixels(2)}), IDENTITY, 2, [])) == []


def test_what_is_stored_as_the_network_takes_it_is_given_as_it_is(tmp_path):
    for dtype in ("float32", "int64", "uint8", "bool"):
        values = np.array([[1], [0]], dtype)
        folder = tmp_path / dtype
        folder.mkdir()
        batch = next(iterate(make_samples(folder, {"x": values}, dtype), HALVED, 2))
        np.testing.assert_array_equal(batch.inputs["x"], values, strict=True)


def test_what_aipp_cannot_take_is_told(tmp_path):
    samples = make_samples(tmp_path, {"noise": np.ones((1, 3, 2, 2), np.float32)})
    with pytest.raises(DataError, match=r"model\.aipp=true .* gives 'noise' as float32"):
        next(iterate(samples, None, 1))


def test_normalised_samples_get_the_type_that_the_network_takes(tmp_path):
    batch = next(iterate(make_samples(tmp_path, {"image": pixels(1)}, "float64"), HALVED, 1))
    assert batch.inputs["image"].dtype == np.float64


def test_bytes_of_other_channels_than_the_normalisation_are_told(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(1)})
    with pytest.raises(DataError, match=r"'image' is stored as bytes .* has 2 channels, .* has 3 means and 1 standard"):
        next(iterate(samples, Normalisation(1.0, (0.0, 0.0, 0.0), (1.0,)), 1))


def test_an_array_in_another_type_than_the_network_takes_is_told(tmp_path):
    with pytest.raises(DataError, match="stored image as uint8, the network takes int64"):
        make_samples(tmp_path, {"image": pixels(1)}, "int64")


def test_batches_made_ahead_are_the_same_in_the_same_order(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(5)})
    ahead = list(one_ahead(iterate(samples, IDENTITY, 2)))
    assert [batch.ids for batch in ahead] == [("s0", "s1"), ("s2", "s3"), ("s4",)]
    np.testing.assert_array_equal(ahead[2].inputs["image"], pixels(5)[[4, 4]])


def test_no_more_than_one_batch_is_made_ahead(tmp_path):
    made = []

    def counted():
        for batch in iterate(make_samples(tmp_path, {"image": pixels(6)}), IDENTITY, 1):
            made.append(batch.ids)
            yield batch

    ahead = one_ahead(counted())
    next(ahead)
    ahead.close()
    assert len(made) == 2


def test_an_error_in_a_batch_made_ahead_is_raised_where_it_is_taken(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(2)})
    array_path(tmp_path, "image").unlink()
    with pytest.raises(DataError, match=r"image\.npy cannot be read"):
        next(one_ahead(iterate(samples, IDENTITY, 2)))


def test_the_next_item_is_made_while_one_is_used():
    made = [threading.Event() for _ in range(3)]
    used = []

    def items():
        for index, event in enumerate(made):
            event.set()
            yield index

    def use(index):
        assert made[min(index + 1, 2)].wait(timeout=10)
        used.append(index)

    one_behind(items(), use)
    assert used == [0, 1, 2]


@pytest.mark.parametrize("items", [(0,), (0, 1), (1, 0, 1)])
def test_an_error_in_the_use_of_an_item_is_raised(items):
    with pytest.raises(ZeroDivisionError):
        one_behind(items, lambda item: 1 // item)


def test_items_are_used_at_once_and_come_in_order():
    both = threading.Barrier(2, timeout=10)

    def use(item):
        both.wait()
        return -item

    assert list(at_once([1, 2, 3, 4], use, 2)) == [-1, -2, -3, -4]


def test_no_more_items_are_taken_than_are_used_at_once():
    taken = []
    outputs = at_once((taken.append(item) or item for item in range(9)), str, 3)
    assert next(outputs) == "0"
    assert taken == [0, 1, 2]


def test_an_error_in_an_item_used_at_once_is_raised_in_its_turn():
    outputs = at_once([1, 0, 1], lambda item: 1 // item, 2)
    assert next(outputs) == 1
    with pytest.raises(ZeroDivisionError):
        next(outputs)


def test_batches_do_not_share_memory(tmp_path):
    values = np.arange(4, dtype=np.float32)[:, None]
    first, second = iterate(make_samples(tmp_path, {"x": values}), IDENTITY, 2)
    assert first.inputs["x"].tolist() == [[0.0], [1.0]]
    assert second.inputs["x"].tolist() == [[2.0], [3.0]]


def test_every_input_is_read(tmp_path):
    arrays = {"a": pixels(2), "scope/b:0": np.ones((2, 3), np.float32), "scalar": np.array([1.0, 2.0], np.float32)}
    batch = next(iterate(make_samples(tmp_path, arrays), IDENTITY, 2))
    assert {name: values.shape for name, values in batch.inputs.items()} == {
        "a": (2, 2, 3, 3),
        "scope/b:0": (2, 3),
        "scalar": (2,),
    }


def test_samples_that_were_cut_short_are_an_error(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(4)})
    path = array_path(tmp_path, "image")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"image\.npy have \d+ bytes, not \d+"):
        next(iterate(samples, IDENTITY, 2))


def test_samples_that_are_gone_are_an_error(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(4)})
    array_path(tmp_path, "image").unlink()
    with pytest.raises(DataError, match=r"image\.npy cannot be read"):
        next(iterate(samples, IDENTITY, 2))


def test_without_a_normalisation_pictures_come_as_stored_with_their_channels_last(tmp_path):
    samples = make_samples(tmp_path, {"image": pixels(2)})
    (batch,) = iterate(samples, None, 2)
    assert batch.inputs["image"].dtype == np.uint8
    assert batch.inputs["image"].flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(batch.inputs["image"], pixels(2).transpose(0, 2, 3, 1))


def make_free_samples(folder, values):
    """Samples [C, ...] whose shapes differ, called s0, s1, ..."""
    free = TensorSpec("image", "uint8", (FREE,) * values[0].ndim)
    array = create_array(folder, free, len(values), [each.shape for each in values])
    with array.path.open("r+b") as file:
        for index, each in enumerate(values):
            write_at(file.fileno(), np.ascontiguousarray(each), array.position(index))
    rows = [Row(id=f"s{index}") for index in range(len(values))]
    return finish(folder, [TensorSpec("image", "float32", free.shape)], rows)


def of_widths(*widths):
    return [np.full((1, 2, width), index, np.uint8) for index, width in enumerate(widths)]


def test_a_batch_never_mixes_shapes_and_is_padded_within_its_own(tmp_path):
    samples = make_free_samples(tmp_path, of_widths(3, 3, 3, 4, 4, 3))
    batches = list(iterate(samples, IDENTITY, 2))
    assert [batch.ids for batch in batches] == [("s0", "s1"), ("s2",), ("s3", "s4"), ("s5",)]
    assert [batch.inputs["image"].shape for batch in batches] == [
        (2, 1, 2, 3),
        (2, 1, 2, 3),
        (2, 1, 2, 4),
        (2, 1, 2, 3),
    ]
    assert [batch.inputs["image"][:, 0, 0, 0].tolist() for batch in batches] == [[0, 1], [2, 2], [3, 4], [5, 5]]


def test_a_batch_that_is_not_padded_holds_its_samples_alone(tmp_path):
    samples = make_free_samples(tmp_path, of_widths(3, 3, 3))
    assert [len(batch.inputs["image"]) for batch in iterate(samples, IDENTITY, 2, padded=False)] == [2, 1]


def test_the_indices_of_each_batch_are_those_that_it_is_made_of(tmp_path):
    samples = make_free_samples(tmp_path, of_widths(3, 3, 3, 4, 4, 3))
    assert indices(samples, 2) == [[0, 1], [2], [3, 4], [5]]


def test_indices_pick_samples_of_any_shape(tmp_path):
    samples = make_free_samples(tmp_path, of_widths(3, 4, 3))
    assert [batch.ids for batch in iterate(samples, IDENTITY, 4, [0, 2])] == [("s0", "s2")]


def test_the_shapes_of_all_rows_are_told_in_order(tmp_path):
    samples = make_free_samples(tmp_path, of_widths(3, 4))
    assert list(shapes_of(samples)) == [((1, 2, 3),), ((1, 2, 4),)]


def test_samples_whose_shapes_are_gone_are_an_error(tmp_path):
    samples = make_free_samples(tmp_path, of_widths(3, 4))
    (tmp_path / "image.shapes.npy").unlink()
    with pytest.raises(DataError, match=r"image\.npy are 14, not 2"):
        list(iterate(samples, IDENTITY, 1))
