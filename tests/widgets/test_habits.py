"""The dock in daily use: brush, 3D, batches, categories, a second napari, choices kept, and windows that close."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_sam.io.exports.export_settings import EXTENSIONS
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.widgets.pages.label_actions import FILE_TYPES, STACK_FILE_TYPES

A, B, C = (122, 182), (299, 269), (475, 482)


def box_of(truth, yx):
    ys, xs = np.nonzero(truth == truth[yx])
    return (ys.min() - 2, xs.min() - 2), (ys.max() + 2, xs.max() + 2)


@pytest.fixture
def window(menu_window, nuclei):
    """A window with the sample image."""
    menu_window.viewer.add_image(nuclei[0], name="nuclei")
    return menu_window()


@pytest.fixture
def accepted(window):
    """A window with one accepted object."""
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))
    window.key("C")
    return window


def test_the_brush_leaves_existing_objects_alone_if_they_are_to_stay(accepted):
    before = accepted.labels().copy()
    accepted.key("D")
    layer = accepted.viewer.layers["nuclei"]
    accepted.drag(layer, (A[0], A[1] - 60), (A[0], A[1] + 60))
    accepted.settle(500)
    after = accepted.labels()
    assert (after[before == 1] == 1).all()
    assert (after == 2).any()  # beside it, the stroke is an object of its own
    accepted.panel.object_form.set_value("overlap", "replace")
    accepted.drag(layer, (A[0] + 3, A[1] - 60), (A[0] + 3, A[1] + 60))
    accepted.settle(500)
    assert (accepted.labels()[before == 1] != 1).any()


def test_m_gives_the_brush_a_new_object(accepted):
    accepted.key("D")
    accepted.writer.layer.selected_label = 1
    accepted.key("M")
    assert accepted.writer.layer.selected_label == 2


def test_clicks_in_3d_leave_no_prompts(accepted):
    viewer, layer = accepted.viewer, accepted.viewer.layers["nuclei"]
    viewer.dims.ndisplay = 3
    accepted.qtbot.wait(200)
    assert "switch to 2D" in accepted.guide
    for key in ("F", "R", "F"):
        accepted.key(key)
        accepted.drag(layer, A, B)
        accepted.click(layer, B)
    accepted.settle()
    assert not len(viewer.layers["SAM points"].data)
    assert not len(viewer.layers["SAM boxes"].data)
    viewer.dims.ndisplay = 2
    accepted.qtbot.wait(200)
    accepted.predict(lambda: accepted.click(layer, B))


def test_several_boxes_have_scores_and_can_be_stepped_through(window, nuclei):
    layer = window.viewer.layers["nuclei"]
    window.key("R")
    window.panel.click.batch.setChecked(True)
    for yx in (A, B):
        window.predict(lambda yx=yx: window.drag(layer, *box_of(nuclei[1], yx)))
    scores = [float(p.predicted_iou[p.best]) for p in window.dock.click.answer.predictions]
    text = window.panel.click.candidate.text
    assert text() == f"2 objects  ·  scores {min(scores):.2f} to {max(scores):.2f}"
    window.key("N")
    assert text().startswith("1 of 2")
    assert f"{scores[0]:.2f}" in text()
    window.panel.click.following.click()
    assert text().startswith("2 of 2")
    preview = window.viewer.layers["SAM preview"].data
    assert len(np.unique(preview)) == 3  # background, the highlighted object, and the other
    chosen = window.dock.click.preview.candidates[1]
    window.key("N", "AltModifier")
    other = window.dock.click.preview.candidates[1]
    assert other == (chosen + 1) % 3
    mask = window.dock.click.answer.predictions[1].full_mask(nuclei[0].shape, other)
    window.panel.object_form.set_value("overlap", "replace")
    window.key("C")
    np.testing.assert_array_equal(window.labels() == 2, mask)


def test_background_points_are_not_drawn_as_selected(window):
    layer, points = window.viewer.layers["nuclei"], window.viewer.layers["SAM points"]
    window.predict(lambda: window.click(layer, A))
    window.key("B")
    window.predict(lambda: window.click(layer, (150, 240)))
    assert points.selected_data == set()
    np.testing.assert_allclose(points.face_color[1][:3], (0xF4 / 255, 0x3F / 255, 0x5E / 255), atol=0.01)


def test_a_category_edited_in_the_table_of_features_is_saved(accepted):
    from tests.widgets.conftest import menu_actions

    actions = menu_actions(accepted.viewer.window.plugins_menu)
    actions["Features table widget (napari builtins)"].trigger()
    accepted.viewer.layers.selection.active = accepted.writer.layer
    accepted.wait(lambda: "category" in accepted.writer.layer.features)
    tables = [w for w in accepted.viewer.window._qt_window.findChildren(object) if type(w).__name__ == "FeaturesTable"]
    tables[-1].toggle.setChecked(True)
    model = tables[-1].table.model().sourceModel()
    accepted.wait(lambda: "category" in model.df and len(model.df) == 1)
    column = list(model.df.columns).index("category") + 1
    assert model.setData(model.index(0, column), "mitotic")
    store = accepted.dock.labels.store_layers.store
    accepted.wait(lambda: store.object(1)["category"] == "mitotic", 5000)
    accepted.qtbot.wait(1200)  # the table is shown again, and keeps the edit
    assert accepted.writer.layer.features["category"].tolist() == ["mitotic"]


def test_a_store_that_another_process_writes_is_shown_read_only(window, nuclei):
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))
    window.key("C")
    path = window.dock.labels.store_path
    combo = window.panel.image
    window.viewer.add_image(np.ascontiguousarray(nuclei[0][::-1]), name="other")
    window.settle()
    with LabelStore.open(path) as store:
        combo.setCurrentIndex(combo.findText("nuclei"))
        window.settle()
        assert any("nothing can be saved" in message for message in window.errors)
        assert window.labels().max() == 1
        assert "read-only" in window.panel.labels.currentText()
        store.paint(np.full((9, 9), 7), (0, 0))
        window.wait(lambda: bool((window.labels()[:9, :9] == 7).all()), 10_000)
        window.predict(lambda: window.click(window.viewer.layers["nuclei"], B))
        window.key("C")
        assert any("close it there" in message for message in window.errors)
        assert window.panel.click.export.isEnabled()
    window.key("C")  # it is free by now
    assert set(np.unique(window.labels())) == {0, 1, 7, 8}


def test_the_dialog_offers_every_format_and_keeps_its_folder(accepted, tmp_path, monkeypatch):
    types = FILE_TYPES | STACK_FILE_TYPES
    offered = {EXTENSIONS.get(s) or EXTENSIONS[s.removeprefix(".ome")] for s in types.values()}
    assert offered == set(EXTENSIONS.values())
    starts = []

    def dialog(parent, title, start, filters):
        assert not any(name in filters for name in STACK_FILE_TYPES)  # the image is no stack
        starts.append(start)
        return str(tmp_path / "out"), "Table (*.csv)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", dialog)
    accepted.panel.click.export.click()
    accepted.settle()
    assert (tmp_path / "out.csv").exists()
    accepted.panel.click.export.click()
    assert starts[1] == str(tmp_path / "objects")


def test_choices_are_kept_for_the_next_session(menu_window, window, monkeypatch, tmp_path):
    window.panel.object_form.set_value("overlap", "replace")
    window.panel.object_form.set_value("diameter_px", 42.0)
    window.viewer.window.remove_dock_widget(window.dock)
    again = menu_window()
    values = again.panel.object_form.values()
    assert (values["overlap"], values["diameter_px"]) == ("replace", 42.0)


def test_a_device_is_used_and_kept(menu_window, window, monkeypatch):
    used = []
    load = window.dock.session._loader
    monkeypatch.setattr(window.dock.session, "_loader", lambda *args, **on: used.append(on) or load(*args))
    device = window.panel.device
    device.setCurrentIndex(device.findData("cpu"))
    device.activated.emit(device.currentIndex())
    window.settle()
    assert used == [{"device": "cpu"}]
    window.viewer.window.remove_dock_widget(window.dock)
    assert menu_window().panel.device.currentData() == "cpu"


def test_from_the_menu_to_the_first_object_takes_a_click_and_a_key(menu_window, nuclei):
    menu_window.viewer.add_image(nuclei[0], name="nuclei")
    window = menu_window()
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))
    window.key("C")
    assert window.labels()[A] == 1


def test_an_export_in_pixels_of_an_image_with_control_points_is_announced(accepted, tmp_path, monkeypatch):
    from dataclasses import replace

    read = accepted.dock.images.read_quietly
    monkeypatch.setattr(accepted.dock.images, "read_quietly", lambda: (read()[0], replace(read()[1], control_points=5)))
    accepted.dock.click.actions.export_to(str(tmp_path / "out.geojson"))
    accepted.settle()
    assert any("in pixels, not on the map" in message for message in accepted.errors)


def test_a_model_that_fails_is_not_left_selected(window, tmp_path, monkeypatch):
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "bad.pth"), ""))
    combo = window.panel.model
    combo.setCurrentIndex(combo.count() - 1)
    combo.activated.emit(combo.currentIndex())
    window.wait(lambda: any("bad.pth" in message for message in window.errors))
    window.settle()
    assert combo.currentText() == "default"
    assert window.panel.progress.isHidden()
    assert "bad.pth" in window.panel.message.label.text()  # in full, with its remedy
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))


def test_the_dock_is_narrow_and_its_buttons_stay_in_place(window):
    assert window.dock.minimumSizeHint().width() <= 330
    before = window.panel.click.accept.mapTo(window.dock, window.panel.click.accept.rect().topLeft())
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))
    window.key("C")
    window.predict(lambda: window.click(window.viewer.layers["nuclei"], A))
    assert "under object 1" in window.guide
    assert window.panel.click.accept.mapTo(window.dock, window.panel.click.accept.rect().topLeft()) == before


def test_closing_one_of_two_windows_shuts_its_dock_down(accepted, make_napari_viewer, qtbot):
    other = make_napari_viewer(show=True)
    dock, path = accepted.dock, accepted.dock.labels.store_path
    accepted.viewer.close()
    qtbot.wait(100)
    assert dock.thread.closed
    with LabelStore.open(path) as store:  # it is not locked any longer
        assert len(store) == 1
    assert other.window._qt_window.isVisible()


def test_an_unedited_table_changes_nothing(accepted):
    store = accepted.dock.labels.store_layers.store
    accepted.qtbot.wait(1500)
    assert len(store.history()) == 1
    assert isinstance(accepted.writer.layer.features, pd.DataFrame)
