"""A temporary layer with the objects that a running job has found so far, subsampled for large regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_sam.engine.geometry import Box
from napari_sam.layers.insert_layer import lay_above
from napari_sam.layers.placement import TEMPORARY, crop_placement, placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

PARTIAL_NAME = "SAM found so far"
LARGEST_PX = 4096
_COLOURS = 254  # ids only distinguish neighbours: 8 bits make refreshing 16 megapixels cheap


@dataclass(frozen=True)
class TileColours:
    """Colours of one tile, and their position on the layer."""

    rows: slice
    cols: slice
    colours: NDArray[np.uint8]


@dataclass(frozen=True)
class PartialFrame:
    """Sampling of a region by a layer of at most 4096 x 4096 pixels.

    Attributes
    ----------
    region : Box
        (y0, x0, y1, x1) in level-0 pixels.
    factor : int
        Level-0 pixels per layer pixel, a power of two.
    """

    region: Box
    factor: int

    @classmethod
    def of(cls, region: Sequence[int]) -> PartialFrame:
        """Choose the finest sampling that is small enough.

        >>> PartialFrame.of((0, 0, 4096, 100)).factor, PartialFrame.of((10, 0, 10_000, 4097)).factor
        (1, 4)
        """
        y0, x0, y1, x1 = region
        box, factor = Box(y0, x0, y1, x1), 1
        while -(-max(box.shape) // factor) > LARGEST_PX:
            factor *= 2
        return cls(box, factor)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the layer."""
        return -(-self.region.height // self.factor), -(-self.region.width // self.factor)

    def sample(self, box: tuple[int, int, int, int], labels: NDArray[np.uint32]) -> TileColours | None:
        """Sample the labels of a tile; may run in any thread.

        Parameters
        ----------
        box : (int, int, int, int)
            (y0, x0, y1, x1) of the tile, in level-0 pixels.
        labels : ndarray of uint32
            (h, w).

        Returns
        -------
        TileColours or None
            None if no pixel of the layer lies in the tile.

        Examples
        --------
        >>> PartialFrame(Box(0, 0, 8, 8), 4).sample((2, 4, 6, 8), np.full((4, 4), 300)).colours
        array([[46]], dtype=uint8)
        """
        shared = self.region.intersection(box)
        if shared.is_empty:
            return None
        f, slices, picks = self.factor, [], []
        for axis in (0, 1):
            begin, low, high = self.region[axis], shared[axis], shared[axis + 2]
            first, last = -(-(low - begin) // f), -(-(high - begin) // f)
            slices.append(slice(first, last))
            picks.append(np.arange(first, last) * f + begin - box[axis])
        picked = labels[np.ix_(*picks)]
        colours = np.where(picked == 0, 0, (picked.astype(np.int64) - 1) % _COLOURS + 1).astype(np.uint8)
        return TileColours(slices[0], slices[1], colours) if colours.size else None


class PartialLayer:
    """The temporary layer in the viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Viewer to add the layer to.
    image : napari.layers.Image
        Image that is segmented; the layer lies right above it.
    frame : PartialFrame
        Sampling of the region.
    plane : tuple of int
        Index along the leading axes.
    """

    def __init__(self, viewer: ViewerModel, image: ImageLayer, frame: PartialFrame, plane: tuple[int, ...]) -> None:
        self._viewer, self.frame = viewer, frame
        self._data = np.zeros(frame.shape, np.uint8)
        placed = placement(image) | crop_placement(image, plane, frame.region[:2], frame.factor)
        data = self._data[(None,) * len(plane)]
        self.layer = Labels(data, name=PARTIAL_NAME, opacity=0.5, metadata={TEMPORARY: True}, **placed)
        self.layer.editable = False
        lay_above(viewer, image, self.layer)  # the user keeps the current tool

    def put(self, tile: TileColours) -> None:
        """Add a tile, which the next `refresh` shows."""
        self._data[tile.rows, tile.cols] = tile.colours

    def refresh(self) -> None:
        """Show the tiles that were added."""
        self.layer.refresh(extent=False)
