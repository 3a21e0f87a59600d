"""Decoding of DBNet and of PaddleOCR's detectors: a map of probabilities to boxes around words.

Differentiable Binarization (Liao et al., 2020, arxiv.org/abs/1911.08947): the network is trained on words shrunk by
D = A (1 - r^2) / L, so each box found is enlarged by D' = A' r' / L', A being its area and L its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import DataError, bounded, bounds
from runner.core.lazy import NDArray, cv2, np
from runner.data import Row
from runner.tasks.ocr_detection.polygons import Polygons, to_original

SHORTEST_SIDE = 3
"""Of a box before it is enlarged, in pixels of the map; afterwards it is 2 more."""


@dataclass(frozen=True)
class Db:
    """Boxes of arbitrary angle around the regions of the first output, probabilities [N, 1, H, W] or [N, H, W].

    Pixels above `threshold` make up regions; a region counts if the mean probability in its box is at least `score`.
    Boxes are enlarged by `enlarge` times area / length. `dilate` widens regions by a pixel, as some models want.
    """

    threshold: float = bounded(0.3, least=0)
    score: float = bounded(0.6, least=0)
    enlarge: float = bounded(1.5, least=0)
    keep: int = bounded(1000, least=1)
    dilate: bool = False

    def __post_init__(self) -> None:
        bounds.check(self, "model.decode")

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> list[Polygons]:
        """Return the boxes of each row.

        Raises:
            DataError: the output is no map of probabilities.
        """
        name, maps = next(iter(outputs.items()))
        if maps.ndim == 4 and maps.shape[1] == 1:
            maps = maps[:, 0]
        if maps.ndim != 3:
            raise DataError(
                f"output {name!r} is {list(maps.shape)}, which is no map of probabilities",
                "name the output [N, 1, height, width] of the network first in model.outputs",
            )
        return [self._decoded(each, row) for each, row in zip(maps, rows, strict=True)]

    def _decoded(self, probabilities: NDArray[Any], row: Row) -> Polygons:
        found = list(self._boxes(np.asarray(probabilities, np.float32), row))
        return Polygons([points for points, _ in found], [score for _, score in found])

    def _boxes(self, probabilities: NDArray[np.float32], row: Row) -> Iterator[tuple[NDArray[Any], float]]:
        regions: NDArray[Any] = (probabilities > self.threshold).astype(np.uint8)
        if self.dilate:
            regions = cv2.dilate(regions, np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(regions, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        # each row's own pixels: a map may be smaller than the picture that the network took
        row_size = row.size or probabilities.shape
        down, across = (side / own for side, own in zip(row_size, probabilities.shape, strict=True))
        for contour in contours[: self.keep]:
            centre, sides, angle = cv2.minAreaRect(contour)
            if min(sides) < SHORTEST_SIDE:
                continue
            score = _mean_inside(probabilities, cv2.boxPoints((centre, sides, angle)))
            if score < self.score:
                continue
            distance = self.enlarge * sides[0] * sides[1] / (2 * (sides[0] + sides[1]))
            # the box around a box whose corners are rounded by the enlarging is the box with longer sides
            larger = (sides[0] + 2 * distance, sides[1] + 2 * distance)
            if min(larger) < SHORTEST_SIDE + 2:
                continue
            yield to_original(cv2.boxPoints((centre, larger, angle)) * (across, down), row), score


def _mean_inside(probabilities: NDArray[np.float32], corners: NDArray[Any]) -> float:
    """Return the mean of the map inside a polygon."""
    height, width = probabilities.shape
    low = np.floor(corners.min(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    high = np.ceil(corners.max(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    inside = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - low).astype(np.int32)], 1)
    return float(cv2.mean(probabilities[low[1] : high[1] + 1, low[0] : high[0] + 1], inside)[0])
