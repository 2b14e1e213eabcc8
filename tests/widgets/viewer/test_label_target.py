"""Where accepted objects go, and what happens to stores when another destination is chosen."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QComboBox

from napari_sam.errors import LabelsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.widgets.viewer.key_bindings import KeyBindings
from napari_sam.widgets.viewer.label_target import LabelTarget
from napari_sam.widgets.viewer.layer_list import LayerList
from tests.layers.conftest import prediction
from tests.widgets.conftest import RecordingNotifier


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def notifier():
    return RecordingNotifier()


@pytest.fixture
def combo(qtbot):
    made = QComboBox()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros((40, 50)), name="cells")


@pytest.fixture
def target(viewer, combo, notifier, image, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    made = LabelTarget(viewer, combo, LayerList(viewer), KeyBindings(viewer), notifier)
    made.set_image(image)
    made.update_choices()
    yield made
    made.close()


def test_the_label_store_is_made_with_the_first_object(target, viewer, combo):
    assert target.writer is None
    assert combo.currentText().startswith("new cells")
    target.ready().commit(prediction(np.ones((5, 5), bool)), ())
    target.update_count()
    assert target.store_path.exists()
    assert combo.currentText().startswith("1 object in cells")
    assert target.store_layers.edit in viewer.layers


def test_without_an_image_there_is_no_destination(target):
    target.set_image(None)
    with pytest.raises(LabelsError, match="choose an image"):
        target.ready()


def test_objects_are_shown_again_for_the_same_image(target, image, viewer):
    path = target.ready_store().store.path
    target.store_layers.commit(prediction(np.ones((5, 5), bool)), ())
    target.set_image(None)
    (kept,) = [x for x in viewer.layers if x is not image]
    assert not kept.editable
    target._own_path = path
    target._image = image
    target.open_store(path)
    assert len(target.store_layers.store) == 1
    assert kept not in viewer.layers


def test_a_labels_layer_of_the_user_can_be_chosen_and_left(target, viewer, combo):
    mine = viewer.add_labels(np.zeros((40, 50), int), name="mine")
    target.update_choices()
    combo.setCurrentIndex(combo.findText("mine"))
    assert target.writer is target.labels_layer
    assert target.ready().layer is mine
    target.use_own_store()
    assert target.labels_layer is None
    assert target.ready() is target.store_layers


def test_a_labels_layer_has_the_keys_of_the_dock_while_it_is_chosen(target, viewer, combo):
    mine = viewer.add_labels(np.zeros((40, 50), int), name="mine")
    target._keys.use({"F": list, "2": list})
    target.update_choices()
    combo.setCurrentIndex(combo.findText("mine"))
    assert [str(key) for key in mine.keymap] == ["F"]  # 2 stays napari's brush
    target.use_own_store()
    assert not mine.keymap


def test_a_removed_layer_releases_its_writer(target, viewer, qtbot):
    edit = target.ready_store().edit
    viewer.layers.remove(edit)
    with qtbot.waitSignal(target.store_closing):
        target.update_choices()
    assert target.writer is None


def test_another_store_replaces_the_one_in_use(target, tmp_path, viewer):
    first = target.ready_store().edit
    LabelStore.create(tmp_path / "other.ome.zarr", shape=(40, 50)).close()
    target.open_store(tmp_path / "other.ome.zarr")
    assert target.store_path == tmp_path / "other.ome.zarr"
    assert first not in viewer.layers


def test_a_store_that_cannot_be_opened_is_reported_and_the_old_one_stays(target, tmp_path, notifier):
    path = target.ready_store().store.path
    LabelStore.create(tmp_path / "small.ome.zarr", shape=(9, 9)).close()
    target.open_store(tmp_path / "small.ome.zarr")
    assert "do not fit" in notifier.messages[0]
    assert target.store_path == path


def test_objects_of_another_thread_are_shown_a_moment_later(target, qtbot):
    layers = target.ready_store()
    thread = threading.Thread(target=lambda: layers.store.paint(np.full((3, 3), 7), (2, 2)))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: bool((layers.edit.data == 7).sum() == 9), timeout=60_000)


def test_a_stroke_is_written_and_announced(target, qtbot):
    layers = target.ready_store()
    with qtbot.waitSignal(target.edited):
        layers.edit.data[0:3, 0:3] = 1
        layers.edit.events.set_data()
    assert len(layers.store) == 1


def test_the_store_of_a_layer_without_a_file_lies_in_the_data_folder(target, tmp_path):
    assert Path(target._own_path).is_relative_to(tmp_path)


def test_changes_that_another_thread_queued_are_dropped_when_closed(target, combo, qtbot, monkeypatch):
    target.ready_store()
    queued = threading.Thread(target=target._store_notifier.changed.emit)
    queued.start()
    queued.join()
    target.close()
    monkeypatch.setattr(target, "update_count", lambda: pytest.fail("the box may be deleted"))
    qtbot.wait(300)  # longer than changes are collected


def test_the_objects_of_another_image_are_shown_on_the_same_layer(target, viewer, image):
    target.ready().commit(prediction(np.ones((5, 5), bool)), ())
    layer = target.store_layers.edit
    layer.selected_label, layer.visible, layer.opacity = 7, False, 0.1
    other = viewer.add_image(np.zeros((30, 20)), name="other", scale=(2, 3))
    target.set_image(other)
    assert layer not in viewer.layers  # nothing was saved for it
    target.ready().commit(prediction(np.ones((3, 4), bool)), ())
    shown = target.store_layers.edit
    target.set_image(image)
    assert target.store_layers.edit is shown
    assert [x.name for x in viewer.layers] == ["cells", "cells objects", "other"]
    assert (shown.data == 1).sum() == 25
    assert shown.scale.tolist() == image.scale.tolist()
    assert shown.selected_label == 2
    target.set_image(other)
    assert (target.store_layers.edit.data == 1).sum() == 12
    assert viewer.layers.index(shown) == viewer.layers.index(other) + 1


def test_strokes_on_a_reused_layer_go_to_the_store_of_its_image(target, viewer, image, tmp_path):
    target.ready().commit(prediction(np.ones((5, 5), bool)), ())
    other = viewer.add_image(np.ones((41, 50)), name="other")
    target.set_image(other)
    target.ready().commit(prediction(np.ones((3, 4), bool)), ())
    target.set_image(image)
    target.store_layers.edit.data[20:22, 20:22] = 9
    target.flush()
    target.set_image(other)
    assert not (target.store_layers.store.array[...] == 9).any()
    target.set_image(image)
    assert (target.store_layers.store.array[...] == 9).sum() == 4
