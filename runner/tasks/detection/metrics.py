"""Average precision of detected objects, by the rules of COCO and of Pascal VOC.

Both metrics match a picture's detections with its objects when it is added, and keep a few bytes of each. Detections of
equal score in several pictures rank in the order in which the pictures were added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from runner.core import DataError, Figure, Problem
from runner.core.lazy import NDArray, np
from runner.tasks.decode import Decode
from runner.tasks.detection._masks import mask_tools
from runner.tasks.detection.boxes import Boxes, Objects, areas, iou

AREA_RANGES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))
"""COCO's areas in pixels of all, small, medium and large objects, both ends included."""
IOU_THRESHOLDS = 10
"""COCO's are 0.50, 0.55, ... 0.95."""
RECALLS = 101
"""COCO averages precision at recall 0, 0.01, ... 1."""
MOST_DETECTIONS = 100
"""How many detections of a class COCO counts in a picture: those of the highest scores."""


class CocoAveragePrecision:
    """COCO's average precision, the mean over classes in percent, as pycocotools' COCOeval computes it.

    `map` is the mean over the IoU thresholds 0.50, 0.55, ... 0.95, `map50` and `map75` are at one threshold,
    `map_small`, `map_medium` and `map_large` are for objects of an area. `kind` is what must overlap: "bbox" the boxes,
    "segm" the masks, and then the names begin with segm_. `compute` leaves out a figure for which there is no object.
    """

    def __init__(self, kind: Literal["bbox", "segm"] = "bbox") -> None:
        if kind == "segm":
            mask_tools()
        prefix = "" if kind == "bbox" else "segm_"
        endings = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
        self.figures = {prefix + ending: Figure(unit="percent", better="higher") for ending in endings}
        self._kind = kind
        self._overlaps = _box_overlaps if kind == "bbox" else _mask_overlaps
        self._records = _Records(lanes=len(AREA_RANGES) * IOU_THRESHOLDS)

    def validate(self, decode: Decode) -> list[Problem]:
        """Return a problem if masks are to be scored and the decoder is known to give none."""
        if self._kind == "bbox" or getattr(decode, "gives_masks", True):
            return []
        return [
            Problem(
                f"the figures of masks need masks, and the decoder {type(decode).__name__} gives none",
                "choose a model whose decoder does, such as model=yolov8n_seg, or a data set that scores boxes alone",
            )
        ]

    def add(self, results: Sequence[Boxes], truths: Sequence[Objects]) -> None:
        """Match the detections of some pictures with their objects.

        Raises:
            DataError: a detection's class is beyond the data set's, or masks are missing or of another size.
        """
        for result, truth in zip(results, truths, strict=True):
            found = _best_first(result, truth, MOST_DETECTIONS)
            crowd = np.array(truth["crowd"], bool)
            overlaps, found_areas = self._overlaps(found, truth, crowd)
            ignored = _outside_ranges(np.array(truth["areas"], np.float64)) | crowd
            right, counted = _match_coco(overlaps, ignored, crowd)
            counted &= right | ~_outside_ranges(found_areas).T[:, :, None]
            wanted = np.repeat(~ignored, IOU_THRESHOLDS, axis=0).T
            self._records.add(found, right & counted, counted, truth, wanted)

    def merge(self, other: CocoAveragePrecision) -> None:
        """Add the other's pictures after this one's."""
        self._records.merge(other._records)

    def compute(self) -> dict[str, float]:
        """Return the figures in percent."""
        table = self._records.average_precisions(_coco_average).reshape(-1, len(AREA_RANGES), IOU_THRESHOLDS)
        everything, *by_area = table.transpose(1, 0, 2)
        shown = (everything, everything[:, 0], everything[:, 5], *by_area)
        means = map(_mean_of_defined, shown)
        return {name: 100.0 * mean for name, mean in zip(self.figures, means, strict=True) if mean is not None}


class VocAveragePrecision:
    """Pascal VOC's average precision `map50`, the mean over classes in percent, as its development kit computes it.

    `interpolation` is "11-point", the mean of precision at recall 0, 0.1, ... 1 (VOC2007), or "area", the area under
    the curve (VOC2010 on). An object that is marked as difficult need not be found. `compute` is empty without objects.
    """

    def __init__(self, interpolation: Literal["11-point", "area"] = "11-point", iou: float = 0.5) -> None:
        self.figures = {"map50": Figure(unit="percent", better="higher")}
        self._average = _voc_11_points if interpolation == "11-point" else _voc_area
        self._iou = iou
        self._records = _Records(lanes=1)

    def add(self, results: Sequence[Boxes], truths: Sequence[Objects]) -> None:
        """Match the detections of some pictures with their objects.

        Raises:
            DataError: a detection's class is beyond the data set's.
        """
        for result, truth in zip(results, truths, strict=True):
            found = _best_first(result, truth)
            overlaps, _ = _box_overlaps(found, truth, None)
            difficult = np.array(truth.get("difficult", [0] * len(truth["boxes"])), bool)
            right, counted = _match_voc(overlaps, difficult, self._iou)
            self._records.add(found, right[:, None], counted[:, None], truth, ~difficult[:, None])

    def merge(self, other: VocAveragePrecision) -> None:
        """Add the other's pictures after this one's."""
        self._records.merge(other._records)

    def compute(self) -> dict[str, float]:
        """Return the figure in percent."""
        mean = _mean_of_defined(self._records.average_precisions(self._average))
        return {} if mean is None else {"map50": 100.0 * mean}


