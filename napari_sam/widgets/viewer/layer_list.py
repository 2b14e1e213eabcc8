"""The viewer's layer list, with the plugin's own changes told from those of others."""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import napari
    from napari.layers import Layer


class LayerList(QObject):
    """Watch the layer list for changes by the user or other plugins.

    Parameters
    ----------
    viewer : napari.Viewer
        Viewer with the layers.

    Signals
    -------
    changed
        A layer was added or removed by others. After a removal it is emitted a moment later, because the layer list
        must not be changed while napari removes several layers.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._is_own_change = False
        self._changed_soon = single_shot(self, 0, self._on_inserted)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    @contextmanager
    def own_change(self) -> Iterator[None]:
        """Change the layer list without emitting `changed`."""
        before, self._is_own_change = self._is_own_change, True
        try:
            yield
        finally:
            self._is_own_change = before

    def remove(self, layers: Iterable[Layer]) -> None:
        """Remove those of the layers that are still in the viewer."""
        present = [layer for layer in dict.fromkeys(layers) if layer in self._viewer.layers]
        with self.own_change():
            for layer in present:
                with nullcontext() if layer is present[-1] else _quick_collection():
                    if layer in self._viewer.layers:  # others may react to a removal
                        self._viewer.layers.remove(layer)

    def close(self) -> None:
        """Stop watching."""
        self._changed_soon.stop()
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_inserted(self, event: object = None) -> None:
        if not self._is_own_change:
            self.changed.emit()

    def _on_removed(self, event: object = None) -> None:
        if not self._is_own_change:
            self._changed_soon.start()


@contextmanager
def _quick_collection() -> Iterator[None]:
    """Let a garbage collection pass over the objects that exist, which another one looks at right afterwards.

    napari collects garbage after each layer that is removed; that takes a third of a second in a usual session.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
