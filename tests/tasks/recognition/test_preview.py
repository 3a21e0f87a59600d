import numpy as np
from PIL import Image

from runner.data import Row
from runner.tasks import Example
from runner.tasks.preview import GAP
from runner.tasks.recognition import write_texts
from runner.tasks.recognition.preview import CELL_PIXELS, PICTURE_PIXELS


def example(result, truth, value=128):
    picture = np.full((1, 3, 16, 40), value, np.uint8)
    row = Row(id="a", truth=truth, original_size=(16, 40), scale=(1.0, 1.0), padding=(0, 0, 0, 0))
    return Example(rows=[row], inputs={"input": picture}, result=result, channels="rgb")


def cells(path, count):
    sheet = np.asarray(Image.open(path)).astype(int)
    width, height = CELL_PIXELS
    places = [(index // 2 * (height + GAP) + GAP, index % 2 * (width + GAP) + GAP) for index in range(count)]
    return [sheet[top : top + height, left : left + width] for top, left in places]


def inks(cell):
    """Which of red, green and black there is beside the picture, in the upper and in the lower half."""
    beside = cell[:, PICTURE_PIXELS[0] :]
    found = []
    for half in (beside[: CELL_PIXELS[1] // 2], beside[CELL_PIXELS[1] // 2 :]):
        colours = {tuple(pixel) for pixel in half.reshape(-1, 3)}
        found.append([name for name, rgb in INKS.items() if rgb in colours])
    return found


INKS = {"red": (255, 0, 0), "green": (0, 128, 0), "black": (0, 0, 0)}


def test_right_text_is_green_and_wrong_one_red_above_the_true_one(tmp_path):
    made = write_texts(iter([example("AB12", "AB12"), example("AB12", "AB13")]), tmp_path)
    right, wrong = cells(made, 2)
    assert made == tmp_path / "preview.png"
    assert inks(right) == [["green"], []]
    assert inks(wrong) == [["red"], ["black"]]


def test_picture_is_shown_beside_its_text(tmp_path):
    (cell,) = cells(write_texts(iter([example("x", "x", value=77)]), tmp_path), 1)
    assert cell[30, 30].tolist() == [77, 77, 77]


def test_text_in_any_script_is_drawn(tmp_path):
    (cell,) = cells(write_texts(iter([example("京A", "京A")]), tmp_path), 1)
    assert inks(cell)[0] == ["green"]


def test_nothing_read_leaves_the_true_text(tmp_path):
    (cell,) = cells(write_texts(iter([example("", "AB")]), tmp_path), 1)
    assert inks(cell) == [[], ["black"]]


def test_no_pictures_give_no_preview(tmp_path):
    assert write_texts(iter([]), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
