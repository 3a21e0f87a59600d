"""Lists, annotations, arrays and pictures that are no files: refused at once, without waiting or reading for ever."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import EpsImagePlugin

from runner.core import DataError, RunnerError, TensorSpec
from runner.data import Geometry, Request, open_picture, picture_size
from runner.data.arrays import ArrayFolder
from runner.debug import inputs
from runner.graph import onnx_files
from runner.tasks.classification.image_folder import read_labels
from runner.tasks.detection import coco, voc
from runner.tasks.listed import check_files
from runner.tasks.ocr_detection import icdar
from runner.tasks.recognition.words import read_texts
from runner.tasks.segmentation import picture_maps

REQUEST = Request(
    (TensorSpec("x", "float32", (3,)),),
    Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb"),
    None,
    0,
)


def problems_of_arrays(path: Path) -> None:
    raise DataError(ArrayFolder(str(path.parent)).validate(REQUEST)[0].message)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "labels": ("val_label.txt", read_labels),
    "texts": ("labels.txt", read_texts),
    "polygons": ("labels.txt", lambda path: icdar._of_list(path, [])),
    "coco": ("instances.json", coco._read),
    "voc's split": ("ImageSets/Main/val.txt", lambda path: voc._split_ids(path.parents[2], "val")),
    "voc's annotations": ("1.xml", lambda path: voc._read_annotations(path.parent, {}, "1")),
    "a map": ("1.png", lambda path: picture_maps._read(path, lambda stored: stored.size)),
    "a picture": ("1.png", picture_size),
    "arrays": ("x.npy", problems_of_arrays),
    "inputs of runner.debug": ("x.npz", lambda path: inputs.of_file(path, {})),
    "an ONNX model": ("x.onnx", onnx_files.load),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_fifo_is_refused_at_once(reader: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(RunnerError, match="not a regular file"):
        read(path)


@pytest.mark.parametrize("reader", READERS)
def test_a_link_to_a_device_is_refused_at_once(reader: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/zero")
    with pytest.raises(RunnerError, match="not a regular file"):
        read(path)


def test_postscript_named_as_a_picture_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path / 'run'}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # Pillow has not looked for it yet
    picture = tmp_path / "1.png"
    picture.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match="not a readable picture"):
        open_picture(picture)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "x\0"], ids=["long", "deep", "nul"])
def test_a_name_that_no_file_can_have_is_a_missing_picture(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 of the 1 pictures that list lists are not in"):
        check_files(tmp_path, [f"{name}.png"], Path("list"), "add it")


def test_a_list_larger_than_any_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "val_label.txt"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(DataError, match="it has more than 4294967296 bytes"):
        read_labels(path)
