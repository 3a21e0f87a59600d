import pytest
from PIL import Image

from runner.core import DataError, TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.detection import Voc

CLASSES = ["bird", "cat", "dog"]
OBJECT = """<object><name>{name}</name>{difficult}
<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"""
PICTURE = "<annotation><size><width>40</width><height>30</height><depth>3</depth></size>{objects}</annotation>"


def request(limit=None):
    return Request((TensorSpec("image", "float32", (3, 32, 32)),), Geometry(fit="inside"), limit, 0)


def xml(*objects):
    """Each object is (name, difficult or None, [xmin, ymin, xmax, ymax])."""
    texts = [
        OBJECT.format(
            name=name,
            difficult="" if difficult is None else f"<difficult>{difficult}</difficult>",
            **dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
        )
        for name, difficult, box in objects
    ]
    return PICTURE.format(objects="".join(texts))


TWO = xml(("dog", 0, [1, 2, 10, 30]), ("bird", 1, ["3.5", 4, 40, 20]))


def make(root, annotations=None, split="test", lines=None):
    annotations = annotations or {"000002": TWO, "000001": xml(("cat", None, [5, 5, 5, 5]))}
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for name, text in annotations.items():
        Image.new("RGB", (40, 30)).save(root / "JPEGImages" / f"{name}.jpg")
        (root / "Annotations" / f"{name}.xml").write_text(text)
    (root / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(lines or annotations) + "\n")
    return root


def written(root, out, limit=None, **arguments):
    out.mkdir()
    reader = Voc(str(root), CLASSES, **arguments)
    assert reader.validate(request(limit)) == []
    return reader.write(request(limit), out, None)


def read(samples):
    return list(rows.read(samples.path))


def problem_of(root, **arguments):
    problems = Voc(str(root), **{"classes": CLASSES, **arguments}).validate(request())
    assert len(problems) == 1
    assert problems[0].fix
    return problems[0].message


def test_pictures_are_in_the_order_of_the_split(tmp_path):
    assert [row.id for row in read(written(make(tmp_path / "data"), tmp_path / "out"))] == ["000002", "000001"]


def test_pixels_counted_from_1_become_edges_counted_from_0(tmp_path):
    first, second = read(written(make(tmp_path / "data"), tmp_path / "out"))
    assert first.truth == {
        "class_count": 3,
        "boxes": [[0, 1, 10, 30], [2.5, 3, 40, 20]],
        "classes": [2, 0],
        "areas": [290, 637.5],
        "crowd": [0, 0],
        "difficult": [0, 1],
    }
    assert (second.truth["boxes"], second.truth["difficult"]) == ([[4, 4, 5, 5]], [0])


@pytest.mark.parametrize("below", ["", "VOC2007", "VOCdevkit/VOC2012"])
def test_devkit_is_found_below_the_root(tmp_path, below):
    make(tmp_path / "data" / below)
    assert written(tmp_path / "data", tmp_path / "out").count == 2


def test_several_data_sets_below_the_root_are_a_problem(tmp_path):
    make(tmp_path / "data/VOC2007")
    make(tmp_path / "data/VOC2012")
    assert "has several data sets" in problem_of(tmp_path / "data")


def test_folder_without_pictures_is_a_problem(tmp_path):
    assert f"there is no JPEGImages/ in {tmp_path}" in problem_of(tmp_path)


def test_other_split_and_limit_are_taken(tmp_path):
    samples = written(make(tmp_path / "data", split="val"), tmp_path / "out", limit=1, split="val")
    assert [row.id for row in read(samples)] == ["000002"]


def test_only_the_first_column_of_a_split_counts(tmp_path):
    root = make(tmp_path / "data", lines=["000002  1", "000001 -1"])
    assert written(root, tmp_path / "out").count == 2


def test_missing_split_beside_no_others_is_to_be_written(tmp_path):
    root = make(tmp_path)
    (root / "ImageSets/Main/test.txt").unlink()
    (problem,) = Voc(str(root), CLASSES).validate(request())
    assert problem.fix == "write the pictures' names there, one a line"


def test_size_of_no_pixels_is_a_problem(tmp_path):
    root = make(tmp_path, {"000001": TWO.replace("<width>40", "<width>0")})
    assert "000001.xml does not hold Pascal VOC's annotations: its size is 0x30" in problem_of(root)


def test_missing_split_is_a_problem_that_names_the_others(tmp_path):
    problems = Voc(str(make(tmp_path / "data")), CLASSES, "train").validate(request())
    assert "train.txt cannot be read" in problems[0].message
    assert problems[0].fix == "choose of: test"


def test_split_that_lists_a_picture_twice_is_a_problem(tmp_path):
    assert "lists a picture twice" in problem_of(make(tmp_path / "data", lines=["000001", "000001"]))


def test_split_without_pictures_is_a_problem(tmp_path):
    assert "test.txt is empty" in problem_of(make(tmp_path / "data", lines=[" "]))


def test_pictures_without_a_file_are_a_problem(tmp_path):
    assert problem_of(make(tmp_path / "data", lines=["000001", "000009"])).endswith("JPEGImages: 000009")


def test_annotations_without_a_file_are_a_problem(tmp_path):
    root = make(tmp_path / "data")
    (root / "Annotations/000001.xml").unlink()
    assert "000001.xml: No such file" in problem_of(root)


def test_class_that_is_not_listed_is_a_problem(tmp_path):
    assert "of a class that is not listed: dog, bird" in problem_of(make(tmp_path / "data"), classes=["cat"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TWO[:90], "unclosed token"),
        ("not xml", "syntax error"),
        ("<annotation/>", "annotation has no size/width"),
        (TWO.replace("bndbox", "box"), "object has no bndbox/xmin"),
        (TWO.replace("<name>dog</name>", ""), "object has no name"),
        (TWO.replace("<xmin>1</xmin>", "<xmin>one</xmin>"), "could not convert"),
        (TWO.replace("<xmin>1</xmin>", "<xmin>nan</xmin>"), "xmin nan"),
        (TWO.replace("<xmin>1</xmin>", "<xmin>-inf</xmin>"), "xmin -inf"),
        (TWO.replace("<xmin>1</xmin>", "<xmin>11</xmin>"), "the box xmin 11, ymin 2, xmax 10, ymax 30 is not in"),
        (TWO.replace("<ymin>2</ymin>", "<ymin>31</ymin>").replace("30</ymax>", "32</ymax>"), "ymin 31"),
        ('<?xml version="1.0" encoding="none-such"?>' + TWO, "unknown encoding"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + TWO.replace("dog", "&b;"), "it declares a document type"),
    ],
)
def test_file_that_is_not_of_voc_is_a_problem(tmp_path, text, reason):
    message = problem_of(make(tmp_path / "data", {"000001": text}))
    assert "000001.xml does not hold Pascal VOC's annotations" in message
    assert reason in message


def test_picture_of_another_size_than_annotated_is_an_error(tmp_path):
    root = make(tmp_path / "data")
    Image.new("RGB", (30, 40)).save(root / "JPEGImages/000001.jpg")
    with pytest.raises(DataError, match=r"000001\.jpg is 30x40 pixels and annotated as 40x30"):
        written(root, tmp_path / "out")
