"""The keys of the plugin: one set at a time, bound to the viewer and to the plugin's layers.

napari's layers have keys of their own, which take precedence over those of the viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import napari
    from napari.layers import Layer

    Keys = Mapping[str, Callable[[], None]]


class KeyBindings:
    """The keys in use.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer to bind them to.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layers: WeakSet[Layer] = WeakSet()
        self._keys: Keys = {}

    def use(self, keys: Keys) -> None:
        """Bind these keys in place of the current ones, to the viewer and all layers."""
        for owner in (self._viewer, *self._layers):
            for key in self._keys:
                owner.bind_key(key, None, overwrite=True)
            _bind(owner, keys)
        self._keys = keys

    def add_layer(self, layer: Layer) -> None:
        """Bind the keys to a layer, now and whenever they change."""
        self._layers.add(layer)
        _bind(layer, self._keys)


def _bind(owner: napari.Viewer | Layer, keys: Keys) -> None:
    for key, action in keys.items():
        owner.bind_key(key, lambda _, action=action: action(), overwrite=True)
