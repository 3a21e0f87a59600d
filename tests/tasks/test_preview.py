"""What a preview is made from: the first samples with their pictures, outputs and results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.core import FREE, Predictions, Samples, TensorSpec
from runner.data import Geometry, Picture, PictureSource, Request, Row, predictions, storage, write_pictures
from runner.tasks import Example
from runner.tasks.preview import ONLY_PREVIEW, examples

NONE = Geometry(fit="none")


def load(item: str) -> Image.Image:
    """A red picture with a blue right half; the item is HEIGHTxWIDTH."""
    height, width = size_of(item)
    picture = Image.new("RGB", (width, height), (200, 0, 0))
    picture.paste((0, 0, 100), (width // 2, 0, width, height))
    return picture


def size_of(item: str) -> tuple[int, int]:
    height, width = item.split("x")
    return int(height), int(width)


def prepared(folder: Path, items: Sequence[str], geometry: Geometry = NONE, size: int = FREE) -> Samples:
    inputs = (TensorSpec("image", "float32", (3, size, size)),)
    request = Request(inputs, geometry, None, 0)
    pictures = [Picture(item, f"{number}", number) for number, item in enumerate(items)]
    written = write_pictures(PictureSource(load=load, size_of=size_of), pictures, request, folder)
    return storage.finish(folder, inputs, written)


def inferred(folder: Path, samples: Samples) -> Predictions:
    """Each row's output is its index."""
    ids = [row.id for row in storage.facts(samples.path)]
    return predictions.write(folder / "p.npz", ["y"], ids, [{"y": np.array([[index]])} for index in range(len(ids))])


def shown(folder: Path, items: Sequence[str], geometry: Geometry = NONE, size: int = FREE) -> list[Example]:
    samples = prepared(folder, items, geometry, size)

    def first_of_each(outputs: Mapping[str, np.ndarray], rows: Sequence[Row]) -> np.ndarray:
        return outputs["y"][[index for index, row in enumerate(rows) if row.truth is not None]]

    return list(examples(samples, inferred(folder, samples), first_of_each, geometry.channels))


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize(
    ("geometry", "size"),
    [
        (NONE, FREE),
        (Geometry(fit="inside"), 32),
        (Geometry(fit="none", multiple=16), FREE),
        (Geometry(fit="none", tile=(16, 16), overlap=3), 16),
        (Geometry(fit="stretch"), 24),
    ],
    ids=["as it is", "padded", "multiple", "tiled", "stretched"],
)
def test_a_picture_is_put_together_in_its_original_size_and_colours(
    tmp_path: Path, geometry: Geometry, size: int, channels: str
) -> None:
    (example,) = shown(tmp_path, ["20x40"], replace(geometry, channels=channels), size)
    picture = np.asarray(example.picture)
    assert picture.shape == (20, 40, 3)
    assert picture[10, 5].tolist() == [200, 0, 0]
    assert picture[10, 35].tolist() == [0, 0, 100]


def test_samples_of_differing_shapes_come_with_their_own_outputs_and_truths(tmp_path: Path) -> None:
    found = shown(tmp_path, ["4x6", "8x6", "4x6"])
    assert [(each.id, each.truth, each.result.tolist()) for each in found] == [
        ("0", 0, [0]),
        ("2", 2, [1]),
        ("1", 1, [2]),
    ]
    assert [each.inputs["image"].shape for each in found] == [(1, 3, 4, 6), (1, 3, 4, 6), (1, 3, 8, 6)]


def test_the_tiles_of_a_picture_are_one_example(tmp_path: Path) -> None:
    def of_samples(outputs: Mapping[str, np.ndarray], rows: Sequence[Row]) -> list[list[int]]:
        members = groupby(range(len(rows)), key=lambda index: rows[index].sample_id)
        return [[int(outputs["y"][index, 0]) for index in indices] for _, indices in members]

    samples = prepared(tmp_path, ["8x20", "8x8"], Geometry(fit="none", tile=(8, 8)), 8)
    first, second = examples(samples, inferred(tmp_path, samples), of_samples, "rgb")
    assert (first.result, second.result) == ([0, 1, 2], [3])
    assert [row.id for row in first.rows] == ["0#0", "0#1", "0#2"]
    assert first.inputs["image"].shape == (3, 3, 8, 8)
    assert (second.id, second.inputs["image"].shape) == ("1", (1, 3, 8, 8))


def test_only_the_first_samples_are_shown(tmp_path: Path) -> None:
    assert len(shown(tmp_path, ["4x4"] * (ONLY_PREVIEW + 3))) == ONLY_PREVIEW
