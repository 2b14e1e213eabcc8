"""How an object moved between two planes: its neighbourhood is searched on the next one, then warped onto it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carriers.blending import signed_distance
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.propagation.plane_views import PlaneView

_SIDE_PX = 128  # of a neighbourhood as it is compared
_MARGIN = 0.15  # of the searched neighbourhood around the object, over its long side
_REACH = 0.5  # largest shift over the long side of the object
_LEAST_GAIN = 0.03  # of the correlation, for a shift to be believed
_FLOW_RADIUS, _FLOW_WARPS = 4, 4  # of the optical flow
_ANCHOR = 0.1  # of a texture that holds flat areas in place, over the standard deviation of the pixels
_LARGEST_FLOW = 0.25  # over the longer side of the object
_LEAST_MATCH = 0.95  # of the difference of the planes after and before the flow, for the flow to be believed
_PULL = 0.1  # by which the correlation of the farthest shift must exceed that of none


@dataclass(frozen=True)
class Neighbourhood:
    """The pixels around an object on one plane.

    Attributes
    ----------
    grey : ndarray of float32
        (h, w), reduced to at most 128 pixels a side.
    region : Box
        (y0, x0, y1, x1), level-0 pixels.
    """

    grey: NDArray[np.float32]
    region: Box

    @property
    def pitch(self) -> tuple[float, float]:
        """Level-0 pixels per pixel of `grey`, along y and x."""
        return self.region.height / self.grey.shape[0], self.region.width / self.grey.shape[1]

    @property
    def is_blank(self) -> bool:
        """Whether all pixels have the same value."""
        return bool(self.grey.min() == self.grey.max())

    def enlarge(self, values: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
        """Return values at the pixels of `grey` interpolated at the level-0 pixels of a box."""
        places = [(np.arange(box[a], box[a + 2]) + 0.5 - self.region[a]) / self.pitch[a] - 0.5 for a in (0, 1)]
        grid = np.meshgrid(*places, indexing="ij")
        enlarged: NDArray[np.float32] = ndimage.map_coordinates(values, grid, order=1, mode="nearest")
        return enlarged

    def resample(self, mask: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
        """Return a mask at the pixels of `grey`."""
        rows, cols = (
            np.floor(self.region[a] + (np.arange(self.grey.shape[a]) + 0.5) * self.pitch[a]).astype(int) - box[a]
            for a in (0, 1)
        )
        in_y, in_x = (rows >= 0) & (rows < mask.shape[0]), (cols >= 0) & (cols < mask.shape[1])
        out = np.zeros(self.grey.shape, bool)
        out[np.ix_(in_y, in_x)] = mask[np.ix_(rows[in_y], cols[in_x])]
        return out


def read_neighbourhood(view: PlaneView, region: Box) -> Neighbourhood:
    """Read the pixels of a region of a plane, reduced where it is large.

    Raises
    ------
    ImageError
        If they cannot be read.
    """
    window = Window(region, min(_SIDE_PX, max(region.shape)))
    rgb = read_window(view.image, view.normalisation, window)
    return Neighbourhood(rgb.mean(axis=2, dtype=np.float32), region)


def search_region(box: Box, shape: tuple[int, int]) -> Box:
    """Return the region of a plane in which an object of a box is searched."""
    side = max(box.shape)
    return box.grow(max(4, round((_MARGIN + _REACH) * side))).clip(shape)


def find_shift(earlier: Neighbourhood, later: Neighbourhood, box: Box) -> tuple[float, float]:
    """Return how far an object moved, by template matching.

    Parameters
    ----------
    earlier, later : Neighbourhood
        Pixels of the same region on two planes.
    box : Box
        (y0, x0, y1, x1) of the object on the earlier one, level-0 pixels.

    Returns
    -------
    (float, float)
        Shift along y and x in level-0 pixels; (0, 0) where no shift fits better than none.

    Notes
    -----
    The normalised cross-correlation of [1]_, as in `skimage.feature.match_template`. Shifts are drawn towards none by a
    penalty that grows with their square.

    References
    ----------
    .. [1] J. P. Lewis, "Fast normalized cross-correlation", Vision Interface, 1995.
    """
    from skimage.feature import match_template  # noqa: PLC0415 - slow to import

    pitch = earlier.pitch
    margin = _MARGIN * max(box.shape)
    spans = []
    for axis in (0, 1):
        low = (box[axis] - margin - earlier.region[axis]) / pitch[axis]
        high = (box[axis + 2] + margin - earlier.region[axis]) / pitch[axis]
        spans.append((max(0, round(low)), min(earlier.grey.shape[axis], round(high))))
    (y0, y1), (x0, x1) = spans
    template = earlier.grey[y0:y1, x0:x1]
    if min(template.shape) < 3 or template.min() == template.max() or later.is_blank:
        return 0.0, 0.0
    correlation = match_template(later.grey, template)
    ys, xs = np.arange(correlation.shape[0]) - y0, np.arange(correlation.shape[1]) - x0
    reach = _REACH * max(box.shape) / min(pitch)
    distance = (ys[:, None] ** 2 + xs[None] ** 2) / max(reach, 1.0) ** 2
    merit = np.where(distance > 1, -np.inf, correlation - _PULL * distance)
    row, col = (int(i) for i in np.unravel_index(int(merit.argmax()), merit.shape))
    if merit[row, col] < correlation[y0, x0] + _LEAST_GAIN:
        return 0.0, 0.0
    return float(ys[row] * pitch[0]), float(xs[col] * pitch[1])


def warp_mask(
    earlier: Neighbourhood, later: Neighbourhood, shift: tuple[float, float], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Move and deform a mask as its neighbourhood moves and deforms between two planes.

    Parameters
    ----------
    earlier, later : Neighbourhood
        Pixels of the same region on two planes.
    shift : (float, float)
        Shift of the object along y and x in level-0 pixels, from `find_shift`.
    mask : ndarray of bool
        (h, w) the object at the pixels of `earlier`.

    Returns
    -------
    ndarray of float32
        (h, w) signed distance to the outline of the object on the later plane, in pixels of `later.grey`, positive
        inside.

    Notes
    -----
    After the shift, the iterative Lucas-Kanade flow of `skimage.registration.optical_flow_ilk` [1]_.

    References
    ----------
    .. [1] G. Le Besnerais and F. Champagnat, "Dense optical flow by iterative local window registration", ICIP 2005.
    """
    distance: NDArray[np.float32]
    move = tuple(s / p for s, p in zip(shift, earlier.pitch, strict=True))
    distance = ndimage.shift(signed_distance(mask), move, order=1, mode="nearest").astype(np.float32)
    inside = distance > 0
    if not inside.any() or earlier.is_blank or later.is_blank:
        return distance
    reach = max(2.0 * _FLOW_RADIUS, _LARGEST_FLOW * max(mask.any(0).sum(), mask.any(1).sum()))
    near = _surroundings(inside, round(reach))
    if min(distance[near].shape) <= 2 * _FLOW_RADIUS:
        return distance
    moved = ndimage.shift(earlier.grey, move, order=1, mode="nearest")[near]
    flow = _flow(later.grey[near], moved, reach)
    if flow is None:
        return distance
    places = np.indices(moved.shape, dtype=np.float32) + flow
    warped: NDArray[np.float32] = distance.copy()
    warped[near] = ndimage.map_coordinates(distance[near], places, order=1, mode="nearest")
    return warped


