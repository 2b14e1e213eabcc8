"""A side view of a followed object: planes down, and along each a line through the object."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.window_pixels import read_window, scale_rgb
from napari_sam.engine.windows import Window
from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.plane_mask import PackedMask
    from napari_sam.engine.propagation.plane_views import PlaneView, PlaneViews

_MARGIN = 1.0  # of the line on both sides of the object, over its width
_SIDE_PX = 192  # most pixels along a line
_THICKNESS = 1 / 8  # of the line, over the object's size across it: the mean has less noise
_MOST_ROWS = 8  # rows for each plane, where planes lie far apart

_numbers = itertools.count()


@dataclass(eq=False)
class SideView:
    """An object seen from one side, with its path made straight.

    Attributes
    ----------
    pixels : ndarray of uint8
        (planes * rows_per_plane, width, 3) RGB pixels.
    inside : ndarray of bool
        (planes, width) the object on each plane; empty rows where it is not known.
    rows_per_plane : int
        More than one where planes lie farther apart than pixels.
    identity, contrast_limits, levels
        As in `ImageSource`.
    """

    pixels: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    rows_per_plane: int
    identity: str = field(default_factory=lambda: f"side view {next(_numbers)}")
    contrast_limits: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 3

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the pixels."""
        return self.pixels.dtype

    @property
    def levels(self) -> Sequence[tuple[int, int]]:
        """The one scale level."""
        return [self.shape]

    def read(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.generic]:
        """As `ImageSource.read`."""
        return self.pixels[y0:y1:step, x0:x1:step]

    def place(self, row: int) -> tuple[float, float]:
        """Return the place (y, x) of the object on a plane: the middle of its longest run of pixels."""
        edges = np.flatnonzero(np.diff(np.r_[0, self.inside[row].astype(np.int8), 0]))
        middle = (self.inside.shape[1] - 1) / 2
        if len(edges):
            longest = int(np.argmax(edges[1::2] - edges[::2]))
            middle = (edges[2 * longest] + edges[2 * longest + 1] - 1) / 2
        return (row + 0.5) * self.rows_per_plane - 0.5, float(middle)

    def by_plane(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of the side view with one row for each plane, (planes, width)."""
        middle: NDArray[np.bool_] = mask[self.rows_per_plane // 2 :: self.rows_per_plane]
        return middle


def side_views(
    views: PlaneViews, records: Mapping[int, PackedMask], planes: Sequence[int], anchor: int
) -> tuple[SideView, SideView]:
    """Return the object seen along y and along x.

    Parameters
    ----------
    views : PlaneViews
        The planes of the stack. A plane that cannot be read looks like the one before it.
    records : mapping of int to PackedMask
        The object, where it was found; elsewhere its path is interpolated, beyond its ends continued straight.
    planes : sequence of int
        Planes to show, in order.
    anchor : int
        A plane with the object, whose size there decides the width of the views.
    """
    masks = {plane: records[plane].mask for plane in planes if plane in records}
    boxes = {plane: records[plane].box for plane in masks}
    known = sorted(masks)
    middles = np.array([_middle(masks[p]) + np.array(boxes[p][:2]) for p in known])
    path = np.stack([np.interp(planes, known, middles[:, k]) for k in (0, 1)], axis=1)
    seen = [_view_of(views, plane) for plane in planes]
    anchored = boxes[anchor]
    made = []
    for across in (1, 0):
        size, other = anchored.shape[across], anchored.shape[1 - across]
        line = _Line(across, round((0.5 + _MARGIN) * size) + 2, max(1, round(_THICKNESS * other)))
        rows: list[NDArray[np.uint8]] = []
        inside = np.zeros((len(planes), line.width), bool)
        for row, (plane, view, middle) in enumerate(zip(planes, seen, path, strict=True)):
            pixels = None if view is None else line.pixels(view, middle)
            rows.append(pixels if pixels is not None else _nearest(rows, line.width))
            if plane in masks:
                inside[row] = line.inside(masks[plane], boxes[plane], middle)
        spacing = views.source.spacing or 1.0
        repeats = int(np.clip(round(spacing * line.width / line.length), 1, _MOST_ROWS))
        image = scale_rgb(np.stack(rows), (len(rows) * repeats, line.width))
        made.append(SideView(image, inside, repeats))
    return made[0], made[1]


@dataclass(frozen=True)
class _Line:
    """A line along x (1) or y (0) through an object, `reach` pixels long on both sides."""

    along: int
    reach: int
    thickness: int

    @property
    def length(self) -> int:
        """Level-0 pixels along the line."""
        return 2 * self.reach + 1

    @property
    def width(self) -> int:
        """Pixels of the side view along the line."""
        return min(_SIDE_PX, self.length)

    def places(self, middle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the level-0 coordinate of each pixel."""
        steps = (np.arange(self.width) + 0.5) / self.width - 0.5
        places: NDArray[np.float64] = middle[self.along] + steps * self.length
        return places

    def pixels(self, view: PlaneView, middle: NDArray[np.float64]) -> NDArray[np.uint8] | None:
        """Return the pixels (width, 3) on a plane; None if they cannot be read."""
        places, shape = self.places(middle), view.image.shape
        y, x = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(middle, shape, strict=True))
        low, high = int(np.floor(places[0])), int(np.ceil(places[-1])) + 1
        half = self.thickness // 2
        across = (y, x)[1 - self.along]
        spans = [(across - half, across - half + self.thickness)] * 2
        spans[self.along] = (low, high)
        region = Box(spans[0][0], spans[1][0], spans[0][1], spans[1][1]).clip(shape)
        if region.is_empty:
            return None
        try:
            rgb = read_window(view.image, view.normalisation, Window(region, min(2 * _SIDE_PX, max(region.shape))))
        except ImageError:
            return None
        rgb_line = rgb.mean(axis=1 - self.along)  # (L, 3)
        start, length = region[self.along], region.shape[self.along]
        columns = (places + 0.5 - start) * (len(rgb_line) / length)
        line: NDArray[np.uint8] = rgb_line[np.clip(columns.astype(int), 0, len(rgb_line) - 1)].round().astype(np.uint8)
        return line

    def inside(self, mask: NDArray[np.bool_], box: Box, middle: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which pixels of the line belong to the object."""
        across = round(middle[1 - self.along]) - box[1 - self.along]
        along = np.rint(self.places(middle)).astype(int) - box[self.along]
        line = mask if self.along == 0 else mask.T  # (along, across)
        covered = np.zeros(self.width, bool)
        if 0 <= across < line.shape[1]:
            valid = (along >= 0) & (along < line.shape[0])
            covered[valid] = line[along[valid], across]
        return covered


def _middle(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = np.argwhere(mask).mean(axis=0)
    return middle


def _view_of(views: PlaneViews, plane: int) -> PlaneView | None:
    try:
        return views.view(plane)
    except ImageError:
        return None


def _nearest(rows: Sequence[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
    return rows[-1] if rows else np.zeros((width, 3), np.uint8)
