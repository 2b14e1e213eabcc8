"""The dock over a viewer without a window: pages, tools and actions, without mouse or weights."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points, Shapes

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.widgets.dock import SamDock
from napari_sam.widgets.dock_panel import CLICK, EVERYTHING, REVIEW
from napari_sam.widgets.engine_session import Answer
from tests.layers.conftest import prediction
from tests.widgets.conftest import RecordingNotifier

SQUARE = np.ones((10, 10), bool)


class FakeSession:
    """Answers every prompt with a square."""

    model = kind = "default"

    def __init__(self):
        self.prompts = []

    def predict_job(self, image, plane, prompts, hints):
        self.prompts.append(prompts)
        return lambda _: Answer([prediction(SQUARE, (5 * k, 5 * k)) for k in range(len(prompts))], plane)

    def prepare_job(self, image, hints):
        return lambda _: None

    def prefetch(self, image, view, cursor, hints):
        pass

    def describe(self, answer, milliseconds):
        return "fake"

    def close(self):
        pass


@pytest.fixture
def notifier():
    return RecordingNotifier()


@pytest.fixture
def dock(qtbot, notifier, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    engine = SimpleNamespace(unfinished=lambda path: None)
    made = SamDock(ViewerModel(), session=FakeSession(), engine=engine, notifier=notifier)
    qtbot.addWidget(made)
    yield made
    made.shutdown()


@pytest.fixture
def opened(dock, qtbot):
    dock.viewer.add_image(np.zeros((40, 50)), name="cells")
    qtbot.waitUntil(lambda: not dock.thread.busy, timeout=60_000)
    return dock


def click(dock, qtbot, *points):
    dock.click.answer = None
    for point in points:
        dock.click.prompts.points.add(point)
    qtbot.waitUntil(lambda: dock.click.answer is not None, timeout=60_000)


def test_an_opened_image_gets_prompt_layers_and_is_prepared(opened):
    assert [type(x) for x in opened.viewer.layers[-2:]] == [Shapes, Points]
    assert opened.panel.image.currentText() == "cells"
    assert "Click an object" in opened.panel.next_step.text()


def test_a_click_is_answered_and_accepted(opened, qtbot):
    click(opened, qtbot, (5, 5))
    assert opened.panel.click.accept.isEnabled()
    opened.click.accept()
    assert (opened.labels.writer.layer.data == 1).sum() == 100
    assert opened.click.answer is None
    assert opened.panel.click.undo.isEnabled()


def test_undo_and_redo_follow_the_saved_objects(opened, qtbot):
    click(opened, qtbot, (5, 5))
    opened.click.accept()
    opened.click.actions.undo()
    assert len(opened.labels.store_layers.store) == 0
    opened.click.actions.redo()
    assert len(opened.labels.store_layers.store) == 1


def test_without_objects_the_actions_tell_so(opened, notifier):
    opened.click.actions.undo()
    opened.click.actions.export_to("objects.csv")
    opened.click.accept()
    assert notifier.messages == [
        "Nothing to undo.",
        "Accept an object first: there is no label store to export yet.",
        "Nothing to accept yet: click an object first.",
    ]


def test_candidates_are_cycled(opened, qtbot):
    click(opened, qtbot, (5, 5))
    seen = []
    for _ in range(4):
        seen.append(opened.click.candidate)
        opened.click.next_candidate()
    assert seen == [0, 1, 2, 0]
    opened.click.previous_candidate()
    assert opened.click.candidate == 0


def test_the_overlap_rule_of_the_form_is_used(opened, qtbot, notifier):
    for _ in range(2):
        click(opened, qtbot, (5, 5))
        opened.click.accept()
    assert "wholly under" in notifier.messages[0]
    opened.panel.object_form.set_value("overlap", "replace")
    opened.click.accept()
    assert (opened.labels.writer.layer.data == 2).sum() == 100


def test_another_object_size_predicts_again(opened, qtbot):
    click(opened, qtbot, (5, 5))
    before = len(opened.session.prompts)
    opened.panel.object_form.widget("diameter_px").native.setValue(30)
    qtbot.waitUntil(lambda: len(opened.session.prompts) > before, timeout=60_000)
    assert opened.click.hints().diameter_px == 30


def test_tools_choose_the_layer_and_its_mode(opened):
    tools, selection = opened.click.tools, opened.viewer.layers.selection
    for use, layer, mode in (
        (tools.use_box, opened.click.prompts.shapes, "add_rectangle"),
        (tools.use_foreground, opened.click.prompts.points, "add"),
        (tools.use_brush, None, "paint"),
    ):
        use()
        assert selection.active is (layer or opened.labels.writer.layer)
        assert selection.active.mode == mode


def test_points_are_toggled_between_foreground_and_background(opened):
    opened.click.tools.toggle_points()
    assert (opened.click.tools.current, opened.click.prompts.kind) == ("background", "background")
    opened.click.tools.toggle_points()
    assert opened.click.prompts.kind == "foreground"


def test_every_page_tells_its_next_step(opened):
    for page, words in ((EVERYTHING, "Choose where"), (REVIEW, "nothing to review"), (CLICK, "Click an object")):
        opened.panel.tabs.setCurrentIndex(page)
        assert words in opened.panel.next_step.text()


def test_an_object_is_fixed_and_the_review_continues(opened, qtbot):
    for origin in ((0, 0), (20, 20)):
        opened.labels.ready_store().store.paint(SQUARE * opened.labels.ready_store().store.next_label, origin)
    opened.show_review()
    label = opened.review.session.current.label
    opened.review.fix()
    assert opened.panel.tabs.currentIndex() == CLICK
    assert f"Fixing object {label}" in opened.panel.next_step.text()
    click(opened, qtbot, (5, 5))
    assert "mask" in opened.session.prompts[-1][0]
    opened.click.accept()
    assert opened.panel.tabs.currentIndex() == REVIEW
    assert opened.review.session.current.label != label
    assert opened.labels.store_layers.store.reviewed() == {label}


def test_a_removed_prompt_layer_comes_back_and_the_store_stays(opened, qtbot):
    store_layers = opened.labels.ready_store()
    removed = opened.click.prompts.points
    opened.viewer.layers.remove(removed)
    qtbot.waitUntil(lambda: opened.click.prompts.points is not removed, timeout=60_000)
    assert opened.labels.store_layers is store_layers


def test_settings_that_exclude_each_other_are_reported_and_no_run_starts(opened, notifier):
    opened.panel.object_form.set_value("diameter_px", 30)
    opened.panel.everything.form.set_value("level", 2)
    opened.everything.start()
    assert "not both" in notifier.messages[0]
    assert not opened.everything.run.is_running


def test_the_grid_section_begins_with_the_settings_of_the_model(opened):
    section = opened.panel.everything.form.section("grid")
    section.check.click()
    of_model = GridSettings.for_model("default").pred_iou_thresh
    assert section.form.settings().pred_iou_thresh == of_model != GridSettings().pred_iou_thresh
    section.check.click()
    assert opened.panel.everything.form.settings().grid is None


def test_every_error_of_a_job_is_shown_once_and_in_full(opened, qtbot, notifier):
    from qtpy.QtWidgets import QApplication

    from napari_sam.errors import ModelError

    def fail(error):
        def job(_):
            raise error

        return job

    opened.thread.submit("predict", fail(ModelError("no such model", remedy="choose another one")))
    qtbot.waitUntil(lambda: bool(notifier.messages), timeout=60_000)
    assert notifier.messages == ["no such model; choose another one"]
    assert opened.panel.message.label.text() == "no such model; choose another one"
    assert opened.panel.message.copy.isHidden()
    with qtbot.captureExceptions() as raised:
        opened.thread.submit("predict", fail(ZeroDivisionError("bug")))
        qtbot.waitUntil(lambda: len(notifier.messages) == 2, timeout=60_000)
    assert raised == []  # napari would add a notification with a traceback
    assert notifier.messages[1] == "Internal error: ZeroDivisionError: bug"
    opened.panel.message.copy.click()
    assert "in fail" in QApplication.clipboard().text() or "in job" in QApplication.clipboard().text()


def test_an_error_of_a_cancelled_job_is_shown_and_one_of_a_superseded_job_is_not(opened, qtbot, notifier):
    import threading

    begun, go_on = threading.Event(), threading.Event()

    def job(_):
        begun.set()
        go_on.wait(10)
        raise OSError("disk full")

    opened.thread.submit("export", job)
    begun.wait(10)
    opened.panel.cancel.click()
    go_on.set()
    qtbot.waitUntil(lambda: bool(notifier.messages), timeout=60_000)
    assert "disk full" in notifier.messages[0]
    begun.clear(), go_on.clear()
    opened.thread.submit("export", job)
    begun.wait(10)
    opened.thread.submit("export", lambda _: None)
    go_on.set()
    qtbot.waitUntil(lambda: not opened.thread.busy, timeout=60_000)
    qtbot.wait(50)
    assert len(notifier.messages) == 1


def test_shutting_down_removes_all_but_the_image(opened):
    opened.shutdown()
    assert [layer.name for layer in opened.viewer.layers] == ["cells"]
    assert opened.thread.closed
    opened.shutdown()  # once more does no harm


def test_another_image_takes_the_prompt_layers_over(opened, qtbot):
    layers, removed = list(opened.click.prompts.layers), []
    click(opened, qtbot, (5, 5))
    opened.click.tools.use_box()
    opened.viewer.layers.events.removed.connect(lambda event: removed.append(event.value.name))
    other = opened.viewer.add_image(np.zeros((60, 60)), name="other", scale=(2, 3), translate=(7, 8))
    qtbot.waitUntil(lambda: opened.click.prompts.image is other and not opened.thread.busy)
    assert opened.click.prompts.layers == layers
    assert removed == []
    assert list(opened.viewer.layers)[-3:] == layers[::-1]
    assert opened.click.prompts.is_empty
    assert not opened.click.tools.history.can_undo(())
    for layer in layers:
        assert (layer.scale.tolist(), layer.translate.tolist()) == ([2, 3], [7, 8])
    click(opened, qtbot, (9, 9))
    assert opened.session.prompts[-1][0]["points"].tolist() == [[9, 9]]


def test_an_image_of_more_axes_gets_prompt_layers_of_its_own(opened, qtbot):
    before = opened.click.prompts.points
    stack = opened.viewer.add_image(np.zeros((3, 40, 50)), name="stack")
    qtbot.waitUntil(lambda: opened.click.prompts is not None and opened.click.prompts.image is stack)
    assert opened.click.prompts.points.ndim == 3
    assert before not in opened.viewer.layers
