"""The table of all objects below the image: selected rows are selected objects, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSignalBlocker,
    Qt,
    Signal,
)
from qtpy.QtWidgets import QAbstractItemView, QTableView, QVBoxLayout

from napari_sam.widgets.objects.views.docked_view import NO_OBJECTS, DockedView
from napari_sam.widgets.qt_helpers import draw_hint

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent, QPaintEvent

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.engine_thread import IsCancelled
    from napari_sam.widgets.objects.views.docked_view import Query

_COLUMNS = {
    "label": "Id",
    "category": "Class",
    "area_px": "Area (px)",
    "predicted_iou": "Score",
    "stability_score": "Stability",
    "plane": "Plane",
    "n_planes": "Planes",
    "parent": "Parent",
    "y0": "y0",
    "x0": "x0",
    "y1": "y1",
    "x1": "x1",
}
_HEIGHT_PX = 140
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class ObjectRows(QAbstractTableModel):
    """Rows of the object table, sorted by a column; it reads cells as they are shown, however many there are."""

    def __init__(self) -> None:
        super().__init__()
        self._columns: list[tuple[str, NDArray[np.generic]]] = []
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sorted_by = (0, Qt.SortOrder.AscendingOrder)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ids of the objects, in the order of the rows."""
        return self._columns[0][1][self._order].astype(np.int64) if self._columns else np.zeros(0, np.int64)

    def show_table(self, table: pd.DataFrame) -> None:
        """Show the object table of a store, sorted as before."""
        self.beginResetModel()
        self._columns = [(title, table[name].to_numpy()) for name, title in _COLUMNS.items() if name in table]
        self._order = self._ordered()
        self.endResetModel()

    def clear(self) -> None:
        """Show no objects."""
        self.beginResetModel()
        self._columns, self._order = [], np.zeros(0, np.intp)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of objects."""
        return len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return the text of a cell."""
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(self._columns[index.column()][1][self._order[index.row()]])
        if role == Qt.ItemDataRole.TextAlignmentRole and self._columns[index.column()][1].dtype != object:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return the title of a column."""
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return self._columns[section][0]

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort the rows by a column."""
        self.layoutAboutToBeChanged.emit()
        self._sorted_by = column, order
        self._order = self._ordered()
        self.layoutChanged.emit()

    def _ordered(self) -> NDArray[np.intp]:
        column, direction = self._sorted_by
        if not self._columns:
            return np.zeros(0, np.intp)
        values = self._columns[min(column, len(self._columns) - 1)][1]
        if values.dtype == object:
            values = np.array([_text(value) for value in values], dtype=str)
        order = np.argsort(values, kind="stable")
        return order if direction == Qt.SortOrder.AscendingOrder else order[::-1]


class _Table(QTableView):
    """Table that says how it is filled while it has no rows, and that Tab leaves.

    Signals
    -------
    entered_row : int
        The user pressed Enter on a row.
    """

    entered_row = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setTabKeyNavigation(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Tell of Enter on a row."""
        if event.key() in _ENTER and self.currentIndex().isValid():
            self.entered_row.emit(self.currentIndex().row())
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the table, or the hint."""
        super().paintEvent(event)
        model = self.model()
        if model is not None and not model.rowCount():
            draw_hint(self, NO_OBJECTS)


class ObjectTable(DockedView):
    """Table of the objects: its selected rows are the selected objects, and a double click visits one."""

    reads_quickly, is_costly = True, False

    def __init__(self) -> None:
        super().__init__()
        self.rows = ObjectRows()
        self.view = _Table()
        self.view.setToolTip(
            "Rows select objects; a double click or Enter moves to an object; a click on a title sorts"
        )
        self.view.setAccessibleName("Saved objects")
        self.view.setModel(self.rows)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.verticalHeader().hide()
        self.view.setMinimumHeight(_HEIGHT_PX)
        self.view.selectionModel().selectionChanged.connect(self._on_selected)
        self.view.doubleClicked.connect(lambda index: self._visit(index.row()))
        self.view.entered_row.connect(self._visit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)

    def _visit(self, row: int) -> None:
        self.visited.emit(int(self.rows.labels[row]))

    def query(self, image: Image | None) -> Query:
        """Return a function that reads the table; the image is not needed."""
        return _table_of

    def show_values(self, values: pd.DataFrame) -> None:
        """Show the table of a store."""
        self.rows.show_table(values)
        self.view.resizeColumnsToContents()

    def show_nothing(self) -> None:
        """Show an empty table."""
        self.rows.clear()

    def show_outdated(self) -> None:
        """Do nothing: the table is read after every change."""

    def show_selected(self, labels: Iterable[int]) -> None:
        """Select the rows of these objects, and scroll to the first one."""
        chosen = np.flatnonzero(np.isin(self.rows.labels, np.fromiter(labels, np.int64)))
        selection = QItemSelection()
        if len(chosen):
            last = self.rows.columnCount() - 1
            breaks = np.flatnonzero(np.diff(chosen) > 1) + 1
            for run in np.split(chosen, breaks):
                first, final = self.rows.index(int(run[0]), 0), self.rows.index(int(run[-1]), last)
                selection.select(first, final)
        model = self.view.selectionModel()
        with QSignalBlocker(model):
            model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.view.viewport().update()
        if len(chosen):
            self.view.scrollTo(self.rows.index(int(chosen[0]), 0))

    def _on_selected(self) -> None:
        labels = self.rows.labels
        self.selected.emit([int(labels[index.row()]) for index in self.view.selectionModel().selectedRows()])


def _table_of(store: LabelStore, _: IsCancelled) -> pd.DataFrame:
    return store.table()


def _text(value: object) -> str:
    """Return a value as it is shown; empty for a missing one."""
    if value is None or value != value:
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.3f}"
    return str(value)
