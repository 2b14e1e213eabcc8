"""The list of classes: colour, name, key and number of objects of each, as a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QPoint, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.qt_helpers import button, draw_hint, row, swatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qtpy.QtGui import QKeyEvent, QPaintEvent

_NAME, _KEY, _COUNT = 0, 1, 2
_HEIGHT_PX, _LEAST_HEIGHT_PX = 110, 90
_NO_CLASSES = "No classes yet: “+ Class” adds one; keys from 1 to 9 then give it to the selected objects"
_MORE_PX, _BUTTON_PX = 36, 64  # in a row that fits a narrow dock
_MOST_OPEN = 200  # with more classes, those below others stay folded
KEYS = range(1, 10)


class ListedClass(Protocol):
    """A class of objects, as the list shows it."""

    @property
    def name(self) -> str:
        """Name."""
        ...

    @property
    def colour(self) -> str:
        """Colour as "#rrggbb"."""
        ...

    @property
    def parent(self) -> str | None:
        """Name of the class that it is a kind of."""
        ...

    @property
    def key(self) -> int | None:
        """Key of the keyboard, 1 to 9."""
        ...


class ClassList(QWidget):
    """Tree of classes, and buttons for the chosen one.

    Signals
    -------
    chosen : str or None
        The user chose another class.
    renamed : str, str
        The user gave a class another name.
    """

    chosen = Signal(object)
    renamed = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.tree = _Tree()
        self.add = button("+ Class", "Add a class of objects")
        self.assign = button("Assign", "Make the selected objects this class (keys 1 to 9)")
        self.select = button("Select", "Select the objects of this class; Shift adds them to the selection")
        self.more = button("…", "Rename, colour, key, parent or removal of this class (right click does the same)")
        self.more.setFixedWidth(_MORE_PX)
        for made in (self.add, self.assign, self.select):
            made.setMinimumWidth(_BUTTON_PX)
        self.menu = QMenu(self)
        self.rename = self.menu.addAction("Rename…")
        self.colour = self.menu.addAction("Colour…")
        self.keys = self.menu.addMenu("Key")
        self.parent_class = self.menu.addAction("Kind of…")
        self.remove = self.menu.addAction("Remove")
        self.more.clicked.connect(lambda: self.menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft())))
        self._items: dict[str, QTreeWidgetItem] = {}
        self._names: dict[int, str] = {}  # by the identity of the item, whose text the user can edit
        self.tree.currentItemChanged.connect(lambda *_: self.chosen.emit(self.current))
        self.tree.itemChanged.connect(self._on_edited)
        self.tree.customContextMenuRequested.connect(self._on_context_menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tree)
        layout.addLayout(row((self.add, self.assign, self.select, self.more)))
        self._enable()

    @property
    def current(self) -> str | None:
        """Name of the chosen class; None without one."""
        item = self.tree.currentItem()
        return None if item is None else self._names.get(id(item))

    @property
    def names(self) -> list[str]:
        """Names of all classes, in their order."""
        return list(self._items)

    def choose(self, name: str | None) -> None:
        """Choose a class; None for none."""
        item = None if name is None else self._items.get(name)
        if item is None:
            self.tree.setCurrentItem(None)
            self.tree.clearSelection()
        else:
            self.tree.setCurrentItem(item)
        self._enable()

    def show_classes(self, classes: Sequence[ListedClass], counts: Mapping[str, int]) -> None:
        """Show these classes, each below the one that it is a kind of, with the number of their objects."""
        before = self.current
        with QSignalBlocker(self.tree):
            self.tree.clear()
            self._items, self._names = {}, {}
            for shown in classes:
                item = QTreeWidgetItem([shown.name, str(shown.key or ""), str(counts.get(shown.name, 0))])
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                item.setIcon(_NAME, swatch(shown.colour))
                item.setToolTip(_NAME, shown.name)
                for column in (_KEY, _COUNT):
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
                self._items[shown.name] = item
                self._names[id(item)] = shown.name
            for shown in classes:
                above = self._items.get(shown.parent) if shown.parent else None
                if above is None:
                    self.tree.addTopLevelItem(self._items[shown.name])
                else:
                    above.addChild(self._items[shown.name])
            if len(classes) <= _MOST_OPEN:
                self.tree.expandAll()
            if before in self._items:
                self.tree.setCurrentItem(self._items[before])
        self._enable()
        if self.current != before:
            self.chosen.emit(self.current)

    def edit_name(self) -> None:
        """Let the user edit the name of the chosen class in place."""
        item = self.tree.currentItem()
        if item is not None:
            self.tree.editItem(item, _NAME)

    def _enable(self) -> None:
        has_class = self.current is not None
        for made in (self.assign, self.select, self.more):
            made.setEnabled(has_class)

    def _on_edited(self, item: QTreeWidgetItem, column: int) -> None:
        name, text = self._names.get(id(item)), item.text(_NAME).strip()
        if column == _NAME and name is not None and text != name:
            self.renamed.emit(name, text)

    def _on_context_menu(self, position: QPoint) -> None:
        if self.tree.itemAt(position) is not None:
            self.menu.popup(self.tree.viewport().mapToGlobal(position))


class _Tree(QTreeWidget):
    """A narrow tree that takes the keyboard while a name is edited, and from those who come by Tab."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(["Class", "Key", "Objects"])
        self.setAccessibleName("Classes")
        self.setToolTip("Classes of the objects, with their keys; a double click or F2 renames one")
        self.setRootIsDecorated(False)
        self.setIndentation(12)
        self.setUniformRowHeights(True)
        self.setMinimumHeight(_LEAST_HEIGHT_PX)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        for column in (_KEY, _COUNT):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move among the classes; pass on letters and digits, which are keys of the page."""
        if event.text().strip():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the classes, or how to add one."""
        super().paintEvent(event)
        if not self.topLevelItemCount():
            draw_hint(self, _NO_CLASSES)

    def sizeHint(self) -> QSize:
        """Return a height that leaves room for the buttons below."""
        return QSize(super().minimumSizeHint().width(), _HEIGHT_PX)
