"""Truth, encoded as each network would give it, comes back from its decoder whole."""

from collections.abc import Mapping

import numpy as np
import pytest
from torchvision.models.detection._utils import BoxCoder

from runner.core import ConfigError, DataError
from runner.data import Row
from runner.tasks.detection import (
    Anchored,
    Boxes,
    CocoAveragePrecision,
    Detr,
    Distances,
    EfficientDet,
    Fcos,
    Flat,
    RetinaNet,
    Rows,
    Ssd,
    Yolox,
)
from runner.tasks.detection.anchors import _best

CLASSES = 10
ROW = Row(id="a", original_size=(300, 500), scale=(1.28, 1.28), padding=(128, 0, 128, 0))
"""A picture 500 wide and 300 high, resized to 640x384 and padded to 640x640."""
BOXES = np.array([[30, 40, 110, 160], [250, 60, 330, 120], [380, 180, 480, 290]], np.float32)
IN_ROW = BOXES * 1.28 + np.array([0, 128, 0, 128])
LABELS = np.array([3, 0, 7])
TRUTH = {
    "boxes": BOXES.tolist(),
    "classes": LABELS.tolist(),
    "crowd": [0, 0, 0],
    "class_count": CLASSES,
    "areas": ((BOXES[:, 2] - BOXES[:, 0]) * (BOXES[:, 3] - BOXES[:, 1])).tolist(),
}
ANCHORS = [[[10, 13], [16, 30], [33, 23]], [[30, 61], [62, 45], [59, 119]], [[116, 90], [156, 198], [373, 326]]]
NONE = -12.0
"""The logit of what is not there."""


def assert_found(decode, outputs: Mapping[str, np.ndarray]) -> None:
    """All boxes and nothing else, in place to a hundredth of a pixel, and an average precision of 100 %."""
    given = {name: array.astype(np.float32) for name, array in outputs.items()}
    (found,) = decode(given, [ROW])
    order = np.argsort(found.boxes[:, 0])
    np.testing.assert_allclose(found.boxes[order], BOXES, atol=0.01)
    np.testing.assert_array_equal(found.classes[order], LABELS)
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)
    metric = CocoAveragePrecision()
    metric.add([found], [TRUTH])
    assert metric.compute()["map"] == pytest.approx(100)


def logit(share: np.ndarray) -> np.ndarray:
    return np.log(share / (1 - share))


def centres_and_sizes() -> np.ndarray:
    return np.concatenate([(IN_ROW[:, :2] + IN_ROW[:, 2:]) / 2, IN_ROW[:, 2:] - IN_ROW[:, :2]], axis=1)


def cell_of(centre: np.ndarray, stride: int) -> np.ndarray:
    return np.floor(centre / stride).astype(int)


