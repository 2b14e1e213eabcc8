"""The image that is segmented: the layer chosen in the dock, its plane, and what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import QObject, QSignalBlocker, Signal

from napari_sam.errors import ImageError, NapariSamError
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.layers.placement import current_plane
from napari_sam.widgets.qt_helpers import refill, single_shot
from napari_sam.widgets.viewer.canvas_view import camera, visible_box

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.layers import Layer
    from qtpy.QtWidgets import QComboBox

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.widgets.notifier import Notifier

_MOST_COVERED = 0.5  # share of an image under another one, beyond which it counts as hidden
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
        Image to segment: the one that was selected last in the layer list or in the box.
    was_selected : bool
        Whether the user selected it in the layer list, rather than opened it or chose it in the box.
    is_held : callable or None
        Returns True while another selection in the layer list must not change the image, because of work under way.

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
    ndisplay_changed
        The viewer switched between 2D and 3D.
    visibility_changed
        An image was hidden or shown.
    view_moved
        Another part of the layer is in view; emitted once per pan or zoom.
    """

    image_changed = Signal()
    pixels_changed = Signal()
    contrast_changed = Signal()
    plane_changed = Signal()
    ndisplay_changed = Signal()
    visibility_changed = Signal()
    view_moved = Signal()

    def __init__(self, viewer: napari.Viewer, combo: QComboBox, notifier: Notifier) -> None:
        super().__init__()
        self._viewer, self._combo, self._notifier = viewer, combo, notifier
        self.layer: ImageLayer | None = None
        self.was_selected = False
        self.is_held: Callable[[], bool] | None = None
        self._new: list[ImageLayer] = []  # opened since napari's selection was followed last
        self._known: WeakSet[ImageLayer] = WeakSet()
        # napari selects a layer only after it has added it, and opens the channels of an image one by one.
        self._follow_soon = single_shot(self, 0, self._follow_selection)
        self._view_timer = single_shot(self, _VIEW_MS, self.view_moved.emit)
        combo.currentIndexChanged.connect(self._on_chosen)
        viewer.dims.events.current_step.connect(self._on_plane_changed)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay_changed)
        viewer.layers.selection.events.active.connect(self._on_selected)
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
    def quiet_plane(self) -> tuple[int, ...] | None:
        """Index of the visible plane; None without an image or if other axes are shown."""
        if self.layer is None:
            return None
        try:
            return current_plane(self._viewer, self.layer)
        except ImageError:
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
        plane = self.quiet_plane
        if self.layer is None or plane is None:
            return None
        try:
            return plane, image_from_layer(self.layer, plane)
        except ImageError:
            return None

    def announce_view(self, event: object = None) -> None:
        """Emit `view_moved` in a moment."""
        self._view_timer.start()

    def cover(self) -> str | None:
        """Return the name of what hides the image: itself if it is not visible, or an opaque image above it."""
        image = self.layer
        if image is None:
            return None
        if not image.visible:
            return str(image.name)
        layers = list(self._viewer.layers)
        above = layers[layers.index(image) + 1 :] if image in layers else []
        return next((str(x.name) for x in reversed(above) if _is_opaque(x) and _covers(x, image)), None)

    def update_choices(self) -> None:
        """Offer the image layers in the viewer; choose another image if the current one was removed."""
        layers = list(self._viewer.layers)
        images = [x for x in layers if isinstance(x, ImageLayer)]
        self._new = [x for x in self._new if x in images] + [x for x in images if x not in self._known]
        for layer in self._new:
            if layer not in self._known:
                layer.events.visible.connect(self._on_visible_changed)
        self._known.update(images)
        if self.layer is not None and self.layer not in layers:
            self._set_layer(None)
        refill(self._combo, [(x.name, x) for x in images])
        if self.layer is None:
            active = self._viewer.layers.selection.active
            shown = [x for x in images if x.visible]
            self._choose(active if active in shown else shown[-1] if shown else None)

    def follow_now(self) -> None:
        """Choose an image that was just opened, without waiting until the events of napari are over."""
        if self._follow_soon.isActive():
            self._follow_soon.stop()
            self._follow_selection()

    def close(self) -> None:
        """Stop following the viewer and the image."""
        self._view_timer.stop()
        self._follow_soon.stop()
        self._viewer.dims.events.current_step.disconnect(self._on_plane_changed)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay_changed)
        self._viewer.layers.selection.events.active.disconnect(self._on_selected)
        camera(self._viewer).events.disconnect(self.announce_view)
        for layer in self._known:
            layer.events.visible.disconnect(self._on_visible_changed)
        self._unfollow()
        self.layer = None

    @property
    def is_flat(self) -> bool:
        """Whether the viewer shows 2D, in which alone prompts can be drawn."""
        return bool(self._viewer.dims.ndisplay == 2)

    def _on_ndisplay_changed(self, event: object = None) -> None:
        self.ndisplay_changed.emit()
        self.announce_view()

    def _on_selected(self, event: object = None) -> None:
        self._follow_soon.start()

    def _follow_selection(self) -> None:
        """Make the image that is selected in the layer list the one to segment; of several new ones, the first."""
        active = self._viewer.layers.selection.active
        opened = [x for x in self._new if x.visible and x in self._viewer.layers]
        self._new.clear()
        if not isinstance(active, ImageLayer) or active is self.layer or not active.visible:
            return
        if self.is_held is not None and self.is_held():
            current = "" if self.layer is None else self.layer.name
            self._notifier.info(f"“{current}” is still being segmented: to stop, choose “{active.name}” under “Image”.")
            return
        self.was_selected = active not in opened
        self._choose(active if self.was_selected else opened[0])
        self.was_selected = False

    def _choose(self, layer: ImageLayer | None) -> None:
        """Choose a layer in the box; None leaves the choice as it is."""
        indices = [i for i in range(self._combo.count()) if self._combo.itemData(i) is layer]
        if indices:
            with QSignalBlocker(self._combo):
                self._combo.setCurrentIndex(indices[0])
        self._on_chosen()

    def _on_visible_changed(self, event: object = None) -> None:
        self._follow_soon.start()
        self.visibility_changed.emit()

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


def _is_opaque(layer: Layer) -> bool:
    """Return whether nothing can be seen through a layer."""
    is_flat = isinstance(layer, ImageLayer) and str(layer.blending) in ("translucent", "translucent_no_depth", "opaque")
    return bool(is_flat and layer.visible and layer.opacity == 1)


def _covers(layer: Layer, image: ImageLayer) -> bool:
    """Return whether a layer lies over most of an image."""
    upper, lower = (np.asarray(x.extent.world)[:, -2:] for x in (layer, image))
    common = np.clip(np.minimum(upper[1], lower[1]) - np.maximum(upper[0], lower[0]), 0, None)
    return bool(np.prod(common) > _MOST_COVERED * np.prod(lower[1] - lower[0]))
