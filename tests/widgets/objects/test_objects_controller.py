"""The page "Objects" without a window: selections, edits as one step of undo, classes and colours."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam.io.exports.export_settings import ExportSettings
from napari_sam.layers.objects.lookup_colormap import LookupColormap
from napari_sam.layers.objects.selection_band import BAND_NAME, Combine
from napari_sam.layers.objects.selection_outline import OUTLINE_NAME
from napari_sam.widgets.dock_panel import CLICK, REVIEW
from napari_sam.widgets.pages.review_panel import CLASSES
from tests.widgets.objects.conftest import SIDES
from tests.widgets.test_every_input_is_named import unnamed

AROUND_2_AND_3 = np.array([(0.0, 20.0), (0.0, 60.0), (20.0, 60.0), (20.0, 20.0)])


def bound(owner):
    """Return the keys of a viewer or layer, and what they do."""
    return {str(key): action for key, action in owner.keymap.items()}


def steps(objects):
    return len(objects.store.history())


def test_the_page_has_its_layers_and_keys_only_while_it_is_shown(objects):
    names = [layer.name for layer in objects.dock.viewer.layers]
    assert names[-2:] == [OUTLINE_NAME, BAND_NAME]
    assert objects.dock.viewer.layers.selection.active.name == BAND_NAME
    assert {"J", "Delete", "1", "9", "L"} <= bound(objects.dock.viewer).keys()
    objects.dock.panel.tabs.setCurrentIndex(CLICK)
    assert not {OUTLINE_NAME, BAND_NAME} & {layer.name for layer in objects.dock.viewer.layers}
    assert not {"J", "L", "9"} & bound(objects.dock.viewer).keys()


def test_a_click_a_lasso_a_condition_a_class_and_all(objects):
    page, panel = objects.page, objects.panel
    page.canvas._on_click((7.0, 26.0), Combine.REPLACE)
    assert objects.selected == [2]
    assert panel.count.text() == "1 of 4 selected"
    assert OUTLINE_NAME in objects.dock.viewer.layers
    assert set(np.unique(objects.dock.viewer.layers[OUTLINE_NAME].data)) == {0, 2}
    objects.do(page.canvas.encircled.emit, AROUND_2_AND_3, Combine.REPLACE)
    assert objects.selected == [2, 3]
    objects.do(page.canvas.encircled.emit, AROUND_2_AND_3, Combine.REMOVE)
    assert objects.selected == []
    panel.where.setText("area_px > 50 and not touches_border")
    objects.do(panel.where.returnPressed.emit)
    assert objects.selected == [3, 4]
    objects.store.set_category([1, 4], "big/small")
    page.update()
    panel.classes.choose("big/small")
    objects.do(panel.classes.select.click)
    assert objects.selected == [1, 4]
    objects.do(panel.all.click)
    assert objects.selected == list(SIDES)
    panel.none.click()
    assert objects.selected == []
    assert objects.messages == []


@pytest.mark.parametrize("where", ["", "area_px >", "arae_px > 3", "__import__('os')"])
def test_a_wrong_condition_is_explained_and_changes_nothing(objects, where):
    objects.page.selected.set([3])
    objects.panel.where.setText(where)
    objects.do(objects.page.select_where)
    assert objects.selected == [3]
    (message,) = objects.messages
    assert "filter" in message


def test_delete_merge_relabel_and_classify_are_one_step_each(objects):
    page, panel = objects.page, objects.panel
    before = np.array(objects.layer.data)
    history = steps(objects)
    page.selected.set([1, 2, 3])
    objects.do(panel.delete.click)
    assert objects.selected == []
    assert set(np.unique(objects.layer.data)) == {0, 4}
    assert steps(objects) == history + 1
    objects.do(panel.undo.click)
    np.testing.assert_array_equal(objects.layer.data, before)
    page.selected.set([2, 3, 4])
    objects.do(panel.merge.click)
    assert objects.selected == [2]
    assert (objects.layer.data == 2).sum() == 36 + 64 + 100
    objects.do(panel.undo.click)
    np.testing.assert_array_equal(objects.layer.data, before)
    page.selected.set([1, 4])
    objects.do(page.edits.relabel_from, 20)
    assert objects.selected == [20, 21]
    assert (objects.layer.data == 21).sum() == 100
    objects.do(panel.undo.click)
    np.testing.assert_array_equal(objects.layer.data, before)
    page.selected.set([1, 4])
    objects.do(page.edits.classify, "cell")
    assert objects.selected == [1, 4]
    assert objects.store.select(category="cell") == [1, 4]
    objects.do(panel.undo.click)
    assert "cell" not in objects.store.classes.names or objects.store.select(category="cell") == []
    assert objects.messages == []


def test_an_id_that_is_taken_is_refused_and_nothing_is_lost(objects):
    objects.page.selected.set([1, 2])
    objects.do(objects.page.edits.relabel_from, 4)
    assert "4" in objects.messages[0]
    assert len(objects.store) == 4
    assert objects.selected == [1, 2]
    objects.do(objects.page.edits.delete)  # the next change works
    assert len(objects.store) == 2


def test_edits_without_a_selection_tell_what_to_do(objects):
    objects.page._bindings()["Delete"]()
    assert "Select objects first" in objects.messages[0]
    objects.page.selected.set([2])
    objects.page._bindings()["J"]()
    assert "two objects" in objects.messages[1]
    assert len(objects.store) == 4


def test_what_was_undone_is_no_longer_selected(objects):
    objects.store.paint(np.full((3, 3), 9), (30, 30))
    objects.page.selected.set([1, 9])
    objects.do(objects.panel.undo.click)
    assert objects.selected == [1]


def test_classes_get_keys_and_keys_assign_them(objects):
    page, panel = objects.page, objects.panel
    page.palette.add_named(" nucleus ")
    page.palette.add_named('it\'s a "cell"/🔬')
    assert panel.classes.names == ["nucleus", 'it\'s a "cell"/🔬']
    assert panel.classes.current == 'it\'s a "cell"/🔬'
    page.selected.set([2, 3])
    objects.do(page._bindings()["1"])
    assert objects.store.classes.counts()["nucleus"] == 2
    assert panel.classes.current == "nucleus"
    objects.do(page._bindings()["0"])
    assert objects.store.classes.counts()["nucleus"] == 0
    page._bindings()["7"]()
    assert "No class has the key 7" in objects.messages[0]


@pytest.mark.parametrize("name", ["", "   ", "nucleus", "a\nb"])
def test_a_name_that_cannot_be_is_refused(objects, name):
    objects.page.palette.add_named("nucleus")
    objects.page.palette.add_named(name)
    assert len(objects.messages) == 1
    assert objects.panel.classes.names == ["nucleus"]


def test_classes_are_renamed_recoloured_moved_and_removed(objects, monkeypatch):
    from qtpy.QtGui import QColor
    from qtpy.QtWidgets import QColorDialog, QInputDialog

    page, panel = objects.page, objects.panel
    for name in ("cell", "bud"):
        page.palette.add_named(name)
    page.selected.set([1])
    objects.do(page.edits.classify, "bud")
    objects.do(page.palette.rename, "bud", "daughter")
    assert objects.store.select(category="daughter") == [1]
    assert panel.classes.current == "daughter"
    monkeypatch.setattr(QInputDialog, "getItem", lambda *a, **k: ("cell", True))
    page.palette.move()
    monkeypatch.setattr(QColorDialog, "getColor", lambda *a, **k: QColor("#123456"))
    page.palette.recolour()
    page.palette.set_key(5)
    assert objects.store.classes.hierarchy == {"cell": None, "daughter": "cell"}
    assert objects.store.classes.colours["daughter"] == "#123456"
    assert objects.store.classes.keys[5] == "daughter"
    objects.do(page.palette.remove)
    assert panel.classes.names == ["cell"]
    assert len(objects.store) == 4
    objects.do(panel.undo.click)
    assert objects.store.select(category="daughter") == [1]
    assert panel.classes.names == ["cell", "daughter"]
    assert objects.messages == []


def test_objects_are_coloured_by_class_by_value_and_by_id_again(objects):
    page = objects.page
    original = objects.layer.colormap
    page.palette.add_named("cell")
    page.selected.set([1, 2])
    objects.do(page.edits.classify, "cell")
    page.colours.colour_by("class")
    objects.settle()
    colour = objects.store.classes.colours["cell"]
    expected = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    np.testing.assert_allclose(objects.layer.get_color(1)[:3], expected, atol=1e-6)
    np.testing.assert_array_equal(objects.layer.get_color(1), objects.layer.get_color(2))
    assert (objects.layer.get_color(3) != objects.layer.get_color(1)).any()
    page.selected.set([3])
    objects.do(page.edits.classify, "cell")
    objects.qtbot.waitUntil(
        lambda: np.array_equal(objects.layer.get_color(3), objects.layer.get_color(1)), timeout=60_000
    )
    for column in ("area_px", "perimeter_px"):
        page.colours.colour_by(column)
        objects.settle()
        assert isinstance(objects.layer.colormap, LookupColormap)
        assert objects.layer.get_color(4)[0] > objects.layer.get_color(1)[0]  # yellow for the largest
    assert float(objects.panel.legend.low.text()) < float(objects.panel.legend.high.text())
    page.colours.colour_by("no_column")
    objects.settle()
    assert "no_column" in objects.messages[0]
    assert page.colours.by == "id"
    assert objects.layer.colormap is original


def test_the_selection_is_exported(objects, tmp_path, monkeypatch):
    from qtpy.QtWidgets import QFileDialog

    path = tmp_path / "some.geojson"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(path), ""))
    objects.page.selected.set([2, 4])
    objects.do(objects.panel.export.click)
    assert len(json.loads(path.read_text())["features"]) == 2
    assert "2 objects" in objects.messages[0]


@pytest.mark.parametrize(
    ("outlines", "settings"),
    [
        ("labels", ExportSettings()),
        ("edges", ExportSettings(polygons=True)),
        ("simplified", ExportSettings(polygons=True, simplify_px=2.5)),
        ("regular", ExportSettings(polygons=True, regularise_px=2.5)),
    ],
)
def test_the_outlines_of_a_spatialdata_store_are_chosen(objects, tmp_path, monkeypatch, outlines, settings):
    from qtpy.QtWidgets import QFileDialog

    path = tmp_path / "some.sdata.zarr"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(path), ""))
    objects.page.selected.set([2, 4])
    objects.panel.export.click()
    dialog = objects.dock.click.actions.outlines
    assert unnamed(dialog) == {}
    dialog.outlines.setCurrentIndex(dialog.outlines.findData(outlines))
    assert dialog.distance.isVisible() == (outlines in ("simplified", "regular"))
    dialog.distance.setValue(2.5)
    assert dialog.settings() == settings
    assert not path.exists()
    objects.do(dialog.export.click)
    assert "2 objects" in objects.messages[0]
    assert len(list(path.glob("shapes/*/*.parquet"))) == settings.polygons


def test_new_objects_get_the_chosen_class(objects, qtbot):
    from tests.layers.conftest import prediction

    dock = objects.dock
    objects.page.palette.add_named("cell")
    objects.page.palette.add_named("bud")
    dock.panel.tabs.setCurrentIndex(CLICK)
    assert dock.panel.new_class.currentData() is None
    bound(dock.viewer)["2"](dock.viewer)
    assert dock.panel.new_class.currentData() == "bud"
    label = dock.labels.ready().commit(prediction(np.ones((3, 3), bool), (30, 30)), ())
    assert objects.store.object(label)["category"] == "bud"
    bound(dock.viewer)["2"](dock.viewer)
    label = dock.labels.ready().commit(prediction(np.ones((3, 3), bool), (30, 50)), ())
    assert objects.store.object(label)["category"] is None


def test_the_brush_keeps_naparis_own_keys(objects):
    objects.page.palette.add_named("cell")
    objects.dock.panel.tabs.setCurrentIndex(CLICK)
    assert "1" in bound(objects.dock.viewer).keys()
    assert "1" not in bound(objects.layer)


def test_another_image_takes_the_page_along(objects):
    objects.dock.viewer.add_image(np.zeros((30, 30)), name="other")
    objects.qtbot.waitUntil(lambda: objects.dock.images.layer.name == "other", timeout=60_000)
    objects.settle()
    assert objects.selected == []
    assert objects.dock.viewer.layers.selection.active.name == BAND_NAME
    assert [layer.name for layer in objects.dock.viewer.layers].count(BAND_NAME) == 1
    objects.page.canvas._on_click((3.0, 3.0), Combine.REPLACE)
    objects.page.select_all()
    assert "no saved objects" in objects.messages[0]
    assert "no saved objects" in objects.dock.panel.next_step.text()


def test_the_review_shows_classes_sets_them_by_key_and_looks_at_doubtful_ones_first(objects):
    dock, panel = objects.dock, objects.dock.panel.review
    objects.page.palette.add_named("cell")
    dock.panel.tabs.setCurrentIndex(REVIEW)
    first = dock.review.session.current.label
    assert panel.order.isHidden()
    bound(dock.viewer)["1"](dock.viewer)
    assert objects.store.object(first)["category"] == "cell"
    assert "cell" in panel.object.text()
    assert dock.review.session.current.label == first
    bound(dock.viewer)["Z"](dock.viewer)
    assert objects.store.object(first)["category"] is None
    dock.panel.tabs.setCurrentIndex(CLICK)
    dock.objects._context.classes.suggested = {3: "cell", 1: "cell", 4: "cell"}
    dock.panel.tabs.setCurrentIndex(REVIEW)
    assert not panel.order.isHidden()
    panel.order.setCurrentIndex(panel.order.findData(CLASSES))
    panel.order.activated.emit(1)
    assert dock.review.session.current.label == 3
    bound(dock.viewer)["1"](dock.viewer)
    assert dock.review.session.current.label == 1
    bound(dock.viewer)["A"](dock.viewer)
    assert dock.review.session.current.label == 4
    assert list(dock.objects._context.classes.suggested) == [1, 4]
    assert objects.store.reviewed() == {1}
