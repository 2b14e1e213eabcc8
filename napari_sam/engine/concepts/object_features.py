"""Features of objects: embeddings pooled by their masks, maps of the dense decoder, shape, size, colour and texture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from napari_sam.engine.geometry import Box
from src_models.networks.dense_decoder import BOUNDARY, CENTRE, FOREGROUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout
    from napari_sam.engine.concepts.window_view import WindowView

_RING_CELLS = 2  # cells of the embedding around an object
_RING_PX = 4  # pixels around an object for its contrast
_EPSILON = 1e-6


@dataclass(frozen=True)
class MaskInWindow:
    """An object in the pixels that the network sees.

    Attributes
    ----------
    box : Box
        (y0, x0, y1, x1), pixels of the network's input, half-open.
    mask : ndarray of bool
        (h, w) in the box, not empty.
    scores : (float, float)
        Predicted IoU and stability score.
    """

    box: Box
    mask: NDArray[np.bool_]
    scores: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def resampled(
        cls,
        mask: NDArray[np.bool_],
        box: tuple[int, int, int, int],
        frame: tuple[tuple[float, float], tuple[float, float]],
        shape: tuple[int, int],
        scores: tuple[float, float] = (1.0, 1.0),
    ) -> MaskInWindow | None:
        """Bring a mask to the pixels of a window; None if no part of it lies in the window.

        Parameters
        ----------
        mask : ndarray of bool
            The mask.
        box : (int, int, int, int)
            Its box, in its own pixels.
        frame : ((float, float), (float, float))
            Corner of the window in the mask's pixels, and pixels of the window per pixel of the mask; each (y, x).
        shape : (int, int)
            Height and width of the window's pixels.
        scores : (float, float)
            Predicted IoU and stability score.
        """
        starts, axes = [], []
        for axis, (corner, pitch) in enumerate(zip(*frame, strict=True)):
            low = max(0, math.floor((box[axis] - corner) * pitch))
            high = min(shape[axis], math.ceil((box[axis + 2] - corner) * pitch))
            if low >= high:
                return None
            sources = np.floor((np.arange(low, high) + 0.5) / pitch + corner).astype(np.intp) - box[axis]
            starts.append(low)
            axes.append(np.clip(sources, 0, mask.shape[axis] - 1))
        sampled = mask[np.ix_(*axes)]
        if not sampled.any():  # thinner than a pixel
            if not mask.any():
                return None
            sampled = np.ones_like(sampled)
        rows, cols = ndimage.find_objects(sampled.astype(np.uint8))[0]
        tight = Box(rows.start, cols.start, rows.stop, cols.stop).shift(*starts)
        return cls(tight, np.ascontiguousarray(sampled[rows, cols]), scores)


def extract_features(view: WindowView, objects: Sequence[MaskInWindow], layout: FeatureLayout) -> NDArray[np.float32]:
    """Compute the features of objects in a window.

    Parameters
    ----------
    view : WindowView
        The window.
    objects : sequence of MaskInWindow
        The objects.
    layout : FeatureLayout
        Order of the groups.

    Returns
    -------
    ndarray of float32
        (n, d), finite.
    """
    features = np.zeros((len(objects), layout.width), np.float32)
    slices = layout.slices
    for row, found in zip(features, objects, strict=True):
        inside, around = _pooled(view.embedding, found, view.stride, _RING_CELLS)
        row[slices["embedding"]], row[slices["surroundings"]] = inside, around
        row[slices["maps"]] = _map_features(view, found)
        row[slices["shape"]], row[slices["size"]] = _shape_and_size(found, view.level0_per_px)
        row[slices["colour"]], row[slices["texture"]] = _colour_and_texture(view, found)
        row[slices["quality"]] = found.scores
    return np.nan_to_num(features)


def _pooled(
    image: NDArray[np.float32], found: MaskInWindow, stride: float, ring: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average an image (h, w, c) of cells, `stride` pixels wide, inside an object and in a ring around it."""
    box = found.box
    y0, x0 = (max(0, int(start // stride) - ring) for start in box[:2])
    y1, x1 = (min(size, math.ceil(end / stride) + ring) for end, size in zip(box[2:], image.shape[:2], strict=True))
    rows, cols = np.nonzero(found.mask)
    index = [
        np.clip((at + start).astype(np.float32) // stride, low, high - 1).astype(np.intp) - low
        for at, start, low, high in ((rows, box.y0, y0, y1), (cols, box.x0, x0, x1))
    ]
    shape = (y1 - y0, x1 - x0)
    share = np.bincount(index[0] * shape[1] + index[1], minlength=shape[0] * shape[1]).reshape(shape) / stride**2
    share = np.minimum(share, 1).astype(np.float32)
    grown = ndimage.maximum_filter(share, 2 * ring + 1, mode="constant")
    cells = image[y0:y1, x0:x1].reshape(-1, image.shape[-1])
    weights = np.stack([share.ravel(), (grown - share).ravel()])
    inside, around = (weights @ cells) / np.maximum(weights.sum(1, keepdims=True), _EPSILON)
    return inside, around


def _map_features(view: WindowView, found: MaskInWindow) -> tuple[float, ...]:
    """Compute `feature_layout.MAPS`; zeros without maps."""
    if view.maps is None:
        return (0.0,) * 5
    pitch = view.pixels.shape[0] / view.maps.shape[1]
    image = view.maps.transpose(1, 2, 0)
    inside, around = _pooled(image, found, pitch, 2)
    y0, x0 = (min(int(start / pitch), size - 1) for start, size in zip(found.box[:2], image.shape[:2], strict=True))
    y1, x1 = (max(low + 1, math.ceil(end / pitch)) for low, end in zip((y0, x0), found.box[2:], strict=True))
    deepest = float(view.maps[BOUNDARY, y0:y1, x0:x1].min())
    return float(inside[FOREGROUND]), float(around[FOREGROUND]), float(inside[BOUNDARY]), float(inside[CENTRE]), deepest


def _shape_and_size(found: MaskInWindow, level0_per_px: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute `feature_layout.SHAPE` and `feature_layout.SIZE`."""
    mask = found.mask
    area = float(np.count_nonzero(mask))
    rows, cols = np.nonzero(mask)
    covariance = np.cov(np.stack([rows, cols])) if len(rows) > 1 else np.zeros((2, 2))
    minor, major = (4 * math.sqrt(max(0.0, v) + 1 / 12) for v in np.linalg.eigvalsh(covariance))
    padded = np.pad(mask, 1)
    rim = padded & ~ndimage.binary_erosion(padded)
    perimeter = float(np.count_nonzero(rim))
    filled = float(np.count_nonzero(ndimage.binary_fill_holes(padded)))
    shape = (
        minor / major,
        area / found.box.area,
        area / max(area, _hull_area(rim)),
        min(2.0, 4 * math.pi * area / perimeter**2),
        area / filled,
    )
    diameters = (2 * math.sqrt(area / math.pi), major, minor)
    return shape, tuple(math.log2(d * level0_per_px) for d in diameters)


def _hull_area(rim: NDArray[np.bool_]) -> float:
    """Return the area of the convex hull of the pixels of an outline."""
    points = np.argwhere(rim).astype(np.float64)
    corners = np.concatenate([points + offset for offset in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))])
    try:
        return float(ConvexHull(corners).volume)
    except QhullError:
        return 0.0


def _colour_and_texture(view: WindowView, found: MaskInWindow) -> tuple[list[float], list[float]]:
    """Compute `feature_layout.COLOUR` and `feature_layout.TEXTURE`."""
    shape = (view.pixels.shape[0], view.pixels.shape[1])
    outer = found.box.grow(_RING_PX).clip(shape)
    mask = np.zeros(outer.shape, bool)
    mask[found.box.slices_in(outer)] = found.mask
    grown = ndimage.maximum_filter(mask, 2 * _RING_PX + 1, mode="constant")
    ring, rim = grown & ~mask, mask & ~ndimage.minimum_filter(mask, 3, mode="nearest")
    rgb, grey, edges = view.rgb[outer.slices], view.grey[outer.slices], view.gradient[outer.slices]
    mean = rgb[mask].mean(0)
    contrast = mean - rgb[ring].mean(0) if ring.any() else np.zeros(3)
    percentiles = np.percentile(grey[mask], (10, 50, 90))
    colour = [*mean, *rgb[mask].std(0), *contrast, *percentiles]
    at_rim = edges[rim].mean() if rim.any() else 0.0
    texture = [edges[mask].mean(), at_rim, *view.details[outer.slices][mask].mean(0)]
    return colour, texture
