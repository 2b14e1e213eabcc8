"""The tracks layer of a movie, kept up to date with the saved objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam.errors import StoreError
from napari_sam.layers.stacks.stack_axes import TIME, axis_index
from napari_sam.layers.stacks.tracks_layer import lineage_graph, show_tracks, track_data
from napari_sam.widgets.engine_thread import EngineThread
from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Tracks
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.stack.stack_panel import StackPanel

    TracksAndGraph = tuple[NDArray[np.float64], dict[int, list[int]]]

_KIND, _SOON_MS = "tracks", 400


class TracksView(QObject):
    """Show the tracks of all saved objects while the box is ticked.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : StackPanel
        Panel with the box.
    """

    def __init__(self, context: DockContext, panel: StackPanel) -> None:
        super().__init__()
        self._context, self._box = context, panel.tracks
        self._thread = EngineThread(self)  # a long table must not block the window
        self._layer: Tracks | None = None
        self._shown: tuple[str, int] | None = None  # store and last change that the layer shows
        self._update_soon = single_shot(self, _SOON_MS, self._update)
        panel.tracks.toggled.connect(self._on_toggled)
        self._thread.finished.connect(self._on_finished)
        context.labels.store_closing.connect(self._remove)

    def refresh(self) -> None:
        """Follow changes of the saved objects."""
        if self._layer is not None and self._layer not in self._context.viewer.layers:
            self._layer = None  # the user removed it
            self._box.setChecked(False)
        if self._box.isChecked() and not self._thread.closed and not self._update_soon.isActive():
            self._update_soon.start()

    def close(self) -> None:
        """Stop following; the layer stays in the viewer, like the labels."""
        self._update_soon.stop()
        self._thread.close()
        self._layer = None

    def _on_toggled(self, is_checked: bool) -> None:
        if is_checked and self._context.labels.store_layers is None:
            self._context.notifier.info("There are no saved objects yet whose tracks could be shown.")
            self._box.setChecked(False)
        elif is_checked:
            self._update()
        else:
            self._remove()

    def _update(self) -> None:
        store_layers = self._context.labels.store_layers
        time = None if store_layers is None else axis_index(store_layers.image, TIME)
        if store_layers is None or time is None or not self._box.isChecked():
            return
        store = store_layers.store
        state = (str(store.path), store.journal.last_log_entry())
        if state != self._shown:
            self._shown = state
            self._thread.submit(_KIND, lambda _: _tracks_of(store, time))

    def _on_finished(self, outcome: Outcome) -> None:
        if not self._thread.is_current(outcome) or not self._box.isChecked():
            return
        image = self._context.images.layer
        if outcome.error is not None:
            if not isinstance(outcome.error, StoreError):  # the store was closed meanwhile
                self._context.notifier.failure(outcome.error)
        elif image is not None and isinstance(outcome.value, tuple):
            data, graph = outcome.value
            with self._context.layer_list.own_change():
                self._layer = show_tracks(self._context.viewer, image, self._layer, data, graph)

    def _remove(self) -> None:
        self._thread.cancel(_KIND)
        self._shown = None
        if self._layer is not None:
            self._context.layer_list.remove([self._layer])
            self._layer = None


def _tracks_of(store: LabelStore, time: int) -> TracksAndGraph:
    """Return the rows of the tracks layer and its graph."""
    data = track_data(store.journal.objects.all_parts(), time)
    labels = sorted({int(row[0]) for row in data})
    parents = {label: row.parent for label, row in store.journal.objects.rows(labels).items()}
    return data, lineage_graph(parents, labels)
