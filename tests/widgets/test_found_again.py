"""Objects of images without a file are found again: with the selector, with a new dock, and after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

A = (122, 182)


@pytest.fixture
def accepted(menu_window, nuclei):
    """A window with one accepted object of an image in memory."""
    layer = menu_window.viewer.add_image(nuclei[0].copy(), name="nuclei")
    window = menu_window()
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    assert len(window.dock.labels.store_layers.store) == 1
    return window


def test_the_selector_may_move_away_and_back(accepted, nuclei):
    path = accepted.dock.labels.store_path
    accepted.viewer.add_image(np.ascontiguousarray(nuclei[0][::-1]), name="other")
    accepted.settle()
    combo = accepted.panel.image
    combo.setCurrentIndex(combo.findText("other"))
    accepted.settle()
    assert accepted.dock.labels.store_path is None
    combo.setCurrentIndex(combo.findText("nuclei"))
    accepted.settle()
    assert accepted.dock.labels.store_path == path
    assert accepted.panel.click.export.isEnabled()
    accepted.dock.click.actions.undo()
    assert not accepted.labels().any()


@pytest.mark.parametrize("changed_in_place", [False, True])
def test_a_dock_that_is_closed_and_opened_continues(accepted, menu_window, changed_in_place):
    path = accepted.dock.labels.store_path
    if changed_in_place:
        accepted.viewer.layers["nuclei"].data[:5] = 9
    accepted.viewer.window.remove_dock_widget(accepted.dock)
    accepted.qtbot.wait(50)
    again = menu_window()
    assert again.dock.labels.store_path == path
    assert again.panel.click.undo.isEnabled()
    assert [x.name for x in again.viewer.layers].count("nuclei objects") == 1


def test_the_same_pixels_find_their_store_after_a_restart(accepted, menu_window, nuclei):
    path = accepted.dock.labels.store_path
    accepted.viewer.window.remove_dock_widget(accepted.dock)
    accepted.viewer.layers.clear()
    accepted.viewer.add_image(nuclei[0].copy(), name="another name")
    again = menu_window()
    assert again.dock.labels.store_path == path
    assert again.labels().max() == 1


def test_the_user_can_see_and_name_where_objects_are_saved(accepted, menu_window, nuclei, tmp_path, monkeypatch):
    path = accepted.dock.labels.store_path
    assert f"{path} (to rename or move it" in accepted.panel.status.text()
    named = tmp_path / "mine" / "project"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(named), ""))
    combo = accepted.panel.labels
    combo.setCurrentIndex(combo.findText("move or rename this label store…"))
    accepted.settle()
    moved = named.with_name("project.ome.zarr")
    assert accepted.dock.labels.store_path == moved
    assert accepted.labels().max() == 1
    assert not path.exists()
    accepted.viewer.window.remove_dock_widget(accepted.dock)
    accepted.viewer.layers.clear()
    accepted.viewer.add_image(nuclei[0].copy())
    assert menu_window().dock.labels.store_path == moved
