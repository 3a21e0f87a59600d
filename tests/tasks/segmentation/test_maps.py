from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from runner.core import ConfigError, DataError
from runner.data import Geometry, Row, place
from runner.tasks.segmentation import UNSEEN, Maps


def logits_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def one_hot(label_map: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[label_map].transpose(2, 0, 1)


def rows_of(size, geometry, wanted, name="a") -> list[Row]:
    pieces = place(size, geometry, wanted)
    return [
        Row(
            id=f"{name}#{number}",
            sample=name,
            original_size=each.original_size,
            scale=each.scale,
            padding=each.padding,
        )
        for number, each in enumerate(pieces)
    ]


def decoded(decode: Maps, output: np.ndarray, rows: list[Row]) -> np.ndarray:
    (result,) = decode({"out": output}, rows)
    assert result.dtype == np.uint8
    return result


def check_largest(label_map: np.ndarray, logits: np.ndarray, align_corners: bool = False) -> None:
    """Check that each pixel's class has the largest of the logits as PyTorch resizes them, but for rounding."""
    resized = functional.interpolate(
        torch.from_numpy(logits), label_map.shape, mode="bilinear", align_corners=align_corners
    )[0]
    chosen = resized.gather(0, torch.from_numpy(label_map[None].astype(np.int64)))[0]
    np.testing.assert_allclose(chosen, resized.amax(dim=0), atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("cells", [(24, 40), (6, 10), (1, 1), (37, 91), (24, 10)])
@pytest.mark.parametrize("original", [(24, 40), (61, 33), (7, 5)])
def test_bilinear_is_that_of_pytorch(cells, original, align_corners) -> None:
    logits = logits_of(1, 5, *cells)
    rows = rows_of(original, Geometry(fit="stretch"), (24, 40))
    check_largest(decoded(Maps(align_corners=align_corners), logits, rows), logits, align_corners)


def test_pictures_larger_than_a_block_are_resized_in_the_same_way() -> None:
    logits = logits_of(1, 3, 40, 50)
    check_largest(decoded(Maps(), logits, rows_of((320, 400), Geometry(fit="stretch"), (80, 100))), logits)


def test_of_equal_logits_the_lower_class_wins() -> None:
    logits = np.array([[0.0, 1.0, 1.0]], np.float32).reshape(1, 3, 1, 1)
    assert decoded(Maps(), logits, [Row(id="a")]).tolist() == [[1]]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_logits_may_have_any_floating_point_type(dtype) -> None:
    logits = logits_of(1, 4, 9, 7).astype(dtype)
    np.testing.assert_array_equal(decoded(Maps(), logits, [Row(id="a")]), logits[0].argmax(axis=0))


@pytest.mark.parametrize("pad", ["centre", "corner"])
def test_padding_is_cut_off_before_resizing(pad) -> None:
    (row,) = rows_of((30, 50), Geometry(fit="inside", pad=pad), (40, 40))
    logits = logits_of(1, 4, 40, 40)
    top = 8 if pad == "centre" else 0
    check_largest(decoded(Maps(), logits, [row]), logits[:, :, top : top + 24])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("pad", ["centre", "corner"])
def test_output_at_a_quarter_of_the_size_is_cut_as_if_resized_to_the_networks_input(pad, align_corners) -> None:
    (row,) = rows_of((22, 37), Geometry(fit="none", pad=pad), (40, 40))
    logits = logits_of(1, 4, 10, 10)
    top, left, _, _ = row.padding
    resized = functional.interpolate(
        torch.from_numpy(logits), (40, 40), mode="bilinear", align_corners=align_corners
    ).numpy()
    label_map = decoded(Maps(align_corners=align_corners), logits, [row])
    check_largest(label_map, resized[:, :, top : top + 22, left : left + 37])


def test_nearest_takes_the_class_of_the_cell_that_holds_a_pixels_centre() -> None:
    (row,) = rows_of((2, 6), Geometry(fit="stretch"), (2, 3))
    ids = np.array([[[3, 1, 2], [0, 4, 5]]])
    expected = [[3, 3, 1, 1, 2, 2], [0, 0, 4, 4, 5, 5]]
    assert decoded(Maps(source="ids", resize="nearest"), ids, [row]).tolist() == expected
    assert decoded(Maps(resize="nearest"), one_hot(ids[0], 6)[None], [row]).tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64, np.float32])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 3, 4)])
def test_ids_may_have_any_type_and_an_axis_of_one_channel(dtype, shape) -> None:
    ids = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    results = Maps(source="ids", resize="nearest")({"out": ids}, [Row(id="a"), Row(id="b")])
    np.testing.assert_array_equal(results, ids.reshape(2, 3, 4))


def test_one_channel_is_class_1_above_the_threshold() -> None:
    logits = np.array([-1.0, 0.0, 0.1, 2.0], np.float32).reshape(1, 1, 1, 4)
    assert decoded(Maps(), logits, [Row(id="a")]).tolist() == [[0, 0, 1, 1]]
    assert decoded(Maps(threshold=0.5), logits, [Row(id="a")]).tolist() == [[0, 0, 0, 1]]


