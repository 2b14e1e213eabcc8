"""A label store in a napari window: a picture of all labels, and a layer to draw on where one looks closely.

napari cannot edit multiscale labels and loads single-scale ones whole. So a store that is larger than 4096 x 4096
pixels is shown by two layers, of which one is visible at a time: from afar the store's pyramid, read-only; close by
an editable copy of what is in view. Every stroke is journaled when it ends.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.edits import inside, intersection
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.labels_layer import image_plane_shape
from napari_sam.layers.prompt_layers import placement, translate_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.labels.label_pyramid import Box

EDIT_PX = 4096
_MOST_FEATURES = 2000


class StoreWriter:
    """Write objects into a label store, and show it.

    Parameters
    ----------
    store : LabelStore
        Open for writing; `close` closes it.
    image : napari.layers.Image
        What the labels belong to.
    report : callable
        Called with a message when a stroke could not be written.

    Raises
    ------
    LabelsError
        If the store does not fit the image.
    """

    def __init__(self, store: LabelStore, image: ImageLayer, report: Callable[[str], None]) -> None:
        shape = image_plane_shape(image)
        if store.shape != shape:
            raise LabelsError(
                f"{store.path}: labels of shape {store.shape} do not fit the image {shape}; "
                "move that folder away, or open another label store"
            )
        self.store, self.image, self._report = store, image, report
        self.whole = int(np.prod(shape, dtype=np.int64)) <= EDIT_PX**2
        self._plane: tuple[int, ...] = (0,) * (len(shape) - 2)
        self._region: Box = (0, 0, shape[-2], shape[-1]) if self.whole else (0, 0, 1, 1)
        self._closed = self._busy = False
        self._offered = 0
        self._thread = threading.get_ident()  # the only one that may touch layers
        self._elsewhere: deque[tuple[tuple[int, ...], Box]] = deque()
        self.on_elsewhere: Callable[[], None] | None = None
        placed = placement(image)
        data = store.array[...] if self.whole else np.zeros((1,) * len(shape), np.uint32)
        name = f"{image.name} objects"
        placed |= {"opacity": 0.6, "metadata": {"napari_sam": {"store": str(store.path)}}}
        self.edit = Labels(data, name=name, **placed)
        self.display: Labels | None = None
        if not self.whole:
            self.display = Labels(store.levels, multiscale=True, name=f"{name}, all", **placed)
            self.edit.visible = False
        self._snapshot = data.copy()
        self.edit.events.paint.connect(self._on_paint)
        self.edit.bind_key("M", lambda _: self.new_label(), overwrite=True)
        store.on_drawn(self._on_drawn)
        self.new_label()
        self.describe()

    @classmethod
    def open(cls, path: Path, image: ImageLayer, report: Callable[[str], None], source: Any = None) -> StoreWriter:
        """The writer of a store that lies at `path`, or of a new one.

        Parameters
        ----------
        path : Path
            The store's folder.
        image : napari.layers.Image
            What is labelled.
        report : callable
            As above.
        source : Image, optional
            The image as the engine reads it; a new store keeps its name, scale and place on the map.

        Raises
        ------
        StoreError
            If it cannot be opened or made, or another process writes to it.
        LabelsError
            If it does not fit the image.
        """
        shape = image_plane_shape(image)
        store = LabelStore.open(path) if path.exists() else LabelStore.create(path, like=source, shape=shape)
        try:
            return cls(store, image, report)
        except LabelsError:
            store.close()
            raise

    @property
    def layers(self) -> list[Labels]:
        """The layers to show, bottom first."""
        return [self.edit] if self.display is None else [self.display, self.edit]

    @property
    def layer(self) -> Labels:
        """The layer that shows the labels now."""
        return self.edit if self.display is None or self.edit.visible else self.display

    @property
    def region(self) -> Box:
        """(y0, x0, y1, x1) of what can be drawn on, level-0 pixels."""
        return self._region

    @property
    def drawing(self) -> bool:
        """Whether a stroke has begun and not ended; napari tells of it by itself when it ends."""
        return bool(getattr(self.edit, "_block_history", False))

    @property
    def next_label(self) -> int:
        """Id of the next object."""
        return self.store.next_label

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return not self._closed and not self._busy and self.store.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return not self._closed and not self._busy and self.store.can_redo

    def commit(
        self,
        prediction: Prediction,
        plane: tuple[int, ...],
        overlap: str = "keep",
        candidate: int | None = None,
        label: int | None = None,
    ) -> int:
        """Write an object, or give object `label` this mask; see `LabelStore.commit`."""
        self.check_free()
        self.flush()
        label = self.store.commit(prediction, label, overlap, plane=plane, candidate=candidate)
        self._publish()
        return label

    def review(self, label: int, verdict: str) -> None:
        """Accept or reject an object; see `LabelStore.review`."""
        self.check_free()
        self.flush()
        self.store.review(label, verdict)
        self._publish()

    def undo(self) -> dict[str, Any] | None:
        """Take the last change back, a stroke or an object; returns its record, or None."""
        self.check_free()
        self.flush()
        record = self.store.undo()
        self._publish()
        return record

    def redo(self) -> dict[str, Any] | None:
        """Make it again; returns its record, or None."""
        self.check_free()
        self.flush()
        record = self.store.redo()
        self._publish()
        return record

    def is_long(self, name: str) -> bool:
        """Whether `undo` or `redo` is about a whole run of everything-mode, and so better done by another thread."""
        state, order = ("done", "DESC") if name == "undo" else ("undone", "ASC")
        sql = f"SELECT json_extract(record, '$.run') FROM ops WHERE state = ? ORDER BY id {order} LIMIT 1"  # noqa: S608
        found = [] if self._closed else self.store.rows_of(sql, (state,))
        return bool(found) and found[0][0] is not None

    def hand_over(self) -> None:
        """Let another thread change the store alone, until `take_over`: who wrote meanwhile would have to wait for it.

        Raises
        ------
        StoreError
            If another thread does so already, or strokes cannot be written.
        """
        self.check_free()
        self.flush()
        self._busy, self.edit.editable = True, False

    def take_over(self) -> None:
        """The other thread is done: show what it wrote, and write again."""
        self._busy = False
        if not self._closed:
            self.edit.editable = True
            self._take_all()
            self._publish()

    def check_free(self) -> None:
        """Raise a StoreError while the store was handed over."""
        if self._busy:
            raise StoreError(f"{self.store.path.name}: a whole run is being undone or redone; wait until that is done")

    def flush(self) -> None:
        """Journal what was drawn on the edit layer since the last time.

        Raises
        ------
        StoreError
            If it cannot be written; it is tried again with the next change.
        """
        if self._closed:
            return
        data = self.edit.data
        if not isinstance(data, np.ndarray) or data.shape != self._snapshot.shape or data.dtype.kind not in "ui":
            raise LabelsError(
                f"layer {self.edit.name!r} holds other data than its store; undo that, or remove the layer"
            )
        if not (data != self._snapshot).any():
            return
        with self.store.held():  # another thread must not write between the look and the stroke
            self._take_all()
            self._write_strokes(data)

    def catch_up(self) -> None:
        """Show what another thread wrote; `on_elsewhere` is called, in that thread, when there is something."""
        if self._elsewhere and not self._closed:
            self._take_all()
            self._publish()

    def _write_strokes(self, data: NDArray[Any]) -> None:
        differs = data != self._snapshot
        planes = {tuple(int(i) for i in at) for at in np.argwhere(differs.any((-2, -1)))} if differs.any() else set()
        for plane in sorted(planes):
            rows, cols = (np.flatnonzero(differs[plane].any(axis)) for axis in (1, 0))
            cut = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
            origin = (self._region[0] + int(rows[0]), self._region[1] + int(cols[0]))
            values = np.asarray(self.edit.data)[plane][cut].copy()
            try:
                self.store.paint(values, origin, plane=plane if self.whole else self._plane)
            except LabelsError:  # it can never be written: show what there is
                data[plane][cut] = self._snapshot[plane][cut]
                self.edit.refresh()
                raise
            self._snapshot[plane][cut] = values

    def move_to(self, view: Box, plane: tuple[int, ...]) -> None:
        """Follow the view: make what is seen editable where one looks closely.

        Parameters
        ----------
        view : (int, int, int, int)
            (y0, x0, y1, x1) of what the window shows, level-0 pixels.
        plane : tuple of int
            Index along the leading axes.
        """
        if self._closed:
            return
        if plane != self._plane:
            self.flush()
            self.new_label()  # an object belongs to one plane
        if self.display is None:
            self._plane = plane
            return
        near = max(view[2] - view[0], view[3] - view[1]) <= EDIT_PX
        if near:
            shown = intersection(view, (0, 0, self.store.shape[-2], self.store.shape[-1]))
            if shown is None:
                return
            if plane != self._plane or intersection(shown, self._region) != shown:
                self.flush()
                self._load(_grown(shown, self.store.shape[-2:]), plane)
        if near != self.edit.visible:
            was = self.layer.visible
            self.edit.visible, self.display.visible = (was, False) if near else (False, was)
            if not near:
                self._show_all(self.display)

    def close(self) -> bool:
        """Journal the last strokes and close the store; the layers stay, read-only.

        Returns
        -------
        bool
            False if strokes could not be written: the edit layer alone has them.
        """
        if self._closed:
            return True
        try:
            self.flush()
            return True
        except (StoreError, LabelsError) as error:
            self._report(f"{error} (layer {self.edit.name!r} stays open: it alone has your last strokes)")
            return False
        finally:
            self._closed = True
            self.edit.events.paint.disconnect(self._on_paint)
            self.edit.editable = False
            self.store.close()

    def _load(self, region: Box, plane: tuple[int, ...]) -> None:
        """Put a region of the store onto the edit layer."""
        data = self.store.read(region, plane=plane)[(None,) * len(plane)]
        self._region, self._plane = region, plane
        self._snapshot = data.copy()
        self.edit.data = data
        self.edit.translate = translate_to(self.image, (*plane, *region[:2]))

    def _on_paint(self) -> None:
        try:
            self.flush()
        except (StoreError, LabelsError) as error:
            self._report(str(error))

    def _on_drawn(self, plane: tuple[int, ...], box: Box) -> None:
        """The store has just written."""
        if threading.get_ident() == self._thread:
            self._take(plane, box)
        elif not self._closed:
            self._elsewhere.append((plane, box))
            if self.on_elsewhere is not None:
                self.on_elsewhere()

    def _take_all(self) -> None:
        while self._elsewhere:
            self._take(*self._elsewhere.popleft())

    def _take(self, plane: tuple[int, ...], box: Box) -> None:
        """Put what the store holds in a box onto the edit layer; strokes that it does not know yet stay."""
        part = intersection(box, self._region)
        if part is None or self._closed or (not self.whole and plane != self._plane):
            return
        at: tuple[Any, ...] = (*(plane if self.whole else (0,) * len(plane)), *inside(part, self._region))
        values: NDArray[np.uint32] = self.store.read(part, plane=plane)
        drawn = self.edit.data[at] != self._snapshot[at]
        self.edit.data[at] = np.where(drawn, self.edit.data[at], values)
        self._snapshot[at] = values

    def new_label(self) -> None:
        """Let the brush draw a new object; napari's own key would take an id that exists outside the view."""
        self._offered = self.edit.selected_label = self.next_label

    def describe(self) -> None:
        """Show the table of a small store as the layer's features, which napari tells of what is under the mouse."""
        if not self._closed and self.whole and len(self.store) <= _MOST_FEATURES:
            shown = ["label", "area_px", "category", "predicted_iou", "stability_score"]
            self.edit.features = self.store.table()[shown].rename(columns={"label": "index"})

    def _publish(self) -> None:
        """Show the change; a brush that was to draw a new object still does, one that corrects an object goes on."""
        if self._closed:
            return
        if self.edit.selected_label == self._offered:
            self.new_label()
        if self.edit.visible:
            self.edit.refresh()
        elif self.display is not None:
            self._show_all(self.display)

    @staticmethod
    def _show_all(display: Labels) -> None:
        """Show the pyramid as it is now; napari 0.9 keeps the coarsest level from the first time it was shown."""
        forget = getattr(display, "_reset_thumbnail_level_data", None)
        if forget is not None:
            forget()
        display.refresh()


def _grown(view: Box, shape: tuple[int, ...]) -> Box:
    """A region around the view, twice its size where that is not too large, so that a small move needs no reading.

    >>> _grown((1000, 1000, 2000, 3000), (100_000, 100_000))
    (500, 0, 2500, 4000)
    """
    spans = []
    for low, high, size in zip(view[:2], view[2:], shape, strict=True):
        room = max(0, min((high - low) // 2, (EDIT_PX - (high - low)) // 2))
        spans.append((max(0, low - room), min(size, high + room)))
    (y0, y1), (x0, x1) = spans
    return y0, x0, y1, x1
