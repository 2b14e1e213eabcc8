"""The destination of accepted objects: the image's label store, another store, or a labels layer of the user."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QObject, QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import ImageError, LabelsError, NapariSamError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.move_store import move_store
from napari_sam.io.labels.store_paths import data_dir
from napari_sam.layers.edit_layer import spare_layer
from napari_sam.layers.insert_layer import lay_above
from napari_sam.layers.label_store_layers import LabelStoreLayers
from napari_sam.layers.labels_layer import LabelsLayerWriter
from napari_sam.layers.placement import TEMPORARY
from napari_sam.layers.stacks.stack_axes import stack_image
from napari_sam.layers.store_places import move_place, remember_labels_layer, remembered_labels_layer, store_place
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.viewer.key_bindings import BRUSH_KEYS
from napari_sam.widgets.viewer.label_choices import LabelChoice, label_items
from napari_sam.widgets.viewer.store_notifier import StoreNotifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from qtpy.QtWidgets import QComboBox

    from napari_sam.layers.label_writer import LabelWriter
    from napari_sam.widgets.notifier import Notifier
    from napari_sam.widgets.viewer.key_bindings import KeyBindings
    from napari_sam.widgets.viewer.layer_list import LayerList

_CATCH_UP_MS, _STROKE_MS, _TABLE_MS, _POLL_MS = 150, 300, 800, 1000


class LabelTarget(QObject):
    """Follow the choice under "Write to", and hold the writer behind it.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer that shows the labels.
    combo : QComboBox
        Box with the choice.
    layer_list : LayerList
        Layer list of the viewer.
    keys : KeyBindings
        Keys to bind to the edit layer.
    notifier : Notifier
        Receiver of errors.

    Attributes
    ----------
    store_layers : LabelStoreLayers or None
        Writer of the label store in use; None while none is open or a labels layer is chosen.
    labels_layer : LabelsLayerWriter or None
        Writer of the labels layer in use.

    Signals
    -------
    chosen
        The user chose another destination.
    store_opened
        A store is shown; `follow` then tells it what is in view.
    store_closing
        The writer is about to be released.
    edited
        Something was drawn on the edit layer, and is written to the journal.
    """

    chosen = Signal()
    store_opened = Signal()
    store_closing = Signal()
    edited = Signal()

    def __init__(
        self,
        viewer: napari.Viewer,
        combo: QComboBox,
        layer_list: LayerList,
        keys: KeyBindings,
        notifier: Notifier,
    ) -> None:
        super().__init__()
        self._viewer, self._combo = viewer, combo
        self._layer_list, self._keys, self._notifier = layer_list, keys, notifier
        self._image: ImageLayer | None = None
        self._own_path: Path | None = None  # of the image's label store, which may not exist yet
        self.store_layers: LabelStoreLayers | None = None
        self.labels_layer: LabelsLayerWriter | None = None
        self._is_closed = False
        self._store_notifier = StoreNotifier()
        self._store_notifier.changed.connect(self._on_store_changed)
        self._catch_up_soon = single_shot(self, _CATCH_UP_MS, self._catch_up)
        self._stroke_timer = single_shot(self, _STROKE_MS, self._on_stroke)
        self._table_timer = single_shot(self, _TABLE_MS, self._describe)
        self._poll_timer = QTimer(self)  # for what comes without an event
        self._poll_timer.setInterval(_POLL_MS)
        self._poll_timer.timeout.connect(self._poll)
        combo.currentIndexChanged.connect(self._on_chosen)

    @property
    def writer(self) -> LabelWriter | None:
        """Writer of accepted objects; None before the first object."""
        return self.labels_layer or self.store_layers

    @property
    def store_path(self) -> Path | None:
        """Folder of the store in use."""
        return None if self.store_layers is None else self.store_layers.store.path

    @property
    def place_text(self) -> str:
        """Where the objects are saved, in words; empty before the first object."""
        path = self.store_path
        if path is None or self._image is None:
            return ""
        hint = "" if store_place(self._image).has_file else " (to rename or move it, see “Write to”)"
        return f"objects saved in {path}{hint}"

    def set_image(self, image: ImageLayer | None) -> None:
        """Release the writer, and show the objects that were saved for another image."""
        left = self._let_go()
        self._image, self._own_path = image, None
        if image is None:
            return
        spare = spare_layer(left, image)
        self._layer_list.remove(x for x in left if x is not spare)
        with suppress(ImageError):  # reported where the image is read
            self._own_path = store_place(image).path
            self._show_saved(image, self._own_path, spare)
        if spare is not None and (self.store_layers is None or self.store_layers.edit is not spare):
            self._layer_list.remove([spare])

    def _show_saved(self, image: ImageLayer, path: Path, spare: Labels | None) -> None:
        """Write to what was used for an image last, if it still exists."""
        labels = remembered_labels_layer(image)
        if labels is not None and labels in self._viewer.layers:
            self._use_labels_layer(labels)
        elif path.exists():
            self.open_store(path, spare)

    def update_choices(self) -> None:
        """Offer the labels layers in the viewer; release a writer whose layer was removed."""
        layers = list(self._viewer.layers)
        if self.writer is not None and any(x not in layers for x in self.writer.layers):
            self.release()
        store_layers = [] if self.store_layers is None else self.store_layers.layers
        labels = [x for x in layers if isinstance(x, Labels) and TEMPORARY not in x.metadata and x not in store_layers]
        is_movable = self._image is not None and self._own_path is not None and not store_place(self._image).is_fixed
        items = label_items(self._own_text(), labels, is_movable)
        selected = LabelChoice.OWN_STORE if self.labels_layer is None else self.labels_layer.layer
        with QSignalBlocker(self._combo):
            self._combo.clear()
            for text, data in items:
                self._combo.addItem(text, data)
            self._combo.setCurrentIndex(next((i for i, (_, data) in enumerate(items) if data is selected), 0))
        path = self.store_path
        self._combo.setToolTip(f"Saved continuously in {path}" if path else "Where accepted objects are written")

    def update_count(self) -> None:
        """Show the number of objects, and soon their table."""
        self._combo.setItemText(0, self._own_text())
        self._table_timer.start()

    def use_own_store(self) -> None:
        """Write to the image's own label store from now on."""
        self._combo.setCurrentIndex(0)

    def ready(self) -> LabelWriter:
        """Return the writer in use; if nothing was chosen, make the image's label store.

        Raises
        ------
        LabelsError
            If there is no image.
        StoreError
            If the store cannot be made.
        """
        return self.labels_layer or self.ready_store()

    def ready_store(self) -> LabelStoreLayers:
        """Return the writer of the store in use, made if necessary; raises as `ready` does."""
        if self._image is None or self._own_path is None:
            raise LabelsError("there is no image", remedy="choose an image layer first")
        if self.store_layers is not None and self.store_layers.read_only:
            self._open_again(self.store_layers.store.path)  # it may be free by now
        if self.store_layers is None:
            source = stack_image(self._image)
            self._show(LabelStoreLayers.open(self._own_path, self._image, self._notifier.error, source))
        if self.store_layers is None:
            raise StoreError(
                f"{self._own_path}: the label store could not be shown",
                remedy="restart napari and open the image again; nothing saved is lost",
            )
        return self.store_layers

    def open_store(self, path: Path, spare: Labels | None = None) -> None:
        """Write to the store at `path` from now on, shown by a spare layer if any; tell the user if that fails."""
        if self._image is None:
            return
        with self._told():
            self.use_store(path, spare=spare)

    def use_store(self, store: LabelStore | Path, *, lasting: bool = True, spare: Labels | None = None) -> None:
        """Write to a store from now on.

        Parameters
        ----------
        store : LabelStore or Path
            A store that is open, which is closed with the dock; or the folder of one, which is made if there is none.
        lasting : bool
            Whether the image's objects are looked for there in later sessions, too.
        spare : napari.layers.Labels, optional
            Layer of a closed store to show the folder's objects with; see `spare_layer`.

        Raises
        ------
        LabelsError
            If there is no image, or the store does not fit it.
        StoreError
            If the store cannot be opened.
        """
        image = self._image
        if image is None:
            raise LabelsError("there is no image", remedy="choose an image layer first")
        path = store.path if isinstance(store, LabelStore) else store.absolute()
        if path == self.store_path:
            return
        if isinstance(store, LabelStore):
            reason = "" if store.writable else f"{path} is open for reading only"
            opened = LabelStoreLayers(store, image, self._notifier.error, reason)
        else:
            opened = LabelStoreLayers.open(path, image, self._notifier.error, stack_image(image), spare)
        self.release()
        self._show(opened)
        remember_labels_layer(image, None)
        if path != self._own_path:
            self._own_path = move_place(image, path, lasting=lasting).path

    def use_layer(self, layer: Labels) -> None:
        """Write to a labels layer from now on; tell the user if it does not fit the image."""
        self.release()
        self._use_labels_layer(layer)
        self.update_choices()
        self.chosen.emit()

    def _open_again(self, path: Path) -> None:
        """Open a store for writing that was open for reading, if it is free now."""
        if self._image is None:
            return
        try:
            opened = LabelStoreLayers.open(path, self._image, self._notifier.error)
        except NapariSamError:
            return
        if opened.read_only:
            opened.close()
            return
        self.release()
        self._show(opened)

    def move_store(self, path: Path) -> None:
        """Move the label store of the image to `path`, or make it there with the first object; tell the user."""
        if self._image is None or self._own_path is None or path.absolute() == self._own_path:
            return
        self.release()
        with self._told():
            moved = move_store(self._own_path, path)
            self._own_path = move_place(self._image, moved).path
            self._notifier.info(f"Objects of “{self._image.name}” are saved in {moved} from now on.")
        if self._own_path.exists():
            self.open_store(self._own_path)

    def follow(self, view: tuple[int, int, int, int], plane: tuple[int, ...]) -> None:
        """Show the part of the store that is in view."""
        if self.store_layers is not None:
            with self._told():
                self.store_layers.move_to(view, plane)

    def show_volume(self) -> None:
        """Show all planes of the store, for the 3-D view."""
        if self.store_layers is not None:
            with self._told():
                self.store_layers.show_volume()

    def flush(self) -> None:
        """Write what was drawn to the journal, except a stroke that is still under way."""
        if self.store_layers is not None and not self.store_layers.is_drawing:
            with self._told():
                self.store_layers.flush()

    def drop_closed(self) -> None:
        """Release a store that the program which opened it has closed; the next object opens it again."""
        if self.store_layers is not None and self.store_layers.store.closed:
            self.release()
            self.update_choices()

    def release(self, keep_layers: bool = False) -> None:
        """Release the writer; close a store, and remove its layers from the viewer unless they are to be kept."""
        left = self._let_go()
        if not keep_layers:
            self._layer_list.remove(left)

    def _let_go(self) -> list[Labels]:
        """Release the writer, close a store, and return its layers, except one that alone has strokes."""
        if self.labels_layer is not None:
            self._keys.remove_layer(self.labels_layer.layer)
        closing, self.store_layers, self.labels_layer = self.store_layers, None, None
        self.store_closing.emit()
        if closing is None:
            return []
        closing.edit.events.set_data.disconnect(self._on_set_data)
        return closing.layers if closing.close() else []

    def close(self) -> None:
        """Release the writer for good; its layers stay in the viewer."""
        self.release(keep_layers=True)
        self._is_closed = True
        for timer in (self._catch_up_soon, self._stroke_timer, self._table_timer, self._poll_timer):
            timer.stop()

    def _on_chosen(self) -> None:
        choice = self._combo.currentData()
        if choice is LabelChoice.OPEN_STORE:
            start = data_dir() if self._own_path is None else self._own_path.parent
            folder = QFileDialog.getExistingDirectory(self._combo, "Open a label store (.ome.zarr)", str(start))
            if folder:
                self.open_store(Path(folder))
        elif choice is LabelChoice.MOVE_STORE:
            path, _ = QFileDialog.getSaveFileName(
                self._combo, "Where to save the objects", str(self._own_path), "Label stores (*.ome.zarr)"
            )
            if path:
                self.move_store(Path(path))
        elif choice is LabelChoice.OWN_STORE:
            if self._image is not None:
                remember_labels_layer(self._image, None)
            if self.store_path != self._own_path or self.labels_layer is not None:
                self.release()
                if self._own_path is not None and self._own_path.exists():
                    self.open_store(self._own_path)
        elif choice is not None and self._image is not None:
            self.release()
            self._use_labels_layer(choice)
        self.update_choices()
        self.chosen.emit()

    def _use_labels_layer(self, layer: Labels) -> None:
        if self._image is None:
            return
        try:
            self.labels_layer = LabelsLayerWriter(layer, self._image)
        except LabelsError as error:
            self._notifier.error(str(error))
        else:
            remember_labels_layer(self._image, layer)
            self._keys.add_layer(layer, BRUSH_KEYS)  # napari's own F would fill the layer at the next click

    def _show(self, opened: LabelStoreLayers) -> None:
        """Insert the layers of a store right above the image, below the prompts, and keep the active layer."""
        layers = self._viewer.layers
        mark = opened.edit.metadata["napari_sam"]
        # The same objects, left in the viewer when their image was removed.
        self._layer_list.remove(x for x in list(layers) if _mark_of(x) == mark and x is not opened.edit)
        with self._layer_list.own_change():
            for layer in reversed(opened.layers):
                lay_above(self._viewer, self._image, layer)
        opened.edit.events.set_data.connect(self._on_set_data)
        opened.on_changed_elsewhere = self._store_notifier.changed.emit
        self._keys.add_layer(opened.edit, BRUSH_KEYS)
        self.store_layers = opened
        self._poll_timer.start()
        if opened.read_only:
            self._notifier.info(
                f"{opened.read_only}: its objects are shown, but nothing can be saved until it is closed there."
            )
        self.update_choices()
        self.store_opened.emit()

    def _own_text(self) -> str:
        is_project = self._image is not None and store_place(self._image).is_fixed
        if self.store_layers is not None:
            count = len(self.store_layers.store)
            place = "the project" if is_project else self.store_layers.store.path.name
            text = f"{count} object{'' if count == 1 else 's'} in {place}"
            return f"read-only: {text}" if self.store_layers.read_only else text
        if is_project:
            return "the project"
        if self._own_path is None:
            return "new label store"
        return f"{'' if self._own_path.exists() else 'new '}{self._own_path.name}"

    def _on_set_data(self, event: object = None) -> None:
        self._stroke_timer.start()

    def _on_stroke(self) -> None:
        self.flush()
        self.edited.emit()

    def _on_store_changed(self) -> None:
        # Objects come in bursts, and what another thread has queued may arrive after closing.
        if not self._is_closed and not self._catch_up_soon.isActive():
            self._catch_up_soon.start()

    def _catch_up(self) -> None:
        if self.store_layers is not None:
            with self._told():
                self.store_layers.catch_up()
        self.update_count()

    def _poll(self) -> None:
        """Write edited categories, and show what another process wrote."""
        layers = self.store_layers
        if layers is None:
            self._poll_timer.stop()
            return
        with self._told():
            layers.write_categories()
            if layers.read_only:
                layers.catch_up()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the user of errors."""
        try:
            yield
        except NapariSamError as error:
            self._notifier.error(str(error))

    def _describe(self) -> None:
        self.drop_closed()
        if self.store_layers is not None:
            self.store_layers.describe()


def _mark_of(layer: Layer) -> object:
    """Return what tells of which store a layer shows the objects; None for other layers."""
    return layer.metadata.get("napari_sam") if isinstance(layer, Labels) else None
