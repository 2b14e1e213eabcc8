"""Objects that lie in a rectangle or a lasso."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_pyramid import SHARD_PX, blocks
from src_models.even_odd import even_odd_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_sam.io.labels.journal.rows import ObjectPlane, Plane
    from napari_sam.io.labels.reading.store_view import StoreView

_FEWEST_CORNERS = 3


def box_outline(box: Sequence[float]) -> NDArray[np.float64]:
    """Return the outline (4, 2) of a box (y0, x0, y1, x1), half-open, in pixels from the outer corner of the first.

    Raises
    ------
    LabelsError
        If it is not four finite numbers, or empty.
    """
    sides = np.asarray(box, np.float64)
    if sides.shape != (4,) or not np.isfinite(sides).all() or sides[0] >= sides[2] or sides[1] >= sides[3]:
        raise LabelsError(
            f"region {box!r}", parameter="region", remedy="give (y0, x0, y1, x1) with y0 < y1 and x0 < x1"
        )
    y0, x0, y1, x1 = sides
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])


def polygon_outline(polygon: ArrayLike) -> NDArray[np.float64]:
    """Return the outline (P, 2) of a lasso, in pixels from the outer corner of the first one.

    Parameters
    ----------
    polygon : array-like
        (P, 2) corners as (y, x), of which whole numbers are the centres of pixels, as in napari.

    Raises
    ------
    LabelsError
        If it has fewer than three corners, or they are not finite.
    """
    try:
        corners = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < _FEWEST_CORNERS or not np.isfinite(corners).all():
        raise LabelsError(
            f"polygon of shape {corners.shape}",
            parameter="polygon",
            remedy="give three or more finite corners as (y, x)",
        )
    return corners + 0.5


def objects_in_region(
    store: StoreView, outline: NDArray[np.float64], planes: Sequence[Plane], inside: float
) -> set[int]:
    """Return the ids of the objects of which a part of the pixels lies in an outline.

    The pixels are read only of objects whose box is cut by the outline.

    Parameters
    ----------
    store : LabelStore
        The objects.
    outline : ndarray
        (P, 2) corners as (y, x), from the outer corner of the first pixel. Where it crosses itself, the pixels that
        it surrounds an odd number of times lie in it.
    planes : sequence of tuple of int
        Planes to look at, each by its index along the leading axes; an object's pixels on other planes do not count.
    inside : float
        Least part of an object's pixels, from 0 (any pixel) to 1 (all).
    """
    boundary = shapely.linestrings(np.concatenate([outline, outline[:1]])[:, ::-1])
    shapely.prepare(boundary)
    total: dict[int, int] = {}
    within: dict[int, int] = {}
    for plane in planes:
        parts = store.journal.objects.of_plane(plane)
        if not parts:
            continue
        y0, x0, y1, x1 = np.array([part.box for part in parts], np.float64).T
        cut = shapely.intersects(boundary, shapely.box(x0, y0, x1, y1))
        surrounded = ~cut & _odd_crossings(outline, (y0 + y1) / 2, (x0 + x1) / 2)
        for part, is_in in zip(parts, surrounded.tolist(), strict=True):
            total[part.label] = total.get(part.label, 0) + part.area_px
            if is_in:
                within[part.label] = within.get(part.label, 0) + part.area_px
        for label, count in _counted(store, plane, [parts[i] for i in np.flatnonzero(cut)], outline).items():
            within[label] = within.get(label, 0) + count
    return {label for label, count in within.items() if count and count >= inside * total[label]}


def _odd_crossings(outline: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether points (N,) lie in an outline, by the even-odd rule."""
    odd = np.zeros(y.shape, bool)
    for (y0, x0), (y1, x1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 <= y) != (y1 <= y)
            odd ^= crosses & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x)
    return odd


def _counted(
    store: StoreView, plane: Plane, parts: Sequence[ObjectPlane], outline: NDArray[np.float64]
) -> dict[int, int]:
    """Return how many pixels of each object lie in an outline, by label, reading each block of pixels once."""
    low, high = np.floor(outline.min(0)).astype(int), np.ceil(outline.max(0)).astype(int)
    bounds = Box(*(max(0, int(v)) for v in (*low, *high))).clip((store.shape[-2], store.shape[-1]))
    cells: dict[tuple[int, int], tuple[Box, list[int]]] = {}
    for part in parts:
        overlap = part.box.intersection(bounds)
        for block in [] if overlap.is_empty else blocks(overlap):
            key = (block.y0 // SHARD_PX, block.x0 // SHARD_PX)
            box, labels = cells.get(key, (block, []))
            cells[key] = (box.union(block), [*labels, part.label])
    counts: dict[int, int] = {}
    for box, labels in cells.values():
        mask = even_odd_mask((outline - (box.y0, box.x0))[:, ::-1], box.shape)
        ids, found = np.unique(store.read(box, plane=plane)[mask], return_counts=True)
        wanted = np.isin(ids, labels)
        for label, count in zip(ids[wanted].tolist(), found[wanted].tolist(), strict=True):
            counts[label] = counts.get(label, 0) + count
    return counts
