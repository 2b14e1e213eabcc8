"""An editable layer over a region of a label store: strokes go to the journal, changes of the store to the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import label_colormap

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.layers.objects.lookup_colormap import LookupColormap
from napari_sam.layers.placement import image_plane_shape, set_changed, translate_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_store import LabelStore

EDIT_PX = 4096


class EditLayer:
    """Copy of a region of a label store, on which the user draws.

    Parameters
    ----------
    store : LabelStore
        Store to copy from and to write strokes into.
    image : napari.layers.Image
        Image that the labels belong to.
    spare : napari.layers.Labels, optional
        Layer of a closed store to use instead of a new one; see `spare_layer`.
    **keywords
        Name and transform of the layer, as for `napari.layers.Labels`.

    Attributes
    ----------
    layer : napari.layers.Labels
        The layer.
    whole : bool
        Whether the layer always holds the whole store, all planes included.
    region : Box
        Part of the plane that the layer holds, in level-0 pixels.
    plane : tuple of int
        Index of the current plane along the leading axes.
    """

    def __init__(self, store: LabelStore, image: ImageLayer, spare: Labels | None = None, **keywords: object) -> None:
        shape = store.shape
        self._store, self._image = store, image
        self.whole = int(np.prod(shape, dtype=np.int64)) <= EDIT_PX**2
        self.plane: tuple[int, ...] = (0,) * (len(shape) - 2)
        self.region = Box(0, 0, shape[-2], shape[-1]) if self.whole else Box(0, 0, 1, 1)
        data = store.array[...] if self.whole else np.zeros((1,) * len(shape), np.uint32)
        self.layer = Labels(data, **keywords) if spare is None else _taken_over(spare, data, keywords)
        self._snapshot: NDArray[np.uint32] = data.copy()

    @property
    def is_drawing(self) -> bool:
        """Whether a stroke is under way; napari emits ``paint`` when it ends."""
        return bool(getattr(self.layer, "_block_history", False))

    @property
    def has_strokes(self) -> bool:
        """Whether the layer differs from the store.

        Raises
        ------
        LabelsError
            If the layer's data were replaced by an array of another kind.
        """
        data = self.layer.data
        if not isinstance(data, np.ndarray) or data.shape != self._snapshot.shape or data.dtype.kind not in "ui":
            raise LabelsError(
                f"layer {self.layer.name!r} no longer holds the data of its label store",
                remedy="undo that change, or remove the layer",
            )
        return bool((data != self._snapshot).any())

    def show_region(self, view: Box, plane: tuple[int, ...]) -> None:
        """Make the layer hold what is in view, with a border around it."""
        region = grown(view, self._store.shape[-2:])
        data = self._store.read(region, plane=plane)[(None,) * len(plane)]
        self.region, self.plane = region, plane
        self._snapshot = data.copy()
        self.layer.data = data
        self.layer.translate = translate_to(self._image, (*plane, *region[:2]))

    def reload(self) -> None:
        """Copy the region from the store once more, as after another process wrote; strokes are not kept."""
        if self.whole:
            self._snapshot = np.array(self._store.array[...])
            self.layer.data = self._snapshot.copy()
        else:
            data = self._store.read(self.region, plane=self.plane)[(None,) * len(self.plane)]
            self._snapshot = data.copy()
            self.layer.data = data

    def update(self, plane: tuple[int, ...], box: Box) -> None:
        """Copy a box of the store to the layer, except where a stroke has not been written yet."""
        part = self.region.intersection(box)
        if part.is_empty or (not self.whole and plane != self.plane):
            return
        leading = plane if self.whole else (0,) * len(plane)
        index: tuple[int | slice, ...] = (*leading, *part.shift(-self.region.y0, -self.region.x0).slices)
        values: NDArray[np.uint32] = self._store.read(part, plane=plane)
        drawn = self.layer.data[index] != self._snapshot[index]
        self.layer.data[index] = np.where(drawn, self.layer.data[index], values)
        self._snapshot[index] = values

    def write_strokes(self) -> None:
        """Write what was drawn into the store, plane by plane.

        Raises
        ------
        LabelsError
            If the store refuses the labels; the layer then shows the labels of the store again.
        StoreError
            If the store cannot be written; the stroke stays on the layer.
        """
        data = self.layer.data
        differs = data != self._snapshot
        for plane in sorted({tuple(int(i) for i in index) for index in np.argwhere(differs.any((-2, -1)))}):
            rows, cols = (np.flatnonzero(differs[plane].any(axis)) for axis in (1, 0))
            cut = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
            origin = (self.region.y0 + int(rows[0]), self.region.x0 + int(cols[0]))
            values = np.asarray(data)[plane][cut].copy()
            try:
                self._store.paint(values, origin, plane=plane if self.whole else self.plane)
            except LabelsError:  # these labels can never be written
                data[plane][cut] = self._snapshot[plane][cut]
                self.layer.refresh()
                raise
            self._snapshot[plane][cut] = values


def spare_layer(layers: Sequence[Labels], image: ImageLayer) -> Labels | None:
    """Return the one of the layers of a closed store that can show the objects of another image; None without one.

    napari takes 0.1 s of the GUI thread to remove a layer and to add another one. Layers are reused where both stores
    are shown whole by one layer, of as many axes.
    """
    shape = image_plane_shape(image)
    is_whole = int(np.prod(shape, dtype=np.int64)) <= EDIT_PX**2
    return layers[0] if len(layers) == 1 and is_whole and layers[0].ndim == len(shape) else None


def _taken_over(layer: Labels, data: NDArray[np.uint32], keywords: Mapping[str, object]) -> Labels:
    """Make a layer that showed another store the same as a new one, except the width of brush and outlines."""
    layer.visible = False  # drawn once, with all that is new
    layer.show_selected_label = layer.preserve_labels = False
    if isinstance(layer.colormap, LookupColormap):  # colours of the other store's objects
        layer.colormap = label_colormap(49)  # as of a new layer
    layer.features = {}
    layer.data = data
    set_changed(layer, keywords)
    layer.visible = True
    return layer


def grown(view: Box, shape: tuple[int, ...]) -> Box:
    """Return a region around the view, up to twice its size, so that small moves of the camera need no reading.

    >>> grown(Box(1000, 1000, 2000, 3000), (100_000, 100_000))
    (500, 0, 2500, 4000)
    """
    spans = []
    for low, high, size in zip(view[:2], view[2:], shape, strict=True):
        border = max(0, min((high - low) // 2, (EDIT_PX - (high - low)) // 2))
        spans.append((max(0, low - border), min(size, high + border)))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)
