"""The viewer's layer list, with the plugin's own changes told from those of others.

napari collects garbage after each layer that is removed. Python then looks at all objects of the process, of which a
usual session has more than a million, most of them of imported modules: a third of a second in which the window stands
still. Therefore those that exist once the model is loaded are set aside (`gc.freeze`), until a layer among them goes.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING
from weakref import WeakSet

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import napari
    from napari.layers import Layer
    from napari.utils.events import Event


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
        self._is_settled = self._is_removing = False
        self._set_aside: WeakSet[Layer] = WeakSet()
        self._changed_soon = single_shot(self, 0, self._on_inserted)
        self._set_aside_soon = single_shot(self, 0, self._set_objects_aside)  # after napari has collected garbage
        viewer.layers.events.removing.connect(self._on_removing)
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
        is_costly = not self._is_settled or any(layer in self._set_aside for layer in present)
        if is_costly:
            self._take_objects_back()
        self._is_removing = True
        try:
            with self.own_change():
                for layer in present:
                    with _quick_collection() if is_costly and layer is not present[-1] else nullcontext():
                        if layer in self._viewer.layers:  # others may react to a removal
                            self._viewer.layers.remove(layer)
        finally:
            self._is_removing = False

    def settle(self) -> None:
        """Let garbage collections pass over the objects that exist now, such as those of all modules."""
        if not self._is_settled:
            self._is_settled = True
            self._set_objects_aside()

    def close(self) -> None:
        """Stop watching."""
        self._changed_soon.stop()
        self._set_aside_soon.stop()
        gc.unfreeze()
        self._viewer.layers.events.removing.disconnect(self._on_removing)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_inserted(self, event: object = None) -> None:
        if not self._is_own_change:
            self.changed.emit()

    def _on_removed(self, event: object = None) -> None:
        if not self._is_own_change:
            self._changed_soon.start()

    def _on_removing(self, event: Event) -> None:
        """Let napari's collection see a layer that was set aside, and what goes with it, such as its pixels."""
        if not self._is_removing and self._viewer.layers[event.index] in self._set_aside:
            self._take_objects_back()

    def _take_objects_back(self) -> None:
        if self._is_settled:
            gc.unfreeze()
            self._set_aside_soon.start()

    def _set_objects_aside(self) -> None:
        gc.freeze()
        self._set_aside = WeakSet(self._viewer.layers)


@contextmanager
def _quick_collection() -> Iterator[None]:
    """Let a garbage collection pass over the objects that exist, which another one looks at right afterwards."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
