"""The list of a project's images, with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QListView, QSizePolicy

from napari_sam.widgets.project.image_rows import ICON_PX, ImageRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qtpy.QtGui import QKeyEvent

_LEAST_PX, _HEIGHT_PX = 120, 260
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class ImageList(QListView):
    """List of images of which several can be selected.

    Attributes
    ----------
    rows : ImageRows
        The images.

    Signals
    -------
    opened : str
        The user double-clicked an image or pressed Enter on it.
    selection_changed
        Other images are selected.
    """

    opened = Signal(str)
    selection_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows = ImageRows()
        self.setAccessibleName("Images of the project")
        self.setToolTip("Images of the project: a double click or Enter opens one")
        self.setModel(self.rows)
        self.setIconSize(QSize(ICON_PX, ICON_PX))
        self.setUniformItemSizes(True)  # sizes of thousands of rows are not asked for
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)  # names must not widen the dock
        self.setMinimumHeight(_LEAST_PX)
        self.setAccessibleName("Images of the project")
        self.doubleClicked.connect(self._on_double_clicked)
        self.selectionModel().selectionChanged.connect(self.selection_changed)

    @property
    def selected(self) -> list[str]:
        """Ids of the selected images."""
        ids = self.rows.ids
        return [ids[index.row()] for index in self.selectedIndexes()]

    def select(self, image_ids: Iterable[str]) -> None:
        """Select those of the images that are shown, and scroll to the first one."""
        self.clearSelection()
        places = {image_id: number for number, image_id in enumerate(self.rows.ids)}
        shown = [places[image_id] for image_id in image_ids if image_id in places]
        model = self.selectionModel()
        for row in shown:
            model.select(self.rows.index(row), model.SelectionFlag.Select)
        if shown:
            model.setCurrentIndex(self.rows.index(shown[0]), model.SelectionFlag.NoUpdate)
            self.scrollTo(self.rows.index(shown[0]))

    def sizeHint(self) -> QSize:
        """Return a height that shows some images."""
        return QSize(super().sizeHint().width(), _HEIGHT_PX)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open the current image with Enter."""
        if event.key() in _ENTER and self.currentIndex().isValid():
            self._on_double_clicked(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def _on_double_clicked(self, index: QModelIndex) -> None:
        self.opened.emit(self.rows.ids[index.row()])
