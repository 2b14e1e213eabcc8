"""The key for divisions, and the tracks layer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.layers.stacks.tracks_layer import TRACKS_NAME
from tests.widgets.stack.conftest import click


def paint(dock, label, planes, origin):
    """Save an object on some frames, and return its store."""
    store = dock.labels.ready_store().store
    y, x = origin
    store.commit_planes({plane: (np.ones((6, 6), bool), (y, x, y + 6, x + 6), 0.9) for plane in planes}, label)
    return store


def point_at(dock, *position):
    """Put the mouse on a pixel of a frame."""
    dock.viewer.dims.set_point(0, position[0])
    dock.viewer.cursor.position = position


@pytest.fixture
def movie(stack):
    """A movie with a mother and two possible daughters."""
    store = paint(stack, 1, range(4), (10, 10))
    paint(stack, 2, range(4, 9), (5, 5))
    paint(stack, 3, range(4, 9), (30, 30))
    return stack, store


def test_a_key_over_mother_and_daughters_records_a_division(movie):
    dock, store = movie
    for position in ((3, 12, 12), (4, 7, 7), (4, 32, 32)):
        point_at(dock, *position)
        dock.click.stack.divisions.divide()
    assert [store.row(label).parent for label in (1, 2, 3)] == [None, 1, 1]
    assert dock.click.stack.divisions.mother is None  # two daughters are enough
    assert "divides into 2 and 3" in dock.panel.message.label.text()


def test_objects_that_are_saved_after_the_key_become_daughters(movie, qtbot):
    dock, store = movie
    point_at(dock, 3, 12, 12)
    dock.click.stack.divisions.divide()
    assert dock.panel.click.stack.divide.isChecked()
    assert "Object 1 divides" in dock.panel.next_step.text()
    dock.viewer.dims.set_point(0, 5)
    click(dock, qtbot, 5, 50, 50)  # the answer of the session is a square at the corner
    dock.click.accept()
    assert store.row(4).parent == 1


def test_an_object_cannot_descend_from_a_later_one(movie, notifier):
    dock, store = movie
    for position in ((5, 7, 7), (3, 12, 12)):
        point_at(dock, *position)
        dock.click.stack.divisions.divide()
    assert "begins on frame 0" in notifier.messages[-1]
    assert store.row(1).parent is None


def test_the_key_on_the_background_ends_the_division(movie, notifier):
    dock, _ = movie
    point_at(dock, 3, 12, 12)
    dock.click.stack.divisions.divide()
    point_at(dock, 3, 55, 55)
    dock.click.stack.divisions.divide()
    assert dock.click.stack.divisions.mother is None


def test_the_key_without_a_saved_object_explains_itself(stack, notifier):
    stack.click.stack.divisions.divide()
    assert "label store first" in notifier.messages[-1]


def test_tracks_and_lineages_are_shown_and_follow_the_objects(movie, qtbot):
    dock, store = movie
    store.set_parent(2, 1)
    dock.panel.click.stack.tracks.setChecked(True)
    name = f"stack {TRACKS_NAME}"
    qtbot.waitUntil(lambda: name in dock.viewer.layers, timeout=60_000)
    tracks = dock.viewer.layers[name]
    assert tracks.graph == {2: [1]}
    assert tracks.data[tracks.data[:, 0] == 2][0].tolist() == [2, 4, 7.5, 7.5]
    dock.click.undo()  # the parent
    qtbot.waitUntil(lambda: tracks.graph == {}, timeout=60_000)
    dock.panel.click.stack.tracks.setChecked(False)
    assert name not in dock.viewer.layers


def test_the_later_frames_of_an_object_that_divides_are_its_first_daughter(movie):
    dock, store = movie
    point_at(dock, 1, 12, 12)
    dock.click.stack.divisions.divide()
    assert [int(plane[0]) for plane in store.planes(1).plane] == [0, 1]
    assert [int(plane[0]) for plane in store.planes(4).plane] == [2, 3]
    assert store.row(4).parent == 1
    assert "its second daughter" in dock.panel.next_step.text()
