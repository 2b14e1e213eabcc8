"""The page "Objects": select saved objects, give them classes, and change many at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication

from napari_sam.errors import NapariSamError
from napari_sam.layers.objects.selection_band import LASSO, PICK, RECTANGLE, Combine
from napari_sam.widgets.objects.canvas_selection import CanvasSelection, area_corners
from napari_sam.widgets.objects.class_list import KEYS
from napari_sam.widgets.objects.class_palette import ClassPalette
from napari_sam.widgets.objects.class_suggestions import ClassSuggestions
from napari_sam.widgets.objects.colour_choice import ColourChoice
from napari_sam.widgets.objects.object_edits import ObjectEdits
from napari_sam.widgets.objects.selected_objects import SelectedObjects, combine_keys
from napari_sam.widgets.objects.store_jobs import LIST, PLOT, StoreJobs
from napari_sam.widgets.objects.views.object_table import ObjectTable
from napari_sam.widgets.objects.views.plot_picture import plot_with_picture
from napari_sam.widgets.objects.views.view_dock import ViewDock
from napari_sam.widgets.pages.guide import IN_MEMORY, objects_step
from napari_sam.widgets.viewer.canvas_view import focus_canvas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled
    from napari_sam.widgets.objects.objects_panel import ObjectsPanel
    from napari_sam.widgets.pages.label_actions import LabelActions


_ROWS_PER_LABEL = 30  # a row takes so many times as long to read as an id


class ObjectsController(QObject):
    """Behaviour of the page "Objects".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ObjectsPanel
        The page.
    actions : LabelActions
        Undo, redo and export.

    Attributes
    ----------
    selected : SelectedObjects
        The selection.
    canvas : CanvasSelection
        What selects and outlines on the canvas.
    palette : ClassPalette
        The classes.
    suggestions : ClassSuggestions
        Classes suggested by a classifier.
    colours : ColourChoice
        Colours of the saved objects.
    table, plot : ViewDock
        Table of the saved objects, and plot of their values.

    Signals
    -------
    changed
        The selection or the saved objects changed.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: ObjectsPanel, actions: LabelActions) -> None:
        super().__init__()
        self._context, self._panel, self._actions = context, panel, actions
        self.selected = SelectedObjects()
        self.jobs = StoreJobs(context)
        self.canvas = CanvasSelection(context, self.selected)
        self.edits = ObjectEdits(context, self.selected, self.jobs, panel)
        self.palette = ClassPalette(context, panel.classes, self.jobs)
        self.suggestions = ClassSuggestions(context, self.jobs, panel.confusion)
        self.colours = ColourChoice(context, panel.colour, panel.legend, self.jobs)
        self.table = ViewDock(context, panel.table, self.selected, self.jobs, ObjectTable, LIST)
        self.plot = ViewDock(context, panel.plot, self.selected, self.jobs, lambda: plot_with_picture(context), PLOT)
        self._tools = {PICK: panel.pick, RECTANGLE: panel.rectangle, LASSO: panel.lasso}
        self._connect()

    def _connect(self) -> None:
        panel = self._panel
        for tool, chosen in self._tools.items():
            chosen.clicked.connect(lambda _=False, tool=tool: self.use(tool))
        for chosen, action in (
            (panel.select, self.select_where),
            (panel.all, self.select_all),
            (panel.none, self.selected.clear),
            (panel.delete, self.edits.delete),
            (panel.merge, self.edits.merge),
            (panel.relabel, self.edits.relabel),
            (panel.export, self.export),
            (panel.undo, self._actions.undo),
            (panel.redo, self._actions.redo),
            (panel.suggest, self.suggestions.suggest),
            (panel.classes.assign, self.assign),
            (panel.classes.select, self.select_class),
        ):
            chosen.clicked.connect(lambda _=False, action=action: action())
        panel.where.returnPressed.connect(self.select_where)
        self.canvas.encircled.connect(self._on_encircled)
        self.selected.changed.connect(self.changed)
        self.jobs.changed.connect(self.update)
        self.jobs.changed.connect(self.changed)
        self.palette.changed.connect(self.changed)
        self._actions.changed.connect(self.update)
        self._context.classes.changed.connect(self._on_classes_changed)
        self._context.images.image_changed.connect(self._on_image_changed)
        self._context.labels.store_closing.connect(self._on_store_closing)
        self._context.labels.store_opened.connect(self._on_store_opened)

    # ---- the page -----------------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Whether the page has the canvas."""
        return self.canvas.is_active

    def begin(self, corrected: ReviewItem | None = None) -> None:
        """Take the keys and the canvas."""
        self._take_keys()
        focus_canvas()
        image = self._context.images.layer
        if image is not None:
            self.canvas.begin(image)
        self.use(self.canvas.tool)
        self.update()

    def end(self) -> None:
        """Leave the canvas to another page, which uses other keys; the selection stays."""
        self.canvas.end()

    def refresh(self) -> None:
        """Show the number of selected objects, and enable the controls that can be used now."""
        panel, labels = self._panel, self._context.labels
        store_layers, count = labels.store_layers, len(self.selected)
        total = 0 if store_layers is None else len(store_layers.store)
        panel.count.setText(f"{count} of {total} selected")
        is_writable = store_layers is not None and not store_layers.read_only and not self.jobs.is_busy
        for button in (panel.delete, panel.relabel):
            button.setEnabled(is_writable and count > 0)
        panel.merge.setEnabled(is_writable and count > 1)
        panel.export.setEnabled(count > 0)
        for button in (panel.select, panel.all, panel.where, panel.colour):
            button.setEnabled(total > 0)
        panel.none.setEnabled(count > 0)
        panel.suggest.setEnabled(is_writable and total > 0)
        writer = labels.writer
        panel.undo.setEnabled(writer is not None and writer.can_undo)
        panel.redo.setEnabled(writer is not None and writer.can_redo)

    def guide(self) -> str:
        """Return what the user can do next."""
        if self._context.labels.labels_layer is not None:
            return IN_MEMORY
        store_layers = self._context.labels.store_layers
        total = 0 if store_layers is None else len(store_layers.store)
        return objects_step(total, len(self.selected), len(self._context.classes.classes), self.canvas.tool)

    def update(self) -> None:
        """Show the saved objects as they are now: classes, colours, and of the selection those that still exist."""
        store_layers = self._context.labels.store_layers
        if store_layers is not None and self.selected.labels and not self.jobs.is_busy:
            try:
                self.selected.set(_existing(store_layers.store, self.selected.labels))
            except NapariSamError as error:
                self._context.notifier.error(str(error))
        self.palette.show()
        self.canvas.update()
        self.update_soon()

    def update_soon(self) -> None:
        """Show changes of the objects in their colours, table and plot, on whatever page they were made."""
        self.colours.update_soon()
        self.table.update_soon()
        self.plot.update_soon()

    def close(self) -> None:
        """Release the canvas."""
        self.colours.close()
        self.table.close()
        self.plot.close()
        self.end()

    # ---- the user's actions --------------------------------------------------------------------------------

    def use(self, tool: str) -> None:
        """Select by clicks ("pick"), a "rectangle" or a "lasso"."""
        self._tools[tool].setChecked(True)
        self.canvas.tool = tool
        self.changed.emit()

    def select_all(self) -> None:
        """Select all objects."""
        self._select(lambda store, _: store.journal.objects.labels(), Combine.REPLACE)

    def select_where(self) -> None:
        """Select the objects that fulfil the condition in the text field."""
        where = self._panel.where.text()
        read = self._context.images.read_quietly()
        image = None if read is None else read[1]
        self._select(lambda store, cancelled: store.select(where, image=image, cancelled=cancelled), _held())
        focus_canvas()

    def select_class(self) -> None:
        """Select the objects of the chosen class, and of the classes below it."""
        name = self._panel.classes.current
        if name is not None:
            self._select(lambda store, _: store.select(category=name), _held())

    def assign(self) -> None:
        """Give the selected objects the chosen class."""
        name = self._panel.classes.current
        if name is not None:
            self.edits.classify(name)

    def export(self) -> None:
        """Ask for a file, and write the selected objects to it."""
        self._actions.export(self.selected.ordered)

    def _assign_key(self, key: int) -> None:
        name = self._context.classes.keys.get(key)
        if name is None:
            self._context.notifier.info(f"No class has the key {key}: add a class, or give one this key (“…”).")
        else:
            self._panel.classes.choose(name)
            self.edits.classify(name)

    def _select(self, query: Callable[[LabelStore, IsCancelled], object], how: Combine) -> None:
        self.jobs.query(query, lambda labels: self.selected.combine(labels, how))

    def _on_encircled(self, corners: NDArray[np.float64], how: Combine) -> None:
        plane = self._context.images.quiet_plane
        if plane is not None:
            polygon = area_corners(corners)
            self._select(lambda store, _: store.select(polygon=polygon, plane=plane), how)

    def _on_classes_changed(self) -> None:
        self.palette.show()
        if self.is_active:
            self._take_keys()

    def _on_image_changed(self) -> None:
        if self.is_active:
            self.canvas.end()
            if self._context.images.layer is not None:
                self.canvas.begin(self._context.images.layer)

    def _on_store_closing(self) -> None:
        self.selected.clear()

    def _on_store_opened(self) -> None:
        self.update()
        self.changed.emit()

    def _take_keys(self) -> None:
        self._context.keys.use(self._bindings())

    def _bindings(self) -> dict[str, Callable[[], None]]:
        return {
            "P": lambda: self.use(PICK),
            "B": lambda: self.use(RECTANGLE),
            "L": lambda: self.use(LASSO),
            "Control-A": self.select_all,
            "Escape": self.selected.clear,
            "Delete": self.edits.delete,
            "Backspace": self.edits.delete,
            "J": self.edits.merge,
            "0": lambda: self.edits.classify(None),
            **{str(key): partial(self._assign_key, key) for key in KEYS},
            "Control-Z": self._actions.undo,
            "Control-Shift-Z": self._actions.redo,
        }


def _existing(store: LabelStore, labels: frozenset[int]) -> Iterable[int]:
    """Return those of some ids that a store has; a query of all ids is cheaper than one of many rows."""
    objects = store.journal.objects
    is_few = _ROWS_PER_LABEL * len(labels) < len(store)
    return objects.rows(sorted(labels)) if is_few else objects.labels() & labels


def _held() -> Combine:
    """Return how the keys that are held combine a selection with the one before."""
    return combine_keys(QApplication.queryKeyboardModifiers())  # the last event may be a key of the canvas
