"""Features of objects: embeddings pooled by their masks, maps of the dense decoder, shape, size, colour and texture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
DETAIL_PX = (3, 7, 15)
"""Detail is the difference of pixels from the mean of squares so wide."""

_LEAST_DETAIL = 0.002  # half a grey value of 8 bits, added before logarithms
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
        if view.decoded is not None:
            row[slices["decoder"]] = _pooled(view.decoded, found, view.stride, 0)[0]
        row[slices["maps"]] = _map_features(view, found)
        row[slices["shape"]], row[slices["size"]] = _shape_and_size(found, view.level0_per_px)
        row[slices["colour"]], row[slices["texture"]] = _colour_and_texture(view, found)
        row[slices["quality"]] = found.scores
    return np.nan_to_num(features)


def _pooled(
    image: NDArray[np.float32], found: MaskInWindow, stride: float, ring: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average an image (h, w, c) of cells, `stride` pixels wide, inside an object and in a ring around it."""
    spans, starts = [], []
    for axis in (0, 1):
        first, last = found.box[axis], found.box[axis + 2]
        low = min(int(first // stride), image.shape[axis] - 1)
        cells = np.arange(low, max(low + 1, min(image.shape[axis], math.ceil(last / stride))))
        begins = np.maximum(np.ceil(cells * stride).astype(np.intp) - first, 0)
        cells, begins = cells[begins < last - first], begins[begins < last - first]  # rounding may add an empty cell
        spans.append((low, low + len(cells)))
        starts.append(begins)
    counts = np.add.reduceat(np.add.reduceat(found.mask, starts[0], 0, np.float32), starts[1], 1)
    share = np.pad(np.minimum(counts / np.float32(stride**2), 1), ring)
    grown = ndimage.maximum_filter(share, 2 * ring + 1, mode="constant")
    inner, outer = [], []
    for (low, high), size in zip(spans, image.shape[:2], strict=True):
        outer.append(slice(max(0, low - ring), min(size, high + ring)))
        inner.append(slice(outer[-1].start - low + ring, outer[-1].stop - low + ring))
    weights = np.stack([share[tuple(inner)].ravel(), (grown - share)[tuple(inner)].ravel()])
    pooled = weights @ image[tuple(outer)].reshape(-1, image.shape[-1])
    inside, around = pooled / np.maximum(weights.sum(1, keepdims=True), _EPSILON)
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
    rows, cols = mask.sum(1), mask.sum(0)
    area = float(rows.sum())
    minor, major = (4 * math.sqrt(max(0.0, v) + 1 / 12) for v in np.linalg.eigvalsh(_covariance(mask, rows, cols)))
    padded = np.pad(mask, 1)
    rim = padded & ~_shrunk(padded)
    perimeter = float(np.count_nonzero(rim))
    outside = ndimage.label(~padded)[0]
    filled = float(np.count_nonzero(outside != outside[0, 0]))
    shape = (
        minor / major,
        area / found.box.area,
        area / max(area, _hull_area(mask)),
        min(2.0, 4 * math.pi * area / perimeter**2),
        area / filled,
    )
    diameters = (2 * math.sqrt(area / math.pi), major, minor)
    return shape, tuple(math.log2(d * level0_per_px) for d in diameters)


def _covariance(
    mask: NDArray[np.bool_], rows: NDArray[np.integer[Any]], cols: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Return the covariance (2, 2) of the pixels of a mask, from its sums by row and by column."""
    area = rows.sum()
    y, x = np.arange(len(rows)), np.arange(len(cols))
    middle = (rows @ y) / area, (cols @ x) / area
    y, x = y - middle[0], x - middle[1]
    mixed = y @ (mask @ x)
    moments = [[float(rows @ y**2), float(mixed)], [float(mixed), float(cols @ x**2)]]
    return np.array(moments) / float(area)


def _shrunk(padded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask without its outermost pixels; its own border must be empty."""
    out = padded.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        out &= np.roll(padded, step, axis)
    return out


def _hull_area(mask: NDArray[np.bool_]) -> float:
    """Return the area of the convex hull of a mask's pixels, by the corners of each row's first and last pixel."""
    rows = np.flatnonzero(mask.any(1))
    first, last = mask[rows].argmax(1), mask.shape[1] - mask[rows, ::-1].argmax(1)
    corners = [np.column_stack([rows + down, x]) for down in (0, 1) for x in (first, last)]
    try:
        return float(ConvexHull(np.concatenate(corners).astype(np.float64)).volume)
    except QhullError:
        return 0.0


def _colour_and_texture(view: WindowView, found: MaskInWindow) -> tuple[list[float], list[float]]:
    """Compute `feature_layout.COLOUR` and `feature_layout.TEXTURE`."""
    outer = found.box.grow(_RING_PX).clip((view.pixels.shape[0], view.pixels.shape[1]))
    mask = np.zeros(outer.shape, bool)
    mask[found.box.slices_in(outer)] = found.mask
    ring = ndimage.maximum_filter(mask, 2 * _RING_PX + 1, mode="constant") & ~mask
    rgb = view.pixels[outer.slices].astype(np.float32) / np.float32(255)
    grey = rgb.mean(-1)
    inside, values = rgb[mask], grey[mask]
    mean = inside.mean(0)
    contrast = mean - rgb[ring].mean(0) if ring.any() else np.zeros(3)
    colour = [*mean, *inside.std(0), *contrast, *np.percentile(values, (10, 50, 90))]
    edges = np.hypot(*np.gradient(grey)) if min(grey.shape) > 1 else np.zeros_like(grey)
    padded = np.pad(mask, 1)
    rim = mask & ~_shrunk(padded)[1:-1, 1:-1]
    details = [np.abs(grey - ndimage.uniform_filter(grey, size))[mask].mean() for size in DETAIL_PX]
    logs = [math.log2(value + _LEAST_DETAIL) for value in (edges[mask].mean(), edges[rim].mean(), *details)]
    return colour, [*logs, logs[2] - logs[4], logs[3] - logs[4]]
