"""Where accepted objects go: the image's own label store, another one, or a labels layer of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import ImageError, LabelsError, NapariSamError, StoreError
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.io.labels.store_paths import store_path
from napari_sam.layers.label_store_layers import StoreWriter
from napari_sam.layers.labels_layer import LabelsWriter, image_plane_shape
from napari_sam.layers.prompt_layers import TEMPORARY
from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import napari
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer

    from napari_sam.io.labels.label_pyramid import Box
    from napari_sam.widgets.pages.click_panel import Controls

    Writer = LabelsWriter | StoreWriter

_OWN, _OPEN = "own store", "open a store"
_CATCH_UP_MS = 150


class _Bell(QObject):
    """Brings word from other threads."""

    rang = Signal()


class LabelTarget:
    """The choice under "Write to", and the writer behind it.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    controls : Controls
        Whose ``labels`` box it fills.
    report : callable
        Called with a message for the user.
    own_change : callable
        A context in which changes of the layer list are ours.
    bind : callable
        Called with each layer that can be drawn on, to give it our keys.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        controls: Controls,
        report: Callable[[str], None],
        own_change: Callable[[], AbstractContextManager[None]],
        bind: Callable[[Layer], None],
    ) -> None:
        self._viewer, self._controls, self._report = viewer, controls, report
        self._own_change, self._bind = own_change, bind
        self.image: ImageLayer | None = None
        self.writer: Writer | None = None
        self._path: Path | None = None
        self._bell = _Bell()
        self._catch_up_soon = single_shot(self._bell, _CATCH_UP_MS, self._catch_up)
        self._bell.rang.connect(self._on_rang)

    def _on_rang(self) -> None:
        if not self._catch_up_soon.isActive():  # objects come in bursts
            self._catch_up_soon.start()

    def _catch_up(self) -> None:
        """Show what another thread wrote into the store."""
        if isinstance(self.writer, StoreWriter):
            try:
                self.writer.catch_up()
            except NapariSamError as error:
                self._report(str(error))
            self.count()

    @property
    def store_path(self) -> Path | None:
        """Folder of the store in use, if it is one."""
        return self.writer.store.path if isinstance(self.writer, StoreWriter) else None

    def set_image(self, image: ImageLayer | None) -> None:
        """Another image: let go of the writer; objects that were saved for this image are shown at once."""
        self.drop(keep_layers=image is None)
        self.image = image
        self._path = None
        if image is None:
            return
        try:
            source = image_from_layer(image)
        except ImageError:
            return  # said where the image is looked at
        uri = getattr(source, "uri", None) or getattr(getattr(image, "source", None), "path", None)
        planes = int(np.prod(image_plane_shape(image)[:-2], dtype=np.int64))
        self._path = store_path(image.name, uri, planes)
        if self._path.exists():
            self._open(self._path)

    def layers_changed(self) -> None:
        """Layers came or went: offer those there are, let go of a writer whose layer was removed."""
        present = list(self._viewer.layers)
        if self.writer is not None and any(x not in present for x in self._layers()):
            self.drop()

    def fill(self, layers: Sequence[Layer]) -> None:
        """Offer the labels layers of the window."""
        combo = self._controls.labels
        theirs = [x for x in layers if isinstance(x, Labels) and TEMPORARY not in x.metadata]
        own = [(x.name, x) for x in theirs if x not in self._store_layers()]
        items: list[tuple[str, Any]] = [(self._own_text(), _OWN), *own, ("open a label store…", _OPEN)]
        with QSignalBlocker(combo):
            combo.clear()
            for text, data in items:
                combo.addItem(text, data)
            chosen = self.writer.layer if isinstance(self.writer, LabelsWriter) else _OWN
            combo.setCurrentIndex(next((i for i, (_, data) in enumerate(items) if data is chosen), 0))
        path = self.store_path
        combo.setToolTip(f"Saved as you go in {path}" if path else "Where accepted objects are written")

    def count(self) -> None:
        """Say how many objects there are."""
        self._controls.labels.setItemText(0, self._own_text())

    def choose(self) -> None:
        """Write to what the user has chosen from now on."""
        chosen = self._controls.labels.currentData()
        if chosen == _OPEN:
            folder = QFileDialog.getExistingDirectory(self._controls, "Open a label store (.ome.zarr)")
            if folder:
                self._open(Path(folder))
        elif chosen == _OWN:
            if self.store_path != self._path:
                self.drop()
                if self._path is not None and self._path.exists():
                    self._open(self._path)
        elif chosen is not None and self.image is not None:
            self.drop()
            try:
                self.writer = LabelsWriter(chosen, self.image)
            except LabelsError as error:
                self._report(str(error))
        self.fill(list(self._viewer.layers))

    def use_own_store(self) -> None:
        """Write to the image's own label store from now on."""
        self._controls.labels.setCurrentIndex(0)  # which calls `choose`

    def ready(self) -> Writer:
        """The writer in use; the image's own store is made if nothing was chosen.

        Raises
        ------
        LabelsError, StoreError
            If there is no image, or the store cannot be made.
        """
        if self.image is None or self._path is None:
            raise LabelsError("no image: choose an image layer first")
        if self.writer is None:
            self._show(StoreWriter.open(self._path, self.image, self._report, image_from_layer(self.image)))
        if self.writer is None:
            raise StoreError(f"{self._path}: the label store could not be shown")
        return self.writer

    def follow(self, view: Box | None, plane: tuple[int, ...]) -> None:
        """The view moved."""
        if isinstance(self.writer, StoreWriter) and view is not None:
            try:
                self.writer.move_to(view, plane)
            except NapariSamError as error:
                self._report(str(error))

    def describe(self) -> None:
        """Show the objects' table on a store's layer."""
        if isinstance(self.writer, StoreWriter):
            self.writer.describe()

    def flush(self) -> None:
        """Journal what was drawn; a stroke that goes on is left until it ends."""
        if isinstance(self.writer, StoreWriter) and not self.writer.drawing:
            try:
                self.writer.flush()
            except NapariSamError as error:
                self._report(str(error))

    def drop(self, keep_layers: bool = False) -> None:
        """Let go of the writer; a store is closed, and its layers taken out of the window unless they are kept."""
        writer, self.writer = self.writer, None
        if self.on_drop is not None:
            self.on_drop()
        if not isinstance(writer, StoreWriter):
            return
        writer.edit.events.set_data.disconnect(self._on_edited)
        if not writer.close() or keep_layers:
            return
        with self._own_change():
            for layer in writer.layers:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

    on_edited: Callable[[], None] | None = None
    """Called whenever something may have been drawn on the edit layer."""
    on_drop: Callable[[], None] | None = None
    """Called before a store is closed."""
    on_shown: Callable[[], None] | None = None
    """Called when a store is shown, to tell it with `follow` what is in view."""

    def _on_edited(self) -> None:
        if self.on_edited is not None:
            self.on_edited()

    def _open(self, path: Path) -> None:
        if self.image is None or path.absolute() == self.store_path:
            return
        try:
            writer = StoreWriter.open(path, self.image, self._report)
            self.drop()
            self._show(writer)
        except NapariSamError as error:
            self._report(str(error))

    def _show(self, writer: StoreWriter) -> None:
        """Put a store's layers right above the image, below the prompts, and keep the tool in hand."""
        active = self._viewer.layers.selection.active
        mark = writer.edit.metadata["napari_sam"]
        stale = [x for x in self._viewer.layers if isinstance(x, Labels) and x.metadata.get("napari_sam") == mark]
        with self._own_change():
            for layer in stale:  # left over from when the image was closed
                self._viewer.layers.remove(layer)
            for layer in writer.layers:
                self._viewer.layers.insert(self._viewer.layers.index(self.image) + 1, layer)
            if len(writer.layers) == 2:  # inserted one after the other at the same place
                self._viewer.layers.move(self._viewer.layers.index(writer.edit), self._above(writer))
            self._viewer.layers.selection.active = active
        writer.edit.events.set_data.connect(self._on_edited)
        writer.on_elsewhere = self._bell.rang.emit
        self._bind(writer.edit)
        self.writer = writer
        self.fill(list(self._viewer.layers))
        if self.on_shown is not None:
            self.on_shown()

    def _above(self, writer: StoreWriter) -> int:
        display = writer.display
        return int(self._viewer.layers.index(display)) + 1 if display is not None else 0

    def _own_text(self) -> str:
        if isinstance(self.writer, StoreWriter):
            count = len(self.writer.store)
            return f"{count} object{'' if count == 1 else 's'} in {self.writer.store.path.name}"
        if self._path is None:
            return "new label store"
        return f"{'' if self._path.exists() else 'new '}{self._path.name}"

    def _store_layers(self) -> list[Labels]:
        return self.writer.layers if isinstance(self.writer, StoreWriter) else []

    def _layers(self) -> list[Labels]:
        if self.writer is None:
            return []
        return self.writer.layers if isinstance(self.writer, StoreWriter) else [self.writer.layer]