@dataclass
class _Records:
    """The detections and the objects of all pictures, an array per picture in each list.

    A lane is one way of judging, such as an IoU threshold with an area range; flags [n, lanes] are packed into bits.
    `right` is whether a detection is an object's, `counted` whether it is right or wrong rather than ignored, `wanted`
    whether an object should be found.
    """

    lanes: int
    scores: list[NDArray[Any]] = field(default_factory=list)
    classes: list[NDArray[Any]] = field(default_factory=list)
    right: list[NDArray[np.uint8]] = field(default_factory=list)
    counted: list[NDArray[np.uint8]] = field(default_factory=list)
    object_classes: list[NDArray[Any]] = field(default_factory=list)
    wanted: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(
        self, found: Boxes, right: NDArray[Any], counted: NDArray[Any], truth: Objects, wanted: NDArray[Any]
    ) -> None:
        self.scores.append(found.scores)
        self.classes.append(found.classes)
        self.right.append(self._packed(right))
        self.counted.append(self._packed(counted))
        self.object_classes.append(np.array(truth["classes"], np.int64))
        self.wanted.append(self._packed(wanted))

    def merge(self, other: _Records) -> None:
        for each in fields(self)[1:]:
            getattr(self, each.name).extend(getattr(other, each.name))

    def average_precisions(self, average: Callable[[NDArray[np.float64], int], float]) -> NDArray[np.float64]:
        """Return the average precision [classes that have objects, lanes], NaN in lanes for which there is no object.

        `average` takes the precision at each right detection, best score first, and the number of wanted objects.
        """
        object_classes = _joined(self.object_classes)
        present = np.unique(object_classes)
        table = np.full((len(present), self.lanes), np.nan)
        if not len(present):
            return table
        wanted = np.concatenate(self.wanted)
        classes, scores = _joined(self.classes), _joined(self.scores)
        right, counted = np.concatenate(self.right), np.concatenate(self.counted)
        order = np.lexsort((-scores, classes))
        starts, ends = (np.searchsorted(classes[order], present, side) for side in ("left", "right"))
        for index, each in enumerate(present):
            members = order[starts[index] : ends[index]]
            class_right, class_counted = self._unpacked(right[members]), self._unpacked(counted[members])
            objects = np.count_nonzero(self._unpacked(wanted[object_classes == each]), axis=1)
            for lane in np.flatnonzero(objects):
                precision = _precision(class_right[lane], class_counted[lane])
                table[index, lane] = average(precision, int(objects[lane]))
        return table

    def _packed(self, flags: NDArray[Any]) -> NDArray[np.uint8]:
        return np.packbits(flags.reshape(-1, self.lanes), axis=1)

    def _unpacked(self, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return flags [lanes, n]."""
        return np.ascontiguousarray(np.unpackbits(bits, axis=1, count=self.lanes).T).view(bool)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0), *arrays])


def _best_first(found: Boxes, truth: Objects, most: int | None = None) -> Boxes:
    """Return the detections by class, then by falling score: all, or the first `most` of each class.

    Raises:
        DataError: a class is beyond the data set's.
    """
    wrong = (found.classes < 0) | (found.classes >= truth["class_count"])
    if wrong.any():
        raise DataError(
            f"the model found an object of class {found.classes[wrong][0]}, and classes beyond "
            f"{truth['class_count'] - 1} are not in the data set, which has {truth['class_count']}",
            "choose the data set that the model was trained for, or map its classes in model.decode",
        )
    order = np.lexsort((-found.scores, found.classes))
    classes = found.classes[order]
    if most is not None:
        order = order[np.arange(len(order)) - np.searchsorted(classes, classes) < most]
    masks = None if found.masks is None else [found.masks[index] for index in order.tolist()]
    return Boxes(found.boxes[order], found.scores[order], found.classes[order], masks)


def _box_overlaps(
    found: Boxes, truth: Objects, crowd: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the IoU [detections, objects], 0 for different classes, and the detections' areas [detections]."""
    boxes = found.boxes.astype(np.float64)
    objects = np.array(truth["boxes"], np.float64).reshape(-1, 4)
    same_class = found.classes[:, None] == np.array(truth["classes"], np.int64)
    return np.where(same_class, iou(boxes, objects, crowd), 0.0), areas(boxes)


def _mask_overlaps(
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


def _outside_ranges(sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each area [n] is outside each of COCO's ranges, [ranges, n]."""
    ranges = np.array(AREA_RANGES)[:, :, None]
    return np.asarray((sizes < ranges[:, 0]) | (sizes > ranges[:, 1]))


def _match_coco(
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


def _match_voc(
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


def _precision(right: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the best precision at each right detection or after it, best score first."""
    positions = np.cumsum(counted)[right]
    precision = np.arange(1, len(positions) + 1) / (positions + np.spacing(1))  # as COCOeval divides
    return np.maximum.accumulate(precision[::-1])[::-1]


def _at_recalls(precision: NDArray[np.float64], objects: int, recalls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the precision at recalls, 0 at those that are not reached."""
    reached = np.arange(1, len(precision) + 1) / objects
    return np.append(precision, 0.0)[np.searchsorted(reached, recalls)]


def _coco_average(precision: NDArray[np.float64], objects: int) -> float:
    return float(_at_recalls(precision, objects, np.linspace(0.0, 1.0, RECALLS)).mean())


def _voc_11_points(precision: NDArray[np.float64], objects: int) -> float:
    return float(_at_recalls(precision, objects, np.arange(11) / 10).mean())


def _voc_area(precision: NDArray[np.float64], objects: int) -> float:
    return float(precision.sum()) / objects


def _mean_of_defined(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
