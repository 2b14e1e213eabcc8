"""The dock over an image of 100 000 x 100 000 pixels: objects, brush and undo with napari's own tools."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_sam.io.labels.label_store import LabelStore

SIDE = 100_000
AT = 51_000  # where the picture with nuclei lies
HERE = (122, 182)  # a nucleus of the sample


@pytest.fixture
def huge(tmp_path, nuclei):
    """A pyramid on disk, empty but for the nuclei sample near its middle."""
    picture = np.asarray(nuclei[0])
    picture = picture if picture.ndim == 2 else picture[..., 0]
    levels = []
    for k in range(8):
        n = -(-SIDE >> k)
        level = zarr.create_array(
            tmp_path / "image" / str(k), shape=(n, n), chunks=(512, 512), dtype=np.uint8, fill_value=0
        )
        part = picture[:: 2**k, :: 2**k]
        start = AT >> k
        level[start : start + part.shape[0], start : start + part.shape[1]] = part
        levels.append(level)
    return levels


def look_at(window, centre, zoom):
    camera = window.viewer.scene.camera
    camera.center, camera.zoom = (0, *centre), zoom
    window.qtbot.wait(400)
    window.settle()


def open_at_nucleus(window, huge):
    layer = window.show(huge, multiscale=True, contrast_limits=(0, 255), name="slide")
    look_at(window, (AT + 260, AT + 320), 1.0)
    return layer


def test_click_accept_and_undo_close_by(window, huge, nuclei):
    truth = nuclei[1]
    layer = open_at_nucleus(window, huge)
    yx = (AT + HERE[0], AT + HERE[1])
    window.predict(lambda: window.click(layer, yx))
    window.key("C")
    writer = window.writer
    y0, x0, y1, x1 = writer.region
    assert y0 <= yx[0] < y1
    assert (y1 - y0) * (x1 - x0) <= 4096**2
    found = writer.store.read((AT, AT, AT + truth.shape[0], AT + truth.shape[1])) == 1
    wanted = truth == truth[HERE]
    assert (found & wanted).sum() / (found | wanted).sum() > 0.7
    assert writer.edit.visible
    assert not writer.display.visible
    assert writer.edit.data[yx[0] - y0, yx[1] - x0] == 1
    window.key("Z", "ControlModifier")
    assert len(writer.store) == 0
    assert not writer.edit.data.any()
    assert window.errors == []


def test_a_stroke_of_the_brush_is_journaled_and_undone(window, huge):
    layer = open_at_nucleus(window, huge)
    window.predict(lambda: window.click(layer, (AT + HERE[0], AT + HERE[1])))
    window.key("C")
    writer = window.writer
    window.viewer.layers.selection.active = writer.edit
    writer.edit.mode = "paint"
    writer.edit.brush_size = 20
    window.qtbot.wait(100)
    window.drag(layer, (AT + 350, AT + 220), (AT + 350, AT + 320))
    window.qtbot.wait(600)
    assert writer.store.history().kind.tolist() == ["commit", "paint"]
    row = writer.store.object(2)
    assert row["y0"] < AT + 350 < row["y1"]
    assert 1500 < row["area_px"] < 3000
    window.key("Z", "ControlModifier")
    assert len(writer.store) == 1
    assert not (writer.edit.data == 2).any()
    assert window.errors == []


def test_a_pause_in_a_stroke_does_not_cut_it_in_two(window, huge):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    layer = open_at_nucleus(window, huge)
    writer = brush_on(window, layer)
    native, left, no = window.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    spots = [window.canvas_position(layer, (AT + 350, AT + x)) for x in (220, 260, 300)]
    QTest.mouseMove(native, spots[0])
    QTest.mousePress(native, left, no, spots[0])
    for spot in spots[1:]:
        QTest.mouseMove(native, spot)
        window.qtbot.wait(700)
    assert len(writer.store.history()) == 0
    QTest.mouseRelease(native, left, no, spots[-1])
    window.qtbot.wait(600)
    assert writer.store.history().kind.tolist() == ["paint"]


def test_from_afar_all_objects_show_and_close_by_they_can_be_edited_again(window, huge):
    layer = open_at_nucleus(window, huge)
    window.predict(lambda: window.click(layer, (AT + HERE[0], AT + HERE[1])))
    window.key("C")
    writer = window.writer
    look_at(window, (AT + 260, AT + 320), 0.15)
    assert writer.display.visible
    assert not writer.edit.visible
    with_objects = window.viewer.screenshot(canvas_only=True, flash=False)
    writer.display.visible = False
    without = window.viewer.screenshot(canvas_only=True, flash=False)
    writer.display.visible = True
    assert 10 < (with_objects != without).any(-1).sum() < 200  # the nucleus, some 7 px across
    look_at(window, (AT + 9000, AT + 9000), 1.0)
    assert writer.edit.visible
    assert not writer.edit.data.any()
    look_at(window, (AT + 260, AT + 320), 1.0)
    assert (writer.edit.data == 1).any()
    assert writer.edit.data.nbytes <= 4 * 4096**2


def test_objects_are_shown_again_when_the_file_is_reopened(window, tmp_path, nuclei):
    from napari_sam.layers.readers import get_reader

    picture = np.asarray(nuclei[0])
    source = tmp_path / "cells.zarr"
    zarr.create_array(source, shape=picture.shape, chunks=(256, *picture.shape[1:]), dtype=picture.dtype)[...] = picture
    data = get_reader(str(source))(str(source))[0]
    layer = window.show(data[0], **data[1])
    window.predict(lambda: window.click(layer, HERE))
    window.key("C")
    path = window.writer.store.path
    assert path == tmp_path / "cells.zarr.labels.ome.zarr"
    window.viewer.layers.remove(layer)
    window.settle()
    (kept,) = [x for x in window.viewer.layers if isinstance(x, Labels)]
    assert not kept.editable
    LabelStore.open(path).close()  # the dock has closed it
    window.show(data[0], **data[1])
    assert len(window.writer.store) == 1
    assert kept not in window.viewer.layers  # the same objects are shown by the new layer
    assert "1 object " in window.panel.labels.currentText()
    assert (np.asarray(window.writer.layer.data) == 1).any()
    assert window.errors == []


def test_a_store_that_another_process_writes_to_is_named(window, tmp_path, nuclei):
    layer = window.show(nuclei[0])
    window.predict(lambda: window.click(layer, HERE))
    path = tmp_path / "busy.ome.zarr"
    held = LabelStore.create(path, shape=nuclei[0].shape[:2])
    window.dock.labels.open_store(path)
    assert "writes to it" in window.errors[-1]
    held.close()
    window.dock.labels.open_store(path)
    window.key("C")
    assert len(window.writer.store) == 1
    assert window.writer.store.path == path


def brush_on(window, layer):
    window.key("D")
    writer = window.writer
    writer.edit.brush_size = 20
    window.qtbot.wait(100)
    return writer


def test_strokes_extend_their_object_until_a_new_one_is_started(window, huge):
    layer = open_at_nucleus(window, huge)
    writer = brush_on(window, layer)
    for x in (220, 280):
        window.drag(layer, (AT + 350, AT + x), (AT + 350, AT + x + 80))
        window.qtbot.wait(500)
    assert writer.store.table().label.tolist() == [1]
    window.key("M")
    window.drag(layer, (AT + 250, AT + 220), (AT + 250, AT + 300))
    window.qtbot.wait(500)
    assert writer.store.table().label.tolist() == [1, 2]
    assert "brush" in window.guide
    assert window.errors == []


def test_the_labels_of_a_large_stack_follow_the_slider(window, tmp_path):
    data = zarr.create_array(tmp_path / "s", shape=(3, 6000, 6000), chunks=(1, 512, 512), dtype="u1", fill_value=9)
    layer = window.show(data, contrast_limits=(0, 255), name="stack")
    look_at(window, (3000, 3000), 1.0)
    writer = brush_on(window, layer)
    window.drag(layer, (0, 3000, 3000), (0, 3000, 3060))
    window.qtbot.wait(500)
    window.viewer.dims.set_current_step(0, 2)  # napari begins in the middle
    window.settle(300)
    assert not writer.edit.data.any()
    window.drag(layer, (1, 3050, 3000), (1, 3050, 3060))
    window.qtbot.wait(500)
    assert writer.store.table().plane.tolist() == ["1", "2"]
    window.viewer.dims.set_current_step(0, 1)
    window.settle(300)
    assert (writer.edit.data == 1).any()
    assert window.errors == []


def test_objects_are_exported_from_the_dock(window, nuclei, tmp_path):
    layer = window.show(nuclei[0])
    window.dock.click.actions.export_to(str(tmp_path / "none.csv"))
    assert "Accept an object first" in window.errors.pop()
    window.predict(lambda: window.click(layer, HERE))
    window.key("C")
    window.dock.click.actions.export_to(str(tmp_path / "objects.csv"))
    window.settle()
    assert (tmp_path / "objects.csv").read_text().count("\n") == 2
    assert "Exported 1 object to" in window.errors.pop()


def test_the_guide_asks_for_an_object_point_after_background_points_alone(window, nuclei):
    layer = window.show(nuclei[0])
    window.key("B")
    window.click(layer, HERE)
    window.settle()
    assert "needs an object point" in window.guide


def test_strokes_that_could_not_be_saved_stay_in_the_window(window, nuclei, monkeypatch):
    from napari_sam.errors import StoreError

    layer = window.show(nuclei[0])
    writer = brush_on(window, layer)

    def full(*_, **__):
        raise StoreError("disk full; free space")

    monkeypatch.setattr(LabelStore, "paint", full)
    window.drag(layer, (60, 60), (60, 120))
    window.qtbot.wait(400)
    window.dock.labels.release()
    assert writer.edit in window.viewer.layers
    assert (writer.edit.data == 1).any()
    assert "last strokes" in window.errors[-1]
