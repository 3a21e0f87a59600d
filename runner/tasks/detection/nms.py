"""Non-maximum suppression: of boxes of one class that overlap, only the one with the highest score is kept."""

from __future__ import annotations

from runner.core.lazy import NDArray, np

_BLOCK = 256
"""The number of candidates that are compared at once: the arrays of a comparison stay in the processor's cache."""


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], iou: float, keep: int
) -> NDArray[np.int64]:
    """Return the indices of the best `keep` boxes of which no better one of the class overlaps by more than `iou`.

    They are in descending order of the scores; of equal scores the first one counts as better. The result is that of
    torchvision.ops.batched_nms, whose first `keep` are taken. Boxes [n, 4] are x1, y1, x2, y2. Candidates are compared
    in blocks, and those after the last one that is kept are never looked at.
    """
    order = np.argsort(-scores, kind="stable")
    sides = np.ascontiguousarray(boxes[order].T, np.float32)
    areas = (sides[2] - sides[0]) * (sides[3] - sides[1])
    candidates = np.concatenate([sides, areas[None], classes[order].astype(np.float32)[None]])
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(order)))
        block = block[~_overlaps(candidates, kept, block, iou).any(axis=0)]
        kept = np.concatenate([kept, block[_survivors(_overlaps(candidates, block, block, iou))]])
        if len(kept) >= keep:
            break
    return np.asarray(order[kept[:keep]])


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
    candidates: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64], iou: float
) -> NDArray[np.bool_]:
    """Return whether the boxes at two lists of indices are of one class and overlap by more than `iou`, [n, m].

    `candidates` are x1, y1, x2, y2, area and class of all, [6, candidates]. Intersection over union is rounded as in
    torchvision.ops; of two empty boxes it is not a number, and they do not overlap. Computed in place: new arrays cost
    a third of the time.
    """
    x1, y1, x2, y2, area, classes = candidates[:, left, None]
    other_x1, other_y1, other_x2, other_y2, other_area, other_classes = candidates[:, right]
    lower = np.maximum(x1, other_x1)
    widths = np.minimum(x2, other_x2)
    widths -= lower
    np.maximum(widths, 0, out=widths)
    heights = np.minimum(y2, other_y2)
    heights -= np.maximum(y1, other_y1, out=lower)
    np.maximum(heights, 0, out=heights)
    shared = np.multiply(widths, heights, out=widths)
    union = np.add(area, other_area, out=lower)
    union -= shared
    with np.errstate(invalid="ignore", divide="ignore"):
        overlaps = np.divide(shared, union, out=shared) > np.float64(iou)
    overlaps &= classes == other_classes
    return np.asarray(overlaps)
