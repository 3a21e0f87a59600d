"""Which samples PyTorch computes too."""

from pathlib import Path

import pytest

from runner.core import FREE, Samples, TensorSpec
from runner.data import Row, rows, storage
from runner.data.selection import chosen_rows, spread


@pytest.mark.parametrize(
    ("count", "wanted", "indices"),
    [(5, None, [0, 1, 2, 3, 4]), (5, 9, [0, 1, 2, 3, 4]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (9, 1, [0])],
)
def test_the_samples_are_spread_over_the_whole_data_set(count, wanted, indices) -> None:
    assert spread(count, wanted) == indices


def test_no_sample_is_chosen_twice() -> None:
    for count in range(1, 60):
        for wanted in range(1, count + 1):
            assert len(set(spread(count, wanted))) == wanted


@pytest.mark.parametrize(
    ("wanted", "chosen"), [(None, [0, 1, 2, 3, 4, 5]), (1, [0, 1, 2]), (3, [0, 1, 2, 4, 5]), (6, [0, 1, 2, 3, 4, 5])]
)
def test_whole_samples_are_chosen(tmp_path: Path, wanted: int | None, chosen: list[int]) -> None:
    rows.write(tmp_path, [Row(id=f"r{index}", sample=name) for index, name in enumerate("aaabcc")])
    samples = Samples(path=tmp_path, sha256="", count=6, spec=())
    assert chosen_rows(samples, wanted, None) == chosen


@pytest.mark.parametrize(
    ("wanted", "chosen"), [(1, [0, 1]), (3, [0, 1, 5, 6]), (5, [0, 1, 3, 4, 5, 6]), (None, [0, 1, 2, 3, 4, 5, 6])]
)
def test_whole_batches_are_chosen_for_a_model_that_depends_on_the_batch(
    tmp_path: Path, wanted: int | None, chosen: list[int]
) -> None:
    tensor, widths = TensorSpec("x", "float32", (FREE,)), [1, 1, 1, 2, 2, 2, 2]  # batches 01 2 34 56
    storage.create_array(tmp_path, tensor, len(widths), [(width,) for width in widths])
    samples = storage.finish(tmp_path, [tensor], [Row(id=f"s{index}") for index in range(len(widths))])
    assert chosen_rows(samples, wanted, 2) == chosen
