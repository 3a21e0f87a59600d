"""Annotations of strangers, of every kind of data set: taken, or refused by a typed error that names the file."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.core import RunnerError, TensorSpec
from runner.data import Geometry, Request
from runner.tasks.detection import Coco, Voc
from runner.tasks.ocr_detection import Icdar
from runner.tasks.recognition import Words
from tests.fuzz.values import damaged, mixed

pytestmark = pytest.mark.fuzz
counter = itertools.count()
REQUEST = Request(
    (TensorSpec("image", "float32", (3, 8, 8)),),
    Geometry(resize=8, interpolation="bilinear", crop=8, channels="rgb"),
    None,
    0,
)

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 12}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 5], "area": 20, "iscrowd": 0}
        | {"segmentation": [[1, 1, 5, 1, 5, 6]]},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 5], "area": 20, "iscrowd": 1}
        | {"segmentation": {"size": [12, 9], "counts": [0, 108]}},
    ],
    "categories": [{"id": 3, "name": "cat"}],
}
VOC = b"""<annotation><size><width>9</width><height>12</height></size><object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>5</ymax></bndbox></object></annotation>"""
ICDAR = b'a.png\t[{"points": [[1, 1], [4, 1], [4, 5]], "transcription": "cat"}]\n'
WORDS = b'a.png cat\nimages/a.png\tcat\na.png, "c\\"at"\n'


def folder_with(tmp_path: Path, name: str, content: bytes, pictures: str = "") -> Path:
    folder = tmp_path / str(next(counter))
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(content)
    (folder / pictures).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 12)).save(folder / pictures / "a.png")
    return folder


def taken_or_told(reader: Any, folder: Path) -> None:
    """Read what a run reads before it starts, and write the rows if nothing is wrong with them."""
    try:
        told = reader.validate(REQUEST)
        assert all(problem.message for problem in told)
        if not told:
            (folder / "out").mkdir()
            reader.write(REQUEST, folder / "out", None)
    except RunnerError as error:
        assert error.message


@given(content=st.one_of(mixed(COCO, one_in=26), damaged(json.dumps(COCO).encode()), st.binary(max_size=50)))
@settings(max_examples=60)
def test_coco_s_annotations(content: bytes, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "annotations/instances_val2017.json", content, "val2017")
    taken_or_told(Coco(str(folder)), folder)


@given(content=st.one_of(damaged(VOC), st.binary(max_size=50), st.just(b"<a>" * 100_000)))
@settings(max_examples=60)
def test_voc_s_annotations(content: bytes, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "Annotations/a.xml", content, "JPEGImages")
    (folder / "JPEGImages" / "a.png").rename(folder / "JPEGImages" / "a.jpg")
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "val.txt").write_text("a\n")
    taken_or_told(Voc(str(folder), ["cat"], "val"), folder)


@given(content=st.one_of(damaged(ICDAR), st.binary(max_size=50), st.just(b"a.png\t" + b"[" * 100_000)))
@settings(max_examples=60)
def test_icdar_s_labels(content: bytes, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "labels.txt", content)
    taken_or_told(Icdar(str(folder)), folder)


@given(content=st.one_of(damaged(b"1,1,4,1,4,5,1,5,cat\n1e999,nan,4,1,4,5,1,5,###\n"), st.binary(max_size=50)))
@settings(max_examples=60)
def test_icdar_s_files_of_words(content: bytes, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "words/gt_a.txt", content, "pictures")
    taken_or_told(Icdar(str(folder)), folder)


@given(content=st.one_of(damaged(WORDS), st.binary(max_size=50)))
@settings(max_examples=60)
def test_lists_of_words(content: bytes, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "labels.txt", content)
    taken_or_told(Words(str(folder), str(folder / "labels.txt")), folder)
