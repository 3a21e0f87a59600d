import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_tools

from runner.data import Row
from runner.tasks import Example
from runner.tasks.detection import Boxes, write_boxes
from runner.tasks.detection.preview import class_colour

GREY = (90, 90, 90)
WHITE = (255, 255, 255)


def example(found=(), truths=(), width=200, height=100, masks=None, class_count=3):
    """A grey picture; each object found is (class, score, box), each truth a box."""
    classes, scores, boxes = zip(*found, strict=True) if found else ((), (), ())
    truth = {"class_count": class_count, "boxes": [list(box) for box in truths], "classes": [0] * len(truths)}
    return Example(
        rows=[Row(id="a", truth=truth, original_size=(height, width), scale=(1, 1), padding=(0, 0, 0, 0))],
        inputs={"image": np.full((1, 3, height, width), GREY[0], np.uint8)},
        result=Boxes(
            np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, int), masks
        ),
        channels="rgb",
    )


def colours(path):
    return {colour for _, colour in Image.open(path).convert("RGB").getcolors(1 << 24)}


def pixel_of(path, example_width, x, y):
    """The pixel of the only picture, which lies inside a white border."""
    picture = Image.open(path).convert("RGB")
    border = (picture.width - example_width) // 2
    return picture.getpixel((border + x, border + y))


def test_box_found_is_drawn_in_the_colour_of_its_class(tmp_path):
    path = write_boxes(iter([example([(2, 0.9, (50, 30, 150, 90))])]), tmp_path)
    assert path == tmp_path / "preview.png"
    assert pixel_of(path, 200, 50, 60) == pixel_of(path, 200, 150, 60) == class_colour(2)
    assert pixel_of(path, 200, 100, 60) == GREY


def test_truth_is_drawn_in_white(tmp_path):
    path = write_boxes(iter([example(truths=[(50, 30, 150, 90)])]), tmp_path)
    assert pixel_of(path, 200, 50, 60) == pixel_of(path, 200, 100, 90) == WHITE


@pytest.mark.parametrize(("score", "drawn"), [(0.24, False), (0.26, True)])
def test_only_sure_detections_are_drawn(tmp_path, score, drawn):
    path = write_boxes(iter([example([(1, score, (50, 30, 150, 90))])]), tmp_path)
    assert (class_colour(1) in colours(path)) == drawn


def test_names_replace_indices_if_the_data_set_has_as_many(tmp_path):
    def drawn(folder, **options):
        (tmp_path / folder).mkdir()
        shown = example([(1, 0.9, (50, 30, 150, 90))], class_count=options.pop("class_count", 3))
        return write_boxes(iter([shown]), tmp_path / folder, **options).read_bytes()

    indices = drawn("1")
    assert drawn("2", names=["bird", "cat", "dog"]) != indices
    assert drawn("3", names=["bird", "cat", "dog"], class_count=9) == indices


def test_masks_are_laid_over_the_picture(tmp_path):
    mask = np.zeros((100, 200), np.uint8)
    mask[40:60, 80:120] = 1
    masks = [mask_tools.encode(np.asfortranarray(mask))]
    path = write_boxes(iter([example([(1, 0.9, (50, 30, 150, 90))], masks=masks)]), tmp_path)
    mixed = tuple((np.array(class_colour(1)) + GREY) // 2)
    assert pixel_of(path, 200, 100, 50) == mixed
    assert pixel_of(path, 200, 70, 50) == GREY


def test_large_picture_is_shrunk_with_its_boxes(tmp_path):
    path = write_boxes(iter([example([(1, 0.9, (480, 240, 900, 400))], width=960, height=480)]), tmp_path)
    assert Image.open(path).width < 500
    assert pixel_of(path, 480, 240, 150) == class_colour(1)


def test_picture_without_boxes_is_shown(tmp_path):
    assert GREY in colours(write_boxes(iter([example()]), tmp_path))


def test_no_pictures_give_no_file(tmp_path):
    assert write_boxes(iter([]), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
