"""Segmentation without a network, for comparison.

Each method answers the same prompts as the network on the same pixels, but sees only the surroundings of the object:
twice its box along each axis, so that GrabCut and random walkers finish. The network does not get this help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box
from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    PointMethod = Callable[[NDArray[np.uint8], Sequence[tuple[int, int]], Sequence[int]], NDArray[np.bool_]]

POINT_METHODS = ("otsu", "flood fill", "random walker")
BOX_METHODS = ("grabcut", "otsu", "box")
CLASSICAL_METHODS = ("otsu", "flood fill", "random walker", "grabcut", "box")

_MAX_SIDE_PX = 128  # larger crops are subsampled before iterative methods see them
_MIN_CONTEXT_PX = 8
_GRABCUT_ITERATIONS = 5
_FLOOD_TOLERANCE = 0.1  # of the crop's range
_SEED_RADIUS_PX = 1
_BACKGROUND_SEED = 2


def to_grey(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the brightness (h, w) of a crop, scaled from its minimum and maximum to [0, 1]."""
    grey = np.asarray(rgb, np.float64)
    grey = grey.mean(-1) if grey.ndim == 3 else grey
    low, high = float(grey.min()), float(grey.max())
    return (grey - low) / (high - low) if high > low else np.zeros_like(grey)


def otsu_component(
    rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """Return the connected component at the first foreground point, on its side of Otsu's threshold."""
    from skimage.filters import threshold_otsu  # noqa: PLC0415 - slow to import

    grey = to_grey(rgb)
    bright = grey > threshold_otsu(grey) if np.ptp(grey) > 0 else np.zeros(grey.shape, bool)
    first = next((point for point, label in zip(points, labels, strict=True) if label), points[0])
    components, _ = ndimage.label(bright == bright[first])
    return np.asarray(components == components[first])


def flood_fill(rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]) -> NDArray[np.bool_]:
    """Return what floods from the foreground points reach, without that of floods from background points."""
    from skimage.segmentation import flood  # noqa: PLC0415 - slow to import

    grey = ndimage.gaussian_filter(to_grey(rgb), 1.0)
    mask = np.zeros(grey.shape, bool)
    for label in (1, 0):
        for point, point_label in zip(points, labels, strict=True):
            if point_label == label:
                reached = flood(grey, point, tolerance=_FLOOD_TOLERANCE)
                mask = mask | reached if label else mask & ~reached
    return mask


def random_walker(
    rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """Run Grady's random walker from the points, with the border of the crop as background."""
    from skimage.segmentation import random_walker as walk  # noqa: PLC0415 - slow to import

    grey = to_grey(rgb)
    seeds = np.zeros(grey.shape, np.int32)
    seeds[[0, -1]] = seeds[:, [0, -1]] = _BACKGROUND_SEED
    for (y, x), label in zip(points, labels, strict=True):
        rows = slice(max(y - _SEED_RADIUS_PX, 0), y + _SEED_RADIUS_PX + 1)
        cols = slice(max(x - _SEED_RADIUS_PX, 0), x + _SEED_RADIUS_PX + 1)
        seeds[rows, cols] = 1 if label else _BACKGROUND_SEED
    if not (seeds == 1).any() or not (seeds == 0).any() or np.ptp(grey) == 0:
        return np.asarray(seeds == 1)
    return np.asarray(walk(grey, seeds, beta=130, mode="cg_j", tol=1e-3, prob_tol=1e-2) == 1)


def grabcut(rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Run five iterations of OpenCV's GrabCut from a box (y0, x0, y1, x1).

    Raises
    ------
    EvaluationError
        If OpenCV is not installed.
    """
    try:
        import cv2  # noqa: PLC0415 - only this method needs it
    except ImportError as error:
        raise EvaluationError(
            "GrabCut needs OpenCV", remedy="pip install 'napari-sam-xl[evaluate]', or leave the baselines out"
        ) from error
    rgb = np.ascontiguousarray(np.broadcast_to(rgb if rgb.ndim == 3 else rgb[..., None], (*rgb.shape[:2], 3)))
    mask = np.zeros(rgb.shape[:2], np.uint8)
    mask[Box(*box).slices] = cv2.GC_PR_FGD
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    if mask.all() or not mask.any():  # no pixels to learn the background from
        return mask > 0
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(rgb, mask, None, background, foreground, _GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # a uniform crop has no colours to tell apart
        return mask > 0
    return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))


def segment_from_points(
    method: str, rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """Return the mask (h, w) of a crop for (y, x) points by one of `POINT_METHODS`."""
    return _BY_POINTS[method](rgb, points, labels)


def segment_from_box(method: str, rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Return the mask (h, w) of a crop for a box (y0, x0, y1, x1) by one of `BOX_METHODS`."""
    if method == "grabcut":
        return grabcut(rgb, box)
    region = Box(*box).slices
    mask = np.zeros(rgb.shape[:2], bool)
    if method == "box":
        mask[region] = True
        return mask
    inner = rgb[region]
    middle = (inner.shape[0] // 2, inner.shape[1] // 2)
    mask[region] = otsu_component(inner, [middle], [1])
    return mask


_BY_POINTS: dict[str, PointMethod] = {
    "otsu": otsu_component,
    "flood fill": flood_fill,
    "random walker": random_walker,
}


class ObjectCrop:
    """The surroundings of an object, subsampled if they are large.

    Parameters
    ----------
    rgb : ndarray of uint8
        (H, W[, 3]) the image.
    box : (int, int, int, int)
        (y0, x0, y1, x1) of the object.

    Attributes
    ----------
    region : Box
        The surroundings, in pixels of the image.
    pixels : ndarray of uint8
        (h, w[, 3]) the subsampled pixels.
    step : int
        Every `step`-th pixel is kept.
    """

    def __init__(self, rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> None:
        y0, x0, y1, x1 = box
        dy, dx = max((y1 - y0) // 2, _MIN_CONTEXT_PX), max((x1 - x0) // 2, _MIN_CONTEXT_PX)
        self.region = Box(y0 - dy, x0 - dx, y1 + dy, x1 + dx).clip((rgb.shape[0], rgb.shape[1]))
        self.step = max(1, -(-max(self.region.shape) // _MAX_SIDE_PX))
        self.pixels = np.ascontiguousarray(rgb[self.region.slices][:: self.step, :: self.step])

    def to_crop(self, y: float, x: float) -> tuple[int, int]:
        """Return the pixel of the crop that shows a pixel of the image."""
        (top, left), (h, w) = self.region[:2], self.pixels.shape[:2]
        return self._index(y - top, h), self._index(x - left, w)

    def _index(self, offset: float, length: int) -> int:
        return int(np.clip(offset // self.step, 0, length - 1))

    def box_to_crop(self, box: tuple[int, int, int, int]) -> Box:
        """Return a box of the image in the crop, at least one pixel large."""
        (y0, x0), (y1, x1) = self.to_crop(box[0], box[1]), self.to_crop(box[2] - 1, box[3] - 1)
        return Box(y0, x0, y1 + 1, x1 + 1)

    def to_full_size(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of the subsampled crop at full size."""
        full = np.repeat(np.repeat(mask, self.step, 0), self.step, 1)
        return np.asarray(full[: self.region.height, : self.region.width])
