"""Masks of objects, encoded as each network would give them, come back from their decoder whole."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_tools
from torchvision.models.detection.roi_heads import paste_masks_in_image

from runner.core import DataError
from runner.data import Row
from runner.tasks.detection import Boxes, CocoAveragePrecision, PrototypeDistances, RowsWithMasks

CLASSES = 10
BOXES = np.array([[40, 40, 120, 160], [248, 60, 328, 120], [376, 180, 480, 292]], np.float32)
LABELS = np.array([3, 0, 7])
ROW = Row(id="a", original_size=(300, 500), scale=(1.0, 1.0), padding=(12, 8, 8, 4))
"""A picture 500 wide and 300 high, padded to 512x320."""
TWICE = Row(id="a", original_size=(300, 500), scale=(2.0, 2.0), padding=(20, 12, 20, 12))
"""The same, enlarged to twice its size and padded to 1024x640."""
SURE = 20.0
"""The logit of what is there; -SURE of what is not."""


def ellipse(box: Sequence[float], size: tuple[int, int] = (300, 500)) -> np.ndarray:
    """Whether each of the picture's pixels is in the ellipse that fills a box."""
    left, top, right, bottom = box
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    across, down = (2 * x - left - right) / (right - left), (2 * y - top - bottom) / (bottom - top)
    return across**2 + down**2 < 1


def encoded(inside: np.ndarray) -> dict:
    return mask_tools.encode(np.asfortranarray(inside.astype(np.uint8)))


def decoded(found: Boxes) -> np.ndarray:
    """The masks [height, width, n] by their boxes' left edges."""
    return mask_tools.decode([found.masks[index] for index in np.argsort(found.boxes[:, 0])]).astype(bool)


def truth_of(masks: Sequence[np.ndarray]) -> dict:
    return {
        "boxes": BOXES.tolist(),
        "classes": LABELS.tolist(),
        "crowd": [0] * len(BOXES),
        "class_count": CLASSES,
        "areas": [float(mask.sum()) for mask in masks],
        "masks": [encoded(mask) for mask in masks],
    }


def figures(found: Boxes, truth: dict) -> dict[str, float]:
    """What the metrics of boxes and of masks make of one picture."""
    values = {}
    for kind in ("bbox", "segm"):
        metric = CocoAveragePrecision(kind)
        metric.add([found], [truth])
        values |= metric.compute()
    return values


