"""The data sets' YAML, on a picture in each one's own layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.config import targets
from runner.core import TensorSpec
from runner.data import Geometry, Request, storage
from runner.tasks import metric_of

REQUEST = Request((TensorSpec("image", "float32", (3, 1, 4)),), Geometry(fit="none"), None, 0)
LAYOUTS = {
    "camvid": ("pictures/a.png", "labels/a.png", [0, 1, 10, 11], [0, 1, 10, 11]),
    "cityscapes": (
        "leftImg8bit/val/ulm/ulm_0_1_leftImg8bit.png",
        "gtFine/val/ulm/ulm_0_1_gtFine_labelIds.png",
        [7, 8, 33, 3],
        [0, 1, 18, 255],
    ),
    "ade20k": ("images/validation/a.jpg", "annotations/validation/a.png", [0, 1, 2, 150], [255, 0, 1, 149]),
    "voc_maps": ("JPEGImages/2007_1.jpg", "SegmentationClass/2007_1.png", [0, 1, 20, 255], [0, 1, 20, 255]),
    "maps": ("pictures/a.jpg", "labels/a.png", [0, 1, 11, 255], [0, 1, 11, 255]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layout_is_read_and_its_truth_scores_100_percent(name, run_config, tmp_path) -> None:
    picture, label_map, stored, classes = LAYOUTS[name]
    save(tmp_path / picture, np.zeros((1, 4, 3)))
    save(tmp_path / label_map, np.array([stored]))
    if name == "voc_maps":
        names = tmp_path / "ImageSets/Segmentation/val.txt"
        names.parent.mkdir(parents=True)
        names.write_text("2007_1\n")
    dataset = run_config("model=espnet_camvid", f"dataset={name}", f"dataset.root={tmp_path}").dataset
    reader = targets.call(targets.parse(dataset.reader, "dataset.reader"))
    assert reader.validate(REQUEST) == []
    (tmp_path / "out").mkdir()
    (row,) = storage.facts(reader.write(REQUEST, tmp_path / "out", None).path)
    assert row.truth.tolist() == [classes]
    metric = metric_of("confusion", targets.parse(dataset.metrics["confusion"], "dataset.metrics.confusion"))
    metric.add([np.where(row.truth == 255, 0, row.truth).astype(np.uint8)], [row.truth])
    assert set(metric.compute().values()) == {100.0}


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
