import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_tools

from runner.core import DataError, FileHashes, TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.detection import Coco

INPUTS = (TensorSpec("image", "float32", (3, 32, 32)),)
GEOMETRY = Geometry(fit="inside")
NAMES = ("b.jpg", "a.jpg", "c.jpg")


def request(limit=None):
    return Request(INPUTS, GEOMETRY, limit, 0)


def annotations(**changes):
    """Three pictures of 40x30 with ids 7, 3, 9; categories 1, 5, 90; the last picture has no object."""
    return {
        "images": [
            {"id": number, "file_name": name, "width": 40, "height": 30}
            for number, name in zip((7, 3, 9), NAMES, strict=True)
        ],
        "categories": [{"id": number, "name": str(number)} for number in (90, 1, 5)],
        "annotations": [
            annotation(image_id=7, category_id=90),
            annotation(image_id=3, category_id=5, bbox=[4.5, 2, 10, 20], area=150.0, iscrowd=1),
            annotation(image_id=7, category_id=1),
        ],
        **changes,
    }


def annotation(image_id=7, category_id=1, bbox=(1, 2, 3, 4), area=12.0, iscrowd=0, **more):
    return {
        "image_id": image_id, "category_id": category_id, "bbox": list(bbox), "area": area, "iscrowd": iscrowd, **more
    }  # fmt: skip


def make(root, data=None, file="annotations/instances_val2017.json", folder="val2017", pictures=NAMES, size=(40, 30)):
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(annotations() if data is None else data))
    for index, name in enumerate(pictures):
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (60 * index, 0, 0)).save(path)
    return root


def written(root, out, limit=None, **arguments):
    out.mkdir()
    reader = Coco(str(root), **arguments)
    assert reader.validate(request(limit)) == []
    return reader.write(request(limit), out, None)


def read(samples):
    return list(rows.read(samples.path))


def problem_of(root, limit=None, **arguments):
    problems = Coco(None if root is None else str(root), **arguments).validate(request(limit))
    assert len(problems) == 1
    assert problems[0].fix
    return problems[0].message


def test_pictures_are_in_the_order_of_their_ids_and_named_by_their_files(tmp_path):
    samples = written(make(tmp_path / "data"), tmp_path / "out")
    assert [row.id for row in read(samples)] == ["a", "b", "c"]
    assert samples.has_truth
    assert (samples.substitute, samples.note) == (None, None)


def test_objects_are_corners_and_indices_of_categories_by_id(tmp_path):
    first, second, _ = read(written(make(tmp_path / "data"), tmp_path / "out"))
    assert first.truth == {
        "class_count": 3, "boxes": [[4.5, 2, 14.5, 22]], "classes": [1], "areas": [150], "crowd": [1]
    }  # fmt: skip
    assert (second.truth["classes"], second.truth["boxes"]) == ([2, 0], [[1, 2, 4, 6], [1, 2, 4, 6]])


def test_byte_order_mark_before_the_annotations_is_skipped(tmp_path):
    path = make(tmp_path / "coco") / "annotations/instances_val2017.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert written(tmp_path / "coco", tmp_path / "out").count == 3


def test_picture_without_annotations_has_no_objects(tmp_path):
    truth = read(written(make(tmp_path / "data"), tmp_path / "out"))[2].truth
    assert truth == {"class_count": 3, "boxes": [], "classes": [], "areas": [], "crowd": []}


def test_limit_takes_the_first_pictures_and_the_others_need_not_exist(tmp_path):
    samples = written(make(tmp_path / "data", pictures=("a.jpg", "b.jpg")), tmp_path / "out", limit=2)
    assert [row.id for row in read(samples)] == ["a", "b"]


def test_limit_beyond_the_pictures_is_noted(tmp_path):
    assert "there are only 3 pictures" in written(make(tmp_path / "data"), tmp_path / "out", limit=4).note


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("annotations/instances_val2017.json", "images/val2017"),
        ("annotations/instances_val2017.json", "images"),
        ("annotations/instances_val2017.json", "."),
        ("annotations/instances_mine.json", "mine"),
        ("annotations/whatever.json", "whatever"),
        ("whatever.json", "."),
    ],
)
def test_usual_layouts_are_found(tmp_path, file, folder):
    assert written(make(tmp_path / "data", file=file, folder=folder), tmp_path / "out").count == 3


