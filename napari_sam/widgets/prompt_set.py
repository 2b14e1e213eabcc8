"""The prompt layers in the window: made for an image, listened to, taken away again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_sam.layers.prompt_layers import PromptLayers, current_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import napari
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer


class PromptSet:
    """Points, boxes and preview of the image that is segmented.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    on_prompt : callable
        Called with napari's event when something was drawn.
    on_contrast, on_pixels : callable
        Called when the image is shown otherwise, or holds other pixels.
    bind : callable
        Called with each layer that can be drawn on, to give it our keys.

    Attributes
    ----------
    layers : PromptLayers or None
        None without an image.
    changing : bool
        Whether a change of the layer list is our own.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        on_prompt: Callable[[Any], None],
        on_contrast: Callable[[], None],
        on_pixels: Callable[[], None],
        bind: Callable[[Layer], None],
    ) -> None:
        self._viewer, self._bind = viewer, bind
        self._on_prompt, self._on_contrast, self._on_pixels = on_prompt, on_contrast, on_pixels
        self.layers: PromptLayers | None = None
        self.changing = False

    @property
    def broken(self) -> bool:
        """Whether the user took one of the layers out of the window."""
        present = list(self._viewer.layers)
        return any(x not in present for x in self._drawn())

    def make(self, image: ImageLayer) -> None:
        """Put prompt layers on an image.

        Raises
        ------
        ImageError
            If the window does not show the image's last two axes.
        """
        current_plane(self._viewer, image)
        with self.own_change():
            self.layers = ours = PromptLayers.create(self._viewer, image)
        for layer in self._drawn():
            self._bind(layer)
        ours.points.events.data.connect(self._on_prompt)
        ours.shapes.events.data.connect(self._on_prompt)
        if not image.rgb:
            image.events.contrast_limits.connect(self._on_contrast)
        image.events.data.connect(self._on_pixels)

    def drop(self) -> None:
        """Forget the prompt layers, and take those that are left out of the window."""
        ours, left = self.layers, self._drawn()
        self.layers = None
        if ours is None:
            return
        ours.points.events.data.disconnect(self._on_prompt)
        ours.shapes.events.data.disconnect(self._on_prompt)
        if not ours.image.rgb:
            ours.image.events.contrast_limits.disconnect(self._on_contrast)
        ours.image.events.data.disconnect(self._on_pixels)
        with self.own_change():
            for layer in left:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

    @contextmanager
    def own_change(self) -> Iterator[None]:
        """Ignore the layer list's events while we change it ourselves."""
        self.changing, before = True, self.changing
        try:
            yield
        finally:
            self.changing = before

    def _drawn(self) -> list[Layer]:
        ours = self.layers
        return [] if ours is None else [ours.points, ours.shapes, ours.preview]
