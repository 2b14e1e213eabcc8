"""The plot itself, drawn by matplotlib; imported when the first plot is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout

from napari_sam.layers.objects.selection_outline import SELECTED
from napari_sam.widgets.objects.value_names import axis_title
from napari_sam.widgets.objects.views.plot_band import RANGE, PlotBand
from napari_sam.widgets.objects.views.plot_values import bin_edges

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray
    from qtpy.QtGui import QResizeEvent

    from napari_sam.widgets.objects.views.plot_values import PlotValues

COUNT = "Objects"
_ALL = "#2dd4bf"
_MARKERS = ((2_000, "o", 5.0), (20_000, "o", 3.0), (np.inf, ",", 1.0))  # most objects, marker, its size in points
_MARGINS_PX = (64, 44, 14, 10)  # left, bottom, right, top: room for the numbers on the axes
_FONT_POINTS = 8
_REACH_PX = 8  # how far from a point a click may be
_LEAST_SIZE_PX = (240, 170)
_PICTURE_DPI, _PICTURE_PX = 300, (600, 400)  # width and height as on a screen of 100 dpi: 15 by 10 cm
_PAPER, _INK = "#ffffff", "#000000"  # of pictures that are saved
_MOST_VECTORS = 20_000  # points that a vector graphic draws one by one


class PlotCanvas(FigureCanvasQTAgg):
    """Histogram of one value of the objects, or scatter plot of two.

    Attributes
    ----------
    values : PlotValues or None
        What is shown.
    band : PlotBand
        Takes the mouse.
    """

    def __init__(self) -> None:
        super().__init__(Figure())
        self.values: PlotValues | None = None
        self._axes = self.figure.add_subplot()
        self._colours = (QColor(_PAPER), QColor(_INK))
        self._edges = np.zeros(0)
        self._selected = np.zeros(0, bool)
        self.band = PlotBand(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.band)
        self.setMinimumSize(*_LEAST_SIZE_PX)

    @property
    def is_scatter(self) -> bool:
        """Whether two values are plotted against each other."""
        return self.values is not None and len(self.values.columns) > 1

    def show_values(self, values: PlotValues, *, is_log: bool) -> None:
        """Show values; with logarithmic axes, all of them are above zero."""
        self.values = values
        self._selected = np.zeros(len(values.labels), bool)
        axes = self._axes
        axes.clear()
        scale = "log" if is_log else "linear"
        axes.set_xscale(scale)
        axes.set_xlabel(axis_title(values.columns[0]))
        if len(values.columns) > 1:
            x, y = values.values
            _, marker, size = next(row for row in _MARKERS if len(x) <= row[0])
            style = {"linestyle": "", "marker": marker, "markersize": size, "markeredgewidth": 0}
            style["rasterized"] = len(x) > _MOST_VECTORS  # a file of vectors would be large and slow to open
            axes.plot(x, y, color=_ALL, alpha=0.7, **style)
            self._highlight = axes.plot([], [], color=SELECTED, **style)[0]
            axes.set_yscale(scale)
            axes.set_ylabel(axis_title(values.columns[1]))
        else:
            self._edges = bin_edges(values.values[0], is_log=is_log)
            self.band.tool = RANGE
            counts = np.histogram(values.values[0], self._edges)[0]
            axes.stairs(counts, self._edges, fill=True, color=_ALL)
            self._highlight = axes.stairs(np.zeros_like(counts), self._edges, fill=True, color=SELECTED)
            axes.set_ylim(0, 1.05 * max(1, counts.max(initial=0)))
            axes.set_ylabel(COUNT)
            axes.yaxis.get_major_locator().set_params(integer=True)
        self.draw_idle()

    def show_selected(self, selected: NDArray[np.bool_]) -> None:
        """Highlight objects, (n,) in the order of the values."""
        if self.values is None or np.array_equal(selected, self._selected):
            return
        self._selected = selected
        chosen = self.values.values[:, selected]
        if len(chosen) > 1:
            self._highlight.set_data(*chosen)
        else:
            self._highlight.set_data(np.histogram(chosen[0], self._edges)[0])
        self.draw_idle()

    def objects_within(self, corners: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which objects, (n,), lie in a polygon (m, 2) of (x, y) in pixels of the widget."""
        if self.values is None:
            return np.zeros(0, bool)
        if len(self.values.columns) == 1:
            low, high = (self._to_data(x) for x in (corners[:, 0].min(), corners[:, 0].max()))
            return np.asarray((self.values.values[0] >= low) & (self.values.values[0] <= high))
        points = self.positions()
        within = ((points >= corners.min(axis=0)) & (points <= corners.max(axis=0))).all(axis=1)
        within[within] = Path(np.vstack([corners, corners[:1]]), closed=True).contains_points(points[within])
        return np.asarray(within)

    def objects_at(self, position: tuple[float, float]) -> NDArray[np.bool_]:
        """Return which objects, (n,), a click at (x, y) means: those of a bar, or the nearest point."""
        chosen = np.zeros(0 if self.values is None else len(self.values.labels), bool)
        if self.values is None or not len(chosen):
            return chosen
        if len(self.values.columns) == 1:
            bars = self._bars(self.values.values[0])
            bar = np.searchsorted(self._edges, self._to_data(position[0]), "right") - 1
            return np.asarray(bars == bar)
        distances = np.hypot(*(self.positions() - position).T)
        nearest = int(np.nanargmin(distances))
        chosen[nearest] = distances[nearest] <= _REACH_PX
        return chosen

    def positions(self) -> NDArray[np.float64]:
        """Return where the points of a scatter plot are, (n, 2) of (x, y) in pixels of the widget."""
        return np.zeros((0, 2)) if self.values is None else self._to_pixels(*self.values.values)

    def use_colours(self, background: QColor, text: QColor) -> None:
        """Draw on a background, with axes in the colour of the text."""
        self._colours = (background, text)
        ground, ink = background.name(), text.name()
        self.figure.set_facecolor(ground)
        axes = self._axes
        axes.set_facecolor(ground)
        axes.tick_params(which="both", colors=ink, labelsize=_FONT_POINTS)
        for spine in axes.spines.values():
            spine.set_color(ink)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=ink, fontsize=_FONT_POINTS)
        self.draw_idle()

    def write_picture(self, file: BinaryIO, format_name: str) -> None:
        """Write the plot as "png", "svg" or "pdf", 15 by 10 cm, black on white, whatever the window looks like."""
        colours, size = self._colours, self.figure.get_size_inches()
        try:
            self.use_colours(QColor(_PAPER), QColor(_INK))
            self.figure.set_size_inches(np.array(_PICTURE_PX) / 100, forward=False)
            self._keep_margins(*_PICTURE_PX)
            self.figure.savefig(file, format=format_name, dpi=_PICTURE_DPI)
        finally:
            self.figure.set_size_inches(size, forward=False)
            self._keep_margins(self.width(), self.height())
            self.use_colours(*colours)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the margins, which hold numbers of a fixed size."""
        super().resizeEvent(event)
        self._keep_margins(self.width(), self.height())

    def _keep_margins(self, width: int, height: int) -> None:
        left, bottom, right, top = _MARGINS_PX
        width, height = max(width, left + right + 1), max(height, top + bottom + 1)
        self.figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)

    def _bars(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the bar of each value; the last one includes its upper edge."""
        return np.minimum(np.searchsorted(self._edges, values, "right"), len(self._edges) - 1) - 1

    def _to_pixels(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = self._axes.transData.transform(np.column_stack([x, y])) / self.device_pixel_ratio
        return np.column_stack([drawn[:, 0], self.height() - drawn[:, 1]])

    def _to_data(self, x: float) -> float:
        """Return the value at a column of pixels."""
        return float(self._axes.transData.inverted().transform((x * self.device_pixel_ratio, 0))[0])
