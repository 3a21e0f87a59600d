import numpy as np
from PIL import Image

from runner.data import Row
from runner.tasks import Example
from runner.tasks.segmentation import write_maps
from runner.tasks.segmentation.preview import palette


def example(result, truth, size=(20, 30)) -> Example:
    return Example(
        rows=[Row(id="a", truth=truth)],
        inputs={"image": np.zeros((1, 3, *size), np.uint8)},
        result=np.full(size, result, np.uint8),
        channels="rgb",
    )


def sheet_of(tmp_path, examples) -> np.ndarray:
    assert write_maps(iter(examples), tmp_path) == tmp_path / "preview.png"
    return np.asarray(Image.open(tmp_path / "preview.png"))


def test_first_colours_are_those_of_pascal_voc() -> None:
    assert palette()[[0, 1, 2, 3, 15, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [192, 128, 128],
        [224, 224, 192],
    ]


def test_picture_prediction_and_truth_lie_side_by_side(tmp_path) -> None:
    sheet = sheet_of(tmp_path, [example(1, np.full((20, 30), 2, np.uint8))])
    assert sheet.shape == (24, 3 * 34, 3)
    assert [sheet[10, x].tolist() for x in (10, 44, 78)] == [[0, 0, 0], [76, 0, 0], [0, 76, 0]]


def test_truth_that_is_unknown_is_left_out(tmp_path) -> None:
    assert sheet_of(tmp_path, [example(1, None)]).shape == (24, 2 * 34, 3)


def test_sheet_holds_eight_examples_of_1600_pixels_at_most(tmp_path) -> None:
    large = [example(1, np.zeros((500, 1000), np.uint8), (500, 1000)) for _ in range(9)]
    sheet = sheet_of(tmp_path, large)
    assert sheet.shape == (8 * (264 + 4), 3 * (528 + 4), 3)


def test_no_examples_give_no_preview(tmp_path) -> None:
    assert write_maps(iter([]), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
