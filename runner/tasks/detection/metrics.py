"""Average precision of detected objects, by the rules of COCO and of Pascal VOC.

Both metrics match a picture's detections with its objects when it is added, and keep a few bytes of each. Detections of
equal score in several pictures rank in the order in which the pictures were added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal

from runner.core import DataError, Figure, Problem
from runner.core.lazy import NDArray, np
from runner.tasks.decode import Decode
from runner.tasks.detection._masks import mask_tools
from runner.tasks.detection._matching import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    box_overlaps,
    mask_overlaps,
    match_coco,
    match_voc,
    outside_ranges,
)
from runner.tasks.detection.boxes import Boxes, Objects, by_class

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
        self._overlaps = box_overlaps if kind == "bbox" else mask_overlaps
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
            ignored = outside_ranges(np.array(truth["areas"], np.float64)) | crowd
            right, counted = match_coco(overlaps, ignored, crowd)
            counted &= right | ~outside_ranges(found_areas).T[:, :, None]
            wanted = np.repeat(~ignored, IOU_THRESHOLDS, axis=0).T
            self._records.add(found, right & counted, counted, truth, wanted)

    def merge(self, other: CocoAveragePrecision) -> None:
        """Add the other's pictures after this one's."""
        self._records.merge(other._records)

    def compute(self) -> dict[str, float]:
        """Return the figures in percent."""
        average = partial(_mean_at_recalls, recalls=np.linspace(0.0, 1.0, RECALLS))
        table = self._records.average_precisions(average).reshape(-1, len(AREA_RANGES), IOU_THRESHOLDS)
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
        at_11_points = partial(_mean_at_recalls, recalls=np.arange(11) / 10)
        self._average = at_11_points if interpolation == "11-point" else _voc_area
        self._iou = iou
        self._records = _Records(lanes=1)

    def add(self, results: Sequence[Boxes], truths: Sequence[Objects]) -> None:
        """Match the detections of some pictures with their objects.

        Raises:
            DataError: a detection's class is beyond the data set's.
        """
        for result, truth in zip(results, truths, strict=True):
            found = _best_first(result, truth)
            overlaps, _ = box_overlaps(found, truth, None)
            difficult = np.array(truth.get("difficult", [0] * len(truth["boxes"])), bool)
            right, counted = match_voc(overlaps, difficult, self._iou)
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
    order = by_class(found.classes, found.scores, most)
    masks = None if found.masks is None else [found.masks[index] for index in order.tolist()]
    return Boxes(found.boxes[order], found.scores[order], found.classes[order], masks)


def _precision(right: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the best precision at each right detection or after it, best score first."""
    positions = np.cumsum(counted)[right]
    precision = np.arange(1, len(positions) + 1) / (positions + np.spacing(1))  # as COCOeval divides
    return np.maximum.accumulate(precision[::-1])[::-1]


def _mean_at_recalls(precision: NDArray[np.float64], objects: int, recalls: NDArray[np.float64]) -> float:
    """Return the mean of the precision at recalls, which is 0 at those that are not reached."""
    reached = np.arange(1, len(precision) + 1) / objects
    return float(np.append(precision, 0.0)[np.searchsorted(reached, recalls)].mean())


def _voc_area(precision: NDArray[np.float64], objects: int) -> float:
    return float(precision.sum()) / objects


def _mean_of_defined(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
