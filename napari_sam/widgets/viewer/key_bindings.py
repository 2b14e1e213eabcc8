"""The keys of the plugin: those of one page and those of all pages, bound to the viewer and to the plugin's layers.

napari's layers have keys of their own, which take precedence over those of the viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    import napari
    from napari.layers import Layer

    Keys = Mapping[str, Callable[[], None]]

BRUSH_KEYS = frozenset("123456789")
"""Keys of napari's own tools for drawing labels, which a layer that is drawn on keeps."""


class KeyBindings:
    """The keys in use.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer to bind them to.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layers: WeakKeyDictionary[Layer, Container[str]] = WeakKeyDictionary()  # and the keys that they keep
        self._keys: Keys = {}  # those that are bound
        self._of_page: Keys = {}
        self._of_all_pages: Keys = {}

    def use(self, keys: Keys) -> None:
        """Bind these keys in place of those of another page, to the viewer and all layers."""
        self._of_page = keys
        self._rebind({**self._of_all_pages, **keys})

    def use_on_all_pages(self, keys: Keys) -> None:
        """Bind these keys on whatever page, in place of the earlier ones of this sort; a page's own take precedence."""
        self._of_all_pages = keys
        self._rebind({**keys, **self._of_page})

    def _rebind(self, keys: Keys) -> None:
        for owner, kept in ((self._viewer, ()), *self._layers.items()):
            for key in self._keys:
                if key not in kept:
                    owner.bind_key(key, None, overwrite=True)
            _bind(owner, keys, kept)
        self._keys = keys

    def add_layer(self, layer: Layer, kept: Container[str] = ()) -> None:
        """Bind the keys to a layer, now and whenever they change, except those that it keeps for itself."""
        self._layers[layer] = kept
        _bind(layer, self._keys, kept)

    def remove_layer(self, layer: Layer) -> None:
        """Give a layer its own keys back."""
        kept = self._layers.pop(layer, None)
        if kept is not None:
            for key in self._keys:
                if key not in kept:
                    layer.bind_key(key, None, overwrite=True)


def _bind(owner: napari.Viewer | Layer, keys: Keys, kept: Container[str]) -> None:
    for key, action in keys.items():
        if key not in kept:
            owner.bind_key(key, lambda _, action=action: action(), overwrite=True)
