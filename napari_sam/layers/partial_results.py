"""What everything-mode has found so far: a layer that is there while it works, for large regions subsampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_sam.io.labels.edits import intersection
from napari_sam.layers.prompt_layers import TEMPORARY, placement, translate_to

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box

PARTIAL_NAME = "SAM found so far"
LARGEST_PX = 4096
_COLOURS = 254  # ids only tell neighbours apart: 8 bits make refreshing 16 megapixels cheap


@dataclass(frozen=True)
class Part:
    """Colours of a tile, and where on the layer they belong."""

    rows: slice
    cols: slice
    colours: NDArray[np.uint8]


@dataclass(frozen=True)
class PartialFrame:
    """How a region is laid on a layer of 4096 x 4096 pixels at most.

    Attributes
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels.
    factor : int
        Level-0 pixels per layer pixel, a power of two.
    """

    region: Box
    factor: int

    @classmethod
    def of(cls, region: Box) -> PartialFrame:
        """The finest that is small enough.

        >>> PartialFrame.of((0, 0, 4096, 100)).factor, PartialFrame.of((10, 0, 10_000, 4097)).factor
        (1, 4)
        """
        side, factor = max(region[2] - region[0], region[3] - region[1]), 1
        while -(-side // factor) > LARGEST_PX:
            factor *= 2
        return cls(region, factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the layer."""
        y0, x0, y1, x1 = self.region
        return -(-(y1 - y0) // self.factor), -(-(x1 - x0) // self.factor)

    def sample(self, box: Box, labels: NDArray[np.uint32]) -> Part | None:
        """A tile's labels as the layer shows them; touches no layer, so it may run in any thread.

        Parameters
        ----------
        box : (int, int, int, int)
            (y0, x0, y1, x1) of the tile, level-0 pixels.
        labels : ndarray of uint32
            (h, w).

        Examples
        --------
        >>> PartialFrame((0, 0, 8, 8), 4).sample((2, 4, 6, 8), np.full((4, 4), 300)).colours
        array([[46]], dtype=uint8)
        """
        shared = intersection(box, self.region)
        if shared is None:
            return None
        f, slices, picks = self.factor, [], []
        for axis in (0, 1):
            begin, low, high = self.region[axis], shared[axis], shared[axis + 2]
            first, last = -(-(low - begin) // f), -(-(high - begin) // f)
            slices.append(slice(first, last))
            picks.append(np.arange(first, last) * f + begin - box[axis])
        picked = labels[np.ix_(*picks)]
        colours = np.where(picked == 0, 0, (picked.astype(np.int64) - 1) % _COLOURS + 1).astype(np.uint8)
        return Part(slices[0], slices[1], colours) if colours.size else None


class PartialLayer:
    """The layer in the window.

    Parameters
    ----------
    viewer : ViewerModel
        The window.
    image : napari.layers.Image
        What is segmented; the layer lies right above it.
    frame : PartialFrame
        How the region is laid out.
    plane : tuple of int
        Index along the leading axes.
    """

    def __init__(self, viewer: ViewerModel, image: ImageLayer, frame: PartialFrame, plane: tuple[int, ...]) -> None:
        self._viewer, self.frame = viewer, frame
        self._data = np.zeros(frame.shape, np.uint8)
        factor, middle = frame.factor, (frame.factor - 1) / 2
        placed = placement(image)
        placed["scale"] = np.asarray(image.scale) * (*(1.0,) * len(plane), factor, factor)
        corner = (*plane, frame.region[0] + middle, frame.region[1] + middle)
        placed["translate"] = translate_to(image, corner)
        shown = self._data[(None,) * len(plane)]
        self.layer = Labels(shown, name=PARTIAL_NAME, opacity=0.5, metadata={TEMPORARY: True}, **placed)
        self.layer.editable = False
        active = viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(image) + 1, self.layer)
        viewer.layers.selection.active = active  # the tool in hand stays

    def put(self, part: Part) -> None:
        """Add a tile; shown by the next `refresh`."""
        self._data[part.rows, part.cols] = part.colours

    def refresh(self) -> None:
        """Show what was added."""
        self.layer.refresh(extent=False)

    def remove(self) -> None:
        """Take the layer out of the window, if it is still there."""
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
