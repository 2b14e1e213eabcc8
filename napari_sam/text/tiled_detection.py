"""Detect on images of any size: overlapping tiles at several scales, whose duplicates are removed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.automatic.grid_filters import box_nms
from napari_sam.engine.geometry import Box
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError
from napari_sam.text.text_detector import Detections
from src_models.settings import setting, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import Embedder
    from napari_sam.text.text_detector import TextDetector

OVERLAP = 0.25
"""Part of a tile's side that it shares with its neighbour."""
_CUT_PX = 2.0
_INSIDE = 0.5  # part of a cut box in a whole one, from which they show the same object


@dataclass(frozen=True)
class DetectionSettings:
    """How an image is searched.

    Attributes
    ----------
    side : int or None
        Level-0 pixels that a tile of the finest scale covers; None for full resolution.
    coarser : bool
        Also search at half the resolution, a quarter and so on, until a tile holds the region: for objects larger than
        a tile.
    least : float
        Drop objects of a lower score.
    max_iou : float
        Of two boxes with a higher IoU, the one of the lower score is dropped.
    """

    side: int | None = setting(None, "level-0 pixels that a tile covers", low=16, high=1 << 20, unit="px")
    coarser: bool = setting(True, "also search at coarser scales, for objects larger than a tile")
    least: float = setting(0.0, "drop objects of a lower score", low=0.0, high=1.0)
    max_iou: float = setting(0.5, "of two boxes with a higher IoU keep the better one", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)


def tiles_of(region: Box, side: int, overlap: float = OVERLAP) -> list[Box]:
    """Return square tiles that cover a region, evenly spread, with at least `overlap` of their side in common.

    >>> tiles_of(Box(0, 0, 100, 175), 100)
    [(0, 0, 100, 100), (0, 75, 100, 175)]
    """
    starts = []
    for low, high in ((region.y0, region.y1), (region.x0, region.x1)):
        length = high - low
        count = 1 if length <= side else 1 + math.ceil((length - side) / (side * (1 - overlap)))
        starts.append([low + round(i * (length - side) / max(count - 1, 1)) for i in range(count)])
    rows, cols = starts
    return [Box(y, x, min(y + side, region.y1), min(x + side, region.x1)) for y in rows for x in cols]


def scales_of(region: Box, side: int, coarser: bool) -> list[int]:
    """Return the sides of tiles at all scales, finest first.

    >>> scales_of(Box(0, 0, 1000, 3000), 960, True)
    [960, 1920, 3840]
    """
    sides = [side]
    while coarser and sides[-1] < max(region.shape):
        sides.append(2 * sides[-1])
    return sides


def detect_in_region(
    detector: TextDetector,
    text: str,
    embedder: Embedder,
    region: Box,
    settings: DetectionSettings,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Detections:
    """Find the objects of a region that fit a phrase.

    Parameters
    ----------
    detector : TextDetector
        The model.
    text : str
        The phrase.
    embedder : Embedder
        Looks at the image, and knows which values become black and white.
    region : Box
        Level-0 pixels.
    settings : DetectionSettings
        Scales and limits.
    progress : callable, optional
        Called with the number of tiles done and of all tiles.
    cancelled : callable, optional
        Called between tiles; return True to stop.

    Returns
    -------
    Detections
        In level-0 pixels, by descending score.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True.
    """
    sides = scales_of(region, settings.side or detector.side, settings.coarser)
    tiles = [tile for side in sides for tile in tiles_of(region, side)]
    parts: list[Detections] = []
    cut: list[NDArray[np.bool_]] = []
    for i, tile in enumerate(tiles):
        if cancelled is not None and cancelled():
            raise CancelledError(f"text {text!r}: stopped after {i} of {len(tiles)} tiles")
        found = _detect_in_tile(detector, text, embedder, tile)
        parts.append(found.subset(found.scores >= settings.least))
        cut.append(_cut_by(parts[-1].boxes, tile, region))
        if progress is not None:
            progress(i + 1, len(tiles))
    return _merge(Detections.concatenate(parts), np.concatenate(cut), settings.max_iou)


def _detect_in_tile(detector: TextDetector, text: str, embedder: Embedder, tile: Box) -> Detections:
    """Return what is found in a tile, in level-0 pixels."""
    rgb = read_window(embedder.image, embedder.normalisation, Window(tile, detector.side))
    return boxes_in_image(detector.detect(rgb, text), tile, (rgb.shape[0], rgb.shape[1]))


def boxes_in_image(found: Detections, tile: Box, shape: tuple[int, int]) -> Detections:
    """Bring detections from the picture of a tile to level-0 pixels; those without a pixel in the tile are left out.

    Parameters
    ----------
    found : Detections
        In pixels of the picture.
    tile : Box
        What the picture shows, level-0 pixels.
    shape : (int, int)
        Height and width of the picture.
    """
    corner, end = np.array(tile[:2] * 2), np.array(tile[2:] * 2)
    boxes = np.clip(found.boxes * (np.array(tile.shape * 2) / np.array(shape * 2)) + corner, corner, end)
    visible = np.isfinite(boxes).all(axis=1) & ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)
    return Detections(boxes[visible], found.scores[visible])


def _cut_by(boxes: NDArray[np.float64], tile: Box, region: Box) -> NDArray[np.bool_]:
    """Return for each box (n,) whether its tile ends there while the region continues."""
    low = (boxes[:, :2] - np.array(tile[:2]) < _CUT_PX) & (np.array(tile[:2]) > np.array(region[:2]))
    high = (np.array(tile[2:]) - boxes[:, 2:] < _CUT_PX) & (np.array(tile[2:]) < np.array(region[2:]))
    result: NDArray[np.bool_] = (low | high).any(axis=1)
    return result


def _merge(found: Detections, cut: NDArray[np.bool_], max_iou: float) -> Detections:
    """Return each object once: whole boxes before those that a tile cut, better ones before others."""
    order = box_nms(found.boxes, found.scores - 2.0 * cut, max_iou)
    whole = found.boxes[order[~cut[order]]]
    kept = [i for i in order if not cut[i] or not _lies_in(found.boxes[i], whole)]
    merged = found.subset(np.array(kept, np.intp))
    return merged.subset(np.argsort(-merged.scores, kind="stable"))


def _lies_in(box: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Return whether much of a box lies in one of the others (n, 4)."""
    common = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    areas = np.clip(common, 0, None).prod(axis=1)
    return bool((areas >= _INSIDE * float(np.prod(box[2:] - box[:2]))).any())
