import numpy as np

from runner.core import TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.ocr_detection import SyntheticScenes
from runner.tasks.ocr_detection.synthetic import draw_scene

REQUEST = Request((TensorSpec("x", "float32", (3, 96, 128)),), Geometry(fit="stretch"), None, 3)


def write(out):
    out.mkdir()
    return SyntheticScenes(3, 128, 96).write(REQUEST, out, None)


def test_scenes_have_words_and_are_called_a_substitute(tmp_path):
    samples = write(tmp_path / "out")
    assert samples.substitute == "synthetic scenes with words generated from seed 3"
    assert [len(row.truth["polygons"]) for row in rows.read(samples.path)] == [4, 4, 4]


def test_same_seed_gives_the_same_bytes(tmp_path):
    assert write(tmp_path / "1").sha256 == write(tmp_path / "2").sha256


def test_words_lie_in_their_polygons():
    picture, truth = draw_scene(0, 1, 320, 240)
    background = np.asarray(picture)[0, 0].astype(int)
    dark = np.abs(np.asarray(picture).astype(int) - background).sum(axis=2) > 150
    y, x = np.nonzero(dark)
    inside = np.zeros(len(x), bool)
    for polygon in np.array(truth["polygons"]):
        low, high = polygon.min(axis=0) - 1, polygon.max(axis=0) + 1
        inside |= (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
    assert inside.all()
    assert len(x) > 100
