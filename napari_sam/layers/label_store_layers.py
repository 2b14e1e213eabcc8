"""A label store in a napari window: all labels from afar, an editable layer close by.

napari cannot edit multiscale labels, and it loads single-scale labels whole. A store of more than 4096 x 4096 pixels is
therefore shown by two layers, one of which is visible at a time: the store's pyramid, read-only, when zoomed out, and
an editable copy of what is in view when zoomed in. A stroke is written to the journal when it ends.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError, StoreError
from napari_sam.layers.edit_layer import EDIT_PX, EditLayer
from napari_sam.layers.object_categories import ShownCategories
from napari_sam.layers.opened_store import check_fit, open_store
from napari_sam.layers.placement import placement
from napari_sam.layers.stacks.saved_propagation import write_planes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore

    Report = Callable[[str], None]

_MOST_FEATURES = 2000
_MANY_PLANES, _MANY_OBJECTS = 32, 100  # a change of more is undone in a thread


class LabelStoreLayers:
    """Write objects into a label store, and show it.

    Parameters
    ----------
    store : LabelStore
        Store open for writing; `close` closes it.
    image : napari.layers.Image
        Image that the labels belong to.
    report : callable
        Called with a message when a stroke could not be written.
    spare : napari.layers.Labels, optional
        Layer of a closed store to use instead of a new one; see `spare_layer`.

    Attributes
    ----------
    read_only : str
        Why nothing can be written, such as another process that writes to the store; empty if the store is writable.
    category : str or None
        Class of new objects; None for no class.
    on_changed_elsewhere : callable or None
        Called when another thread has written into the store, in that thread; `catch_up` then shows the change.

    Raises
    ------
    LabelsError
        If the store does not fit the image.
    """

    def __init__(
        self, store: LabelStore, image: ImageLayer, report: Report, read_only: str = "", spare: Labels | None = None
    ) -> None:
        check_fit(store, image)
        self.store, self.image, self._report, self.read_only = store, image, report, read_only
        self.category: str | None = None
        self._closed = self._lent = False
        self._brush_label = 0  # id that `new_label` last gave to the brush
        self._gui_thread = threading.get_ident()  # the only one that may touch layers
        self._changed_elsewhere: deque[tuple[tuple[int, ...], Box]] = deque()
        self.on_changed_elsewhere: Callable[[], None] | None = None
        self._shown = store.journal.last_log_entry()  # while another process writes
        self._is_behind = False  # its pixels follow a moment after its log entry
        self._is_undrawn = False  # a change of this thread, as of a cell in Jupyter, that the layer does not show yet
        self._categories = ShownCategories(store)
        name = f"{image.name} objects"
        keywords = placement(image) | {"opacity": 0.6, "metadata": {"napari_sam": {"store": str(store.path)}}}
        self._editing = EditLayer(store, image, spare, name=name, **keywords)
        self.display: Labels | None = None
        if not self._editing.whole:
            self.display = Labels(store.levels, multiscale=True, name=f"{name}, all", **keywords)
            self.edit.visible = False
        self.edit.editable = not read_only
        self.edit.events.paint.connect(self._on_paint)
        self.edit.bind_key("M", lambda _: self.new_label(), overwrite=True)
        store.on_drawn(self._on_store_drawn)
        self.new_label()
        self.describe()

    @classmethod
    def open(
        cls, path: Path, image: ImageLayer, report: Report, source: Image | None = None, spare: Labels | None = None
    ) -> LabelStoreLayers:
        """Open the store at `path`, or make one there.

        Parameters
        ----------
        path : Path
            Folder of the store.
        image : napari.layers.Image
            Image that is labelled.
        report : callable
            Called with a message when a stroke could not be written.
        source : Image, optional
            The image as the engine reads it; a new store takes its name, pixel size and georeference from it.
        spare : napari.layers.Labels, optional
            Layer of a closed store to use instead of a new one.

        Raises
        ------
        StoreError
            If the store cannot be opened or made. One that cannot be written is opened for reading.
        LabelsError
            If the store does not fit the image.
        """
        store, read_only = open_store(path, image, source)
        try:
            return cls(store, image, report, read_only, spare)
        except LabelsError:
            store.close()
            raise

    @property
    def edit(self) -> Labels:
        """Layer to draw on."""
        return self._editing.layer

    @property
    def layers(self) -> list[Labels]:
        """Layers that show the objects, bottom first."""
        return [self.edit] if self.display is None else [self.display, self.edit]

    @property
    def layer(self) -> Labels:
        """Layer that shows the objects now."""
        return self.edit if self.display is None or self.edit.visible else self.display

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane."""
        return self.store.shape[-2], self.store.shape[-1]

    def labels_in(self, box: Box, plane: tuple[int, ...]) -> NDArray[np.uint32]:
        """Return the ids in a box (y0, x0, y1, x1) of level-0 pixels, inside a plane."""
        return self.store.read(box, plane=plane)

    @property
    def region(self) -> Box:
        """(y0, x0, y1, x1) of the part that can be drawn on, in level-0 pixels."""
        return self._editing.region

    @property
    def is_drawing(self) -> bool:
        """Whether a stroke is under way."""
        return self._editing.is_drawing

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return not self._closed and not self._lent and not self.read_only and self.store.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a change to redo."""
        return not self._closed and not self._lent and not self.read_only and self.store.can_redo

    # ---- changes ------------------------------------------------------------------------------------------

    def commit(
        self,
        prediction: Prediction,
        plane: tuple[int, ...],
        overlap: str = "keep",
        candidate: int | None = None,
        label: int | None = None,
    ) -> int:
        """Write an object, or give the object `label` a new mask; see `LabelStore.commit`."""
        self.prepare_change()
        category = self.category if label is None else None
        label = self.store.commit(prediction, label, overlap, category, plane=plane, candidate=candidate)
        self._refresh()
        return label

    def commit_planes(
        self, followed: Propagation, overlap: str = "keep", *, parent: int | None = None, label: int | None = None
    ) -> int:
        """Write an object that lies on several planes; see `LabelWriter.commit_planes`."""
        self.prepare_change()
        label = write_planes(self.store, followed, overlap, parent, label, category=self.category)
        self._refresh()
        return label

    def review(self, label: int, verdict: str) -> None:
        """Accept or reject an object; see `LabelStore.review`."""
        self.prepare_change()
        self.store.review(label, verdict)
        self._refresh()

    def set_category(self, label: int, category: str | None) -> None:
        """Give an object a class, unless it has it already; see `LabelStore.set_category`."""
        self.prepare_change()
        if self.store.row(label).category != category:
            self.store.set_category(label, category)

    def undo(self) -> bool:
        """Undo the last change, a stroke or an object; return False if there is none."""
        self.prepare_change()
        record = self.store.undo()
        self._refresh()
        return record is not None

    def redo(self) -> bool:
        """Repeat the change that was undone last; return False if there is none."""
        self.prepare_change()
        record = self.store.redo()
        self._refresh()
        return record is not None

    def prepare_change(self) -> None:
        """Write pending strokes.

        Raises
        ------
        StoreError
            If the store is open for reading or lent to another thread, or strokes cannot be written.
        """
        if self.read_only:
            raise StoreError(
                f"{self.read_only}, so nothing can be saved", remedy="close it there, then select the image again"
            )
        if self._lent:
            raise StoreError(
                f"{self.store.path.name}: another change is being written", remedy="wait until that is done"
            )
        self.flush()
        self.write_categories()

    def write_categories(self) -> None:
        """Write the categories that the user edited in napari's table of features to the journal.

        Raises
        ------
        StoreError
            If they cannot be written.
        """
        if not self._closed and not self._lent and not self.read_only:
            self._categories.write(self.edit.features)

    def flush(self) -> None:
        """Write the strokes of the edit layer to the journal.

        Raises
        ------
        StoreError
            If they cannot be written; the next change tries again.
        LabelsError
            If the layer holds other data, or labels that the store refuses.
        """
        if self._closed or not self._editing.has_strokes:
            return
        is_undrawn = self._is_undrawn
        with self.store.held():  # no other thread may write between the update and the strokes
            self._update_layer()
            self._editing.write_strokes()
        self._is_undrawn = is_undrawn  # strokes are drawn already

    def new_label(self) -> None:
        """Give the brush the id of a new object; napari's own key could take an id that exists outside the view."""
        self._brush_label = self.edit.selected_label = self.store.next_label

    # ---- changes by other threads ----------------------------------------------------------------------------

    def is_long(self, step: str) -> bool:
        """Whether `step` ("undo" or "redo") concerns a run, many planes or objects, and is for another thread."""
        change = None if self._closed else self.store.journal.changes.next_change(undo=step == "undo")
        if change is None:
            return False
        planes, objects = change.record.get("planes"), change.record.get("labels")
        has_many_planes = isinstance(planes, int) and planes >= _MANY_PLANES
        has_many_objects = isinstance(objects, list | dict) and len(objects) >= _MANY_OBJECTS
        return change.is_whole_image_run or has_many_planes or has_many_objects

    def is_run(self, step: str) -> bool:
        """Whether `step` ("undo" or "redo") concerns a whole run."""
        change = None if self._closed else self.store.journal.changes.next_change(undo=step == "undo")
        return change is not None and change.is_whole_image_run

    def lend(self) -> None:
        """Let another thread change the store alone until `take_back`.

        Raises
        ------
        StoreError
            If the store is lent already, or strokes cannot be written.
        """
        self.prepare_change()
        self._lent, self.edit.editable = True, False

    def take_back(self) -> None:
        """Show what the other thread wrote, and write again."""
        self._lent = False
        if not self._closed:
            self.edit.editable = not self.read_only
            self._update_layer()
            self._refresh()

    def catch_up(self) -> None:
        """Show what other threads have written, and other processes while the store is open for reading."""
        if self._closed:
            return
        last = self.store.journal.last_log_entry() if self.read_only else self._shown
        if last != self._shown or self._is_behind:
            self._shown, self._is_behind = last, last != self._shown
            self._editing.reload()
            self._refresh()
        if self._changed_elsewhere or self._is_undrawn:
            self._update_layer()
            self._refresh()

    def _on_store_drawn(self, plane: tuple[int, ...], box: tuple[int, int, int, int]) -> None:
        if self._closed:
            return
        if threading.get_ident() == self._gui_thread:
            self._editing.update(plane, Box(*box))
            self._is_undrawn = True
        else:
            self._changed_elsewhere.append((plane, Box(*box)))
        if self.on_changed_elsewhere is not None:
            self.on_changed_elsewhere()

    def _update_layer(self) -> None:
        while self._changed_elsewhere:
            self._editing.update(*self._changed_elsewhere.popleft())

    def _on_paint(self) -> None:
        try:
            self.flush()
        except (StoreError, LabelsError) as error:
            self._report(str(error))

    # ---- view ---------------------------------------------------------------------------------------------

    def move_to(self, view: tuple[int, int, int, int], plane: tuple[int, ...]) -> None:
        """Follow the view: show the edit layer when zoomed in, the whole store otherwise.

        Parameters
        ----------
        view : (int, int, int, int)
            (y0, x0, y1, x1) of the visible part of the image, in level-0 pixels.
        plane : tuple of int
            Index along the leading axes.
        """
        if self._closed:
            return
        editing = self._editing
        if plane != editing.plane:
            self.flush()
            self.new_label()  # an object belongs to one plane
        if self.display is None:
            editing.plane = plane
            return
        near = max(Box(*view).shape) <= EDIT_PX
        if near:
            h, w = self.store.shape[-2:]
            visible = Box(*view).clip((h, w))
            if visible.is_empty:
                return
            if plane != editing.plane or not editing.region.contains(visible):
                self.flush()
                editing.show_region(visible, plane)
        if near != self.edit.visible:
            shown = self.layer.visible
            self.edit.visible, self.display.visible = (shown, False) if near else (False, shown)
            if not near:
                _refresh_pyramid(self.display)

    def show_volume(self) -> None:
        """Show all planes, for the 3-D view: the edit layer of a large store holds only one."""
        if not self._closed and self.display is not None and self.edit.visible:
            self.flush()
            self.edit.visible, self.display.visible = False, True
            _refresh_pyramid(self.display)

    def describe(self) -> None:
        """Show the object table of a small store as layer features, which napari displays under the mouse."""
        if not self._closed and self._editing.whole and len(self.store) <= _MOST_FEATURES:
            self.write_categories()
            columns = ["label", "area_px", "category", "predicted_iou", "stability_score"]
            table = self.store.table()[columns].rename(columns={"label": "index"})
            self.edit.features = self._categories.shown(table)

    def close(self) -> bool:
        """Write the last strokes and close the store; the layers stay in the window, read-only.

        Returns
        -------
        bool
            False if strokes could not be written, so that only the edit layer has them.
        """
        if self._closed:
            return True
        try:
            self.flush()
            self.write_categories()
            return True
        except (StoreError, LabelsError) as error:
            self._report(f"{error} (layer {self.edit.name!r} stays open: only it has your last strokes)")
            return False
        finally:
            self._closed = True
            self.edit.events.paint.disconnect(self._on_paint)
            self.edit.editable = False
            self.store.close()

    def _refresh(self) -> None:
        """Show a change; a brush that was to draw a new object gets a free id, one that corrects an object keeps it."""
        if self._closed:
            return
        self._is_undrawn = False
        if self.edit.selected_label == self._brush_label:
            self.new_label()
        if self.edit.visible:
            self.edit.refresh()
        elif self.display is not None:
            _refresh_pyramid(self.display)


def _refresh_pyramid(display: Labels) -> None:
    """Show the current pyramid; napari 0.9 otherwise keeps the coarsest level as it was first shown."""
    forget = getattr(display, "_reset_thumbnail_level_data", None)
    if forget is not None:
        forget()
    display.refresh()
