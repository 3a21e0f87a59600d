import numpy as np
from PIL import Image

from runner.data import Row
from runner.tasks import Example
from runner.tasks.preview import GAP
from runner.tasks.restoration import write_comparison
from runner.tasks.restoration.preview import PANEL_PIXELS, PICTURES


def example(before, result, truth):
    row = Row(id="a", truth=truth, original_size=before.shape[1:], scale=(1.0, 1.0), padding=(0, 0, 0, 0))
    return Example(rows=[row], inputs={"image": before[None]}, result=result, channels="rgb")


def grey(value, side):
    return np.full((1, side, side), value, np.float32)


def panels(path):
    sheet = np.asarray(Image.open(path))
    step = PANEL_PIXELS + GAP
    middle = GAP + PANEL_PIXELS // 2
    return sheet.shape, [sheet[middle, middle + step * column, 0] for column in range(6)]


def test_before_after_and_truth_lie_beside_each_other_whole_and_enlarged(tmp_path):
    made = write_comparison(iter([example(grey(10, 80), grey(90.4, 160), grey(200, 160).astype(np.uint8))]), tmp_path)
    shape, values = panels(made)
    assert made == tmp_path / "preview.png"
    assert shape == (PANEL_PIXELS + 2 * GAP, 6 * (PANEL_PIXELS + GAP) + GAP, 3)
    assert values == [10, 90, 200, 10, 90, 200]


def test_the_same_part_of_each_is_enlarged(tmp_path):
    truth = np.zeros((1, 160, 160), np.uint8)
    truth[:, 48:112, 48:112] = 255  # the 64 pixels in the middle
    small = np.asarray(Image.fromarray(truth[0]).resize((80, 80), Image.Resampling.NEAREST))[None]
    made = write_comparison(iter([example(small, truth.astype(np.float32), truth)]), tmp_path)
    sheet = np.asarray(Image.open(made))
    enlarged = sheet[GAP:-GAP, GAP + 3 * (PANEL_PIXELS + GAP) : -GAP].reshape(PANEL_PIXELS, -1, 3)
    assert (enlarged[:, :PANEL_PIXELS] == 255).all() and (enlarged[:, -PANEL_PIXELS:] == 255).all()


def test_only_the_first_pictures_are_shown(tmp_path):
    many = (example(grey(0, 4), grey(0, 4), grey(0, 4)) for _ in range(PICTURES + 3))
    assert panels(write_comparison(many, tmp_path))[0][0] == PICTURES * (PANEL_PIXELS + GAP) + GAP


def test_no_pictures_give_no_preview(tmp_path):
    assert write_comparison(iter([]), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