def test_pixels_that_were_cut_off_are_unseen() -> None:
    (row,) = rows_of((4, 8), Geometry(fit="shorter", resize=4, crop=4), (4, 4))
    result = decoded(Maps(), one_hot(np.full((4, 4), 1), 3)[None], [row])
    assert result.tolist() == [[UNSEEN, UNSEEN, 1, 1, 1, 1, UNSEEN, UNSEEN]] * 4


def test_overlapping_tiles_are_averaged() -> None:
    rows = rows_of((1, 6), Geometry(fit="none", tile=(1, 4), overlap=2), (1, 4))
    tiles = np.zeros((2, 2, 1, 4), np.float32)
    tiles[0, 0], tiles[1, 1] = 1.0, 1.5
    assert [row.padding for row in rows] == [(0, 0, 0, -2), (0, -2, 0, 0)]
    assert decoded(Maps(), tiles, rows).tolist() == [[0, 0, 1, 1, 1, 1]]


def test_of_overlapping_tiles_of_ids_the_later_one_counts() -> None:
    rows = rows_of((1, 6), Geometry(fit="none", tile=(1, 4), overlap=2), (1, 4))
    ids = np.array([[[1, 2, 3, 4]], [[5, 6, 7, 8]]])
    assert decoded(Maps(source="ids", resize="nearest"), ids, rows).tolist() == [[1, 2, 5, 6, 7, 8]]


def test_every_sample_gets_a_map_however_many_rows_it_has() -> None:
    tiled = Geometry(fit="none", tile=(4, 4))
    rows = [*rows_of((4, 4), tiled, (4, 4), "a"), *rows_of((4, 8), tiled, (4, 4), "b")]
    results = Maps()({"out": logits_of(3, 2, 4, 4)}, rows)
    assert [result.shape for result in results] == [(4, 4), (4, 8)]


GEOMETRIES = {
    "as it is": Geometry(fit="none"),
    "padded": Geometry(fit="none", pad="corner"),
    "twice as large": Geometry(fit="stretch", size=(48, 64)),
    "tiled": Geometry(fit="none", tile=(10, 12), overlap=3),
}


@pytest.mark.parametrize("decode", [Maps(), Maps(resize="nearest"), Maps(source="ids", resize="nearest")])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_truth_as_output_becomes_the_truth(decode, name) -> None:
    geometry = GEOMETRIES[name]
    truth = np.random.default_rng(0).integers(0, 7, (24, 32)).astype(np.uint8)
    wanted = {"as it is": (24, 32), "padded": (30, 32), "twice as large": (48, 64), "tiled": (10, 12)}[name]
    rows = rows_of(truth.shape, geometry, wanted)
    ids = np.stack([as_row(truth, row, wanted) for row in rows])
    output = ids if decode.source == "ids" else np.stack([one_hot(each, 7) for each in ids])
    np.testing.assert_array_equal(decoded(decode, output, rows), truth)


def as_row(truth: np.ndarray, row: Row, size: tuple[int, int]) -> np.ndarray:
    """Make the label map of a row, pixel by pixel, from the place that its metadata tells."""
    result = np.zeros(size, np.uint8)
    for y, x in product(*map(range, size)):
        original = [
            int((pixel + 0.5 - before) // scale)
            for pixel, before, scale in zip((y, x), row.padding, row.scale, strict=False)
        ]
        if all(0 <= place < side for place, side in zip(original, truth.shape, strict=True)):
            result[y, x] = truth[tuple(original)]
    return result


@pytest.mark.parametrize("output", [np.zeros((1, 4)), np.zeros((1, 300, 2, 2)), np.zeros((1, 4, 2, 2), np.int64)])
def test_output_that_is_no_logits_is_an_error(output) -> None:
    with pytest.raises(DataError, match=r"output 'out' is .*, not logits"):
        Maps()({"out": output}, [Row(id="a")])


def test_output_that_is_no_map_of_ids_is_an_error() -> None:
    with pytest.raises(DataError, match=r"output 'out' is \[1, 19, 2, 2\], not class ids"):
        Maps(source="ids", resize="nearest")({"out": np.zeros((1, 19, 2, 2))}, [Row(id="a")])


def test_ids_out_of_range_are_an_error() -> None:
    with pytest.raises(DataError, match="values from -2 to 0"):
        Maps(source="ids", resize="nearest")({"out": np.array([[[0, -2]]])}, [Row(id="a")])


def test_ids_cannot_be_interpolated() -> None:
    with pytest.raises(ConfigError, match=r"model\.decode\.source is ids"):
        Maps(source="ids")


def test_unknown_choice_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"model\.decode\.resize is 'cubic'"):
        Maps(resize="cubic")


def test_a_map_comes_back_from_its_array() -> None:
    label_map = np.array([[1, 2], [3, 255]], np.uint8)
    decode = Maps()
    arrays = decode.pack(label_map)
    assert tuple(arrays) == decode.packs
    assert decode.unpack(arrays).tolist() == [[1, 2], [3, 255]]
