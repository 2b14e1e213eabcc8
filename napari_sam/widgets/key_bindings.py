"""Which keys do what: one set at a time, on the window and on our layers, whose own keys would win otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import napari

    Keys = Mapping[str, Callable[[], None]]


class KeySet:
    """The keys in use.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layers: WeakSet[Any] = WeakSet()
        self._keys: Keys = {}

    def use(self, keys: Keys) -> None:
        """Take these keys instead of those before, everywhere."""
        for parent in (self._viewer, *self._layers):
            for key in self._keys:
                parent.bind_key(key, None, overwrite=True)
            _bind(parent, keys)
        self._keys = keys

    def add(self, layer: Any) -> None:
        """Give a layer the keys in use, now and later."""
        self._layers.add(layer)
        _bind(layer, self._keys)


def _bind(parent: Any, keys: Keys) -> None:
    for key, action in keys.items():
        parent.bind_key(key, lambda _, action=action: action(), overwrite=True)
