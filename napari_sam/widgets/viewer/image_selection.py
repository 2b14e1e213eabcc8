"""The image that is segmented: the layer chosen in the dock, its plane, and what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image as ImageLayer
from qtpy.QtCore import QObject, Signal

from napari_sam.errors import ImageError, NapariSamError
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.layers.placement import current_plane
from napari_sam.widgets.qt_helpers import refill, single_shot
from napari_sam.widgets.viewer.canvas_view import camera, visible_box

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QComboBox

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.widgets.notifier import Notifier

_VIEW_MS = 60  # a pan or zoom is a burst of events


class ImageSelection(QObject):
    """Follow the choice of the image and its view.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer with the image layers.
    combo : QComboBox
        Box that offers them.
    notifier : Notifier
        Receiver of errors.

    Attributes
    ----------
    layer : napari.layers.Image or None
        Image to segment.

    Signals
    -------
    image_changed
        `layer` is another one, or None.
    pixels_changed
        The layer holds other data.
    contrast_changed
        The layer has other contrast limits.
    plane_changed
        Another plane of the layer is shown.
    view_moved
        Another part of the layer is in view; emitted once per pan or zoom.
    """

    image_changed = Signal()
    pixels_changed = Signal()
    contrast_changed = Signal()
    plane_changed = Signal()
    view_moved = Signal()

    def __init__(self, viewer: napari.Viewer, combo: QComboBox, notifier: Notifier) -> None:
        super().__init__()
        self._viewer, self._combo, self._notifier = viewer, combo, notifier
        self.layer: ImageLayer | None = None
        self._view_timer = single_shot(self, _VIEW_MS, self.view_moved.emit)
        combo.currentIndexChanged.connect(self._on_chosen)
        viewer.dims.events.current_step.connect(self._on_plane_changed)
        camera(viewer).events.connect(self.announce_view)

    @property
    def plane(self) -> tuple[int, ...] | None:
        """Index of the visible plane; None without an image, or with a notification if other axes are shown."""
        if self.layer is None:
            return None
        try:
            return current_plane(self._viewer, self.layer)
        except ImageError as error:
            self._notifier.error(str(error))
            return None

    @property
    def view(self) -> Box | None:
        """Visible part of the image, which may reach beyond its border; None without an image."""
        return None if self.layer is None else visible_box(self.layer)

    def read(self) -> tuple[tuple[int, ...], Image] | None:
        """Return the visible plane and the image as the engine reads it; None, with a notification, if that fails."""
        plane = self.plane
        if self.layer is None or plane is None:
            return None
        try:
            return plane, image_from_layer(self.layer, plane)
        except NapariSamError as error:
            self._notifier.error(str(error))
            return None

    def read_quietly(self) -> tuple[tuple[int, ...], Image] | None:
        """Return the same as `read`, but without a notification: for work that the user did not ask for."""
        if self.layer is None:
            return None
        try:
            plane = current_plane(self._viewer, self.layer)
            return plane, image_from_layer(self.layer, plane)
        except ImageError:
            return None

    def announce_view(self, event: object = None) -> None:
        """Emit `view_moved` in a moment."""
        self._view_timer.start()

    def update_choices(self) -> None:
        """Offer the image layers in the viewer; choose another image if the current one was removed."""
        layers = list(self._viewer.layers)
        if self.layer is not None and self.layer not in layers:
            self._set_layer(None)
        refill(self._combo, [(x.name, x) for x in layers if isinstance(x, ImageLayer)])
        if self.layer is None:
            self._on_chosen()

    def close(self) -> None:
        """Stop following the viewer and the image."""
        self._view_timer.stop()
        self._viewer.dims.events.current_step.disconnect(self._on_plane_changed)
        camera(self._viewer).events.disconnect(self.announce_view)
        self._unfollow()
        self.layer = None

    def _on_chosen(self) -> None:
        chosen = self._combo.currentData()
        if chosen is None or chosen is self.layer:
            return
        try:
            current_plane(self._viewer, chosen)
        except ImageError as error:
            self._set_layer(None)
            self._notifier.error(str(error))
            return
        self._set_layer(chosen)

    def _set_layer(self, layer: ImageLayer | None) -> None:
        if layer is self.layer:
            return
        self._unfollow()
        self.layer = layer
        if layer is not None:
            if not layer.rgb:
                layer.events.contrast_limits.connect(self._on_contrast_changed)
            layer.events.data.connect(self._on_pixels_changed)
        self.image_changed.emit()

    def _unfollow(self) -> None:
        if self.layer is not None:
            if not self.layer.rgb:
                self.layer.events.contrast_limits.disconnect(self._on_contrast_changed)
            self.layer.events.data.disconnect(self._on_pixels_changed)

    def _on_contrast_changed(self, event: object = None) -> None:
        self.contrast_changed.emit()

    def _on_pixels_changed(self, event: object = None) -> None:
        self.pixels_changed.emit()

    def _on_plane_changed(self, event: object = None) -> None:
        if self.layer is not None and self.layer.ndim > 2:
            self.plane_changed.emit()
            self.announce_view()
