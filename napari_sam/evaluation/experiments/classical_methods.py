"""What segments without a network: so that a reader sees what a network adds.

Each baseline answers the same prompts as the network and is given the same pixels, around the object only: twice its
box along each axis, so that GrabCut and random walkers end. That is help which the network does not get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

POINT_BASELINES = ("otsu", "flood fill", "random walker")
BOX_BASELINES = ("grabcut", "otsu", "box")
BASELINES = ("otsu", "flood fill", "random walker", "grabcut", "box")

_LONGEST_PX = 128  # crops are reduced to this before iterating methods see them
_GRABCUT_ROUNDS = 5
_TOLERANCE = 0.1  # of the crop's range, for flood fill
_SEED_PX = 1


def grey_of(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """Brightness (h, w) in [0, 1] of a crop, from its own least to its greatest value."""
    grey = np.asarray(rgb, np.float64)
    grey = grey.mean(-1) if grey.ndim == 3 else grey
    low, high = float(grey.min()), float(grey.max())
    return (grey - low) / (high - low) if high > low else np.zeros_like(grey)


def otsu_component(
    rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """The connected part at the first point, of what Otsu's threshold puts on that point's side."""
    from skimage.filters import threshold_otsu  # noqa: PLC0415 - slow to import

    grey = grey_of(rgb)
    bright = grey > threshold_otsu(grey) if np.ptp(grey) > 0 else np.zeros(grey.shape, bool)
    first = next((p for p, k in zip(points, labels, strict=True) if k), points[0])
    parts, _ = ndimage.label(bright == bright[first])
    return np.asarray(parts == parts[first])


def flood_fill(rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]) -> NDArray[np.bool_]:
    """What floods from the foreground points reach within a tenth of the range, less those from background points."""
    from skimage.segmentation import flood  # noqa: PLC0415 - slow to import

    grey = ndimage.gaussian_filter(grey_of(rgb), 1.0)
    out = np.zeros(grey.shape, bool)
    for label in (1, 0):
        for point, known in zip(points, labels, strict=True):
            if known == label:
                reached = flood(grey, point, tolerance=_TOLERANCE)
                out = out | reached if label else out & ~reached
    return out


def random_walker(
    rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """Grady's random walker, from the points and, as background, the rim of the crop."""
    from skimage.segmentation import random_walker as walk  # noqa: PLC0415 - slow to import

    grey = grey_of(rgb)
    seeds = np.zeros(grey.shape, np.int32)
    seeds[[0, -1]] = seeds[:, [0, -1]] = 2
    for (y, x), label in zip(points, labels, strict=True):
        around = slice(max(y - _SEED_PX, 0), y + _SEED_PX + 1), slice(max(x - _SEED_PX, 0), x + _SEED_PX + 1)
        seeds[around] = 1 if label else 2
    if not (seeds == 1).any() or not (seeds == 0).any() or np.ptp(grey) == 0:
        return np.asarray(seeds == 1)
    return np.asarray(walk(grey, seeds, beta=130, mode="cg_j", tol=1e-3, prob_tol=1e-2) == 1)


def grabcut(rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """OpenCV's GrabCut, five rounds from a box (y0, x0, y1, x1).

    Raises
    ------
    EvaluationError
        If OpenCV is not installed.
    """
    try:
        import cv2  # noqa: PLC0415 - only baselines need it
    except ImportError as error:
        raise EvaluationError(
            "GrabCut needs OpenCV: pip install 'napari-sam-xl[evaluate]', or --no-baselines"
        ) from error
    y0, x0, y1, x1 = box
    colour = np.ascontiguousarray(np.broadcast_to(rgb if rgb.ndim == 3 else rgb[..., None], (*rgb.shape[:2], 3)))
    mask = np.zeros(colour.shape[:2], np.uint8)
    mask[y0:y1, x0:x1] = cv2.GC_PR_FGD
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    if mask.all() or not mask.any():  # nothing to learn the background from
        return mask > 0
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(colour, mask, None, background, foreground, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # an even crop has no colours to tell apart
        return mask > 0
    return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))


def answer_points(
    name: str, rgb: NDArray[np.uint8], points: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """A baseline's mask (h, w) of a crop for (y, x) points."""
    return _POINTS[name](rgb, points, labels)


def answer_box(name: str, rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """A baseline's mask (h, w) of a crop for a box (y0, x0, y1, x1)."""
    if name == "grabcut":
        return grabcut(rgb, box)
    y0, x0, y1, x1 = box
    out = np.zeros(rgb.shape[:2], bool)
    if name == "box":
        out[y0:y1, x0:x1] = True
        return out
    inner = rgb[y0:y1, x0:x1]
    middle = (inner.shape[0] // 2, inner.shape[1] // 2)
    out[y0:y1, x0:x1] = otsu_component(inner, [middle], [1])
    return out


_POINTS: dict[str, Callable[..., NDArray[np.bool_]]] = {
    "otsu": otsu_component,
    "flood fill": flood_fill,
    "random walker": random_walker,
}


class ObjectCrop:
    """The surroundings of an object, reduced where they are large.

    Parameters
    ----------
    rgb : ndarray of uint8
        (H, W[, 3]) the image.
    box : (int, int, int, int)
        (y0, x0, y1, x1) of the object.
    """

    def __init__(self, rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> None:
        y0, x0, y1, x1 = box
        h, w = rgb.shape[:2]
        dy, dx = max((y1 - y0) // 2, 8), max((x1 - x0) // 2, 8)
        self.region = max(y0 - dy, 0), max(x0 - dx, 0), min(y1 + dy, h), min(x1 + dx, w)
        top, left, bottom, right = self.region
        whole = rgb[top:bottom, left:right]
        self.step = max(1, -(-max(whole.shape[:2]) // _LONGEST_PX))
        self.pixels = np.ascontiguousarray(whole[:: self.step, :: self.step])
        self.shape = whole.shape[0], whole.shape[1]

    def place(self, y: float, x: float) -> tuple[int, int]:
        """A pixel of the image in the crop."""
        return tuple(  # type: ignore[return-value]
            int(np.clip((v - o) // self.step, 0, n - 1))
            for v, o, n in zip((y, x), self.region[:2], self.pixels.shape[:2], strict=True)
        )

    def inner_box(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """A box of the image in the crop, at least one pixel large."""
        (y0, x0), (y1, x1) = self.place(*box[:2]), self.place(box[2] - 1, box[3] - 1)
        return y0, x0, y1 + 1, x1 + 1

    def grown(self, mask: NDArray[Any]) -> NDArray[np.bool_]:
        """A mask of the reduced crop at full size."""
        full = np.repeat(np.repeat(mask, self.step, 0), self.step, 1)
        return np.asarray(full[: self.shape[0], : self.shape[1]])