def test_annotations_and_pictures_may_be_named(tmp_path):
    root = make(tmp_path / "data", file="x/y.json", folder="z")
    assert written(root, tmp_path / "out", annotations="x/y.json", pictures="z").count == 3


def test_validation_file_is_chosen_among_several(tmp_path):
    root = make(tmp_path / "data")
    (root / "annotations/instances_train2017.json").write_text("{")
    assert written(root, tmp_path / "out").count == 3


def test_several_annotation_files_are_a_problem(tmp_path):
    root = make(tmp_path / "data", file="annotations/instances_a.json")
    (root / "annotations/instances_b.json").write_text("{}")
    assert "several files of annotations: instances_a.json, instances_b.json" in problem_of(root)


def test_box_beyond_the_edge_is_kept_as_it_is(tmp_path):
    data = annotations(annotations=[annotation(bbox=[-1, 2, 45.5, 10])])
    assert read(written(make(tmp_path / "data", data), tmp_path / "out"))[1].truth["boxes"] == [[-1, 2, 44.5, 12]]


def test_box_without_area_is_kept_and_noted(tmp_path):
    data = annotations(annotations=[annotation(bbox=[1, 2, 0, 0])])
    samples = written(make(tmp_path / "data", data), tmp_path / "out")
    assert read(samples)[1].truth["boxes"] == [[1, 2, 1, 2]]
    assert samples.note == "objects with a box without area, which cannot be found, as in COCOeval: 1"


def test_root_that_is_not_set_is_a_problem():
    assert problem_of(None) == "dataset.root is not set"


def test_folder_without_annotations_is_a_problem(tmp_path):
    assert "there are no annotations (*.json)" in problem_of(tmp_path)


@pytest.mark.parametrize("name", ["annotations", "pictures"])
def test_named_file_or_folder_that_is_missing_is_a_problem(tmp_path, name):
    message = problem_of(make(tmp_path / "data"), **{name: "nowhere"})
    assert message.startswith(f"dataset.reader.{name}: {tmp_path}/data/nowhere is not a f")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps(annotations())[:200], "truncated"),
        ("", "truncated"),
        ("[1, 2]", "Expected `object`, got `array`"),
        ('{"a": 1}', "missing required field `images`"),
        (json.dumps(annotations(images=[{"id": 1}])), "missing required field `file_name` - at `$.images[0]`"),
        (json.dumps(annotations(annotations=[{}])), "`image_id` - at `$.annotations[0]`"),
        (json.dumps(annotations(annotations=[annotation(bbox=[1, 2, 3])])), "length 4 - at `$.annotations[0].bbox`"),
        (json.dumps(annotations(annotations=[annotation(area="x")])), "`$.annotations[0].area`"),
    ],
)
def test_file_that_is_not_of_coco_is_a_problem(tmp_path, text, reason):
    root = make(tmp_path / "data")
    (root / "annotations/instances_val2017.json").write_text(text)
    message = problem_of(root)
    assert "instances_val2017.json does not hold COCO's object annotations" in message
    assert reason in message


def test_bytes_that_are_no_text_are_a_problem(tmp_path):
    root = make(tmp_path / "data")
    path = root / "annotations/instances_val2017.json"
    path.write_bytes(path.read_bytes().replace(b"a.jpg", b"\xff\xfe.jpg"))
    assert "does not hold COCO's object annotations" in problem_of(root)


def image(number=7, name="b.jpg", size=(40, 30)):
    return {"id": number, "file_name": name, "width": size[0], "height": size[1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [image(), image(name="d.jpg")], "annotations": []}, "1 image ids that occur twice: 7"),
        ({"images": [image(), image(8)], "annotations": []}, "1 file names that occur twice: b.jpg"),
        ({"categories": [{"id": 1}, {"id": 1}], "annotations": []}, "1 category ids that occur twice: 1"),
        ({"images": [image(name="../b.jpg")], "annotations": []}, "lead out of the folder: ../b.jpg"),
        ({"images": [image(name="/b.jpg")], "annotations": []}, "lead out of the folder: /b.jpg"),
        ({"annotations": [annotation(category_id=2)]}, "not in `categories`: annotations[0] (category_id 2)"),
        ({"annotations": [annotation(image_id=2)]}, "not in `images`: annotations[0] (image_id 2)"),
        ({"annotations": [annotation(bbox=[41, 0, 5, 5])]}, "not in their picture: annotations[0] (bbox [41.0"),
        ({"annotations": [annotation(bbox=[0, -9, 5, 5])]}, "not in their picture: annotations[0] (bbox [0.0, -9.0"),
        ({"annotations": [annotation(bbox=[9, 9, -5, 5])]}, "not in their picture: annotations[0] (bbox [9.0"),
    ],
)
def test_file_that_contradicts_itself_is_a_problem(tmp_path, changes, message):
    assert message in problem_of(make(tmp_path / "data", annotations(**changes)))


