"""Non-maximum suppression: of boxes of one class that overlap, only the one with the highest score is kept."""

from __future__ import annotations

from runner.core.lazy import NDArray, np

_BLOCK = 128
"""The number of candidates that are compared at once."""


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], iou: float, keep: int
) -> NDArray[np.int64]:
    """Return the indices of the best `keep` boxes of which no better one of the class overlaps by more than `iou`.

    They are in descending order of the scores; of equal scores the first one counts as better. The result is that of
    torchvision.ops.batched_nms, whose first `keep` are taken. Boxes [n, 4] are x1, y1, x2, y2. Candidates are compared
    in blocks, and those after the last one that is kept are never looked at.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes.astype(np.float32, copy=False)
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        free = ~_overlaps(boxes, classes, kept, block, iou).any(axis=0)
        block = block[free]
        kept = np.concatenate([kept, block[_survivors(_overlaps(boxes, classes, block, block, iou))]])
        if len(kept) >= keep:
            break
    return kept[:keep]


def _survivors(overlaps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the boxes [n] survive, best first, given which ones overlap [n, n].

    A box survives if no surviving better one overlaps it. Applied to all boxes at once until nothing changes, this
    gives the result of the sequential algorithm (Cluster-NMS, arXiv:2005.03572, section 3.3).
    """
    better = np.triu(overlaps, k=1)
    survives = np.ones(len(overlaps), np.bool_)
    while True:
        following = np.logical_not(better[survives].any(axis=0))
        if np.array_equal(following, survives):
            return survives
        survives = following


def _overlaps(
    boxes: NDArray[np.float32],
    classes: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    iou: float,
) -> NDArray[np.bool_]:
    """Return whether the boxes at two lists of indices are of one class and overlap by more than `iou`, [n, m].

    Only pairs of one class are computed.
    """
    result = np.zeros((len(left), len(right)), np.bool_)
    first, second = np.nonzero(classes[left][:, None] == classes[right])
    result[first, second] = _iou(boxes[left[first]], boxes[right[second]]) > np.float64(iou)
    return result


def _iou(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return intersection over union of pairs of boxes [n, 4], rounded as in torchvision.ops; NaN of empty ones."""
    lower, upper = np.maximum(left[:, :2], right[:, :2]), np.minimum(left[:, 2:], right[:, 2:])
    shared = _products(np.maximum(upper - lower, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        union = _products(left[:, 2:] - left[:, :2]) + _products(right[:, 2:] - right[:, :2]) - shared
        return np.asarray(shared / union, np.float32)


def _products(sides: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(sides[:, 0] * sides[:, 1])  # several times as fast as prod(axis=1)
