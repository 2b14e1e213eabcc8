"""A label store in the viewer: strokes, other threads, the view, and closing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.layers.label_store_layers import LabelStoreLayers
from tests.layers.conftest import prediction


@pytest.fixture
def reports():
    return []


@pytest.fixture
def layers(viewer, store, reports):
    return LabelStoreLayers(store, viewer.add_image(np.zeros((40, 50)), name="cells"), reports.append)


def in_thread(action):
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


def test_a_store_of_another_shape_is_refused_and_closed(viewer, tmp_path, reports):
    LabelStore.create(tmp_path / "s.ome.zarr", shape=(9, 9)).close()
    image = viewer.add_image(np.zeros((40, 50)))
    with pytest.raises(LabelsError, match=r"\(9, 9\).*open another"):
        LabelStoreLayers.open(tmp_path / "s.ome.zarr", image, reports.append)
    LabelStore.open(tmp_path / "s.ome.zarr").close()


def test_nothing_is_written_into_a_store_that_belongs_to_another_image(viewer, tmp_path, reports):
    path = tmp_path / "s.ome.zarr"
    LabelStore.create(path, shape=(9, 9)).close()
    (path / "writer.lock").unlink()
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    image = viewer.add_image(np.zeros((40, 50)))
    with pytest.raises(LabelsError, match="do not fit"):
        LabelStoreLayers.open(path, image, reports.append)
    after = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and "-" not in file.name}
    assert after == before


def test_strokes_are_written_before_the_next_object(layers, square):
    layers.edit.data[30:33, 30:33] = 1
    assert layers.commit(prediction(square), ()) == 2
    assert layers.store.history().kind.tolist() == ["paint", "commit"]


def test_an_object_can_get_another_mask(layers, square):
    layers.commit(prediction(square), ())
    layers.commit(prediction(square, (20, 20)), (), "replace", None, 1)
    assert np.argwhere(layers.edit.data == 1).min(0).tolist() == [20, 20]


def test_the_brush_draws_a_new_object_until_it_corrects_one(layers, square):
    assert layers.edit.selected_label == 1
    layers.commit(prediction(square), ())
    assert layers.edit.selected_label == 2
    layers.edit.selected_label = 1
    layers.commit(prediction(square, (20, 20)), ())
    assert layers.edit.selected_label == 1
    layers.new_label()
    assert layers.edit.selected_label == 3


def test_changes_of_another_thread_are_shown_on_request(layers):
    calls = []
    layers.on_changed_elsewhere = lambda: calls.append(threading.get_ident())
    in_thread(lambda: layers.store.paint(np.full((3, 3), 7), (2, 2)))
    assert len(calls) == 1
    assert not layers.edit.data.any()
    layers.catch_up()
    assert (layers.edit.data == 7).sum() == 9


def test_changes_of_a_cell_in_jupyter_are_drawn_and_strokes_are_not_drawn_twice(layers, square):
    calls, drawn = [], []
    layers.on_changed_elsewhere = lambda: calls.append(1)
    layers.edit.events.set_data.connect(lambda: drawn.append(1))
    layers.store.commit(prediction(square))  # in this thread, but not by the dock
    assert (len(calls), len(drawn)) == (1, 0)
    layers.catch_up()
    assert (len(drawn), layers.edit.selected_label) == (1, 2)
    layers.edit.data[30:33, 30:33] = 2
    layers.flush()
    drawn.clear()
    layers.catch_up()
    assert (len(drawn), layers.edit.selected_label) == (0, 2)


def test_a_lent_store_refuses_changes_until_it_is_taken_back(layers, square):
    layers.commit(prediction(square), ())
    layers.lend()
    assert not layers.can_undo
    assert not layers.edit.editable
    with pytest.raises(StoreError, match="wait until that is done"):
        layers.undo()
    in_thread(layers.store.undo)
    layers.take_back()
    assert layers.edit.editable
    assert not layers.edit.data.any()
    assert layers.can_redo


def test_single_objects_are_undone_at_once(layers, square):
    layers.commit(prediction(square), ())
    assert not layers.is_long("undo")
    assert not layers.is_long("redo")


def test_the_object_table_is_shown_as_features(layers, square):
    layers.commit(prediction(square), ())
    layers.describe()
    assert layers.edit.features["index"].tolist() == [1]
    assert layers.edit.features["area_px"].tolist() == [100]


def test_closing_writes_the_last_strokes_and_leaves_the_layer_read_only(layers, tmp_path):
    layers.edit.data[0, 0] = 1
    assert layers.close()
    assert not layers.edit.editable
    assert not layers.can_undo
    with LabelStore.open(tmp_path / "labels.ome.zarr") as store:
        assert len(store) == 1


def test_strokes_that_cannot_be_written_are_reported_on_closing(layers, reports, monkeypatch):
    def full(*_, **__):
        raise StoreError("disk full; free space")

    monkeypatch.setattr(layers.store, "paint", full)
    layers.edit.data[0, 0] = 1
    assert not layers.close()
    assert "last strokes" in reports[0]


def test_from_afar_the_pyramid_is_shown_and_close_by_the_edit_layer(viewer, tmp_path, reports):
    image = viewer.add_image(np.zeros((6000, 6000), np.uint8))
    layers = LabelStoreLayers.open(tmp_path / "large.ome.zarr", image, reports.append)
    assert layers.layers == [layers.display, layers.edit]
    assert layers.layer is layers.display
    layers.move_to((100, 100, 900, 900), ())
    assert layers.layer is layers.edit
    assert layers.region.contains((100, 100, 900, 900))
    layers.move_to((0, 0, 6000, 6000), ())
    assert layers.layer is layers.display
    layers.close()
    assert reports == []


def test_the_3d_view_shows_all_planes_of_a_large_store(viewer, tmp_path, reports):
    store = LabelStore.create(tmp_path / "stack.ome.zarr", shape=(2, 3000, 3000))
    layers = LabelStoreLayers(store, viewer.add_image(np.zeros((2, 3000, 3000), np.uint8)), reports.append)
    layers.move_to((0, 0, 500, 500), (1,))
    assert layers.layer is layers.edit  # of one plane
    layers.edit.data[0, 3:9, 3:9] = 1
    layers.show_volume()
    assert layers.layer is layers.display
    assert (store.array[1, 3:9, 3:9] == 1).all()  # the stroke is saved
    layers.move_to((0, 0, 500, 500), (1,))
    assert layers.layer is layers.edit
    layers.close()
