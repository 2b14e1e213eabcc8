"""Ctrl+Z takes prompts back before saved work; Escape removes prompts."""

from __future__ import annotations

import pytest

A, B, C = (122, 182), (299, 269), (475, 482)


@pytest.fixture
def window(menu_window, nuclei):
    """A window with an accepted object."""
    menu_window.viewer.add_image(nuclei[0], name="nuclei")
    window = menu_window()
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))
    window.key("C")
    return window


def test_prompts_are_undone_before_saved_work_and_redone(window):
    layer, points = window.viewer.layers["nuclei"], window.viewer.layers["SAM points"]
    window.predict(lambda: window.click(layer, B))
    window.key("B")
    window.predict(lambda: window.click(layer, (330, 330)))
    window.predict(lambda: window.key("Z", "ControlModifier"))
    assert len(points.data) == 1
    assert "point was taken back" in window.panel.message.label.text()
    window.key("Z", "ControlModifier")
    window.settle()
    assert (len(points.data), window.dock.click.answer) == (0, None)
    assert window.labels().max() == 1  # saved work is untouched so far
    window.key("Z", "ControlModifier")
    assert window.labels().max() == 0
    assert "saved objects was undone" in window.panel.message.label.text()
    window.predict(lambda: window.key("Z", "ControlModifier+ShiftModifier"))
    window.predict(lambda: window.key("Z", "ControlModifier+ShiftModifier"))
    assert points.features["kind"].tolist() == ["foreground", "background"]
    window.key("Z", "ControlModifier+ShiftModifier")
    assert window.labels().max() == 1


def test_the_undo_button_takes_prompts_back_too(window):
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], B))
    window.panel.click.undo.click()
    window.settle()
    assert len(window.viewer.layers["SAM points"].data) == 0
    assert window.labels().max() == 1


def test_escape_removes_the_prompts_and_nothing_else(window):
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], B))
    window.key("Escape")
    window.settle()
    assert len(window.viewer.layers["SAM points"].data) == 0
    assert window.dock.click.answer is None
    assert window.labels().max() == 1


def test_after_background_points_the_next_object_begins_with_a_point_on_it(window):
    layer = window.viewer.layers["nuclei"]
    window.predict(lambda: window.click(layer, B))
    window.key("B")
    window.predict(lambda: window.click(layer, (330, 330)))
    window.key("C")
    answer = window.predict(lambda: window.click(layer, C))
    assert answer.predictions[0].prompt.point_labels.tolist() == [1]