def maps(channels: int) -> dict[str, np.ndarray]:
    return {f"stride{stride}": np.full((1, channels, 640 // stride, 640 // stride), NONE) for stride in (8, 16, 32)}


def anchored(style: str) -> dict[str, np.ndarray]:
    """Every object at stride 32 and anchor 1, (156, 198)."""
    outputs = maps(3 * (5 + CLASSES))
    anchor = np.array(ANCHORS[2][1])
    for (*centre, width, height), label in zip(centres_and_sizes(), LABELS, strict=True):
        x, y = cell_of(np.array(centre), 32)
        inside = np.array(centre) / 32 - (x, y)
        channels = outputs["stride32"][0, 15:30, y, x]
        growth = np.array([width, height]) / anchor
        factor = {"v3": 1.0, "v4": 1.05, "v5": 2.0}[style]
        channels[:2] = logit((inside + (factor - 1) / 2) / factor)
        channels[2:4] = logit(np.sqrt(growth) / 2) if style == "v5" else np.log(growth)
        channels[4] = channels[5 + label] = -NONE
    return outputs


@pytest.mark.parametrize("style", ["v3", "v4", "v5"])
def test_boxes_relative_to_anchors(style) -> None:
    assert_found(Anchored(anchors=ANCHORS, style=style), anchored(style))


@pytest.mark.parametrize("bins", [16, 8])
def test_boxes_by_distances_from_a_cell(bins) -> None:
    outputs = maps(4 * bins + CLASSES)
    for box, label in zip(IN_ROW, LABELS, strict=True):
        x, y = cell_of((box[:2] + box[2:]) / 2, 16)
        distances = np.abs(box / 16 - np.array([x, y, x, y]) - 0.5)
        sides = outputs["stride16"][0, : 4 * bins, y, x].reshape(4, bins)
        sides[:] = -100
        for side, distance in zip(sides, distances, strict=True):
            lower = int(distance)  # the mean of two neighbouring bins is the distance
            side[lower], side[lower + 1] = np.log(1 - distance + lower), np.log(max(distance - lower, 1e-30))
        outputs["stride16"][0, 4 * bins + label, y, x] = -NONE
    assert_found(Distances(bins=bins), outputs)


def test_a_map_has_a_cell_for_what_is_left_of_an_input_that_its_stride_does_not_divide() -> None:
    outputs = {"stride64": np.full((1, 64 + CLASSES, 3, 4), NONE, np.float32)}
    outputs["stride64"][0, 64:, 2, 3] = -NONE
    row = Row(id="a", original_size=(160, 224), scale=(1.0, 1.0))
    (found,) = Distances(strides=[64])(outputs, [row])
    assert found.boxes[0].tolist() == [0, 0, 224, 160]


def test_boxes_of_yolox() -> None:
    outputs = maps(5 + CLASSES)
    for (*centre, width, height), label in zip(centres_and_sizes(), LABELS, strict=True):
        x, y = cell_of(np.array(centre), 8)
        channels = outputs["stride8"][0, :, y, x]
        channels[:4] = centre[0] / 8 - x, centre[1] / 8 - y, np.log(width / 8), np.log(height / 8)
        channels[4] = channels[5 + label] = -NONE
    assert_found(Yolox(), outputs)


def steps_from(anchors: np.ndarray, weights: tuple[float, ...] = (1, 1, 1, 1)) -> np.ndarray:
    """By torchvision's own coder."""
    import torch

    boxes, places = (torch.from_numpy(np.asarray(each, np.float32)) for each in (IN_ROW, anchors))
    return BoxCoder(weights).encode_single(boxes, places).numpy()


def test_boxes_of_ssd() -> None:
    decode = Ssd(grids=[4, 1], scales=[0.25, 0.8, 1.0], aspect_ratios=[[2], [2]])
    logits, boxes = np.zeros((1, 68, 1 + CLASSES)), np.zeros((1, 68, 4))
    logits[0, :, 0] = 20
    places = [(0, 1), (1, 2), (2, 3)]  # row, column; the first of four shapes is a square of a quarter of the input
    anchors = np.array([[column * 160, row * 160, (column + 1) * 160, (row + 1) * 160] for row, column in places])
    indices = [4 * (4 * row + column) for row, column in places]
    boxes[0, indices] = steps_from(anchors, (10, 10, 5, 5))
    logits[0, indices, 1 + LABELS] = 40
    assert_found(decode, {"logits": logits, "boxes": boxes})


def test_boxes_of_retinanet() -> None:
    count = 9 * (80**2 + 40**2 + 20**2 + 10**2 + 5**2)
    logits, boxes = np.full((1, count, 1 + CLASSES), NONE), np.zeros((1, count, 4))
    places = [(2, 1), (3, 4), (4, 6)]  # at stride 64, whose squares of 256 pixels are the fourth of nine
    before = 9 * (80**2 + 40**2 + 20**2)
    anchors = np.array([[c * 64 - 128, r * 64 - 128, c * 64 + 128, r * 64 + 128] for r, c in places])
    indices = [before + 9 * (10 * row + column) + 3 for row, column in places]
    boxes[0, indices] = steps_from(anchors)
    logits[0, indices, 1 + LABELS] = -NONE
    assert_found(RetinaNet(), {"logits": logits, "boxes": boxes})


def test_boxes_of_fcos() -> None:
    count = 80**2 + 40**2 + 20**2 + 10**2 + 5**2
    logits, boxes, centreness = np.full((1, count, 1 + CLASSES), NONE), np.zeros((1, count, 4)), np.zeros((1, count, 1))
    for box, label in zip(IN_ROW, LABELS, strict=True):
        column, row = np.round((box[:2] + box[2:]) / 2 / 16).astype(int)
        index = 80**2 + 40 * row + column
        corner = np.array([column, row, column, row]) * 16
        boxes[0, index] = np.abs(box - corner) / 16
        logits[0, index, 1 + label] = centreness[0, index] = -NONE
    assert_found(Fcos(), {"logits": logits, "boxes": boxes, "centreness": centreness})


def test_boxes_of_efficientdet() -> None:
    count = 9 * (80**2 + 40**2 + 20**2 + 10**2 + 5**2)
    logits, boxes = np.full((1, count, CLASSES), NONE), np.zeros((1, count, 4))
    for (x, y, width, height), label in zip(centres_and_sizes(), LABELS, strict=True):
        column, row = cell_of(np.array([x, y]), 32)
        index = 9 * (80**2 + 40**2 + 20 * row + column) + 1  # of the first size 4 * 32 the aspect ratio 1.4 : 0.7
        across, down = 128 * 1.4, 128 * 0.7
        shifts = (y - (row + 0.5) * 32) / down, (x - (column + 0.5) * 32) / across
        boxes[0, index] = *shifts, np.log(height / down), np.log(width / across)
        logits[0, index, label] = -NONE
    assert_found(EfficientDet(), {"logits": logits, "boxes": boxes})


def test_boxes_of_detr() -> None:
    logits, boxes = np.full((1, 100, CLASSES + 1), NONE), np.zeros((1, 100, 4))
    logits[0, :, -1] = -NONE
    logits[0, :3, -1] = NONE
    logits[0, [0, 1, 2], LABELS] = -NONE
    boxes[0, :3] = centres_and_sizes() / 640
    assert_found(Detr(score=0.5), {"logits": logits, "boxes": boxes})


@pytest.mark.parametrize("layout", ["channels_first", "boxes_first"])
@pytest.mark.parametrize("objectness", [False, True])
def test_boxes_that_the_graph_decoded(layout, objectness) -> None:
    before = 5 if objectness else 4
    values = np.zeros((1, 50, before + CLASSES))
    values[0, 10:13, :4] = centres_and_sizes()
    values[0, 10:13, 4] = 0.9
    values[0, [10, 11, 12], before + LABELS] = 0.9
    if not objectness:
        values[0, 10:13, 4] = np.where(LABELS == 0, 0.9, 0)
    outputs = values if layout == "boxes_first" else values.transpose(0, 2, 1)
    assert_found(Flat(layout=layout, objectness=objectness), {"output": np.ascontiguousarray(outputs)})


@pytest.mark.parametrize("kind", ["one", "two", "two of three axes", "three"])
def test_boxes_that_the_graph_suppressed(kind) -> None:
    boxes, scores, labels = np.zeros((1, 100, 4)), np.zeros((1, 100, 1)), np.full((1, 100, 1), -1.0)
    boxes[0, :3], scores[0, :3, 0], labels[0, :3, 0] = IN_ROW, 0.9, LABELS
    outputs = {
        "one": [np.concatenate([boxes, scores, labels], axis=2)],
        "two": [np.concatenate([boxes, scores], axis=2), labels[..., 0]],
        "two of three axes": [np.concatenate([boxes, scores], axis=2), labels],
        "three": [boxes, labels[..., 0], scores[..., 0]],
    }[kind]
    assert_found(Rows(), {str(index): output for index, output in enumerate(outputs)})


def test_classes_of_a_graph_that_count_from_one() -> None:
    rows = np.zeros((1, 100, 6))
    rows[0, :3] = np.column_stack([IN_ROW, np.full(3, 0.9), LABELS + 1])
    assert_found(Rows(first_class=1), {"rows": rows})


@pytest.mark.parametrize(
    ("columns", "ids"), [(91, [1, 11, 13, 27, 90]), (90, [0, 10, 12, 26, 89])], ids=["from 0", "from 1"]
)
def test_category_ids_of_coco_are_classes_without_gaps(columns, ids) -> None:
    indices = Detr(categories="coco91").indices(columns)
    assert indices[ids].tolist() == [0, 10, 11, 24, 79]
    assert np.count_nonzero(indices >= 0) == 80
    assert indices[12 + columns - 91] == -1


def test_only_the_best_boxes_are_kept_and_none_below_the_score() -> None:
    rows = np.zeros((1, 100, 6), np.float32)
    rows[0, :5, :4], rows[0, :5, 4] = IN_ROW[0], [0.2, 0.9, 0.5, 0.05, 0.7]
    (found,) = Rows(score=0.1, keep=3)({"rows": rows}, [ROW])
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.5])


def test_all_boxes_are_kept_that_a_suppression_in_the_graph_has_left() -> None:
    rows = np.zeros((1, 400, 6), np.float32)
    rows[0, :, :4], rows[0, :, 4] = IN_ROW[0], 0.5
    (found,) = Rows()({"rows": rows}, [ROW])
    assert len(found.scores) == 400


def test_a_class_may_pass_where_another_does_not() -> None:
    outputs = anchored("v5")
    x, y = cell_of(centres_and_sizes()[0, :2], 32)
    outputs["stride32"][0, 15 + 5 + 4, y, x] = logit(np.array(0.3))
    (found,) = Anchored(anchors=ANCHORS, score=0.25)(outputs, [ROW])
    assert sorted(found.classes.tolist()) == [0, 3, 4, 7]
    (found,) = Anchored(anchors=ANCHORS, score=0.35)(outputs, [ROW])
    assert sorted(found.classes.tolist()) == [0, 3, 7]


def test_boxes_of_a_pictures_tiles_are_put_together() -> None:
    whole = {"original_size": (100, 180), "scale": (1.0, 1.0), "sample": "a"}
    tiles = [Row(id="a0", padding=(0, 0, 0, -80), **whole), Row(id="a1", padding=(0, -80, 0, 0), **whole)]
    outputs = np.zeros((2, 6, 20), np.float32)  # one object in both tiles, and one in the second alone
    outputs[0, :5, 0] = 90, 50, 20, 40, 0.9
    outputs[1, :5, 0] = 10, 50, 20, 40, 0.8
    outputs[1, :5, 1] = 60, 50, 20, 20, 0.7
    (found,) = Flat()({"output": outputs}, tiles)
    np.testing.assert_allclose(found.boxes, [[80, 30, 100, 70], [130, 40, 150, 60]])


def test_samples_of_a_batch_are_decoded_by_themselves() -> None:
    rows = [Row(id=name, original_size=(64, 64), scale=(1.0, 1.0), padding=(0, 0, 0, 0)) for name in "ab"]
    outputs = np.zeros((2, 5, 20), np.float32)
    outputs[1, :5, 3] = 30, 30, 10, 10, 0.9
    first, second = Flat()({"output": outputs}, rows)
    assert (len(first.boxes), second.boxes.tolist()) == (0, [[25, 25, 35, 35]])


def outputs_of(*shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"out{index}": np.zeros((2, *shape), np.float32) for index, shape in enumerate(shapes)}


MAPS = [(45, 80, 80), (45, 40, 40), (45, 20, 20)]


@pytest.mark.parametrize(
    ("decode", "outputs", "told"),
    [
        (Anchored(anchors=ANCHORS), outputs_of(*MAPS[:2]), "there are 2 outputs .* takes 3, for the strides"),
        (
            Anchored(anchors=ANCHORS),
            outputs_of(*MAPS[::-1]),
            r"output 'out0' is \[N, 45, 20, 20\].* 80, 80\] at stride 8",
        ),
        (Anchored(anchors=ANCHORS), outputs_of((46, 80, 80), *MAPS[1:]), r"takes \[N, 3 \* \(5 \+ classes\), 80, 80\]"),
        (Anchored(anchors=ANCHORS), outputs_of((48, 80, 80), *MAPS[1:]), "out1.* as many classes in each"),
        (Distances(), outputs_of((64, 80, 80), (74, 40, 40), (74, 20, 20)), r"takes \[N, 4 \* 16 \+ classes, 80, 80\]"),
        (Yolox(), outputs_of((15, 6400)), "there are 1 outputs"),
        (
            Yolox(strides=[8]),
            outputs_of((15, 6400)),
            r"out0' is \[N, 15, 6400\], and Yolox takes \[N, 5 \+ classes, 80",
        ),
        (
            RetinaNet(),
            outputs_of((100, 11), (100, 4)),
            r"\[N, 100, 11\].*takes \[N, 76725, classes\] for an input of 640",
        ),
        (RetinaNet(), outputs_of((76725, 4), (76725, 11)), r"output 'out1' is \[N, 76725, 11\].*\[N, anchors, 4\]"),
        (Fcos(), outputs_of((8525, 11), (8525, 4)), "there are 2 outputs"),
        (Detr(), outputs_of((100, 92), (99, 4)), r"output 'out1' is \[N, 99, 4\].*\[N, queries, 4\]"),
        (Detr(categories="coco91"), outputs_of((100, 81), (100, 4)), "coco91, and the outputs have 80 classes"),
        (Flat(), outputs_of((4, 8400)), r"\[N, 4, 8400\].*see its argument layout"),
        (Rows(), outputs_of((100, 7)), r"takes \[N, boxes, 6\]"),
        (Rows(), outputs_of((100, 4), (100,), (99,)), r"output 'out2' is \[N, 99\]"),
    ],
)
def test_outputs_of_another_network_are_told(decode, outputs, told) -> None:
    with pytest.raises(DataError, match=told):
        decode(outputs, [ROW, ROW])


def test_a_sample_that_is_no_picture_is_told() -> None:
    with pytest.raises(DataError, match="sample b says nothing of its picture's size"):
        Detr()(outputs_of((100, 92), (100, 4)), [Row(id="b"), Row(id="c")])


@pytest.mark.parametrize(
    ("decoder", "arguments", "told"),
    [
        (Detr, {"score": 50}, "score is 50"),
        (Detr, {"keep": 0}, "keep is 0"),
        (Detr, {"categories": "coco80"}, "categories is 'coco80'"),
        (Flat, {"iou": 1.5}, "iou is 1.5"),
        (Flat, {"layout": "rows"}, "choose channels_first or boxes_first"),
        (Anchored, {"anchors": ANCHORS[:2]}, "2 lists for the strides"),
        (Anchored, {"anchors": ANCHORS, "style": "v6"}, "style is 'v6'"),
        (Distances, {"bins": 1}, "bins is 1"),
        (Ssd, {"grids": [2], "scales": [0.5], "aspect_ratios": [[2]]}, "of different lengths"),
    ],
)
def test_arguments_that_cannot_be_are_told(decoder, arguments, told) -> None:
    with pytest.raises(ConfigError, match=told):
        decoder(**arguments)


def test_boxes_come_back_from_their_arrays() -> None:
    found = Boxes(np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32), np.array([7]))
    decode = Detr()
    arrays = decode.pack(found)
    again = decode.unpack(arrays)
    assert tuple(arrays) == decode.packs
    assert (again.boxes.tolist(), again.scores.tolist(), again.classes.tolist()) == ([[1, 2, 3, 4]], [0.5], [7])
    assert again.masks is None


def test_of_equal_scores_the_first_anchors_are_candidates() -> None:
    logits = np.full((1, 16, 1), 1.0, np.float32)
    logits[0, 5:7] = 2.0
    rows, _ = _best(logits[0], 0.0, most=6)
    assert rows.tolist() == [5, 6, 0, 1, 2, 3]
