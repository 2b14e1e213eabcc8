"""Following an object through a stack: preview, correction, saving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam.errors import PromptError
from napari_sam.widgets.dock_panel import CLICK, REVIEW
from tests.widgets.stack.conftest import click


def test_a_click_is_previewed_on_the_neighbouring_planes(stack, qtbot, follow_engine):
    click(stack, qtbot, 4, 5, 5)
    qtbot.waitUntil(lambda: len(follow_engine.requests) == 1, timeout=60_000)
    assert follow_engine.requests[0].planes == range(2, 7)
    stack.viewer.dims.set_point(0, 5)
    qtbot.waitUntil(lambda: stack.click.prompts.preview.data.any(), timeout=60_000)
    assert stack.click.answer is None  # a prompt belongs to its plane
    assert sorted(stack.panel.click.stack.strip.content.scores) == [2, 3, 4, 5, 6]


def test_an_object_is_followed_while_the_user_clicks_the_next(stack, qtbot, follow_engine):
    stack.panel.click.stack.neighbours.setChecked(False)
    click(stack, qtbot, 4, 5, 5)
    follow_engine.may_go.clear()
    stack.panel.click.stack.through_stack.click()
    assert stack.click.prompts.is_empty
    assert "Meanwhile" in stack.panel.next_step.text()
    click(stack, qtbot, 4, 30, 30)
    assert len(stack.click.stack.following.running) == 1
    follow_engine.may_go.set()
    qtbot.waitUntil(lambda: not stack.click.stack.following.running, timeout=60_000)
    assert stack.click.stack.in_hand is None  # another object is being clicked
    stack.click.stack.take_next()
    assert stack.click.stack.in_hand is not None


def follow(dock, qtbot, *point):
    """Click an object, follow it through the stack, and wait until it is in hand."""
    click(dock, qtbot, *point)
    dock.click.stack.follow()
    qtbot.waitUntil(lambda: dock.click.stack.in_hand is not None, timeout=60_000)


def test_accept_saves_the_whole_object_with_one_id_and_one_undo_step(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()
    store = stack.labels.store_layers.store
    assert len(store) == 1
    assert [int(p[0]) for p in store.planes(1).plane] == list(range(9))
    assert (store.array[7] == 1).sum() > 0
    stack.click.undo()
    assert len(store) == 0
    assert not store.array[...].any()


def test_the_strip_leads_to_the_weakest_plane(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.stack.go_to_weakest()
    assert stack.images.plane == (5,)
    assert "weakest 5 (0.40)" in stack.panel.click.stack.summary.text()
    stack.panel.click.stack.strip.plane_chosen.emit(1)
    assert stack.images.plane == (1,)


def test_a_click_on_another_plane_corrects_it_and_undo_takes_the_correction_back(stack, qtbot, follow_engine):
    follow(stack, qtbot, 4, 5, 5)
    before = stack.click.stack.in_hand.mask(6)
    stack.viewer.dims.set_point(0, 6)
    stack.click.prompts.points.add((6, 9, 9))
    qtbot.waitUntil(
        lambda: bool(follow_engine.corrections) and not stack.click.stack.in_hand.is_running, timeout=60_000
    )
    ((plane, prompt),) = follow_engine.corrections
    assert (plane, prompt["points"].tolist()) == (6, [[9.0, 9.0]])
    assert tuple(stack.click.stack.in_hand.mask(6)[1]) == (0, 0, 4, 4)
    stack.click.undo()  # the point
    qtbot.waitUntil(lambda: tuple(stack.click.stack.in_hand.mask(6)[1]) == tuple(before[1]), timeout=60_000)


def test_an_object_is_removed_from_the_plane_shown_and_beyond_and_undo_brings_it_back(stack, qtbot, notifier):
    follow(stack, qtbot, 4, 5, 5)
    stack.viewer.dims.set_point(0, 7)
    stack.panel.click.stack.not_here.click()
    assert sorted(stack.click.stack.in_hand.scores) == list(range(7))
    assert "plane 7: removed by hand" in stack.panel.click.stack.summary.text()
    stack.click.undo()
    assert sorted(stack.click.stack.in_hand.scores) == list(range(9))
    stack.viewer.dims.set_point(0, 4)
    stack.click.stack.remove_here()
    assert "only one with a prompt" in notifier.messages[-1]
    assert sorted(stack.click.stack.in_hand.scores) == list(range(9))


def test_a_click_far_away_begins_another_object_and_the_followed_one_waits(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.prompts.points.add((4, 55, 65))
    qtbot.waitUntil(lambda: stack.click.answer is not None, timeout=60_000)
    assert stack.click.stack.in_hand is None
    assert len(stack.click.stack.following.waiting) == 1


def test_a_dropped_object_can_be_brought_back(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.escape()
    assert stack.click.stack.in_hand is None
    stack.click.undo()
    assert stack.click.stack.in_hand is not None


def test_an_engine_that_fails_is_reported_and_nothing_is_lost(stack, qtbot, follow_engine, notifier):
    follow_engine.error = PromptError("nothing is there", remedy="click elsewhere")
    stack.panel.click.stack.neighbours.setChecked(False)
    click(stack, qtbot, 4, 5, 5)
    stack.click.stack.follow()
    qtbot.waitUntil(lambda: bool(notifier.messages), timeout=60_000)
    assert "nothing is there" in notifier.messages[-1]
    assert not stack.click.stack.is_busy


def test_a_single_image_has_nothing_to_follow_through(dock, qtbot, notifier):
    dock.viewer.add_image(np.zeros((40, 50)))
    qtbot.waitUntil(lambda: not dock.thread.busy, timeout=60_000)
    assert dock.panel.click.stack.isHidden()
    click(dock, qtbot, 5, 5)
    dock.click.stack.follow()
    assert "one plane only" in notifier.messages[-1]


def test_a_saved_object_is_opened_corrected_and_saved_again(stack, qtbot, follow_engine):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()
    store = stack.labels.store_layers.store
    stack.viewer.cursor.position = (4, 5, 5)
    stack.click.stack.edit()
    qtbot.waitUntil(lambda: stack.click.stack.in_hand is not None, timeout=60_000)
    assert "Object 1:" in stack.panel.next_step.text()
    assert stack.click.stack.in_hand.scores[5] == pytest.approx(0.4)
    stack.click.prompts.points.add((4, 9, 9))
    qtbot.waitUntil(
        lambda: bool(follow_engine.corrections) and not stack.click.stack.in_hand.is_running, timeout=60_000
    )
    stack.click.accept()
    assert len(store) == 1
    assert [int((store.array[plane] == 1).sum()) for plane in (6, 4, 5)] == [100, 16, 16]
    stack.click.undo()
    assert int((store.array[4] == 1).sum()) == 100


def test_a_plane_that_a_correction_leaves_is_cleared(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()
    stack.viewer.cursor.position = (4, 5, 5)
    stack.click.stack.edit()
    qtbot.waitUntil(lambda: stack.click.stack.in_hand is not None, timeout=60_000)
    followed = stack.click.stack.in_hand
    records = {plane: record for plane, record in followed.result.records.items() if plane < 8}
    followed.result = replace(followed.result, records=records)
    stack.click.accept()
    store = stack.labels.store_layers.store
    assert [int(plane[0]) for plane in store.planes(1).plane] == list(range(8))
    assert not store.array[8].any()


def test_the_key_for_saved_objects_explains_itself_where_there_is_none(stack, notifier):
    stack.click.stack.edit()
    assert "Point at a saved object" in notifier.messages[-1]


def test_a_large_object_is_saved_and_taken_back_in_the_background(stack, qtbot, monkeypatch):
    monkeypatch.setattr("napari_sam.widgets.stack.object_saver._LARGE_PX", 1)
    monkeypatch.setattr("napari_sam.layers.label_store_layers._MANY_PLANES", 2)
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()
    qtbot.waitUntil(lambda: "is saved on planes" in stack.panel.message.label.text(), timeout=60_000)
    store = stack.labels.store_layers.store
    assert (store.array[7] == 1).any()
    assert stack.labels.store_layers.edit.editable
    stack.click.undo()
    qtbot.waitUntil(lambda: len(store) == 0, timeout=60_000)


def test_an_object_that_cannot_be_saved_stays_in_hand(stack, qtbot, notifier):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()  # it lies wholly under the first
    assert "wholly under" in notifier.messages[-1]
    assert stack.click.stack.in_hand is not None


def test_the_review_page_puts_the_object_in_hand_aside(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.panel.tabs.setCurrentIndex(REVIEW)
    assert stack.click.stack.in_hand is None
    stack.panel.tabs.setCurrentIndex(CLICK)
    stack.click.stack.take_next()
    assert stack.click.stack.in_hand is not None


def test_corrections_of_saved_objects_end_with_their_store(stack, qtbot):
    follow(stack, qtbot, 4, 5, 5)
    stack.click.accept()
    stack.click.stack.edit()
    qtbot.waitUntil(lambda: stack.click.stack.in_hand is not None, timeout=60_000)
    stack.labels.release()
    assert not stack.click.stack.is_busy


def test_an_object_of_a_movie_of_stacks_is_saved_on_the_depth_planes_of_its_frame(dock, qtbot):
    dock.viewer.add_image(np.zeros((2, 9, 60, 70)), name="movie")
    dock.viewer.dims.set_point((0, 1), (1, 4))
    qtbot.waitUntil(lambda: not dock.thread.busy, timeout=60_000)
    qtbot.wait(50)
    follow(dock, qtbot, 1, 4, 5, 5)
    dock.viewer.dims.set_point(0, 0)
    qtbot.wait(100)
    assert not dock.click.prompts.preview.data.any()  # it is not on the other frame
    dock.click.accept()
    store = dock.labels.store_layers.store
    assert [tuple(plane) for plane in store.planes(1).plane] == [(1, z) for z in range(9)]
    assert str(store.meta("axes"))[:2] == "tz"


def test_the_store_of_a_movie_whose_axis_has_no_name_gets_an_axis_of_time(stack, qtbot):
    click(stack, qtbot, 4, 5, 5)
    stack.click.stack.follow_time()
    qtbot.waitUntil(lambda: stack.click.stack.in_hand is not None, timeout=60_000)
    stack.click.accept()
    assert str(stack.labels.store_layers.store.meta("axes")) == "tyx"


def test_depth_and_time_that_the_file_names_wrongly_are_swapped(dock, qtbot, follow_engine):
    dock.viewer.add_image(np.zeros((9, 60, 70)), name="movie", axis_labels=("z", "y", "x"))
    qtbot.waitUntil(lambda: not dock.thread.busy, timeout=60_000)
    panel = dock.panel.click.stack
    assert not panel.through_stack.isHidden()
    assert panel.through_time.isHidden()
    panel.swap.click()
    assert panel.through_stack.isHidden()
    assert not panel.divide.isHidden()
    follow(dock, qtbot, 4, 5, 5)
    assert follow_engine.requests[-1].axis == "t"
    panel.swap.click()  # the object in hand would be lost
    assert panel.through_stack.isHidden()
    dock.click.accept()
    qtbot.waitUntil(lambda: dock.click.stack.in_hand is None and not dock.click.stack.is_busy, timeout=60_000)
    assert dock.labels.store_layers.store.meta("axes") == "tyx"
    panel.swap.click()
    assert not panel.through_stack.isHidden()
