"""The review goes through all objects, and every verdict can be taken back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.review_queue import ReviewItem
from napari_sam.layers.label_store_layers import LabelStoreLayers
from napari_sam.layers.review_session import ReviewSession


@pytest.fixture
def layers(viewer, store):
    """Three objects, found by no person."""
    for k in (1, 2, 3):
        store.paint(np.full((4, 4), k), (0, 10 * k))
    return LabelStoreLayers(store, viewer.add_image(np.zeros((40, 50))), pytest.fail)


@pytest.fixture
def session(layers):
    return ReviewSession(layers)


def test_every_object_is_seen_until_none_is_left(session):
    seen = []
    while session.current is not None:
        seen.append(session.current.label)
        session.decide("accepted")
    assert sorted(seen) == [1, 2, 3]
    assert (session.counts.reviewed, session.counts.total) == (3, 3)


def test_a_rejected_object_is_erased_and_undo_brings_it_back(session, layers):
    label = session.current.label
    session.decide("rejected")
    assert session.counts.rejected == 1
    assert not (layers.edit.data == label).any()
    assert session.undo()
    assert session.current.label == label
    assert (layers.edit.data == label).any()
    assert session.counts.reviewed == 0


def test_redo_repeats_the_verdict_and_moves_on(session):
    first = session.current.label
    session.decide("accepted")
    session.undo()
    assert session.redo()
    assert session.current.label != first
    assert session.counts.reviewed == 1


def test_skipped_objects_return_after_all_others(session):
    first = session.current.label
    session.skip()
    assert session.can_undo
    while session.current.label != first:
        session.decide("accepted")
    assert session.counts.reviewed == 2


def test_undo_first_returns_to_skipped_objects(session):
    first = session.current.label
    session.skip()
    assert session.undo()
    assert session.current.label == first
    assert not session.undo()


def test_an_object_that_vanished_is_an_error_and_the_review_moves_on(session, layers):
    gone = session.current.label
    layers.store.paint(np.zeros((40, 50), int), (0, 0))
    with pytest.raises(LabelsError):
        session.decide("accepted")
    assert session.current is None or session.current.label != gone


def test_the_review_returns_to_an_object_without_a_verdict(session, layers):
    candidate = ReviewItem.of_object(layers.store, 3)
    session.return_to(candidate)
    assert session.current.label == 3
    session.decide("accepted")
    session.return_to(candidate)
    assert session.current.label != 3


def test_a_class_is_set_and_taken_back_without_a_verdict(session, layers):
    label = session.current.label
    session.classify("nucleus")
    assert session.current.label == label
    assert layers.store.object(label)["category"] == "nucleus"
    assert session.counts.reviewed == 0
    session.decide("accepted")
    assert session.undo()  # the verdict
    assert session.undo()  # the class
    assert session.current.label == label
    assert layers.store.object(label)["category"] is None
    assert not session.undo()
    assert session.redo()
    assert layers.store.object(label)["category"] == "nucleus"
    assert session.current.label == label


def test_a_given_order_is_followed_past_erased_objects_and_a_class_moves_on(layers):
    labels = sorted(layers.store.journal.objects.labels())[::-1]
    layers.store.erase(labels[1])
    session = ReviewSession(layers, [9999, *labels])
    assert session.current.label == labels[0]
    session.classify("nucleus")
    assert session.current.label == labels[2]
    session.skip()
    assert session.current is None
    assert session.undo()
    assert session.current.label == labels[2]
    assert layers.store.object(labels[0])["category"] == "nucleus"