def test_pictures_without_a_file_are_a_problem(tmp_path):
    message = problem_of(make(tmp_path / "data", pictures=("a.jpg",)))
    assert message.startswith("2 of the 3 pictures that ")
    assert message.endswith("val2017: b.jpg, c.jpg")


def test_pictures_without_any_object_are_a_problem(tmp_path):
    assert "none of the 3 pictures has an object" in problem_of(make(tmp_path / "data", annotations(annotations=[])))


def test_pictures_of_another_size_than_annotated_are_an_error(tmp_path):
    root = make(tmp_path / "data", size=(30, 40))
    with pytest.raises(DataError, match=r"3 pictures in .* a\.jpg is 30x40 pixels and annotated as 40x30"):
        written(root, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_content_follows_annotations_and_pictures(tmp_path):
    root = make(tmp_path / "data")

    def content():
        hashes = FileHashes(tmp_path / "hashes")
        return json.dumps(Coco(str(root)).content(request(), hashes))

    first = content()
    Image.new("RGB", (40, 30), (1, 2, 3)).save(root / "val2017/a.jpg")
    second = content()
    (root / "annotations/instances_val2017.json").write_text(json.dumps(annotations(annotations=[annotation()])))
    assert len({first, second, content()}) == 3


SQUARE = np.zeros((30, 40), np.uint8)
SQUARE[10:20, 5:25] = 1
ENCODED = mask_tools.encode(np.asfortranarray(SQUARE))
RUNS = np.diff(np.flatnonzero(np.diff(np.r_[2, SQUARE.ravel("F"), 2]))).tolist()


@pytest.mark.parametrize(
    "segmentation",
    [
        [[5, 10, 25, 10, 25, 20, 5, 20]],
        [[5, 10, 15, 10, 15, 20, 5, 20], [15, 10, 25, 10, 25, 20, 15, 20]],
        {"size": [30, 40], "counts": RUNS},
        {"size": [30, 40], "counts": ENCODED["counts"].decode()},
    ],
)
def test_masks_of_all_forms_become_compressed_run_lengths(tmp_path, segmentation):
    root = make(tmp_path / "data", annotations(annotations=[annotation(segmentation=segmentation)]))
    none, (mask,), _ = (row.truth["masks"] for row in read(written(root, tmp_path / "out", masks=True)))
    assert none == []
    np.testing.assert_array_equal(mask_tools.decode([mask])[:, :, 0], SQUARE)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "a polygon is three or more points"),
        ([[1, 2, 3, 4]], "a polygon is three or more points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "a polygon is three or more points"),
        ({"size": [40, 30], "counts": [1200]}, r"a mask of \[40, 30\] in a picture of \[30, 40\]"),
        ({"size": [30, 40], "counts": [7]}, "run lengths of 7 pixels in a picture of 1200"),
        ({"size": [30, 40], "counts": "0o"}, "run lengths that end early"),
        (None, "got `null`"),
        ("x", "got `str`"),
    ],
)
def test_mask_that_cannot_be_read_is_an_error(tmp_path, segmentation, reason):
    root = make(tmp_path / "data", annotations(annotations=[annotation(segmentation=segmentation)]))
    with pytest.raises(DataError, match=f"an object of b.jpg .*{reason}"):
        written(root, tmp_path / "out", masks=True)


def test_masks_that_are_not_asked_for_are_not_read(tmp_path):
    root = make(tmp_path / "data", annotations(annotations=[annotation(segmentation="x")]))
    assert "masks" not in read(written(root, tmp_path / "out"))[1].truth


def test_reading_does_not_change_the_folder(tmp_path):
    root = make(tmp_path / "data")
    before = sorted(map(str, Path(root).rglob("*")))
    written(root, tmp_path / "out")
    assert sorted(map(str, Path(root).rglob("*"))) == before