def with_prototypes(row: Row, prototypes: np.ndarray) -> dict[str, np.ndarray]:
    """Every box at stride 16, with a prototype [objects, H / 4, W / 4] of logits of its own."""
    height, width = (4 * side for side in prototypes.shape[1:])
    sides = {stride: (height // stride, width // stride) for stride in (8, 16, 32)}
    maps = {f"stride{stride}": np.full((1, 64 + CLASSES, *side), -SURE) for stride, side in sides.items()}
    coefficients = {f"coefficients{stride}": np.zeros((1, len(BOXES), *side)) for stride, side in sides.items()}
    top, left, _, _ = row.padding
    for index, box in enumerate(BOXES * row.scale[0] + np.array([left, top, left, top])):
        x, y = np.floor((box[:2] + box[2:]) / 2 / 16).astype(int)
        distances = np.abs(box / 16 - np.array([x, y, x, y]) - 0.5)
        bins = maps["stride16"][0, :64, y, x].reshape(4, 16)
        bins[:] = -100
        for side, distance in zip(bins, distances, strict=True):
            lower = int(distance)
            side[[lower, lower + 1]] = np.log([1 - distance % 1 + 1e-30, distance % 1 + 1e-30])
        maps["stride16"][0, 64 + LABELS[index], y, x] = SURE
        coefficients["coefficients16"][0, index, y, x] = 1
    outputs = maps | coefficients | {"prototypes": prototypes[None]}
    return {name: array.astype(np.float32) for name, array in outputs.items()}


def prototypes_of(masks: Sequence[np.ndarray], row: Row) -> np.ndarray:
    """Logits at a quarter of the row's size: positive where most of a sample's 4x4 pixels are the object's."""
    rows = []
    for mask in masks:
        larger = mask.repeat(round(row.scale[0]), axis=0).repeat(round(row.scale[1]), axis=1)
        top, left, bottom, right = row.padding
        padded = np.pad(larger, ((top, bottom), (left, right)))
        share = padded.reshape(padded.shape[0] // 4, 4, -1, 4).mean(axis=(1, 3))
        rows.append(2 * SURE * share - SURE)
    return np.stack(rows)


@pytest.mark.parametrize("row", [ROW, TWICE], ids=["padded", "enlarged and padded"])
def test_masks_mixed_of_prototypes_come_back(row) -> None:
    masks = [ellipse(box) for box in BOXES]
    (found,) = PrototypeDistances()(with_prototypes(row, prototypes_of(masks, row)), [row])
    values = figures(found, truth_of(masks))
    assert (values["map"], values["segm_map"]) == pytest.approx((100, 100))


def test_a_mask_is_the_weighted_sum_of_prototypes_within_its_box() -> None:
    prototypes = np.full((3, 80, 128), SURE)
    prototypes[1] = -2 * SURE
    outputs = with_prototypes(ROW, prototypes)
    outputs["coefficients16"][:, :2] = 1  # +20 - 40 for each box; the third one adds its own prototype
    (found,) = PrototypeDistances()(outputs, [ROW])
    assert mask_tools.area(found.masks).tolist() == [0, 0, 0]
    outputs["coefficients16"][:, 1] = 0.4
    (found,) = PrototypeDistances()(outputs, [ROW])
    assert sorted(mask_tools.area(found.masks).tolist()) == [80 * 60, 80 * 120, 104 * 112]


def test_prototypes_of_the_padding_do_not_reach_into_the_picture() -> None:
    prototypes = np.full((3, 80, 128), SURE)
    prototypes[:, :3] = prototypes[:, :, :2] = -100 * SURE  # the padding above and to the left
    outputs = with_prototypes(ROW, prototypes)
    x, y = 5, 7  # the cell of the first box, whose left and upper distance now reach beyond the picture
    outputs["stride16"][0, :32, y, x].reshape(2, 16)[:] = [*[-100] * 15, 0]
    (found,) = PrototypeDistances()(outputs, [ROW])
    assert decoded(found)[:160, :120, 0].all()


def test_masks_are_resized_as_by_torch_and_cropped_to_their_boxes() -> None:
    row = Row(id="a", original_size=(50, 90), scale=(64 / 50, 96 / 90), padding=(0, 0, 0, 0))
    prototypes = np.random.default_rng(0).normal(size=(3, 16, 24))
    wanted = torch.nn.functional.interpolate(torch.tensor(prototypes)[None, :1].sigmoid(), (50, 90), mode="bilinear")
    outputs = [np.zeros((0, 1, 1))] * 3 + [np.eye(3, 1)[:, :, None]] * 3 + [prototypes]
    boxes = np.array([[0, 0, 90, 50], [6.5, 4.5, 70.5, 32.5]], np.float32)
    masks = PrototypeDistances().masks(outputs, boxes * np.tile(row.scale[::-1], 2), np.zeros((2, 2), int), row)
    whole, part = np.moveaxis(mask_tools.decode(masks), 2, 0)
    np.testing.assert_array_equal(whole, wanted[0, 0].numpy() > 0.5)
    np.testing.assert_array_equal(part[5:33, 7:71], whole[5:33, 7:71])
    assert part.sum() == part[5:33, 7:71].sum()


def test_a_box_between_two_pixels_has_an_empty_mask() -> None:
    outputs = [np.zeros((0, 1, 1))] * 3 + [np.ones((1, 1, 1))] * 3 + [np.ones((1, 80, 128))]
    box = np.array([[30.2, 40, 30.8, 60]], np.float32)
    (mask,) = PrototypeDistances().masks(outputs, box, np.array([[0, 0]]), ROW)
    assert (mask_tools.area(mask), mask["size"]) == (0, [300, 500])


def test_masks_of_tiles_are_put_together() -> None:
    whole = {"original_size": (100, 180), "scale": (1.0, 1.0), "sample": "a"}
    tiles = [Row(id="a0", padding=(0, 0, 0, -80), **whole), Row(id="a1", padding=(0, -80, 0, 0), **whole)]
    boxes, masks = np.zeros((2, 4, 6), np.float32), np.zeros((2, 4, 8, 8), np.float32)
    boxes[0, 1] = 0, 20, 40, 60, 0.8, 3
    boxes[1, 2] = 50, 30, 90, 70, 0.9, 3
    masks[0, 1], masks[1, 2, :, :4] = 1, 1
    (found,) = RowsWithMasks()({"rows": boxes, "masks": masks}, tiles)
    first, second = np.moveaxis(decoded(found), 2, 0)
    assert first[23:57, 3:37].all() and not first[:, 45:].any()
    assert second[33:67, 133:147].all() and not second[:, 155:].any() and not second[:, :125].any()


def graph_rows(row: Row) -> list[np.ndarray]:
    """Boxes and scores, and labels, of the third, tenth and last of 100 boxes."""
    boxes, labels = np.zeros((1, 100, 5), np.float32), np.full((1, 100), -1.0, np.float32)
    top, left, _, _ = row.padding
    boxes[0, [2, 9, 99], :4] = BOXES * row.scale[0] + np.array([left, top, left, top])
    boxes[0, [2, 9, 99], 4] = 0.9, 0.7, 0.8
    labels[0, [2, 9, 99]] = LABELS
    return [boxes, labels]


@pytest.mark.parametrize("classes", [None, 1, CLASSES])
@pytest.mark.parametrize("row", [ROW, TWICE], ids=["padded", "enlarged and padded"])
def test_masks_that_lie_over_boxes_come_back(row, classes) -> None:
    shape = ellipse((0, 0, 28, 28), (28, 28))
    masks = np.zeros((1, 100, 28, 28) if classes is None else (1, 100, classes, 28, 28), np.float32)
    for place, label in zip([2, 9, 99], LABELS, strict=True):
        masks[(0, place) if classes is None else (0, place, label if classes > 1 else 0)] = shape
    (found,) = RowsWithMasks()({str(i): array for i, array in enumerate([*graph_rows(row), masks])}, [row])
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])
    ellipses = [ellipse(box) for box in BOXES]
    values = figures(found, truth_of(ellipses))
    assert (values["map"], values["segm_map"]) == pytest.approx((100, 100))


def test_pasting_is_torchvisions() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(-60, 280, (40, 2))
    boxes = np.concatenate([corners, corners + random.uniform(60, 300, (40, 2))], axis=1).astype(np.float32)
    probabilities = random.uniform(0, 1, (40, 28, 28)).astype(np.float32)
    wanted = paste_masks_in_image(torch.tensor(probabilities)[:, None], torch.tensor(boxes), (300, 500))
    row = Row(id="a", original_size=(300, 500), scale=(1.0, 1.0), padding=(0, 0, 0, 0))
    outputs = [np.zeros((40, 6), np.float32), probabilities]
    masks = RowsWithMasks().masks(outputs, boxes, np.arange(40), row)
    np.testing.assert_array_equal(np.moveaxis(mask_tools.decode(masks), 2, 0), wanted[:, 0].numpy() > 0.5)


def test_a_box_beyond_the_picture_keeps_its_masks_place() -> None:
    row = Row(id="a", original_size=(40, 40), scale=(1.0, 1.0), padding=(10, 10, 10, 10))
    rows, masks = np.zeros((1, 1, 6), np.float32), np.zeros((1, 1, 28, 28), np.float32)
    rows[0, 0] = -10, 20, 30, 40, 0.9, 0  # from -20 to 20 in the picture
    masks[0, 0, :, 21:] = 1  # the last quarter
    (found,) = RowsWithMasks()({"rows": rows, "masks": masks}, [row])
    assert found.boxes.tolist() == [[0, 10, 20, 30]]
    mask = decoded(found)[:, :, 0]
    assert mask[12:28, 11:20].all() and not mask[:, :9].any()


MAPS = [(74, 40, 64), (74, 20, 32), (74, 10, 16)]
COEFFICIENTS = [(32, 40, 64), (32, 20, 32), (32, 10, 16)]


@pytest.mark.parametrize(
    ("decode", "shapes", "told"),
    [
        (PrototypeDistances(), [*MAPS, *COEFFICIENTS], "there are 6 outputs .* takes 7: maps of boxes"),
        (PrototypeDistances(), [*MAPS, *COEFFICIENTS, (31, 80, 128)], r"'out6' is \[N, 31, 80, 128\]"),
        (PrototypeDistances(), [*MAPS, *COEFFICIENTS, (32, 40, 64)], r"'out6' is \[N, 32, 40, 64\].*80, 128\]"),
        (
            PrototypeDistances(),
            [*COEFFICIENTS, *MAPS, (32, 80, 128)],
            r"'out0' is \[N, 32, 40, 64\].*4 \* 16 \+ classes",
        ),
        (RowsWithMasks(), [(100, 6)], "there are 0 outputs"),
        (RowsWithMasks(), [(100, 6), (99, 28, 28)], r"'out1' is \[N, 99, 28, 28\].*masks \[N, 100, height, width\]"),
        (RowsWithMasks(), [(100, 28, 28), (100, 6)], r"'out0' is \[N, 100, 28, 28\]"),
    ],
)
def test_outputs_of_another_network_are_told(decode, shapes, told) -> None:
    outputs = {f"out{index}": np.zeros((1, *shape), np.float32) for index, shape in enumerate(shapes)}
    with pytest.raises(DataError, match=told):
        decode(outputs, [ROW])


def test_masks_of_too_few_classes_are_told() -> None:
    outputs = [*graph_rows(ROW), np.zeros((1, 100, 7, 28, 28), np.float32)]
    with pytest.raises(DataError, match="a box is of class 7 in the graph, and its masks are of 7 classes"):
        RowsWithMasks()(dict(zip("abc", outputs, strict=True)), [ROW])


def test_masks_of_a_sample_that_is_no_picture_are_told() -> None:
    outputs = dict(zip("abc", [*graph_rows(ROW), np.zeros((1, 100, 28, 28), np.float32)], strict=True))
    with pytest.raises(DataError, match="says nothing of its picture's size"):
        RowsWithMasks()(outputs, [replace(ROW, original_size=None, scale=None, padding=None)])


@pytest.mark.parametrize("count", [0, 2])
def test_masks_come_back_from_their_arrays(count: int) -> None:
    masks = [encoded(ellipse(box)) for box in BOXES[:count]]
    decode = RowsWithMasks()
    arrays = decode.pack(Boxes(BOXES[:count], np.ones(count, np.float32), LABELS[:count], masks))
    assert tuple(arrays) == decode.packs
    assert [(mask["size"], mask["counts"]) for mask in decode.unpack(arrays).masks] == [
        (mask["size"], mask["counts"]) for mask in masks
    ]
