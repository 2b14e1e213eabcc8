"""The project's image in the viewer: its layers, its label store as the destination, and its lock."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sam.errors import CancelledError, NapariSamError
from napari_sam.layers.readers import ShownLevel, image_layers
from napari_sam.layers.store_places import fix_place
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.viewer.canvas_view import focus_canvas, zoom_to_image

if TYPE_CHECKING:
    from napari_sam.io.projects.image_lock import ImageLock
    from napari_sam.project.project_image import ProjectImage
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled

_CHECK_MS = 5000  # between two looks at the lock
_WARMED_PX = 1 << 26  # of the level that napari shows first


@dataclass
class LoadedImage:
    """An image that is held, and read so far that showing it is quick.

    Attributes
    ----------
    image : ProjectImage
        The image.
    lock : ImageLock or None
        Its lock; None while another image is shown.
    data : list of (list of ShownLevel, dict)
        Data and keywords of its layers.
    layers : list of napari.layers.Image
        Its layers in the viewer.
    """

    image: ProjectImage
    lock: ImageLock | None
    data: list[tuple[Any, dict[str, Any]]]
    layers: list[ImageLayer]

    def release(self) -> None:
        """Give the lock back, in a thread: a network drive may be slow."""
        lock, self.lock = self.lock, None
        if lock is not None:
            threading.Thread(target=lock.release, name="release-image").start()


def load_image(image: ProjectImage, cancelled: IsCancelled) -> LoadedImage:
    """Take the lock of an image and read what napari shows of it first; for a worker thread.

    Raises
    ------
    StoreLockedError
        If somebody else works on it; the message names who.
    ImageError
        If it has moved or cannot be read.
    CancelledError
        If `cancelled()` returned True.
    """
    lock = image.hold()
    loaded = LoadedImage(image, lock, [], [])
    try:
        loaded.data = [(data, dict(keywords)) for data, keywords, _ in image_layers(image.source)]
        if len(loaded.data) == 1:
            loaded.data[0][1]["name"] = image.name
        for data, keywords in loaded.data:
            if keywords.get("visible", True):
                _warm(data[-1] if isinstance(data, list) else data)
        if cancelled():
            raise CancelledError("another image was chosen")
        image.begin()
    except BaseException:
        lock.release()
        raise
    return loaded


class ImageOpener(QObject):
    """Show one image of a project at a time, and hold its lock while it is the image to segment.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.

    Attributes
    ----------
    opened : LoadedImage or None
        The image, as long as its layers are in the viewer.

    Signals
    -------
    changed
        Another image or none is shown, or the lock was taken or released.
    """

    changed = Signal()

    def __init__(self, context: DockContext) -> None:
        super().__init__()
        self._context = context
        self.opened: LoadedImage | None = None
        self._is_settling = False  # the layers were added, and the dock has not chosen one yet
        self._update_soon = single_shot(self, 0, self._update)  # after the dock has closed the label store
        self._check = QTimer(self)
        self._check.setInterval(_CHECK_MS)
        self._check.timeout.connect(self._check_lock)
        context.images.image_changed.connect(self._on_image_changed)
        context.layer_list.changed.connect(self._update_soon.start)

    @property
    def image_id(self) -> str:
        """Id of the image that is shown; empty for none."""
        return "" if self.opened is None else self.opened.image.image_id

    @property
    def is_blocked(self) -> bool:
        """Whether work under way, such as a run, needs the image that is shown; the user is told."""
        is_held = self._context.images.is_held
        if is_held is None or not is_held():
            return False
        self._context.notifier.info("The image is still being segmented: wait, or cancel that, then open another one.")
        return True

    def show(self, loaded: LoadedImage) -> None:
        """Show an image in place of the one before, and write its objects into its label store."""
        if self.is_blocked:
            loaded.release()
            return
        viewer, before = self._context.viewer, self.opened
        loaded.layers = [ImageLayer(data, **keywords) for data, keywords in loaded.data]
        loaded.data = []
        for layer in loaded.layers:
            fix_place(layer, loaded.image.labels_path)
        self._context.labels.release()
        self.opened, self._is_settling = loaded, True
        for other in viewer.layers:
            if isinstance(other, ImageLayer):
                other.visible = False  # it would lie under the project's image, or over it
        for layer in loaded.layers:
            viewer.add_layer(layer)
        viewer.layers.selection.active = loaded.layers[0]
        if before is not None:
            before.release()
            self._remove(before)
        zoom_to_image(viewer, loaded.layers[0])
        self._check.start()
        focus_canvas()
        self.changed.emit()

    def select(self) -> None:
        """Make the image that is in the viewer the one to segment."""
        if self.opened is not None:
            self._context.viewer.layers.selection.active = self.opened.layers[0]
            focus_canvas()

    def leave(self) -> None:
        """Remove the image and its objects from the viewer, and release the lock."""
        opened = self.opened
        if opened is not None:
            self._context.labels.release()
            self.opened = None
            self._remove(opened)
            opened.release()
            self._check.stop()
            self.changed.emit()

    def close(self) -> None:
        """Release the lock; the label store is closed already, and the layers stay."""
        self._check.stop()
        self._update_soon.stop()
        if self.opened is not None:
            self.opened.release()

    def _remove(self, opened: LoadedImage) -> None:
        layers = self._context.viewer.layers
        for layer in opened.layers:
            if layer in layers:
                layers.remove(layer)

    def _on_image_changed(self) -> None:
        opened = self.opened
        if opened is not None and self._context.images.layer in opened.layers:
            self._is_settling = False
            if opened.lock is None:
                try:
                    opened.lock = opened.image.hold()  # before the dock opens the label store
                    self.changed.emit()
                except NapariSamError as error:
                    self._context.notifier.error(str(error))
        self._update_soon.start()

    def _update(self) -> None:
        """Release the lock if another image or none is shown."""
        opened = self.opened
        if opened is None or self._is_settling:
            return
        if not any(layer in self._context.viewer.layers for layer in opened.layers):
            self.leave()
        elif self._context.images.layer not in opened.layers:
            if opened.lock is not None:
                opened.release()
                self.changed.emit()
        elif opened.lock is None:  # somebody else has taken it meanwhile
            self.leave()

    def _check_lock(self) -> None:
        """Close the image if another process has taken its lock over, because this one was suspended for long."""
        opened = self.opened
        if opened is not None and opened.lock is not None and opened.lock.lost:
            holder = opened.image.locked_by or "another program"
            self._context.notifier.error(
                f"“{opened.image.name}” was closed: this computer slept, and {holder} has opened it meanwhile."
            )
            self.leave()


def _warm(level: ShownLevel) -> None:
    """Read what napari reads when it shows a level, so that it is in the cache of the file or of the system."""
    if np.prod(level.image.levels[-1], dtype=np.int64) <= _WARMED_PX:
        _ = level[(0,) * (level.ndim - (3 if level.has_colour else 2))]
