"""The page "Everything" in a real window: region, progress, cancel, resume, partial results, and clicks meanwhile."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Labels, Shapes

from napari_sam.engine.tiling.find_tiles import TileFailure
from napari_sam.errors import CancelledError, StoreError
from napari_sam.jobs.segment_image import EverythingReport
from napari_sam.layers.partial_results import PARTIAL_NAME
from napari_sam.layers.region_layer import REGION_NAME
from napari_sam.widgets.dock_panel import CLICK, EVERYTHING, REVIEW
from napari_sam.widgets.pages.everything_panel import DRAWN, WHOLE
from napari_sam.widgets.pages.everything_run import JobsEngine, UnfinishedRun

A = (122, 182)  # a nucleus of the sample


class FakeEngine:
    """An engine that finds one square per tile of 100 x 100, at a pace the test sets."""

    def __init__(self):
        self.calls, self.go, self.tiles, self.left = [], threading.Event(), 4, None
        self.failed, self.error = [], None
        self.sampled, self.begun = threading.Event(), threading.Event()
        for event in (self.go, self.sampled, self.begun):
            event.set()

    def unfinished(self, path):
        return self.left

    def segment(self, request, hooks):
        self.calls.append(request)
        settings, store = request.settings, request.store
        self._wait(self.sampled, hooks)
        if self.error is not None:
            raise self.error
        y0, x0, *_ = settings.region
        tile = np.zeros((100, 100), np.uint32)
        tile[40:60, 40:60] = 1
        begun = 0 if self.left is None else self.left.tiles_done
        kept = replace(settings, method="dense", side=512, diameter_px=None)
        self.left = UnfinishedRun(kept, self.tiles, begun)
        self._wait(self.begun, hooks)
        for k in range(begun, self.tiles):
            hooks.on_tile((y0, x0 + 100 * k, y0 + 100, x0 + 100 * k + 100), tile * (k + 1))
            self.left = replace(self.left, tiles_done=k + 1)
            hooks.progress(k + 1, self.tiles + 1)
            self._wait(self.go, hooks)
        for k in range(self.tiles):
            store.paint(tile[40:60, 40:60] * store.next_label, (y0 + 40, x0 + 100 * k + 40), kind="found")
        self.left = None
        return EverythingReport("dense", len(store), 1, self.tiles, self.failed, [1], {}, store)

    @staticmethod
    def _wait(event, hooks):
        while not event.wait(0.01):
            if hooks.cancelled():
                raise CancelledError("cancelled")


@pytest.fixture
def engine(request):
    """A fake engine, except for the test of the real one."""
    return JobsEngine() if "real_engine" in request.node.name else FakeEngine()


@pytest.fixture
def session(session, engine):
    """A session that does not look at the image before the first click, which takes a second of each test."""
    if isinstance(engine, FakeEngine):
        session.prepare_job = lambda *_: lambda _: None
    return session


def opened(window, nuclei):
    layer = window.show(nuclei[0], name="nuclei")
    window.panel.tabs.setCurrentIndex(EVERYTHING)
    window.qtbot.wait(50)
    return layer


def press(window, button):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    assert button.isVisible()
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    window.qtbot.wait(50)


def choose(window, where):
    combo = window.panel.everything.where
    combo.setCurrentIndex(combo.findData(where))
    window.qtbot.wait(50)


def wait_for_end(window):
    window.wait(lambda: not window.dock.everything.run.is_running, timeout=240_000)
    window.qtbot.wait(300)


def test_all_objects_of_the_image_are_found_saved_and_offered_for_review(window, nuclei, engine):
    opened(window, nuclei)
    panel = window.panel.everything
    assert "press Start" in window.guide
    choose(window, WHOLE)
    press(window, panel.run.start)
    wait_for_end(window)
    assert engine.calls[0].settings.region == (0, 0, *nuclei[0].shape)
    assert sorted(np.unique(window.labels())) == [0, 1, 2, 3, 4]
    assert "Found 4 objects" in panel.run.message.text()
    assert PARTIAL_NAME not in window.viewer.layers
    press(window, panel.run.review)
    assert window.panel.tabs.currentIndex() == REVIEW
    assert window.errors == []


def test_what_is_in_view_is_what_the_window_shows(window, nuclei, engine):
    opened(window, nuclei)
    camera = window.viewer.scene.camera
    camera.center, camera.zoom = (0, 256, 320), 6.0
    window.qtbot.wait(300)
    panel = window.panel.everything
    h, w = (int(v / 6.0) for v in window.viewer.canvas.size)
    seen = panel.where.itemText(0)
    press(window, panel.run.start)
    wait_for_end(window)
    y0, x0, y1, x1 = engine.calls[0].settings.region
    assert 0 < y0 < 256 < y1 < 512
    assert abs((y1 - y0) - h) < 8
    assert abs((x1 - x0) - w) < 8
    assert f"y {y1 - y0} × x {x1 - x0} px" in seen
    camera.zoom = 12.0
    window.wait(lambda: panel.where.itemText(0) != seen)


def test_a_rectangle_is_drawn_with_the_mouse_or_one_of_the_users_own_selected(window, nuclei, engine):
    layer = opened(window, nuclei)
    choose(window, DRAWN)
    assert "Drag a rectangle" in window.guide
    press(window, window.panel.everything.run.start)
    assert "Drag a rectangle" in window.errors.pop()
    window.drag(layer, (100, 60), (300, 500))
    window.qtbot.wait(100)
    press(window, window.panel.everything.run.start)
    wait_for_end(window)
    np.testing.assert_allclose(engine.calls[0].settings.region, (100, 60, 300, 500), atol=3)
    assert window.dock.click.answer is None  # it was no prompt
    shapes = window.viewer.add_shapes([[[10, 20], [10, 420], [200, 420], [200, 20]]], name="mine")
    shapes.selected_data = {0}
    window.viewer.layers.selection.active = shapes
    press(window, window.panel.everything.run.start)
    wait_for_end(window)
    assert engine.calls[1].settings.region == (10, 20, 201, 421)
    choose(window, WHOLE)
    assert REGION_NAME not in window.viewer.layers


def test_size_overlap_and_method_go_to_the_engine(window, nuclei, engine):
    opened(window, nuclei)
    panel = window.panel.everything
    window.panel.object_form.widget("diameter_px").native.setValue(40)
    window.panel.object_form.widget("overlap").native.setCurrentIndex(1)
    assert panel.form.widget("coarser").native.isChecked()
    panel.form.widget("coarser").native.click()
    panel.form.set_value("method", "grid")
    press(window, panel.run.start)
    wait_for_end(window)
    settings = engine.calls[0].settings
    assert (settings.method, settings.diameter_px, settings.overlap) == ("grid", 40.0, "replace")
    assert settings.coarser is False
    assert (settings.grid, settings.watershed) == (None, None)  # those of the model
    assert engine.calls[0].resume is None


def test_partial_results_and_time_left_show_while_it_works_and_clicks_go_on(window, nuclei, engine):
    layer = opened(window, nuclei)
    panel = window.panel.everything
    choose(window, WHOLE)
    for event in (engine.go, engine.sampled, engine.begun):
        event.clear()
    press(window, panel.run.start)
    window.wait(lambda: "samples" in panel.run.remaining.text())
    engine.sampled.set()
    window.wait(lambda: panel.run.progress.format() == "0 of 4 tiles")
    engine.begun.set()
    window.wait(lambda: PARTIAL_NAME in window.viewer.layers)
    window.wait(lambda: window.viewer.layers[PARTIAL_NAME].data[50, 50] == 1)
    assert window.viewer.layers[PARTIAL_NAME].data.shape == nuclei[0].shape
    assert panel.run.progress.value() == 1
    assert panel.run.cancel.isVisible()
    assert not panel.run.start.isVisible()
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    assert window.dock.everything.run.is_running
    engine.go.set()
    wait_for_end(window)
    assert (window.labels() > 0).any()
    assert set(np.unique(window.labels())) == set(np.unique(window.writer.store.array[...]))
    assert len(window.writer.store) == 5
    assert window.errors == []


def test_a_stroke_meanwhile_keeps_what_the_engine_writes(window, nuclei, engine):
    opened(window, nuclei)
    choose(window, WHOLE)
    window.key("D")
    edit = window.writer.edit
    press(window, window.panel.everything.run.start)
    window.dock.everything.run.thread._pool.submit(int).result()  # all is written, and no layer knows of it yet
    edit.data[0:5, 0:5] = 9
    edit.data[200:205, 300:305] = 9  # one stroke around the engine's objects
    window.writer.flush()
    wait_for_end(window)
    found = window.writer.store.array[...]
    assert [int((found == k).sum()) for k in (1, 2, 3, 4, 9)] == [400, 400, 400, 400, 50]
    np.testing.assert_array_equal(window.labels(), found)


def test_cancel_keeps_the_tiles_and_offers_to_resume(window, nuclei, engine):
    opened(window, nuclei)
    panel = window.panel.everything
    choose(window, WHOLE)
    panel.form.widget("coarser").native.click()
    engine.go.clear()
    press(window, panel.run.start)
    window.wait(lambda: engine.left is not None and engine.left.tiles_done == 1)
    press(window, panel.run.cancel)
    wait_for_end(window)
    assert "Resume" in panel.run.start.text()
    assert "1 of 4 tiles" in panel.run.message.text()
    assert "Resume continues the run, Discard forgets" in window.guide
    panel.form.set_value("coarser", True)  # which is disabled
    assert len(window.writer.store) == 0
    engine.go.set()
    window.panel.object_form.set_value("diameter_px", 77)  # the run continues with its own settings
    press(window, panel.run.start)
    wait_for_end(window)
    assert engine.calls[1].resume is True
    settings = engine.calls[1].settings
    assert (settings.side, settings.method, settings.coarser, settings.diameter_px) == (512, "dense", False, None)
    assert engine.calls[1].settings.region == engine.calls[0].settings.region
    assert len(window.writer.store) == 4
    assert "Start" in panel.run.start.text()
    assert window.errors == []


def test_an_unfinished_run_of_an_earlier_session_can_be_discarded(window, nuclei, engine):
    opened(window, nuclei)
    panel = window.panel.everything
    window.dock.labels.ready()
    engine.left = UnfinishedRun.of(
        {"region": [0, 0, 9, 9], "method": "grid", "overlap": "keep", "tiles": 7, "tiles_done": 3}
    )
    window.panel.tabs.setCurrentIndex(CLICK)
    window.panel.tabs.setCurrentIndex(EVERYTHING)
    assert "3 of 7 tiles" in panel.run.message.text()
    assert window.guide.startswith("Stopped")
    press(window, panel.run.discard)
    assert "Start" in panel.run.start.text()
    assert "press Start" in window.guide
    engine.tiles, engine_left = 2, engine.left
    engine.left = None
    press(window, panel.run.start)
    wait_for_end(window)
    assert engine_left.tiles == 7
    assert engine.calls[0].resume is False


def test_failed_tiles_are_named_and_errors_are_notifications(window, nuclei, engine):
    opened(window, nuclei)
    engine.failed = [TileFailure((0, 0, 100, 100), "a bad chunk")]
    press(window, window.panel.everything.run.start)
    wait_for_end(window)
    assert "1 tiles failed" in window.panel.everything.run.message.text()
    assert "y 0–100, x 0–100: a bad chunk" in window.panel.everything.run.message.text()
    engine.error = StoreError("disk full; free space")
    press(window, window.panel.everything.run.start)
    wait_for_end(window)
    assert window.errors == ["disk full; free space"]
    assert window.panel.everything.run.start.isVisible()


def test_a_layer_in_memory_is_refused_and_the_store_offered(window, nuclei, engine):
    opened(window, nuclei)
    window.viewer.add_labels(np.zeros(nuclei[0].shape, int), name="mine")
    combo = window.panel.labels
    combo.setCurrentIndex(combo.findText("mine"))
    panel = window.panel.everything
    assert not panel.run.start.isEnabled()
    assert "label store" in panel.run.message.text()
    press(window, panel.own_store)
    press(window, panel.run.start)
    wait_for_end(window)
    assert len(window.writer.store) == 4


def test_temporary_layers_cannot_be_written_to_and_go_with_their_image(window, nuclei, engine):
    layer = opened(window, nuclei)
    engine.go.clear()
    press(window, window.panel.everything.run.start)
    window.wait(lambda: PARTIAL_NAME in window.viewer.layers)
    combo = window.panel.labels
    offered = {combo.itemText(k) for k in range(combo.count())}
    assert not offered & {x.name for x in window.viewer.layers if isinstance(x, Labels)}
    window.viewer.layers.remove(layer)
    wait_for_end(window)
    assert not [x for x in window.viewer.layers if x.name == PARTIAL_NAME or isinstance(x, Shapes)]
    assert window.errors == []


def test_the_real_engine_finds_the_nuclei_in_view(window, nuclei):
    opened(window, nuclei)
    panel = window.panel.everything
    press(window, panel.run.start)
    wait_for_end(window)
    assert window.errors == []
    store = window.writer.store
    truth = len(np.unique(nuclei[1])) - 1
    assert 0.6 * truth < len(store) < 1.4 * truth
    np.testing.assert_array_equal(window.labels(), store.array[...])
    _take_back_and_write_again(window, store)


def _take_back_and_write_again(window, store):
    """The keys of undo and redo, with the run in a thread that the window does not wait for."""
    found, panel = window.labels().copy(), window.panel.everything
    with store.held():  # as if it took long: a window that waited would never come back
        window.key("Z", "ControlModifier")
        window.qtbot.wait(200)
        assert window.dock.thread.busy
        assert not window.panel.click.undo.isEnabled()
        window.key("Z", "ControlModifier")
        assert "wait until that is done" in window.errors.pop()
    window.wait(lambda: not window.dock.thread.busy)
    window.qtbot.wait(100)
    assert len(store) == 0
    assert not window.labels().any()
    assert "undone" in panel.run.message.text()
    assert not panel.run.review.isVisible()
    window.key("Z", "ControlModifier+ShiftModifier")
    window.wait(lambda: panel.run.review.isVisible())
    np.testing.assert_array_equal(window.labels(), found)
    assert window.writer.edit.editable
    assert window.errors == []
