import numpy as np
import pytest

from runner.core import StoreError, TensorSpec
from runner.data.storage import create_array, finish, numbered, stored_bytes

TENSOR = TensorSpec("x", "float32", (3,))


def test_created_array_is_an_npy_of_zeros(tmp_path):
    array = create_array(tmp_path, TENSOR, 4)
    np.testing.assert_array_equal(np.load(array.path), np.zeros((4, 3), np.float32))


def test_folder_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write .*No such file or directory\n.*cache_dir=DIR"):
        create_array(tmp_path / "gone", TENSOR, 4)


def digest(folder, ids=("a", "b"), truths=(1, 2), value=0.0):
    folder.mkdir()
    array = create_array(folder, TENSOR, 2)
    with array.path.open("r+b") as file:
        file.seek(array.offset)
        file.write(np.float32(value).tobytes())
    return finish(folder, (TENSOR,), ids, truths, note=folder.name).sha256


def test_digest_follows_content_alone(tmp_path):
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


@pytest.mark.parametrize("change", [{"ids": ("a", "c")}, {"truths": (1, 3)}, {"truths": None}, {"value": 1.0}])
def test_digest_covers_arrays_ids_and_truths(tmp_path, change):
    assert digest(tmp_path / "1") != digest(tmp_path / "2", **change)


def test_names_are_padded_for_all_that_there_are():
    assert numbered("n_", 2, 2, 1000) == ("n_000", "n_001")


def test_stored_bytes_count_every_tensor():
    assert stored_bytes((TENSOR, TensorSpec("y", "uint8", (2, 2))), 10) == 10 * (12 + 4)
