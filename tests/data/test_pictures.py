"""Pictures of any size and their truths, written to disk by workers, and what becomes of a run that was interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from runner.core import FREE, DataError, TensorSpec
from runner.data import (
    Geometry,
    Picture,
    PictureSource,
    Request,
    TruthArrays,
    files_source,
    picture_bytes,
    rows,
    storage,
    write_pictures,
)
from runner.data.pictures import BROKEN_SHOWN, CHUNK_PICTURES, JOURNAL

FIXED = (TensorSpec("image", "float32", (3, 16, 16)),)
FREE_INPUT = (TensorSpec("image", "float32", (3, FREE, FREE)),)
NONE = Geometry(fit="none")


def request(geometry=NONE, inputs=FREE_INPUT):
    return Request(inputs, geometry, None, 0)


def load(item):
    """The picture of an item `HEIGHTxWIDTH-VALUE`."""
    height, width = size_of(item)
    return Image.new("RGB", (width, height), (int(item.partition("-")[2]),) * 3)


def size_of(item):
    height, width = item.partition("-")[0].split("x")
    return int(height), int(width)


def truth_of(item):
    return np.asarray(load(item))[..., 0]


def noisy(item, row):
    return row + 0.25


SOURCE = PictureSource(load=load, size_of=size_of)
TRUTHS = TruthArrays(dtype="uint8", shape_of=size_of, load=truth_of)
ITEMS = ("2x3-0", "4x3-1", "2x3-2", "2x2-3")


def write(out, items=ITEMS, source=SOURCE, **options):
    out.mkdir(exist_ok=True)
    return write_pictures(source, [Picture(item, item, item) for item in items], request(**options), out)


def stored(out):
    array = storage.open_array(out, "image")
    with array.path.open("rb", buffering=0) as file:
        return [storage.read_at(file, array, index) for index in range(array.count)]


def test_pictures_of_one_shape_follow_each_other(tmp_path):
    written = write(tmp_path)
    assert [row.id for row in written] == ["2x3-0", "2x3-2", "4x3-1", "2x2-3"]
    assert [row.truth for row in written] == ["2x3-0", "2x3-2", "4x3-1", "2x2-3"]
    assert [(each.shape, each[0, 0, 0]) for each in stored(tmp_path)] == [
        ((3, 2, 3), 0),
        ((3, 2, 3), 2),
        ((3, 4, 3), 1),
        ((3, 2, 2), 3),
    ]


def test_pictures_of_a_fixed_shape_stay_in_their_order(tmp_path):
    written = write(tmp_path, geometry=Geometry(fit="inside"), inputs=FIXED)
    assert [row.id for row in written] == list(ITEMS)


def test_a_row_knows_how_its_picture_was_placed(tmp_path):
    first = write(tmp_path, ["8x32-0"], geometry=Geometry(fit="inside"), inputs=FIXED)[0]
    assert (first.original_size, first.scale, first.padding) == ((8, 32), (0.5, 0.5), (6, 0, 6, 0))


def test_a_tiled_picture_is_several_rows_and_the_first_has_the_truth(tmp_path):
    written = write(tmp_path, ["16x20-1", "16x16-2"], geometry=Geometry(fit="none", tile=(16, 16)), inputs=FIXED)
    assert [(row.id, row.sample, row.truth) for row in written] == [
        ("16x20-1#0", "16x20-1", "16x20-1"),
        ("16x20-1#1", "16x20-1", None),
        ("16x16-2", None, "16x16-2"),
    ]
    assert [row.padding for row in written] == [(0, 0, 0, -4), (0, -4, 0, 0), (0, 0, 0, 0)]
    assert [each[0, 0, 0] for each in stored(tmp_path)] == [1, 1, 2]


def finished(out, written, inputs=FREE_INPUT):
    storage.finish(out, inputs, written)
    return [(row.sample_id, row.truth) for row in storage.facts(out)]


def test_truths_that_are_arrays_follow_the_order_of_the_pictures(tmp_path):
    written = write(tmp_path, source=replace(SOURCE, truth=TRUTHS))
    for item, truth in finished(tmp_path, written):
        np.testing.assert_array_equal(truth, truth_of(item))


def test_a_tiled_picture_has_one_truth(tmp_path):
    source = replace(SOURCE, truth=TRUTHS)
    written = write(tmp_path, ["16x20-1", "16x16-2"], source, geometry=Geometry(fit="none", tile=(16, 16)))
    first, second, third = finished(tmp_path, written)
    assert (first[1].shape, second[1], third[1].shape) == ((16, 20), None, (16, 16))
    assert (first[1][0, 0], third[1][0, 0]) == (1, 2)


def test_a_truth_of_another_shape_than_announced_is_named(tmp_path):
    source = replace(SOURCE, truth=replace(TRUTHS, shape_of=lambda item: (1, 1)))
    with pytest.raises(DataError, match=r"the truth of 2x3-0 is \[2, 3\] after preprocessing"):
        write(tmp_path, source=source)


def test_altered_rows_are_stored_in_the_networks_type(tmp_path):
    written = write(tmp_path, source=replace(SOURCE, alter=noisy))
    assert [(each.dtype, float(each[0, 0, 0])) for each in stored(tmp_path)] == [
        (np.float32, 0.25),
        (np.float32, 2.25),
        (np.float32, 1.25),
        (np.float32, 3.25),
    ]
    samples = storage.finish(tmp_path, FREE_INPUT, written, unnormalised=["image"])
    assert samples.unnormalised == ("image",)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (SOURCE, {}),
        (replace(SOURCE, truth=TRUTHS), {}),
        (replace(SOURCE, alter=noisy), {}),
        (replace(SOURCE, truth=TRUTHS), {"geometry": Geometry(fit="inside"), "inputs": FIXED}),
        (SOURCE, {"geometry": Geometry(fit="none", tile=(2, 2)), "inputs": FREE_INPUT}),
    ],
)
def test_the_size_on_disk_is_known_before(tmp_path, source, options):
    write(tmp_path, source=source, **options)
    arrays = [storage.open_array(tmp_path, "image")]
    if source.truth:
        arrays.append(storage.open_array(tmp_path / "truth", "truth"))
    assert picture_bytes(source, ITEMS, request(**options)) == sum(each.size_bytes - each.offset for each in arrays)


def many(count):
    return [f"{2 + index % 3}x{2 + index % 2}-{index % 250}" for index in range(count)]


def digests(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*.npy"))}


GEOMETRIES = pytest.mark.parametrize(
    "options",
    [
        {},
        {"geometry": Geometry(fit="inside"), "inputs": FIXED},
        {"geometry": Geometry(fit="none", tile=(2, 2), overlap=1), "inputs": FREE_INPUT},
    ],
    ids=["free", "fixed", "tiled"],
)


@GEOMETRIES
def test_an_interrupted_run_goes_on_to_the_same_rows_facts_and_truths(tmp_path, monkeypatch, options):
    monkeypatch.setattr("runner.data._workers.core_count", lambda: 1)  # chunks finish in order
    items, source = many(3 * CHUNK_PICTURES), replace(SOURCE, truth=TRUTHS)
    whole = write(tmp_path / "whole", items, source, **options)
    out = tmp_path / "out"
    write(out, items, source, **options)
    lines = (out / JOURNAL).read_text().splitlines(keepends=True)
    (out / JOURNAL).write_text("".join(lines[:2]) + lines[2][:10])  # killed while it recorded the second chunk
    for array in (storage.open_array(out, "image"), storage.open_array(out / "truth", "truth")):
        with array.path.open("r+b") as file:
            storage.write_at(
                file.fileno(), np.full(array.bytes_of(array.count - 1), 255, np.uint8), array.position(array.count - 1)
            )
    assert write(out, items, source, **options) == whole
    assert digests(out) == digests(tmp_path / "whole")


def test_finished_chunks_are_not_loaded_again(tmp_path):
    items = many(CHUNK_PICTURES)
    whole = write(tmp_path, items)

    def broken(item):
        raise AssertionError(item)

    assert write(tmp_path, items, replace(SOURCE, load=broken)) == whole


def test_what_is_recorded_after_an_interruption_is_not_loaded_again_either(tmp_path, monkeypatch):
    monkeypatch.setattr("runner.data._workers.core_count", lambda: 1)
    items = many(2 * CHUNK_PICTURES)
    whole = write(tmp_path, items)
    lines = (tmp_path / JOURNAL).read_text().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_text("".join(lines[:2]) + lines[2][:10])
    write(tmp_path, items)

    def broken(item):
        raise AssertionError(item)

    assert write(tmp_path, items, replace(SOURCE, load=broken)) == whole


def test_a_journal_beside_truths_that_are_gone_is_not_followed(tmp_path):
    source = replace(SOURCE, truth=TRUTHS)
    write(tmp_path, source=source)
    (tmp_path / "truth" / "truth.npy").unlink()
    written = write(tmp_path, source=source)
    for item, truth in finished(tmp_path, written):
        np.testing.assert_array_equal(truth, truth_of(item))


def test_several_processes_write_what_one_does(tmp_path, monkeypatch):
    items, source = many(3 * CHUNK_PICTURES), replace(SOURCE, truth=TRUTHS)
    written = write(tmp_path / "many", items, source)
    monkeypatch.setattr("runner.data._workers.core_count", lambda: 1)
    assert write(tmp_path / "one", items, source) == written
    assert digests(tmp_path / "one") == digests(tmp_path / "many")


def test_pictures_that_do_not_fit_are_named_five_at_most(tmp_path):
    geometry = Geometry(fit="none", multiple=2)
    items = [f"20x{20 + index}-1" for index in range(BROKEN_SHOWN + 2)]
    with pytest.raises(DataError, match="20x20-1: it is 20x20 pixels, and the network takes anyx16") as caught:
        write(tmp_path, items, geometry=geometry, inputs=(TensorSpec("image", "float32", (3, 16, FREE)),))
    assert caught.value.message.count("the network takes") == BROKEN_SHOWN
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_than_its_header_says_is_named(tmp_path):
    with pytest.raises(DataError, match="2x3-0 is 3x2 pixels, other than its header says"):
        write(tmp_path, ["2x3-0"], replace(SOURCE, size_of=lambda item: (5, 5)))


def test_files_are_opened_in_the_channels_of_the_geometry(tmp_path):
    Image.new("RGB", (3, 2), (10, 20, 30)).save(tmp_path / "a.png")
    for channels, values in (("rgb", [10, 20, 30]), ("bgr", [30, 20, 10]), ("grey", [18])):
        geometry = Geometry(fit="none", channels=channels)
        inputs = (TensorSpec("image", "float32", (len(values), FREE, FREE)),)
        write(tmp_path / channels, ["a.png"], files_source(tmp_path, geometry), geometry=geometry, inputs=inputs)
        (row,) = stored(tmp_path / channels)
        assert row[:, 0, 0].tolist() == values


def test_a_picture_that_cannot_be_used_keeps_its_own_fix(tmp_path):
    with pytest.raises(DataError) as error:
        write(tmp_path, ("2x3-0",), geometry=Geometry(), inputs=FIXED)
    assert error.value.fix.startswith("set model.preprocess.fit to stretch")


def test_rows_are_what_the_metadata_holds(tmp_path):
    written = write(tmp_path)
    storage.finish(tmp_path, FREE_INPUT, written)
    assert list(rows.read(tmp_path)) == written
