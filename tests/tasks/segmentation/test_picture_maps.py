from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.core import FREE, DataError, TensorSpec
from runner.data import Geometry, Request, storage
from runner.tasks.segmentation import ConfusionMatrix, Maps, PictureMaps

INPUTS = (TensorSpec("image", "float32", (3, 6, 8)),)
MAP = np.arange(48).reshape(6, 8) % 3


def request(limit=None, geometry=None, inputs=INPUTS) -> Request:
    return Request(inputs, geometry or Geometry(fit="none"), limit, 0)


def save(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    picture.convert(mode).save(path) if mode else picture.save(path)


def data_set(root: Path, names=("a", "b"), label_map=MAP) -> Path:
    for name in names:
        save(root / "pictures" / f"{name}.png", np.full((*np.shape(label_map), 3), 9))
        save(root / "labels" / f"{name}.png", np.asarray(label_map))
    return root


def reader_of(root: Path, **arguments) -> PictureMaps:
    return PictureMaps(**{"classes": 3, "root": str(root), **arguments})


def written(reader: PictureMaps, out: Path, **options) -> list:
    out.mkdir()
    samples = reader.write(request(**options), out, None)
    return list(storage.facts(samples.path))


def messages(reader: PictureMaps, **options) -> str:
    return "\n".join(problem.message for problem in reader.validate(request(**options)))


def test_every_picture_has_its_map_as_truth(tmp_path) -> None:
    reader = reader_of(data_set(tmp_path))
    assert reader.validate(request()) == []
    rows = written(reader, tmp_path / "out")
    assert [row.id for row in rows] == ["a", "b"]
    assert all(row.truth.dtype == np.uint8 for row in rows)
    np.testing.assert_array_equal(rows[0].truth, MAP)


def test_truth_has_the_pictures_own_size_whatever_the_network_takes(tmp_path) -> None:
    reader = reader_of(data_set(tmp_path))
    inputs = (TensorSpec("image", "float32", (3, FREE, FREE)),)
    (row,) = written(reader, tmp_path / "out", limit=1, geometry=Geometry(fit="none", multiple=16), inputs=inputs)
    assert (row.truth.shape, row.original_size, row.padding) == ((6, 8), (6, 8), (5, 4, 5, 4))


def test_truth_as_output_scores_100_percent_for_pictures_of_several_sizes(tmp_path) -> None:
    data_set(tmp_path, ["a"])
    data_set(tmp_path, ["b"], np.arange(20).reshape(4, 5) % 3)
    stretched = {"geometry": Geometry(fit="stretch"), "inputs": (TensorSpec("image", "float32", (3, 24, 40)),)}
    rows = written(reader_of(tmp_path), tmp_path / "out", **stretched)
    truths = [row.truth for row in rows]
    enlarged = [truth.repeat(24 // truth.shape[0], axis=0).repeat(40 // truth.shape[1], axis=1) for truth in truths]
    logits = np.eye(3, dtype=np.float32)[np.stack(enlarged)].transpose(0, 3, 1, 2)
    metric = ConfusionMatrix(3)
    metric.add(Maps()({"out": logits}, rows), truths)
    assert set(metric.compute().values()) == {100.0}


def test_limit_takes_the_first_pictures(tmp_path) -> None:
    reader = reader_of(data_set(tmp_path))
    assert len(written(reader, tmp_path / "out", limit=1)) == 1
    assert reader.stored_bytes(request(limit=1)) == 3 * 48 + 48


def test_palette_and_one_bit_maps_are_class_ids(tmp_path) -> None:
    data_set(tmp_path)
    palette = Image.fromarray(MAP.astype(np.uint8)).convert("P")
    palette.putpalette([200, 10, 10, 0, 0, 0, 5, 5, 5])
    palette.putdata(MAP.ravel().tolist())
    palette.save(tmp_path / "labels" / "a.png")
    Image.fromarray(MAP == 1).save(tmp_path / "labels" / "b.png")
    rows = written(reader_of(tmp_path), tmp_path / "out")
    np.testing.assert_array_equal(rows[0].truth, MAP)
    np.testing.assert_array_equal(rows[1].truth, MAP == 1)


def test_suffixes_tell_the_names_of_maps_in_nested_folders(tmp_path) -> None:
    save(tmp_path / "leftImg8bit/val/ulm/ulm_0_leftImg8bit.png", np.zeros((6, 8, 3)))
    save(tmp_path / "gtFine/val/ulm/ulm_0_gtFine_labelIds.png", np.full((6, 8), 7))
    reader = reader_of(
        tmp_path,
        pictures="leftImg8bit/val",
        labels="gtFine/val",
        picture_suffix="_leftImg8bit.png",
        label_suffix="_gtFine_labelIds.png",
        ignore=255,
        values=[7, 8, 11],
    )
    (row,) = written(reader, tmp_path / "out")
    assert (row.id, row.truth.max()) == ("ulm_0_leftImg8bit", 0)


def test_values_tell_what_is_stored_for_each_class_and_others_are_unlabelled(tmp_path) -> None:
    reader = reader_of(data_set(tmp_path, ["a"], [[7, 11, 0, 8, 255]]), values=[7, 8, 11], ignore=255)
    (row,) = written(reader, tmp_path / "out", inputs=(TensorSpec("image", "float32", (3, 1, 5)),))
    assert row.truth.tolist() == [[0, 2, 255, 1, 255]]


def test_reduce_zero_label_counts_classes_from_1(tmp_path) -> None:
    reader = reader_of(data_set(tmp_path, ["a"], [[0, 1, 2, 3]]), reduce_zero_label=True, ignore=255)
    (row,) = written(reader, tmp_path / "out", inputs=(TensorSpec("image", "float32", (3, 1, 4)),))
    assert row.truth.tolist() == [[255, 0, 1, 2]]


def test_names_tell_which_pictures_are_taken(tmp_path) -> None:
    data_set(tmp_path, ["c", "a", "b"])
    (tmp_path / "val.txt").write_text("c\na\n")
    rows = written(reader_of(tmp_path, names="val.txt", picture_suffix=".png"), tmp_path / "out")
    assert [row.id for row in rows] == ["c", "a"]


def test_content_changes_with_a_map_and_a_picture(tmp_path) -> None:
    data_set(tmp_path)
    hashed = []
    content = reader_of(tmp_path).content(request(), lambda root, paths: hashed.extend(map(str, paths)) or hashed)
    assert hashed == ["a.png", "b.png"] * 2
    assert content["ids"] == ["a", "b"]


def test_picture_without_a_map_is_a_problem(tmp_path) -> None:
    (data_set(tmp_path) / "labels" / "b.png").unlink()
    assert "1 of the 2 pictures in" in messages(reader_of(tmp_path))
    assert "have no label map: b.png" in messages(reader_of(tmp_path))


def test_map_of_another_size_than_its_picture_is_a_problem(tmp_path) -> None:
    save(data_set(tmp_path) / "labels" / "b.png", np.zeros((5, 8)))
    expected = "1 label maps have another size than their picture: b.png is 8x6, its map 8x5"
    assert messages(reader_of(tmp_path)) == expected


def test_picture_of_another_size_than_the_network_takes_is_a_problem(tmp_path) -> None:
    small = (TensorSpec("image", "float32", (3, 4, 4)),)
    found = messages(reader_of(data_set(tmp_path)), inputs=small)
    assert found.startswith("a.png: a picture does not fit: it is 8x6 pixels, and the network takes 4x4")


def test_map_of_colours_is_a_problem(tmp_path) -> None:
    save(data_set(tmp_path) / "labels" / "a.png", np.zeros((6, 8, 3)))
    assert "labels/a.png is a picture of mode RGB, not a label map" in messages(reader_of(tmp_path))


def test_file_that_is_no_picture_is_a_problem(tmp_path) -> None:
    (data_set(tmp_path) / "labels" / "a.png").write_bytes(b"nothing")
    assert "labels/a.png is not a readable label map" in messages(reader_of(tmp_path))


@pytest.mark.parametrize("ignore", [None, 255])
def test_value_that_is_no_class_is_an_error(tmp_path, ignore) -> None:
    data_set(tmp_path, ["a"], np.where(MAP == 2, 77, MAP))
    with pytest.raises(DataError, match=r"labels/a.png has pixels of value 77, which is no class"):
        written(reader_of(tmp_path, ignore=ignore), tmp_path / "out")


def test_other_value_without_an_ignore_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match=r"has pixels of value 0, which is no class"):
        written(reader_of(data_set(tmp_path), values=[1, 2, 3]), tmp_path / "out")


def test_missing_folder_or_root_is_a_problem(tmp_path) -> None:
    assert messages(reader_of(tmp_path)) == f"dataset.root: there is no folder {tmp_path / 'pictures'}"
    assert messages(PictureMaps(classes=3)) == "dataset.root is not set"


def test_suffix_that_no_picture_has_is_a_problem(tmp_path) -> None:
    assert "has a name that ends in .jpg" in messages(reader_of(data_set(tmp_path), picture_suffix=".jpg"))


def test_name_of_no_picture_is_a_problem(tmp_path) -> None:
    (data_set(tmp_path) / "val.txt").write_text("a\nz\n")
    found = messages(reader_of(tmp_path, names="val.txt", picture_suffix=".png"))
    assert "1 of the 2 pictures that" in found and found.endswith("pictures: z.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "dataset.reader.classes is 0"),
        ({"classes": 256}, "a map's values are bytes"),
        ({"values": [1, 2]}, r"dataset.reader.values is [1, 2], and there are 3 classes"),
        ({"values": [1, 2, 300]}, "dataset.reader.values is [1, 2, 300]"),
        ({"reduce_zero_label": True}, "dataset.reader.reduce_zero_label is true"),
    ],
)
def test_arguments_that_contradict_are_problems(tmp_path, arguments, message) -> None:
    assert message in messages(reader_of(data_set(tmp_path), **arguments))


def test_one_channel_tells_two_classes(tmp_path) -> None:
    reader = reader_of(data_set(tmp_path, label_map=MAP % 2), classes=1)
    assert reader.validate(request()) == []
    np.testing.assert_array_equal(written(reader, tmp_path / "out")[0].truth, MAP % 2)


def test_masks_in_black_and_white_whose_white_would_not_count_are_a_problem(tmp_path) -> None:
    root = data_set(tmp_path, label_map=255 * (MAP % 2))
    assert "have none of class 1, and pixels of value 255" in messages(reader_of(root, classes=1, ignore=255))


@pytest.mark.parametrize(("values", "white"), [((0, 255), 1), ((0, 1), 255)])
def test_values_tell_what_white_means_in_masks_in_black_and_white(tmp_path, values, white) -> None:
    reader = reader_of(data_set(tmp_path, label_map=255 * (MAP % 2)), classes=1, ignore=255, values=values)
    assert reader.validate(request()) == []
    np.testing.assert_array_equal(written(reader, tmp_path / "out")[0].truth, white * (MAP % 2))
