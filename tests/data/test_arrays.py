import struct
from pathlib import Path

import numpy as np
import pytest

from runner.core import FREE, TensorSpec
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


def with_header(text: str) -> bytes:
    """An .npy file of 48 bytes, with any text where its type and shape stand."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + bytes(48)


def of_shape(shape: str) -> bytes:
    return with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no array", b"PK\x03\x04", of_shape(f"({10**400}, 4)"), of_shape(f"({2**61}, 4)"), of_shape("(-3, 4)")),
        *(of_shape("(3.0, 4)"), of_shape("(True, 4)"), with_header("{'descr': ("), with_header("(" * 5000)),
        with_header("if\n    x\n  y\n"),
    ],
)
def test_a_file_that_is_no_array_is_a_problem(content, folder) -> None:
    (folder / "image.npy").write_bytes(content)
    (problem,) = problems(folder)
    assert "image.npy cannot be read" in problem


def test_objects_are_not_unpickled(folder) -> None:
    np.save(folder / "image.npy", np.array([{}, None] * 5), allow_pickle=True)
    (problem,) = problems(folder)
    assert "image.npy cannot be read" in problem


@pytest.mark.parametrize("labels", [np.zeros(5), np.zeros(5, "m8[s]"), np.ones(5, bool), np.zeros((5, 1), int)])
def test_labels_that_are_no_whole_numbers_are_a_problem(labels, folder) -> None:
    np.save(folder / "labels.npy", labels)
    (problem,) = problems(folder)
    assert "give class indices" in problem


@pytest.mark.parametrize(
    ("root", "told"), [(None, "dataset.root is not set"), ("/nowhere", "/nowhere is not a folder")]
)
def test_a_missing_folder_is_a_problem(root, told) -> None:
    (problem,) = problems(root)
    assert told in problem


def test_labels_are_known_before_anything_is_read(folder) -> None:
    reader = ArrayFolder(str(folder))
    assert not reader.has_truth
    np.save(folder / "labels.npy", np.arange(5))
    assert reader.has_truth
    assert (ArrayFolder().has_truth, ArrayFolder("/nowhere").has_truth) == (False, False)


def test_labels_may_lie_elsewhere(folder) -> None:
    np.save(folder.parent / "others.npy", np.array([3, 1, 4, 1, 5]))
    out = folder.parent / "out"
    out.mkdir()
    reader = ArrayFolder(str(folder), str(folder.parent / "others.npy"))
    samples = reader.write(request(), out, None)
    assert [row.truth for row in rows.read(samples.path)] == [3, 1, 4, 1, 5]


def test_labels_that_are_named_and_missing_are_a_problem(folder) -> None:
    reader = ArrayFolder(str(folder), "nowhere.npy")
    assert reader.has_truth
    (problem,) = reader.validate(request())
    assert "nowhere.npy is not there" in problem.message


# Pictures of another size than the network takes.


def pictures(folder: Path, values: np.ndarray, shape=(1, 4, 4), name: str = "image", **geometry) -> Request:
    """Keep the only input's array; return a request of a model that takes `shape`."""
    np.save(folder / f"{name}.npy", values)
    return Request((TensorSpec(name, "float32", shape),), Geometry(**geometry), None, 0)


def told(folder: Path, wanted: Request) -> list[str]:
    return [str(problem) for problem in ArrayFolder(str(folder)).validate(wanted)]


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_of_another_size_are_resized_as_pictures_are(channels, tmp_path) -> None:
    values = np.repeat(np.array([10, 200], np.uint8), 2 * channels * 4).reshape(2, channels, 2, 4)
    np.save(tmp_path / "labels.npy", np.array([7, 8]))
    wanted = pictures(tmp_path, values, (channels, 4, 4), fit="stretch")
    assert told(tmp_path, wanted) == []
    reader, out = ArrayFolder(str(tmp_path)), tmp_path / "out"
    out.mkdir()
    samples = reader.write(wanted, out, None)
    stored = np.load(samples.path / "image.npy")
    assert (stored.dtype, stored.shape) == (np.uint8, (2, channels, 4, 4))
    assert reader.stored_bytes(wanted) == stored.nbytes
    assert (stored[0] == 10).all() and (stored[1] == 200).all()
    kept = list(rows.read(samples.path))
    assert [(row.id, row.truth, row.original_size) for row in kept] == [
        ("sample_00000", 7, (2, 4)),
        ("sample_00001", 8, (2, 4)),
    ]


def test_resized_channels_stay_in_the_arrays_order(tmp_path) -> None:
    values = np.array([1, 2, 3], np.uint8).reshape(1, 3, 1, 1)
    wanted = pictures(tmp_path, values, (3, 2, 2), fit="stretch", channels="bgr")
    (tmp_path / "out").mkdir()
    samples = ArrayFolder(str(tmp_path)).write(wanted, tmp_path / "out", None)
    assert np.load(samples.path / "image.npy")[0, :, 0, 0].tolist() == [1, 2, 3]


def test_pictures_of_an_array_in_columns_are_resized_too(tmp_path) -> None:
    values = np.arange(3 * 4 * 8, dtype=np.uint8).reshape(3, 1, 4, 8)
    found = []
    for order in ("C", "F"):
        wanted = pictures(tmp_path, np.asarray(values, order=order), fit="stretch")
        out = tmp_path / order
        out.mkdir()
        ArrayFolder(str(tmp_path)).write(wanted, out, None)
        found.append((out / "image.npy").read_bytes())
    assert found[0] == found[1]


def test_bytes_of_the_networks_own_size_are_never_resized(tmp_path) -> None:
    values = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    wanted = pictures(tmp_path, values, resize=8, crop=4)
    (tmp_path / "out").mkdir()
    samples = ArrayFolder(str(tmp_path)).write(wanted, tmp_path / "out", None)
    np.testing.assert_array_equal(np.load(samples.path / "image.npy"), values)


def test_bytes_of_any_size_fit_where_the_size_is_free(tmp_path) -> None:
    wanted = pictures(tmp_path, np.zeros((1, 3, 5, 7), np.uint8), (3, FREE, FREE), fit="none")
    assert told(tmp_path, wanted) == []


def test_bytes_that_the_preprocessing_does_not_fit_name_the_key(tmp_path) -> None:
    (problem,) = told(tmp_path, pictures(tmp_path, np.zeros((1, 1, 2, 3), np.uint8)))
    assert "image.npy is uint8 [1, 1, 2, 3]: pictures of 3x2 become 3x2" in problem
    assert "model.preprocess.fit" in problem


@pytest.mark.parametrize(
    "values",
    [np.zeros((1, 1, 2, 3), np.float32), np.zeros((1, 3, 2, 3), np.uint8), np.zeros((1, 1, 0, 3), np.uint8)],
    ids=["floats", "channels", "empty"],
)
def test_what_is_never_resized_is_refused_with_the_key(values, tmp_path) -> None:
    (problem,) = told(tmp_path, pictures(tmp_path, values, fit="stretch"))
    assert f"image.npy is {values.dtype} {list(values.shape)}" in problem
    assert "uint8 [count, 1, height, width] of any size is resized as model.preprocess.fit says" in problem


def test_an_array_beside_others_is_never_resized(folder) -> None:
    np.save(folder / "image.npy", np.zeros((5, 3, 4, 4), np.uint8))
    (problem,) = problems(folder)
    assert problem.endswith("takes float32 or uint8 [count, 3, 2, 2]")
