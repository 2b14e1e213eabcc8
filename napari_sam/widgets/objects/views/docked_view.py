"""What all views of the objects have in common: signals, and noticing that napari closes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.widgets.engine_thread import IsCancelled

    Query = Callable[[LabelStore, IsCancelled], Any]


NO_OBJECTS = "There are no saved objects yet: accept one on the page “Click”, or find some on “Everything”."


class View(Protocol):
    """Content of a view of all objects, a `DockedView`.

    Attributes
    ----------
    reads_quickly : bool
        Whether the values of not too many objects can be read in the GUI thread.
    is_costly : bool
        Whether the values are measured in the pixels, which takes long for many objects.
    """

    reads_quickly: bool
    is_costly: bool

    def query(self, image: Image | None) -> Query:
        """Return a function that reads what the view shows from the store."""
        ...

    def show_values(self, values: Any) -> None:
        """Show what the query returned."""

    def show_nothing(self) -> None:
        """Show that there are no objects."""

    def show_selected(self, labels: Iterable[int]) -> None:
        """Show which objects are selected."""

    def show_outdated(self) -> None:
        """Tell that the objects have changed, and offer to read them again."""


class DockedView(QWidget):
    """Widget below the image that shows all objects; subclasses are a `View`.

    Signals
    -------
    selected : list of int
        The user selected objects in the view: their ids.
    visited : int
        The user wants to see an object: its id.
    asked
        The view needs other values of the objects.
    closed
        napari has removed the view from the window.
    """

    selected = Signal(object)
    visited = Signal(int)
    asked = Signal()
    closed = Signal()

    def __init__(self) -> None:
        self._is_docked = False  # read by events during construction
        super().__init__()

    def event(self, event: QEvent) -> bool:
        """Notice that napari takes the widget out of its dock, which is how it closes one."""
        if event.type() == QEvent.Type.ParentChange:
            if self._is_docked and self.parent() is None:
                self.closed.emit()
            self._is_docked = self.parent() is not None
        return bool(super().event(event))
