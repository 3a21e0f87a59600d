"""What the decoders of detection share: checks of outputs, selection of candidates, and the way back to the picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

from runner.core import ConfigError, DataError
from runner.core.lazy import NDArray, np
from runner.data import Row, whole_samples
from runner.tasks.detection._masks import mask_tools
from runner.tasks.detection.boxes import RLE, Boxes, to_original
from runner.tasks.detection.nms import suppress

Categories = Literal["coco91"]
Layout = tuple[int | str, ...]
"""The axes of an output without the batch: sizes, or names of sizes, which are the same wherever the name occurs."""

_UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""The ids from 1 to 90 that COCO's instances_*.json files have no category for."""
_COCO_IDS = 91


PLAIN = ("boxes", "scores", "classes")
MASKED = (*PLAIN, "mask_counts", "mask_lengths", "mask_sizes")
"""The arrays that the boxes of a sample are stored as."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes [n, 4] in pixels of a row as x1, y1, x2, y2, scores [n], and classes [n], -1 for none of the data set's.

    `places` [n, ...] are the indices of each one's mask in the outputs, as its decoder counts them; None without masks.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    places: NDArray[np.int64] | None = None

    def __getitem__(self, chosen: NDArray[Any]) -> Candidates:
        places = None if self.places is None else self.places[chosen]
        return Candidates(self.boxes[chosen], self.scores[chosen], self.classes[chosen], places)


def together(parts: Sequence[Candidates]) -> Candidates:
    """Return the candidates of all parts, which have places or have none."""
    places = [part.places for part in parts if part.places is not None]
    return Candidates(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate(places) if places else None,
    )


@dataclass(frozen=True, kw_only=True)
class BoxDecoder(ABC):
    """Decodes outputs to Boxes: candidates with scores above `score`, of which the best `keep` are kept, None for all.

    Classes count from 0 in the order of the network's, without a background class. `categories: coco91` is for
    networks whose classes are COCO's category ids, 1 to 90 with gaps; they become COCO's 80 classes from 0.

    Raises:
        DataError: the outputs are not what the network gives that this decodes.
    """

    score: float = 0.05
    keep: int | None = None
    categories: Categories | None = None

    background: ClassVar[int] = 0
    """The number of classes before the first one of the data set."""
    gives_masks: ClassVar[bool] = False
    """Whether the boxes come with masks, which metrics of masks ask for."""

    def __post_init__(self) -> None:
        if self.gives_masks:
            mask_tools()
        if not 0 <= self.score < 1:
            raise ConfigError(
                f"model.decode.score is {self.score}", "give a share from 0 to below 1, as in score: 0.05"
            )
        if self.keep is not None and self.keep < 1:
            raise ConfigError(f"model.decode.keep is {self.keep}", "give the number of boxes to keep, as in keep: 100")
        if self.categories not in (None, "coco91"):
            raise ConfigError(f"model.decode.categories is {self.categories!r}", "give coco91, or leave it out")

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> list[Boxes]:
        """Return the boxes found in each sample; those of a sample of several rows (tiles) are put together."""
        self.check(outputs, rows[0])
        by_row = zip(*outputs.values(), strict=True)
        found = [self._of_row(list(values), row) for values, row in zip(by_row, rows, strict=True)]
        parts = [found[span] for span in whole_samples.spans(rows)]
        return [each[0] if len(each) == 1 else self._merged(each) for each in parts]

    @property
    def packs(self) -> tuple[str, ...]:
        """The names of the arrays that boxes are stored as."""
        return MASKED if self.gives_masks else PLAIN

    def pack(self, result: Boxes) -> dict[str, NDArray[Any]]:
        """Return the boxes as arrays; of their masks, all bytes together, the number of bytes of each, and the size."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(result, name) for name in PLAIN}
        if result.masks is not None:
            counts = [_as_bytes(mask["counts"]) for mask in result.masks]
            arrays["mask_counts"] = np.frombuffer(b"".join(counts), np.uint8)
            arrays["mask_lengths"] = np.array([len(each) for each in counts], np.int64)
            arrays["mask_sizes"] = np.array([mask["size"] for mask in result.masks], np.int64).reshape(-1, 2)
        return arrays

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Boxes:
        """Return the boxes that were packed."""
        masks: list[RLE] | None = None
        if self.gives_masks:
            counts, ends = arrays["mask_counts"].tobytes(), np.cumsum(arrays["mask_lengths"]).tolist()
            parts = [counts[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            sizes = arrays["mask_sizes"].tolist()
            masks = [RLE(size=size, counts=part) for size, part in zip(sizes, parts, strict=True)]
        return Boxes(arrays["boxes"], arrays["scores"], arrays["classes"], masks)

    def _of_row(self, outputs: list[NDArray[Any]], row: Row) -> Boxes:
        candidates = self.candidates(outputs, row)
        candidates = candidates[candidates.classes >= 0]
        found = candidates[self.kept(candidates)]
        masks = None if found.places is None else self.masks(outputs, found.boxes, found.places, row)
        return Boxes(to_original(found.boxes, row), found.scores, found.classes, masks)

    def _merged(self, parts: Sequence[Boxes]) -> Boxes:
        """Return what is kept of the objects of several rows of a picture; each with the mask of its own row."""
        everything = together([Candidates(part.boxes, part.scores, part.classes) for part in parts])
        chosen = self.kept(everything)
        found = everything[chosen]
        masks = [mask for part in parts for mask in part.masks or ()]
        kept_masks = [masks[index] for index in chosen.tolist()] if self.gives_masks else None
        return Boxes(found.boxes, found.scores, found.classes, kept_masks)

    @abstractmethod
    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        """Reject outputs of another number or shape.

        Raises:
            DataError: tells the output, its shape and what is decoded.
        """

    @abstractmethod
    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        """Return the candidates of one row, whose outputs have no batch axis."""

    def masks(
        self, outputs: list[NDArray[Any]], boxes: NDArray[np.float32], places: NDArray[np.int64], row: Row
    ) -> list[RLE] | None:
        """Return the masks, of the original picture's size, of a row's candidates that are kept; None without masks."""
        return None

    def kept(self, candidates: Candidates) -> NDArray[np.int64]:
        """Return the indices of the candidates that are kept, best first."""
        return np.argsort(-candidates.scores, kind="stable")[: self.keep]

    def indices(self, columns: int) -> NDArray[np.int64]:
        """Return the class of each column of the network's class scores, -1 for none.

        Raises:
            DataError: the network has not as many classes as COCO's ids.
        """
        if self.categories == "coco91" and columns not in (_COCO_IDS, _COCO_IDS - 1):
            raise DataError(
                f"{type(self).__name__} has categories coco91, and the outputs have {columns} classes, not 90 or 91",
                "leave model.decode.categories out for classes that count from 0",
            )
        return _indices(columns, self.categories, self.background)

    def refused(self, name: str, array: NDArray[Any], takes: str) -> DataError:
        """Return the error for an output of another shape."""
        return DataError(
            f"output {name!r} is {['N', *array.shape[1:]]}, and {type(self).__name__} takes {takes}".replace(
                "'N'", "N"
            ),
            "correct model.outputs, which are decoded in their order, or name the decoder of this network",
        )

    def sizes(self, outputs: Mapping[str, NDArray[Any]], layouts: Sequence[Layout]) -> dict[str, int]:
        """Return the named sizes of outputs that have the given layouts, in order.

        Raises:
            DataError: an output has another layout, or there are more or fewer.
        """
        takes = ", ".join(f"[{', '.join(map(str, ('N', *layout)))}]" for layout in layouts)
        if len(outputs) != len(layouts):
            raise self.miscounted(outputs, f"{len(layouts)}: {takes}")
        known: dict[str, int] = {}
        for (name, array), layout in zip(outputs.items(), layouts, strict=True):
            fits = array.ndim == len(layout) + 1 and all(
                size == (axis if isinstance(axis, int) else known.setdefault(axis, size))
                for size, axis in zip(array.shape[1:], layout, strict=True)
            )
            if not fits:
                raise self.refused(name, array, takes)
        return known

    def miscounted(self, outputs: Mapping[str, NDArray[Any]], takes: str) -> DataError:
        """Return the error for another number of outputs."""
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
        return DataError(
            f"there are {len(outputs)} outputs ({shapes}), and {type(self).__name__} takes {takes}",
            "correct model.outputs, or name the decoder of this network in model.decode",
        )


@dataclass(frozen=True, kw_only=True)
class SuppressingDecoder(BoxDecoder):
    """A decoder with non-maximum suppression by class of boxes that overlap by more than `iou`."""

    keep: int = 100
    iou: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.iou <= 1:
            raise ConfigError(f"model.decode.iou is {self.iou}", "give a share above 0 and up to 1, as in iou: 0.5")

    def kept(self, candidates: Candidates) -> NDArray[np.int64]:
        return suppress(candidates.boxes, candidates.scores, candidates.classes, self.iou, self.keep)


@lru_cache
def _indices(columns: int, categories: Categories | None, background: int) -> NDArray[np.int64]:
    if categories is None:
        return np.maximum(np.arange(columns) - background, -1)
    ids = np.arange(_COCO_IDS)
    used = (ids > 0) & ~np.isin(ids, _UNUSED_COCO_IDS)
    return np.where(used, np.cumsum(used) - 1, -1)[_COCO_IDS - columns :]


def _as_bytes(counts: bytes | str) -> bytes:
    return counts.encode() if isinstance(counts, str) else counts


def row_size(row: Row) -> tuple[int, int]:
    """Return the [height, width] of a row, the picture with its padding.

    Raises:
        DataError: the row is not of a picture.
    """
    if row.size is None:
        raise DataError(
            f"sample {row.id} says nothing of its picture's size, which boxes depend on",
            "choose a data set of pictures, such as dataset=coco or dataset=synthetic_boxes",
        )
    return row.size


def clipped_to_picture(boxes: NDArray[np.float32], row: Row) -> NDArray[np.float32]:
    """Return boxes [n, 4] in pixels of the row, clipped to the picture in it, without the padding."""
    height, width = row_size(row)
    top, left, bottom, right = (max(0, pixels) for pixels in row.padding or (0, 0, 0, 0))
    points = np.clip(boxes.reshape(-1, 2, 2), (left, top), (width - right, height - bottom))
    return np.asarray(points.reshape(-1, 4), np.float32)


def from_centres(centres: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.float32]:
    """Return boxes [n, 4] as x1, y1, x2, y2 from centres x, y and widths, heights, both [n, 2]."""
    half = sizes / 2
    return np.concatenate([centres - half, centres + half], axis=1, dtype=np.float32)


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # exp is infinite for logits below -88, and the result 0 as it should be
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float32))), np.float32)


def logit(probability: NDArray[Any] | float) -> NDArray[np.float32]:
    """Return the inverse of `sigmoid`, so that thresholds are compared with logits; infinite for 0 and 1."""
    values = np.asarray(probability, np.float32)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values / (1 - values)), np.float32)
