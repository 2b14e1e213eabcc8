"""The palette of classes: what its buttons, its menu and the keys 1 to 9 do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QInputDialog

from napari_sam.errors import NapariSamError
from napari_sam.widgets.objects.class_list import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.labels.classes.class_table import ClassTable
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.class_list import ClassList
    from napari_sam.widgets.objects.store_jobs import StoreJobs

_NO_CLASS = "(of no other class)"


class ClassPalette(QObject):
    """Change the classes of the label store in use; one step of undo each.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    widget : ClassList
        The list of classes.
    jobs : StoreJobs
        Writes changes that concern objects.

    Signals
    -------
    changed
        Classes were added, changed or removed.
    """

    changed = Signal()

    def __init__(self, context: DockContext, widget: ClassList, jobs: StoreJobs) -> None:
        super().__init__()
        self._context, self._list, self._jobs = context, widget, jobs
        widget.add.clicked.connect(self.add)
        widget.renamed.connect(self.rename)
        widget.rename.triggered.connect(widget.edit_name)
        widget.colour.triggered.connect(self.recolour)
        widget.parent_class.triggered.connect(self.move)
        widget.remove.triggered.connect(self.remove)
        for key in (*KEYS, None):
            action = widget.keys.addAction("no key" if key is None else str(key))
            action.triggered.connect(lambda _=False, key=key: self.set_key(key))

    def show(self) -> None:
        """Show the classes of the store, with the number of their objects."""
        store_layers = self._context.labels.store_layers
        self._context.classes.update()
        counts = {}
        if store_layers is not None:
            try:
                counts = store_layers.store.classes.counts()
            except NapariSamError as error:
                self._context.notifier.error(str(error))
        self._list.show_classes(self._context.classes.classes, counts)

    def add(self) -> None:
        """Ask for the name of a new class, and give it the first free key."""
        name, accepted = QInputDialog.getText(self._list, "New class", "Name of the class")
        if accepted:
            self.add_named(name)

    def add_named(self, name: str) -> None:
        """Add a class, with the first free key."""
        free = [key for key in KEYS if key not in self._context.classes.keys]
        if self._change(lambda table: table.add(name, key=free[0] if free else None), new_store=True):
            self._list.choose(name.strip())

    def rename(self, old: str, new: str) -> None:
        """Give a class another name."""

        def done(_: object) -> None:
            self.show()
            self._list.choose(new)
            self.changed.emit()

        self._jobs.change(lambda store: store.classes.rename(old, new), done)
        self.show()  # what the user typed; the new name comes with the change

    def recolour(self) -> None:
        """Ask for the colour of the chosen class."""
        name = self._list.current
        before = next((c.colour for c in self._context.classes.classes if c.name == name), None)
        if name is None or before is None:
            return
        chosen = QColorDialog.getColor(QColor(before), self._list, f"Colour of “{name}”")
        if chosen.isValid():
            self._change(lambda table: table.update(name, colour=chosen.name()))

    def set_key(self, key: int | None) -> None:
        """Give the chosen class a key, which another class loses."""
        name = self._list.current
        if name is not None:
            self._change(lambda table: table.update(name, key=key))

    def move(self) -> None:
        """Ask for the class that the chosen one is a kind of."""
        name = self._list.current
        others = [_NO_CLASS, *(other for other in self._list.names if other != name)]
        if name is None:
            return
        chosen, accepted = QInputDialog.getItem(self._list, "Kind of", f"“{name}” is a kind of", others, editable=False)
        if accepted:
            self._change(lambda table: table.update(name, parent=None if chosen == _NO_CLASS else chosen))

    def remove(self) -> None:
        """Remove the chosen class; its objects stay, without a class."""
        name = self._list.current
        if name is not None:
            self._jobs.change(lambda store: store.classes.remove(name), lambda _: self._removed(name))

    def _removed(self, name: str) -> None:
        self.show()
        self._context.notifier.note(f"Class “{name}” was removed, its objects stay; Ctrl+Z undoes it.")
        self.changed.emit()

    def _change(self, change: Callable[[ClassTable], object], *, new_store: bool = False) -> bool:
        """Change the table of classes; return False, with a notification, if that fails."""
        labels = self._context.labels
        try:
            store_layers = labels.ready_store() if new_store else labels.store_layers
            if store_layers is None:
                return False
            store_layers.prepare_change()
            change(store_layers.store.classes)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            self.show()
            return False
        self.show()
        self.changed.emit()
        return True
