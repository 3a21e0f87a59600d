import os
from pathlib import Path

import numpy as np
import pytest

from runner.core import TensorSpec, ToolError
from runner.data.batches import Batch
from runner.tools.ascend import _sample_files as sample_files

X = TensorSpec("x", "float32", (2,))
W = TensorSpec("w", "int64", ())


def batch(*rows: float) -> Batch:
    values = np.array(rows, dtype=np.float32)
    return Batch(tuple("abc"[: len(rows)]), {"x": np.stack([values, -values], axis=1), "w": values})


def contents(chunk: sample_files.Chunk, index: int = 0) -> dict[str, list[float]]:
    kind = np.float32 if index == 0 else np.int64
    return {path.name: np.fromfile(path, kind).tolist() for path in sorted(chunk.folders[index].iterdir())}


def test_every_row_is_a_file_of_raw_values_padding_included(work) -> None:
    (found,) = [contents(chunk) for chunk in sample_files.chunks([batch(1, 2), batch(3, 3)], (X,), 2, work)]
    assert found == {
        "00000000.bin": [1, -1],
        "00000001.bin": [2, -2],
        "00000002.bin": [3, -3],
        "00000003.bin": [3, -3],
    }


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o640), (0o002, 0o640), (0o077, 0o600)])
def test_nobody_but_the_owner_may_write_a_file(work, umask, mode) -> None:
    before = os.umask(umask)
    try:
        for chunk in sample_files.chunks([batch(1, 2)], (X,), 2, work):
            assert (chunk.folders[0] / chunk.names[0]).stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_each_input_has_its_folder_with_the_same_names(work) -> None:
    (found,) = [(contents(c, 0), contents(c, 1)) for c in sample_files.chunks([batch(1, 2)], (X, W), 2, work)]
    assert found == (
        {"00000000.bin": [1, -1], "00000001.bin": [2, -2]},
        {"00000000.bin": [1], "00000001.bin": [2]},
    )


def test_a_chunk_holds_no_more_files_than_the_limit(work, monkeypatch) -> None:
    monkeypatch.setattr(sample_files, "CHUNK_FILES", 4)
    names = [chunk.names for chunk in sample_files.chunks([batch(i, i) for i in range(3)], (X,), 2, work)]
    assert names == [
        ("00000000.bin", "00000001.bin", "00000002.bin", "00000003.bin"),
        ("00000004.bin", "00000005.bin"),
    ]


def test_a_chunk_holds_no_more_bytes_than_the_limit(monkeypatch) -> None:
    monkeypatch.setattr(sample_files, "CHUNK_BYTES", 100)
    assert sample_files.batches_per_chunk((X,), 2) == 100 // 16


def test_a_batch_above_the_limits_is_a_chunk_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(sample_files, "CHUNK_BYTES", 10)
    assert sample_files.batches_per_chunk((X,), 2) == 1


def test_files_are_gone_when_the_next_chunk_is_asked_for(work, monkeypatch) -> None:
    monkeypatch.setattr(sample_files, "CHUNK_FILES", 2)
    seen = [len(list(work.rglob("*.bin"))) for _ in sample_files.chunks([batch(1, 2)] * 3, (X,), 2, work)]
    assert (seen, list(work.iterdir())) == ([2, 2, 2], [])


def test_the_last_chunk_is_filled_for_every_device(work) -> None:
    (chunk,) = [(c.batches, c.names, contents(c)) for c in sample_files.chunks([batch(1, 2)], (X,), 2, work, 2)]
    assert (chunk[0], len(chunk[1]), chunk[2]["00000003.bin"]) == (1, 4, [2, -2])


def test_folders_are_not_group_writable(work) -> None:
    (modes,) = [[f.stat().st_mode & 0o22 for f in c.folders] for c in sample_files.chunks([batch(1)], (X,), 1, work)]
    assert modes == [0]


def test_an_input_of_another_shape_is_told(work) -> None:
    with pytest.raises(ToolError, match=r"'x' is \[3, 2\], the samples' is \[2, 2\]"):
        next(sample_files.chunks([batch(1, 2)], (X,), 3, work))


def test_values_that_the_type_cannot_hold_are_told(work) -> None:
    with pytest.raises(ToolError, match="values that int64 cannot"):
        next(sample_files.chunks([batch(0.5)], (W,), 1, work))


def written(folder: Path, values: dict[str, np.ndarray]) -> dict[str, tuple[Path, ...]]:
    for name, array in values.items():
        array.tofile(folder / f"out_{name}")
    return {name: (folder / f"out_{name}",) for name in values}


def chunk_of(*names: str, rows: int = 1) -> sample_files.Chunk:
    return sample_files.Chunk(number=0, folders=(), names=names, batches=len(names) // rows, rows=rows)


def test_outputs_come_a_batch_at_a_time_in_order(work) -> None:
    files = written(work, {"b": np.float32([3, 4]), "a": np.float32([1, 2])})
    (found,) = sample_files.outputs(chunk_of("a", "b", rows=2), files, (X,))
    assert found["x"].tolist() == [[1, 2], [3, 4]]


def test_float16_files_are_known_by_their_size(work) -> None:
    (found,) = sample_files.outputs(chunk_of("a"), written(work, {"a": np.float16([0.5, 2])}), (X,))
    assert (found["x"].dtype, found["x"].tolist()) == (np.float32, [[0.5, 2]])


def test_whole_numbers_keep_their_type(work) -> None:
    (found,) = sample_files.outputs(chunk_of("a"), written(work, {"a": np.array(7)}), (W,))
    assert (found["w"].dtype, found["w"].tolist()) == (np.int64, [7])


def test_whole_numbers_of_half_the_width_are_widened(work) -> None:
    (found,) = sample_files.outputs(chunk_of("a"), written(work, {"a": np.int32([-7])}), (W,))
    assert (found["w"].dtype, found["w"].tolist()) == (np.int64, [-7])


def test_a_file_of_another_size_is_told_with_both_sizes(work) -> None:
    files = written(work, {"a": np.float32([1, 2, 3])})
    with pytest.raises(ToolError, match=r"takes 8 \(float32\) or 4 \(float16\) bytes, the tool wrote 12"):
        next(sample_files.outputs(chunk_of("a"), files, (X,)))


def test_a_sample_without_outputs_is_named(work) -> None:
    files = written(work, {"a": np.float32([1, 2])})
    with pytest.raises(ToolError, match="2 samples went in, 1 came out: b has no output"):
        next(sample_files.outputs(chunk_of("a", "b"), files, (X,)))


def test_fewer_outputs_than_the_model_has_are_told(work) -> None:
    files = written(work, {"a": np.float32([1, 2])})
    with pytest.raises(ToolError, match=r"declares 2 outputs \(x, w\), the tool wrote 1 for a"):
        next(sample_files.outputs(chunk_of("a"), files, (X, W)))


def test_an_output_that_is_named_but_not_there_is_told(work) -> None:
    with pytest.raises(ToolError, match="which is not there"):
        next(sample_files.outputs(chunk_of("a"), {"a": (work / "gone",)}, (X,)))
