"""Which of a picture's detections are which of its objects, by the rules of COCO and of Pascal VOC."""

from __future__ import annotations

from runner.core import DataError
from runner.core.lazy import NDArray, np
from runner.tasks.detection._masks import mask_tools
from runner.tasks.detection.boxes import Boxes, Objects, areas, iou

AREA_RANGES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
"""COCO's areas in pixels of all, small, medium and large objects, both ends included."""
IOU_THRESHOLDS = 10
"""COCO's are 0.50, 0.55, ... 0.95."""


def box_overlaps(
    found: Boxes, truth: Objects, crowd: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU [detections, objects], 0 for different classes, and the detections' areas [detections]."""
    boxes = found.boxes.astype(np.float64)
    objects = np.array(truth["boxes"], np.float64).reshape(-1, 4)
    same_class = found.classes[:, None] == np.array(truth["classes"], np.int64)
    return np.where(same_class, iou(boxes, objects, crowd), 0.0), areas(boxes)


def mask_overlaps(
    found: Boxes, truth: Objects, crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU [detections, objects], 0 for different classes, and the detections' areas [detections].

    Raises:
        DataError: masks are missing, or their sizes differ.
    """
    if found.masks is None:
        raise DataError(
            "the figures of masks need masks, and the decoder gives none", "choose a model that gives masks"
        )
    if "masks" not in truth:
        raise DataError("the figures of masks need masks, and the data set has none", "set dataset.reader.masks=true")
    tools = mask_tools()
    object_classes = np.array(truth["classes"], np.int64)
    overlaps = np.zeros((len(found.classes), len(object_classes)))
    for index in np.intersect1d(found.classes, object_classes):
        rows, columns = (np.flatnonzero(classes == index).tolist() for classes in (found.classes, object_classes))
        masks, objects = [found.masks[row] for row in rows], [truth["masks"][column] for column in columns]
        overlaps[np.ix_(rows, columns)] = tools.iou(masks, objects, crowd[columns].tolist())
        if overlaps.min() < 0:  # what pycocotools returns for masks of different sizes
            raise DataError(
                f"a mask of the decoder is {masks[0]['size']}, and the picture is {objects[0]['size']} (height, width)",
                "let the decoder return masks of the original picture's size",
            )
    found_areas = [tools.area(mask) for mask in found.masks]  # one at a time: 2.0 counts the masks of a list in 8 bits
    return overlaps, np.array(found_areas, np.float64)


def outside_ranges(sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each area [n] is outside each of COCO's ranges, [ranges, n]."""
    ranges = np.array(AREA_RANGES)[:, :, None]
    return np.asarray((sizes < ranges[:, 0]) | (sizes > ranges[:, 1]))


def match_coco(
    overlaps: NDArray[np.float64], ignored: NDArray[np.bool_], crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether each detection has an object, and whether that is not an ignored one, [detections, ranges, IoUs].

    Each detection in turn takes the object, not yet taken, that it overlaps most; an ignored one if there is no other.
    A crowd can be taken again and again. Of equal overlaps the last object is taken, as by COCOeval.

    Args:
        overlaps: [detections, objects], detections of the highest score first.
        ignored: [ranges, objects], whether an object is a crowd or outside an area range.
        crowd: [objects].
    """
    thresholds = np.minimum(np.linspace(0.5, 0.95, IOU_THRESHOLDS), 1 - 1e-10)
    matched = np.zeros((len(overlaps), len(ignored), IOU_THRESHOLDS), bool)
    counted = np.ones_like(matched)
    free = np.ones((*matched.shape[1:], len(crowd)), bool)
    ranges, levels = np.ogrid[: len(ignored), :IOU_THRESHOLDS]
    preferred = len(crowd) * ~ignored
    for index in np.flatnonzero((overlaps >= thresholds[0]).any(axis=1)):
        rank = overlaps[index].argsort(kind="stable").argsort()
        reached = overlaps[index] >= thresholds[:, None]
        preference = np.where(free & reached, (rank + preferred)[:, None], -1)
        best = preference.argmax(axis=2)
        taken = preference.max(axis=2) >= 0
        matched[index] = taken
        counted[index] = ~(taken & ignored[ranges, best])
        free[ranges, levels, best] &= ~taken | crowd[best]
    return matched, counted


def match_voc(
    overlaps: NDArray[np.float64], difficult: NDArray[np.bool_], threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether each detection is an object's first one, and whether it is not on a difficult object.

    `overlaps` [detections, objects] are of detections of the highest score first; each belongs to the object that it
    overlaps most, the first of equals.
    """
    padded = np.pad(overlaps, ((0, 0), (0, 1)))  # so that there is a best one without objects
    best = padded.argmax(axis=1)
    hit = padded[np.arange(len(best)), best] >= threshold
    counted = ~(hit & np.append(difficult, False)[best])
    candidates = np.flatnonzero(hit & counted)
    right = np.zeros(len(best), bool)
    right[candidates[np.unique(best[candidates], return_index=True)[1]]] = True
    return right, counted
