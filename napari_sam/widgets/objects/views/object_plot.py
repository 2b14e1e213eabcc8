"""Histogram or scatter plot of measured values: what is drawn around is selected, and the other way round."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QHBoxLayout, QInputDialog, QLabel, QSizePolicy, QVBoxLayout

from napari_sam.errors import NapariSamError
from napari_sam.layers.objects.selection_band import LASSO, RECTANGLE, Combine
from napari_sam.widgets.objects.selected_objects import combine
from napari_sam.widgets.objects.value_names import PLOTTED, TABLE_VALUES, axis_title
from napari_sam.widgets.objects.views.docked_view import NO_OBJECTS, DockedView
from napari_sam.widgets.objects.views.plot_values import PlotValues, describe, read_values
from napari_sam.widgets.qt_helpers import button, combo_box, wrapped_label

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QComboBox

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.widgets.objects.views.docked_view import Query
    from napari_sam.widgets.objects.views.plot_canvas import PlotCanvas

_NONE, _OTHER = "", "other"
_HOW = {False: "drag over bars to select them", True: "draw around points to select them"}


class ObjectPlot(DockedView):
    """Plot of one or two values of all objects, docked below the image.

    Attributes
    ----------
    canvas : PlotCanvas or None
        The plot; None before the first values are read.
    """

    reads_quickly = False  # most values are measured, and matplotlib is slow to import

    def __init__(self) -> None:
        super().__init__()
        self.canvas: PlotCanvas | None = None
        self._values: PlotValues | None = None
        self._selected: frozenset[int] = frozenset()
        choices = [(text, name) for name, text in PLOTTED.items()]
        other = ("Other…", _OTHER)
        self.x = combo_box("Value to plot", [*choices, other])
        self.y = combo_box(
            "What it is plotted against: the number of objects gives a histogram, a second value a scatter plot",
            [("Number of objects", _NONE), *choices, other],
        )
        for name, combo in (("Value", self.x), ("Against", self.y)):
            combo.setAccessibleName(name)
        self.log = QCheckBox("Log")
        self.log.setToolTip("Logarithmic axes; objects with values of zero or less are left out")
        self.again = button("⟳ Update", "Measure again: the objects have changed since; it takes a while for so many")
        self.again.hide()
        self.rectangle = button("▭ Box", "Draw boxes around points; Shift adds, Ctrl removes", checkable=True)
        self.lasso = button("Lasso", "Draw lines around points; Shift adds, Ctrl removes", checkable=True)
        self.save = button("Save picture…", "Save the plot as PNG, SVG or PDF, on white paper")
        self.copy = button("Copy", "Copy the picture of the plot, to paste it in another program")
        for action in (self.save, self.copy):
            action.setEnabled(False)
        self._tools = QButtonGroup(self)
        for tool in (self.rectangle, self.lasso):
            self._tools.addButton(tool)
        self.rectangle.setChecked(True)
        self.message = wrapped_label(NO_OBJECTS)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.status = QLabel()
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # its tooltip shows it whole
        self._chosen = (self.x.currentData(), _NONE)
        self._lay_out()
        self._connect()

    # ---- View ---------------------------------------------------------------------------------------------

    def query(self, image: Image | None) -> Query:
        """Return a function that reads and measures the chosen values."""
        names = tuple(name for name in self._chosen if name != _NONE)
        if self._values is None:
            self.message.setText("Reading the objects…")
        return lambda store, cancelled: read_values(store, image, names, cancelled)

    def show_values(self, values: PlotValues | NapariSamError) -> None:
        """Show values, or why there are none."""
        self.again.hide()
        if isinstance(values, NapariSamError):
            self._values = None
            self._show_message(str(values))
        elif not len(values.labels) and not values.missing:
            self.show_nothing()
        else:
            self._values = values
            self._draw()

    def show_nothing(self) -> None:
        """Show that there are no objects."""
        self.again.hide()
        self._values = None
        self._show_message(NO_OBJECTS)

    def show_selected(self, labels: Iterable[int]) -> None:
        """Highlight the selected objects, and describe them."""
        self._selected = frozenset(labels)
        if self.canvas is None or self.canvas.values is None or self._values is None:
            return
        shown = self.canvas.values
        selected = shown.are_selected(self._selected)
        self.canvas.show_selected(selected)
        described = shown.values[0, selected if selected.any() else slice(None)]
        if selected.any():
            count, how = f"{int(selected.sum()):,} of {len(shown.labels):,} selected", ""
        else:
            count, how = f"{len(shown.labels):,} objects", _HOW[self.canvas.is_scatter]
        missing = f"{shown.missing:,} lack a value" if shown.missing else ""
        title = axis_title(shown.columns[0])
        text = " · ".join(filter(None, (count, f"{title}: {describe(described)}", missing, how)))
        self.status.setText(text)
        self.status.setToolTip(text)

    @property
    def is_costly(self) -> bool:
        """Whether a value that is plotted is not in the object table."""
        return any(name not in TABLE_VALUES for name in self._chosen if name != _NONE)

    def show_outdated(self) -> None:
        """Offer to measure the objects again."""
        self.again.show()

    # ---- the user's actions -------------------------------------------------------------------------------

    def plot(self, x: str, y: str = "") -> None:
        """Show a column of the object table, or one against another."""
        for combo, name in ((self.x, x), (self.y, y)):
            if combo.findData(name) < 0:
                combo.insertItem(combo.count() - 1, name, name)
            combo.setCurrentIndex(combo.findData(name))
        if self._chosen != (x, y):
            self._chosen = (x, y)
            self.asked.emit()

    def use(self, tool: str) -> None:
        """Draw a "rectangle" or a "lasso" over points."""
        (self.lasso if tool == LASSO else self.rectangle).setChecked(True)
        if self.canvas is not None and self.canvas.is_scatter:
            self.canvas.band.tool = tool

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of another theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange) and self.canvas is not None:
            self._use_colours()

    def _on_chosen(self, combo: QComboBox, place: int) -> None:
        name = combo.currentData()
        if name == _OTHER:
            text = "Column, such as equivalent_diameter_px or intensity_mean_0"
            name, accepted = QInputDialog.getText(self, "Plot", text)
            name = name.strip()
            if not accepted or not name:
                combo.setCurrentIndex(combo.findData(self._chosen[place]))
                return
        self.plot(*(name if index == place else chosen for index, chosen in enumerate(self._chosen)))

    def _on_drawn(self, corners: NDArray[np.float64], how: Combine) -> None:
        if self.canvas is not None:
            self._select(self.canvas.objects_within(corners), how)

    def _on_clicked(self, position: tuple[float, float], how: Combine) -> None:
        if self.canvas is not None:
            self._select(self.canvas.objects_at(position), how)

    def _on_double_clicked(self, position: tuple[float, float]) -> None:
        if self.canvas is not None and self.canvas.values is not None and self.canvas.is_scatter:
            for label in self.canvas.values.labels[self.canvas.objects_at(position)]:
                self.visited.emit(int(label))

    def _select(self, chosen: NDArray[np.bool_], how: Combine) -> None:
        if self.canvas is not None and self.canvas.values is not None:
            labels = combine(self._selected, self.canvas.values.labels[chosen].tolist(), how)
            self.show_selected(labels)
            self.selected.emit(sorted(labels))

    # ---- what is shown ------------------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._values is None:
            return
        canvas = self._ready_canvas()
        is_log = self.log.isChecked()
        values = self._values.positive() if is_log else self._values
        for tool in (self.rectangle, self.lasso):
            tool.setVisible(len(values.columns) > 1)
        if not len(values.labels):
            self._show_message("No object has this value." if not is_log else "No object has a value above zero.")
            return
        canvas.show_values(values, is_log=is_log)
        self.use(LASSO if self.lasso.isChecked() else RECTANGLE)
        self._use_colours()
        self.message.hide()
        canvas.show()
        self._enable_picture(True)
        self.show_selected(self._selected)

    def _ready_canvas(self) -> PlotCanvas:
        if self.canvas is None:
            from napari_sam.widgets.objects.views.plot_canvas import PlotCanvas  # noqa: PLC0415 - imports matplotlib

            self.canvas = PlotCanvas()
            self.canvas.band.setToolTip(
                "Drag to select objects; Shift adds, Ctrl removes; a click on nothing deselects"
            )
            self.canvas.setAccessibleName("Plot of measured values")
            self.canvas.band.drawn.connect(self._on_drawn)
            self.canvas.band.clicked.connect(self._on_clicked)
            self.canvas.band.double_clicked.connect(self._on_double_clicked)
            self.layout().insertWidget(1, self.canvas, 1)
        return self.canvas

    def _show_message(self, text: str) -> None:
        self.message.setText(text)
        self.message.show()
        self.status.clear()
        self._enable_picture(False)
        if self.canvas is not None:
            self.canvas.values = None
            self.canvas.hide()

    def _enable_picture(self, is_drawn: bool) -> None:
        for action in (self.save, self.copy):
            action.setEnabled(is_drawn)

    def _use_colours(self) -> None:
        if self.canvas is not None:
            palette = self.palette()
            self.canvas.use_colours(palette.color(self.backgroundRole()), palette.color(self.foregroundRole()))

    def _connect(self) -> None:
        self.x.activated.connect(partial(self._on_activated, 0))
        self.y.activated.connect(partial(self._on_activated, 1))
        self.log.toggled.connect(self._draw)
        self.again.clicked.connect(lambda: self.asked.emit())
        self.rectangle.clicked.connect(lambda: self.use(RECTANGLE))
        self.lasso.clicked.connect(lambda: self.use(LASSO))

    def _on_activated(self, place: int, _: int) -> None:
        self._on_chosen((self.x, self.y)[place], place)

    def _lay_out(self) -> None:
        controls = QHBoxLayout()
        for widget in (self.x, QLabel("against"), self.y, self.log, self.rectangle, self.lasso, self.again):
            controls.addWidget(widget)
        controls.addStretch(1)
        for widget in (self.save, self.copy):
            controls.addWidget(widget)
        for tool in (self.rectangle, self.lasso):
            tool.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.addLayout(controls)
        layout.addWidget(self.message, 1)
        layout.addWidget(self.status)
