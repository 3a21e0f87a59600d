from pathlib import Path

import numpy as np
import pytest

from runner.core import TensorSpec
from runner.data import ArrayFolder, Geometry, Request, rows

INPUTS = (TensorSpec("image", "float32", (3, 2, 2)), TensorSpec("words/ids", "int64", (4,)))
IMAGES = np.arange(60, dtype=np.uint8).reshape(5, 3, 2, 2)
WORDS = np.arange(20, dtype=np.int64).reshape(5, 4)


def request(limit: int | None = None) -> Request:
    return Request(INPUTS, Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb"), limit, 0)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Five samples of a picture in bytes and four words, without labels."""
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "image.npy", IMAGES)
    np.save(folder / "words_ids.npy", WORDS)
    return folder


def write(folder: Path, limit: int | None = None):
    out = folder.parent / "out"
    out.mkdir()
    return ArrayFolder(str(folder)).write(request(limit), out, None)


def problems(folder: Path | str | None) -> list[str]:
    return [str(problem) for problem in ArrayFolder(folder and str(folder)).validate(request())]


def test_arrays_are_stored_as_they_are(folder) -> None:
    samples = write(folder)
    np.testing.assert_array_equal(np.load(samples.path / "image.npy"), IMAGES, strict=True)
    np.testing.assert_array_equal(np.load(samples.path / "words_ids.npy"), WORDS, strict=True)
    assert (samples.spec, samples.has_truth, samples.substitute) == (INPUTS, False, None)
    assert rows.ids(samples.path)[:2] == ["sample_00000", "sample_00001"]


def test_arrays_of_many_chunks_and_in_columns_are_stored_whole(folder, monkeypatch) -> None:
    monkeypatch.setattr("runner.data.storage.CHUNK_BYTES", 25)
    np.save(folder / "image.npy", np.asfortranarray(IMAGES))
    np.testing.assert_array_equal(np.load(write(folder).path / "image.npy"), IMAGES)


def test_the_limit_takes_the_first_samples_and_labels(folder) -> None:
    np.save(folder / "labels.npy", np.array([3, 1, 4, 1, 5], np.uint8))
    samples = write(folder, limit=2)
    np.testing.assert_array_equal(np.load(samples.path / "image.npy"), IMAGES[:2])
    assert (samples.count, samples.has_truth) == (2, True)
    assert [row.truth for row in rows.read(samples.path)] == [3, 1]


def test_a_whole_folder_has_no_problems_and_its_size_is_known(folder) -> None:
    assert problems(folder) == []
    assert ArrayFolder(str(folder)).stored_bytes(request(2)) == 2 * (12 + 4 * 8)


def test_what_is_read_makes_the_key(folder) -> None:
    np.save(folder / "labels.npy", np.array([3, 1, 4, 1, 5]))
    given = []

    def hashed(root, paths):
        given.append((root, [str(path) for path in paths]))
        return ["a", "b"]

    content = ArrayFolder(str(folder)).content(request(), hashed)
    assert content == {"labels": [3, 1, 4, 1, 5], "sha256": ["a", "b"]}
    assert given == [(folder, ["image.npy", "words_ids.npy"])]


def test_everything_wrong_is_told_at_once(folder) -> None:
    (folder / "words_ids.npy").unlink()
    np.save(folder / "image.npy", IMAGES.astype(np.float64))
    np.save(folder / "labels.npy", np.ones((5, 2)))
    image, words, labels = problems(folder)
    assert "image.npy is float64 [5, 3, 2, 2]" in image
    assert "takes float32 or uint8 [count, 3, 2, 2]" in image
    assert "words_ids.npy is not there" in words
    assert "the folder holds image.npy, labels.npy" in words
    assert "labels.npy is float64 [5, 2]" in labels


def test_arrays_of_different_lengths_are_a_problem(folder) -> None:
    np.save(folder / "labels.npy", np.arange(4))
    (problem,) = problems(folder)
    assert "image.npy 5, words/ids.npy 5, labels.npy 4" in problem


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x03\x04"])
def test_a_file_that_is_no_array_is_a_problem(content, folder) -> None:
    (folder / "image.npy").write_bytes(content)
    (problem,) = problems(folder)
    assert "image.npy cannot be read" in problem


def test_objects_are_not_unpickled(folder) -> None:
    np.save(folder / "image.npy", np.array([{}, None] * 5), allow_pickle=True)
    (problem,) = problems(folder)
    assert "image.npy cannot be read" in problem


@pytest.mark.parametrize(("root", "told"), [(None, "dataset.root is not set"), ("/nowhere", "/nowhere is no folder")])
def test_a_missing_folder_is_a_problem(root, told) -> None:
    (problem,) = problems(root)
    assert told in problem
