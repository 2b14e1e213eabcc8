"""A view of the objects in napari's window: opened by a button, filled from the store, tied to the selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_sam.errors import NapariSamError
from napari_sam.io.labels.review_queue import ReviewItem
from napari_sam.widgets.objects.store_jobs import QUICK_OBJECTS
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.viewer.canvas_view import zoom_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QPushButton

    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.selected_objects import SelectedObjects
    from napari_sam.widgets.objects.store_jobs import StoreJobs
    from napari_sam.widgets.objects.views.docked_view import View

_UPDATE_MS = 250


class ViewDock(QObject):
    """Open, fill and close a view of all objects.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    button : QPushButton
        Checkable button that opens and closes it.
    selected : SelectedObjects
        The selection.
    jobs : StoreJobs
        Reads the values of many objects.
    make : callable
        Makes the view.
    name : str
        Title of the view in napari's window; also the kind of its queries.

    Attributes
    ----------
    view : DockedView or None
        The view; None while it is closed.
    """

    def __init__(
        self,
        context: DockContext,
        button: QPushButton,
        selected: SelectedObjects,
        jobs: StoreJobs,
        make: Callable[[], View],
        name: str,
    ) -> None:
        super().__init__()
        self._context, self._button, self._selected, self._jobs = context, button, selected, jobs
        self._make, self._name = make, name
        self.view: Any = None  # a `View` and a Qt widget
        self._shown: tuple[object, ...] | None = None
        self._is_own_selection = False
        self._update_soon = single_shot(self, _UPDATE_MS, self.update)
        button.setEnabled(hasattr(context.viewer, "window"))
        button.toggled.connect(self._on_toggled)
        selected.changed.connect(self._on_selection_changed)
        context.labels.store_opened.connect(self.update_soon)

    def update_soon(self) -> None:
        """Read the objects again after a burst of changes, if the view is open."""
        if self.view is not None:
            self._update_soon.start()

    def update(self) -> None:
        """Read the objects again if they have changed."""
        store_layers = self._context.labels.store_layers
        if self.view is None:
            return
        if store_layers is None:
            self._show_nothing()
            return
        if self._jobs.is_busy:
            return
        store = store_layers.store
        try:
            state = (str(store.path), store.journal.last_log_entry())
            if state == self._shown:
                return
            is_same_store = self._shown is not None and self._shown[0] == state[0]
            if is_same_store and self.view.is_costly and len(store) > QUICK_OBJECTS:
                self.view.show_outdated()  # measuring after every change would keep clicks waiting
                return
            self._shown = state
            read = self._context.images.read_quietly()
            query = self.view.query(None if read is None else read[1])
            if self.view.reads_quickly and len(store) <= QUICK_OBJECTS:
                self._show(query(store, lambda: False))
            else:
                self._jobs.query(query, self._show, self._name)
        except NapariSamError as error:
            self._context.notifier.error(str(error))

    def close(self) -> None:
        """Close the view."""
        self._update_soon.stop()
        self._button.setChecked(False)

    def visit(self, label: int) -> None:
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

    def _on_toggled(self, is_open: bool) -> None:
        if not is_open:
            view, self.view = self.view, None
            if view is not None and view.parent() is not None:
                self._context.viewer.window.remove_dock_widget(view)
            return
        self.view, self._shown = self._make(), None
        self.view.selected.connect(self._on_selected)
        self.view.visited.connect(self.visit)
        self.view.asked.connect(self._on_asked)
        self.view.closed.connect(lambda: self._button.setChecked(False))
        self._context.viewer.window.add_dock_widget(self.view, name=self._name, area="bottom")
        self.update()

    def _on_asked(self) -> None:
        self._shown = None
        self.update()

    def _show(self, values: Any) -> None:
        if self.view is not None:
            self._is_own_selection = True  # new values have no selection, which is not the user's wish
            self.view.show_values(values)
            self._is_own_selection = False
            self.view.show_selected(self._selected.labels)

    def _show_nothing(self) -> None:
        """Empty the view, as after another image was opened that has no objects yet."""
        if self._shown is not None:
            self._shown = None
            self._is_own_selection = True
            self.view.show_nothing()
            self._is_own_selection = False

    def _on_selected(self, labels: list[int]) -> None:
        if not self._is_own_selection:
            self._is_own_selection = True
            self._selected.set(labels)
            self._is_own_selection = False

    def _on_selection_changed(self) -> None:
        if self.view is not None and not self._is_own_selection:
            self.view.show_selected(self._selected.labels)
