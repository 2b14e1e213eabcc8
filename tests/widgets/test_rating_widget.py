"""Rating masks in a real window: keys rate, nothing tells whose mask it is."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_sam.evaluation.rating.study_preparation import prepare_study
from tests.evaluation.rating.study_stubs import Stub, samples


@pytest.fixture
def study(tmp_path):
    return prepare_study(tmp_path / "study", samples(4), [Stub()], 3)


@pytest.fixture
def rated(make_napari_viewer, qtbot, study, notifier):
    from napari_sam.widgets.rating_widget import RatingWidget

    class Rated:
        def __init__(self):
            self.errors = notifier.messages
            self.viewer = make_napari_viewer(show=True)
            self.viewer.window.resize(1200, 800)
            self.widget = RatingWidget(self.viewer, study, "ada", notifier=notifier)
            self.viewer.window.add_dock_widget(self.widget, name="Rate masks", area="right")
            qtbot.wait(300)

        def key(self, name):
            from qtpy.QtCore import Qt
            from qtpy.QtTest import QTest

            QTest.keyClick(self.viewer.window._qt_viewer.canvas.native, getattr(Qt.Key, f"Key_{name}"))
            qtbot.wait(80)

    return Rated()


def test_keys_rate_every_mask_and_the_last_can_be_taken_back(rated, study):
    order = study.order("ada")
    assert rated.widget.current == order[0]
    rated.key("7")
    assert rated.widget.current == order[1]
    rated.key("0")
    assert study.ratings("ada") == {order[0].number: 7, order[1].number: 10}
    rated.key("Backspace")
    assert rated.widget.current == order[1]
    assert study.ratings("ada") == {order[0].number: 7}
    for _ in order[1:]:
        rated.key("5")
    assert rated.widget.current is None
    assert "Done" in rated.widget.panel.next_step.text()
    assert not rated.widget.panel.ratings[0].isEnabled()
    assert "To rate" not in rated.viewer.layers
    assert rated.errors == []


def test_what_is_shown_is_the_mask_and_not_whose_it_is(rated, study):
    item = rated.widget.current
    rgb, mask = study.pixels(item)
    np.testing.assert_array_equal(rated.viewer.layers["To rate"].data, rgb)
    np.testing.assert_array_equal(np.asarray(rated.viewer.layers["Mask"].data) > 0, mask)
    np.testing.assert_array_equal(rated.viewer.layers["Asked for"].data, [item.point])
    from qtpy.QtWidgets import QLabel

    shown = " ".join(label.text() for label in rated.widget.findChildren(QLabel))
    shown += " ".join(layer.name for layer in rated.viewer.layers) + rated.viewer.title
    assert not any(source in shown for source in study.sources)
    rated.key("M")
    assert not rated.viewer.layers["Mask"].visible
    if folder := os.environ.get("NAPARI_SAM_SCREENSHOTS"):
        rated.key("M")
        rated.viewer.screenshot(f"{folder}/rating.png", canvas_only=False)


def test_a_rater_continues_where_they_stopped_and_another_starts_from_the_beginning(rated, study):
    rated.key("3")
    rated.widget.panel.rater.setText("grace")
    rated.widget.panel.rater.editingFinished.emit()
    assert rated.widget.current == study.order("grace")[0]
    rated.widget.panel.rater.setText("ada")
    rated.widget.panel.rater.editingFinished.emit()
    assert rated.widget.current == study.order("ada")[1]
    assert rated.widget.panel.counts.text() == "1 of 6 rated"


def test_a_name_that_was_only_typed_gets_no_rating_of_another(rated, study):
    rated.key("3")
    rated.widget.panel.rater.setText("grace")  # and no Enter
    rated.widget.rate(9)
    assert study.ratings("grace") == {}
    assert rated.widget.current == study.order("grace")[0]
    rated.widget.rate(9)
    assert study.ratings("grace") == {study.order("grace")[0].number: 9}
    assert len(study.ratings("ada")) == 1


def test_buttons_do_what_keys_do(rated, study, qtbot):
    from qtpy.QtCore import Qt

    first = rated.widget.current
    qtbot.mouseClick(rated.widget.panel.ratings[3], Qt.MouseButton.LeftButton)
    assert study.ratings("ada") == {first.number: 4}
    qtbot.mouseClick(rated.widget.panel.back, Qt.MouseButton.LeftButton)
    assert rated.widget.current == first


def test_mistakes_are_notifications(rated, tmp_path):
    rated.widget.open(tmp_path)
    assert "evaluate human prepare" in rated.errors.pop()
    rated.widget.panel.rater.setText("../x")
    rated.widget.rate(5)
    assert "give a name" in rated.errors.pop()


def test_the_dock_of_the_plugin_menu_asks_for_a_study(make_napari_viewer, study):
    from napari_sam.widgets.rating_widget import RatingWidget

    viewer = make_napari_viewer(show=True)
    widget = RatingWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Rate masks")
    assert "Open a study" in widget.panel.next_step.text()
    widget.open(study.folder)
    assert widget.current is not None
