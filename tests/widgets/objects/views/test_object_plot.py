"""The plot of measured values: bars, points, what is drawn around them, and many objects."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_sam.errors import LabelsError
from napari_sam.widgets.objects.views.object_plot import ObjectPlot
from napari_sam.widgets.objects.views.plot_values import PlotValues, bin_edges

AREAS, SCORES = [10.0, 20.0, 30.0, 40.0, np.nan], [0.9, 0.5, 0.7, 0.6, 0.8]
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def plot(qtbot):
    """A plot, and `drag` over it by (x, y) values; `told` collects the selections that it tells."""
    made = ObjectPlot()
    made.told = []
    made.selected.connect(made.told.append)
    qtbot.addWidget(made)
    made.resize(500, 300)
    made.show()
    return made


@pytest.fixture
def histogram(plot, qtbot):
    plot.show_values(PlotValues.of([3, 4, 5, 6, 7], [("area_um2", np.array(AREAS))]))
    return laid_out(plot, qtbot)


@pytest.fixture
def scatter(plot, qtbot):
    plot.show_values(
        PlotValues.of([3, 4, 5, 6, 7], [("area_px", np.array(AREAS)), ("predicted_iou", np.array(SCORES))])
    )
    return laid_out(plot, qtbot)


def laid_out(plot, qtbot):
    """Return the plot once its canvas has its final size."""
    qtbot.waitUntil(
        lambda: plot.canvas.height() + plot.status.height() > 200 and plot.canvas.width() > 400, timeout=60_000
    )
    plot.canvas.draw()
    return plot


def drag(plot, spots, modifiers=NONE):
    """Drag the mouse over values (x, y)."""
    drawn = plot.canvas._to_pixels(*np.array(spots, float).T)
    points = [QPoint(round(x), round(y)) for x, y in drawn]
    band = plot.canvas.band
    QTest.mousePress(band, LEFT, modifiers, points[0])
    for point in points[1:]:
        QTest.mouseMove(band, point)
    QTest.mouseRelease(band, LEFT, modifiers, points[-1])


def test_a_range_of_a_histogram_selects_and_keys_add_and_remove(histogram):
    drag(histogram, [(15, 0.5), (32, 0.5)])
    drag(histogram, [(38, 0.2), (39.99, 0.2), (41, 0.2)], SHIFT)
    drag(histogram, [(25, 0.5), (15, 0.5)], CONTROL)
    assert histogram.told == [[4, 5], [4, 5, 6], [5, 6]]
    assert "2 of 4 selected" in histogram.status.text()
    assert "Area (µm²): median 35" in histogram.status.text()
    assert "1 lack a value" in histogram.status.text()


def test_a_click_selects_a_bar_or_nothing(histogram):
    drag(histogram, [(10.5, 0.5)])
    drag(histogram, [(16.0, 0.5)])  # between the bars
    assert histogram.told == [[3], []]


def test_boxes_and_lassos_around_points_select(scatter, qtbot):
    drag(scatter, [(15, 0.45), (42, 0.65)])
    qtbot.mouseClick(scatter.lasso, LEFT)
    drag(scatter, [(8, 0.95), (35, 0.95), (35, 0.65), (25, 0.65), (12, 0.85), (8, 0.85)])
    drag(scatter, [(40.02, 0.6)], SHIFT)
    drag(scatter, [(25, 0.8)])
    assert scatter.told == [[4, 6], [3, 5], [3, 5, 6], []]


def test_a_double_click_on_a_point_visits_the_object(scatter, qtbot):
    with qtbot.waitSignal(scatter.visited) as told:
        x, y = scatter.canvas.positions()[2]
        QTest.mouseDClick(scatter.canvas.band, LEFT, NONE, QPoint(round(x), round(y)))
    assert told.args == [5]


def test_a_selection_made_elsewhere_is_shown_without_an_echo(scatter):
    scatter.show_selected({5, 6, 99})
    x, _ = scatter.canvas._highlight.get_data()
    assert sorted(x) == [30, 40]
    assert scatter.told == []


def test_logarithmic_axes_show_values_above_zero(histogram, qtbot):
    histogram.show_values(PlotValues.of([1, 2, 3], [("orientation", np.array([-1.0, 1, 100]))]))
    histogram.log.click()
    assert histogram.canvas.values.labels.tolist() == [2, 3]
    drag(histogram, [(50, 0.5), (200, 0.5)])
    assert histogram.told == [[3]]
    histogram.show_values(PlotValues.of([1], [("orientation", np.array([-1.0]))]))
    assert "above zero" in histogram.message.text()
    assert histogram.canvas.isHidden()


def test_errors_and_empty_stores_are_explained_in_the_plot(histogram):
    histogram.show_values(LabelsError("'colour' is no column", remedy="give one, such as area_px"))
    assert "such as area_px" in histogram.message.text()
    drag(histogram, [(15, 0.5), (32, 0.5)])
    assert histogram.told == []
    histogram.show_values(PlotValues.of([], [("area_px", np.zeros(0))]))
    assert "no saved objects yet" in histogram.message.text()


def test_a_hundred_thousand_points_are_drawn_and_selected(plot, qtbot):
    rng = np.random.default_rng(0)
    columns = [("area_px", rng.lognormal(4, 1, 100_000)), ("predicted_iou", rng.random(100_000))]
    plot.show_values(PlotValues.of(np.arange(1, 100_001), columns))
    laid_out(plot, qtbot)
    drag(plot, [(0, 0.25), (1e5, 0.75)])
    inside = (columns[1][1] > 0.25) & (columns[1][1] < 0.75)
    assert abs(len(plot.told[0]) - inside.sum()) < 1000  # a pixel of the screen is more than a few objects
    plot.canvas.draw()


def test_the_engine_thread_imports_all_of_matplotlib_that_the_plot_needs():
    code = (
        "import sys; from napari_sam.widgets.objects.views.plot_values import import_matplotlib; import_matplotlib();"
        "before = set(sys.modules); import napari_sam.widgets.objects.views.plot_canvas;"
        "print([name for name in sys.modules if name.startswith('matplotlib') and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("values", [[], [5.0], [0.1, 0.1, 0.3], list(np.geomspace(1e-3, 1e6, 5000))])
@pytest.mark.parametrize("is_log", [False, True])
def test_every_value_has_a_bar(values, is_log):
    edges = bin_edges(np.array(values), is_log=is_log)
    assert np.histogram(values, edges)[0].sum() == len(values)
    assert (np.diff(edges) > 0).all()
