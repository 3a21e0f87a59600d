"""Non-maximum suppression against torchvision's."""

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from runner.tasks.detection.nms import suppress


def drawn(seed: int, count: int, classes: int, steps: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes in crowds, scores (of so many different values, if given) and classes."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 300, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(1, 150, (count, 2))], axis=1).astype(np.float32)
    scores = random.integers(0, steps, count) / steps if steps else random.uniform(0, 1, count)
    return boxes, scores.astype(np.float32), random.integers(0, classes, count)


def by_torchvision(boxes, scores, classes, iou, keep) -> list[int]:
    """Each class by itself, then the best; torchvision's own offsets of coordinates round otherwise."""
    kept = []
    for each in np.unique(classes):
        own = np.flatnonzero(classes == each)
        kept += own[nms(torch.from_numpy(boxes[own]), torch.from_numpy(scores[own]), iou).numpy()].tolist()
    return sorted(kept, key=lambda index: (-scores[index], index))[:keep]


@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("iou", [0.3, 0.45, 0.6])
@pytest.mark.parametrize("steps", [0, 20])  # 20: many equal scores
def test_the_boxes_kept_are_torchvisions_in_order(classes, iou, steps) -> None:
    candidates = drawn(classes + steps, 3000, classes, steps)
    assert suppress(*candidates, iou, keep=3000).tolist() == by_torchvision(*candidates, iou, 3000)


@pytest.mark.parametrize("keep", [1, 7, 100])
def test_stopping_early_keeps_the_best_of_all_that_survive(keep) -> None:
    candidates = drawn(5, 5000, 4)
    assert suppress(*candidates, 0.5, keep).tolist() == by_torchvision(*candidates, 0.5, keep)


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    assert suppress(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int64), 0.4, 9).tolist() == [0, 2]


def test_boxes_of_other_classes_suppress_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    assert suppress(boxes, np.array([0.8, 0.9], np.float32), np.array([0, 1]), 0.5, 9).tolist() == [1, 0]


def test_an_overlap_of_just_the_limit_is_kept() -> None:
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 2]], np.float32)
    scores, classes = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)
    assert suppress(boxes, scores, classes, 0.5, 9).tolist() == [0, 1]
    assert suppress(boxes, scores, classes, 0.49, 9).tolist() == [0]


def test_no_candidates_are_no_boxes() -> None:
    nothing = np.zeros(0, np.float32)
    assert suppress(nothing.reshape(0, 4), nothing, np.zeros(0, np.int64), 0.5, 9).tolist() == []
