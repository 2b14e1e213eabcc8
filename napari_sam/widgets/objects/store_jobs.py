"""Changes of many objects, written by the engine's thread while the window stays usable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.layers.label_store_layers import LabelStoreLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled, Outcome

CHANGE, QUERY, CLASSIFY, COLOUR = "change objects", "query objects", "classify objects", "colour objects"
LIST, PLOT, COPY = "SAM objects", "SAM plot", "copy changes"
QUICK_OBJECTS = 20_000
"""Objects whose table can be read in the GUI thread without delay."""


class StoreJobs(QObject):
    """Run changes and queries of the label store in use, one at a time.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.

    Signals
    -------
    changed
        A change was written, or has failed.
    """

    changed = Signal()

    def __init__(self, context: DockContext) -> None:
        super().__init__()
        self._labels, self._thread, self._notifier = context.labels, context.thread, context.notifier
        self._lent: LabelStoreLayers | None = None
        self._done: dict[str, Callable[[Any], None]] = {}
        context.thread.finished.connect(self._on_finished)
        context.labels.store_closing.connect(self._on_store_closing)

    @property
    def is_busy(self) -> bool:
        """Whether a change is being written."""
        return self._lent is not None

    def change(self, change: Callable[[LabelStore], Any], done: Callable[[Any], None]) -> None:
        """Change the store in the thread; `done` is then called with what `change` returned, in the GUI thread."""
        if self._lent is not None:
            self._notifier.info("The last change is still being written: try again in a moment.")
            return
        try:
            store_layers = self._labels.ready_store()
            store_layers.lend()
        except NapariSamError as error:
            self._notifier.error(str(error))
            return
        self._lent, self._done[CHANGE] = store_layers, done
        self._thread.submit(CHANGE, lambda _: (change(store_layers.store),))

    def query(
        self, query: Callable[[LabelStore, IsCancelled], Any], done: Callable[[Any], None], kind: str = QUERY
    ) -> None:
        """Ask the store in the thread; a newer query of the same kind replaces an older one."""
        store_layers = self._labels.store_layers
        if store_layers is None:
            self._notifier.info("There are no saved objects yet: accept one on the page “Click” first.")
            return
        self._labels.flush()
        self._done[kind] = done
        self._thread.submit(kind, lambda cancelled: (query(store_layers.store, cancelled),))

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind == CHANGE and self._lent is not None:
            lent, self._lent = self._lent, None
            lent.take_back()
            self._tell(outcome)
            self.changed.emit()
        elif outcome.kind in self._done and self._thread.is_current(outcome):
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        """Pass on a result, which is a tuple of one; there is none after an error, which the dock reports."""
        done = self._done.pop(outcome.kind)
        if isinstance(outcome.value, tuple):
            done(outcome.value[0])

    def _on_store_closing(self) -> None:
        for kind in (CHANGE, *self._done):
            self._thread.cancel(kind)