def _surroundings(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return rows and columns of a mask with a margin."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    frame = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1).grow(margin)
    return frame.clip((mask.shape[0], mask.shape[1])).slices


def _flow(later: NDArray[np.float32], earlier: NDArray[np.float32], largest: float) -> NDArray[np.float32] | None:
    """Return where each pixel (2, h, w) of a plane lies on the earlier one; None if a flow explains nothing.

    Both planes get the same weak random texture: it holds areas in place that have none, where the equations of the
    flow have no solution.
    """
    from skimage.registration import optical_flow_ilk  # noqa: PLC0415 - slow to import

    anchor = np.random.default_rng(0).normal(0, _ANCHOR * float(later.std()), later.shape).astype(np.float32)
    flow = optical_flow_ilk(later + anchor, earlier + anchor, radius=_FLOW_RADIUS, num_warp=_FLOW_WARPS)
    flow = np.clip(np.nan_to_num(np.asarray(flow, np.float32)), -largest, largest).astype(np.float32)
    places = np.indices(earlier.shape, dtype=np.float32) + flow
    matched = ndimage.map_coordinates(earlier, places, order=1, mode="nearest")
    before, after = (float(np.abs(later - pixels).mean()) for pixels in (earlier, matched))
    return flow if after < _LEAST_MATCH * before else None
