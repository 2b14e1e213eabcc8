"""The object table in napari's window: opened by a button, filled from the store, tied to the selection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam.errors import NapariSamError
from napari_sam.io.labels.review_queue import ReviewItem
from napari_sam.widgets.objects.object_table import ObjectTable
from napari_sam.widgets.objects.store_jobs import QUICK_OBJECTS
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.viewer.canvas_view import zoom_to

if TYPE_CHECKING:
    import pandas as pd
    from qtpy.QtWidgets import QPushButton

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled
    from napari_sam.widgets.objects.selected_objects import SelectedObjects
    from napari_sam.widgets.objects.store_jobs import StoreJobs

_KIND = "list objects"
_UPDATE_MS = 250
_NAME = "SAM objects"


class TableDock(QObject):
    """Open, fill and close the object table.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    button : QPushButton
        Checkable button that opens and closes it.
    selected : SelectedObjects
        The selection.
    jobs : StoreJobs
        Reads the table of many objects.

    Attributes
    ----------
    table : ObjectTable or None
        The table; None while it is closed.
    """

    def __init__(self, context: DockContext, button: QPushButton, selected: SelectedObjects, jobs: StoreJobs) -> None:
        super().__init__()
        self._context, self._button, self._selected, self._jobs = context, button, selected, jobs
        self.table: ObjectTable | None = None
        self._shown: tuple[object, ...] | None = None
        self._is_own_selection = False
        self._update_soon = single_shot(self, _UPDATE_MS, self.update)
        button.setEnabled(hasattr(context.viewer, "window"))
        button.toggled.connect(self._on_toggled)
        selected.changed.connect(self._on_selection_changed)
        context.labels.store_opened.connect(self.update_soon)

    def update_soon(self) -> None:
        """Read the objects again after a burst of changes, if the table is open."""
        if self.table is not None:
            self._update_soon.start()

    def update(self) -> None:
        """Read the objects again if they have changed."""
        store_layers = self._context.labels.store_layers
        if self.table is None or store_layers is None or self._jobs.is_busy:
            return
        store = store_layers.store
        try:
            state = (str(store.path), store.journal.last_log_entry())
            if state == self._shown:
                return
            self._shown = state
            if len(store) > QUICK_OBJECTS:
                self._jobs.query(_table_of, self._show, _KIND)
            else:
                self._show(store.table())
        except NapariSamError as error:
            self._context.notifier.error(str(error))

    def close(self) -> None:
        """Close the table."""
        self._update_soon.stop()
        self._button.setChecked(False)

    def _on_toggled(self, is_open: bool) -> None:
        if not is_open:
            table, self.table = self.table, None
            if table is not None and table.parent() is not None:
                self._context.viewer.window.remove_dock_widget(table)
            return
        self.table, self._shown = ObjectTable(), None
        self.table.selected.connect(self._on_rows_selected)
        self.table.visited.connect(self._visit)
        self.table.closed.connect(lambda: self._button.setChecked(False))
        self._context.viewer.window.add_dock_widget(self.table, name=_NAME, area="bottom")
        self.update()

    def _show(self, table: pd.DataFrame) -> None:
        if self.table is not None:
            self._is_own_selection = True  # new rows have no selection, which is not the user's wish
            self.table.rows.show_table(table)
            self.table.view.resizeColumnsToContents()
            self._is_own_selection = False
            self.table.show_selected(self._selected.labels)

    def _on_rows_selected(self, labels: list[int]) -> None:
        if not self._is_own_selection:
            self._is_own_selection = True
            self._selected.set(labels)
            self._is_own_selection = False

    def _on_selection_changed(self) -> None:
        if self.table is not None and not self._is_own_selection:
            self.table.show_selected(self._selected.labels)

    def _visit(self, label: int) -> None:
        """Move the camera to an object."""
        store_layers = self._context.labels.store_layers
        if store_layers is None:
            return
        try:
            item = ReviewItem.of_object(store_layers.store, label)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        zoom_to(self._context.viewer, store_layers.image, item.plane, item.box)


def _table_of(store: LabelStore, _: IsCancelled) -> pd.DataFrame:
    return store.table()
