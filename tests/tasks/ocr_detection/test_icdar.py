import numpy as np
import pytest
from PIL import Image

from runner.core import DataError, TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.ocr_detection import Icdar

REQUEST = Request((TensorSpec("x", "float32", (3, 32, 64)),), Geometry(fit="inside", pad="corner"), None, 0)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "words").mkdir()
    for name in ("b", "a"):
        Image.new("RGB", (128, 64)).save(tmp_path / "pictures" / f"{name}.png")
        (tmp_path / "words" / f"gt_{name}.txt").write_bytes(
            b"\xef\xbb\xbf0,0,10,0,10,5,0,5,some, text\n1,1,2,1,2,2,1,2,###\n"
        )
    return tmp_path


def write(root, tmp_path):
    (tmp_path / "out").mkdir()
    return list(rows.read(Icdar(str(root)).write(REQUEST, tmp_path / "out", None).path))


def test_words_and_those_to_ignore_are_read(root, tmp_path):
    first = write(root, tmp_path)[0]
    assert (first.id, first.original_size, first.scale) == ("a", (64, 128), (0.5, 0.5))
    assert first.truth["polygons"][0] == [[0, 0], [10, 0], [10, 5], [0, 5]]
    assert first.truth["ignored"] == [False, True]


def test_a_line_separator_within_a_text_ends_no_line(root, tmp_path):
    (root / "words" / "gt_a.txt").write_text("0,0,10,0,10,5,0,5,some\u2028text\n", "utf-8")
    assert write(root, tmp_path)[0].truth["ignored"] == [False]


def test_a_list_is_read_in_its_order(root, tmp_path):
    words = '[{"transcription": "x", "points": [[0, 0], [4, 0], [4, 4]]}]'
    (root / "labels.txt").write_text(f"pictures/b.png\t{words}\npictures/a.png\t[]\n")
    assert [(row.id, row.truth["ignored"]) for row in write(root, tmp_path)] == [("b", [False]), ("a", [])]


@pytest.fixture
def two_folders(root):
    """Two pictures of one name, red in the folder `red` and blue in `blue`."""
    for colour in ("red", "blue"):
        (root / "pictures" / colour).mkdir()
        Image.new("RGB", (64, 32), colour).save(root / "pictures" / colour / "1.png")
    return root


def test_listed_pictures_of_one_name_are_told_apart_by_their_folders(two_folders, tmp_path):
    (two_folders / "labels.txt").write_text("red/1.png\t[]\nblue/1.png\t[]\n")
    assert [row.id for row in write(two_folders, tmp_path)] == ["red/1", "blue/1"]
    assert [picture[:, 0, 0].tolist() for picture in np.load(tmp_path / "out" / "x.npy")] == [[255, 0, 0], [0, 0, 255]]


def test_a_listed_name_of_several_pictures_is_a_problem(two_folders):
    (two_folders / "labels.txt").write_text("1.png\t[]\n")
    (problem,) = Icdar(str(two_folders)).validate(REQUEST)
    assert "are not there: 1.png" in problem.message and "give their paths" in problem.fix


def test_a_picture_that_is_listed_twice_is_a_problem(root):
    (root / "labels.txt").write_text("b.png\t[]\npictures/b.png\t[]\n")
    (problem,) = Icdar(str(root)).validate(REQUEST)
    assert "labels.txt:2: b.png has a line above already" in problem.message


def test_pictures_that_would_share_a_file_of_words_are_a_problem(two_folders):
    (problem,) = Icdar(str(two_folders)).validate(REQUEST)
    assert "blue/1.png and red/1.png would have one file of words" in problem.message


def test_a_picture_without_a_file_of_words_is_a_problem(root):
    (root / "words" / "gt_b.txt").unlink()
    (problem,) = Icdar(str(root)).validate(REQUEST)
    assert "b.png has no file of words" in problem.message


def test_a_line_that_is_no_polygon_is_a_problem(root):
    (root / "words" / "gt_a.txt").write_text("1,2,3,word\n")
    (problem,) = Icdar(str(root)).validate(REQUEST)
    assert "gt_a.txt:1: '1,2,3,word' is not x1,y1" in problem.message


def test_a_listed_picture_that_is_missing_is_a_problem(root):
    (root / "labels.txt").write_text("c.png\t[]\n")
    (problem,) = Icdar(str(root)).validate(REQUEST)
    assert "1 pictures that" in problem.message and "c.png" in problem.message


def test_a_list_with_broken_words_is_a_problem(root):
    (root / "labels.txt").write_text("a.png\t[{]\n")
    assert "the words cannot be read" in Icdar(str(root)).validate(REQUEST)[0].message


def test_no_root_is_a_problem():
    assert Icdar().validate(REQUEST)[0].message == "dataset.root is not set"


def test_the_key_follows_words_and_pictures(root):
    digests = lambda folder, files: [str((folder / file).stat().st_size) for file in files]  # noqa: E731
    before = Icdar(str(root)).content(REQUEST, digests)
    (root / "words" / "gt_a.txt").write_text("0,0,9,0,9,5,0,5,text\n")
    assert Icdar(str(root)).content(REQUEST, digests) != before


def test_a_file_that_is_not_text_is_a_problem(root):
    (root / "words" / "gt_a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not a text file in UTF-8"):
        Icdar(str(root)).stored_bytes(REQUEST)


def test_pictures_are_padded_in_the_corner(root, tmp_path):
    Image.new("RGB", (64, 64), (255, 255, 255)).save(root / "pictures" / "a.png")
    write(root, tmp_path)
    stored = np.load(tmp_path / "out" / "x.npy")[0]
    assert stored[:, :, :32].min() == 255
    assert stored[:, :, 32:].max() == 0
