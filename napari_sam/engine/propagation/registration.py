"""How far an object moved between two planes: its neighbourhood is searched on the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.propagation.plane_views import PlaneView

_SIDE_PX = 96  # of a neighbourhood as it is compared
_MARGIN = 0.25  # of the searched neighbourhood around the object, over its long side
_REACH = 0.5  # largest shift over the long side of the object
_LEAST_GAIN = 0.03  # of the correlation, for a shift to be believed
_PULL = 0.1  # by which the correlation of the farthest shift must exceed that of none


@dataclass(frozen=True)
class Neighbourhood:
    """The pixels around an object on one plane.

    Attributes
    ----------
    grey : ndarray of float32
        (h, w), reduced to at most 96 pixels a side.
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
