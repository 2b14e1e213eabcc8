"""Classes are learned from the user's, suggested for all others, and learned again from corrections."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.engine.concepts.object_classifier import ConfusionMatrix
from napari_sam.jobs.classify.store_features import StoreFeatures
from napari_sam.widgets.dock_panel import REVIEW
from napari_sam.widgets.objects.class_suggestions import confusion_text


@pytest.fixture
def learning(objects):
    """The page with twenty more objects, whose only feature is their width: 2 or 6 pixels, and one of 4."""
    widths = [2] * 10 + [6] * 9 + [4]
    pixels = np.zeros((20, 60), np.uint32)
    for number, width in enumerate(widths):
        y, x = 10 * (number // 10), 6 * (number % 10)
        pixels[y : y + 6, x : x + width - 1] = 101 + number
    objects.store.paint(pixels, (20, 10))
    for label in (1, 2, 3, 4):
        objects.store.erase(label)
    objects.measured = 0

    def measure(image, store, predictor, cancelled):
        objects.measured += 1
        labels = sorted(store.journal.objects.labels())
        boxes = [store.row(label).box for label in labels]
        widths = np.array([[box[3] - box[1], 1.0] for box in boxes], np.float32)
        return StoreFeatures(tuple(labels), widths, None)

    objects.page.suggestions._measure = measure
    objects.dock.session.load = lambda model: SimpleNamespace(model=model)
    return objects


def suggest(objects):
    """Press the button, and wait for the message that tells the result."""
    before = len(objects.messages)
    objects.panel.suggest.click()
    objects.qtbot.waitUntil(lambda: len(objects.messages) > before, timeout=60_000)
    objects.settle()


def classes(objects):
    return {int(r.label): r.category for r in objects.store.journal.objects.table()}


def test_all_others_get_the_most_likely_class_in_one_step_and_the_doubtful_one_comes_first(learning):
    store = learning.store
    store.set_category({101: "thin", 102: "thin", 111: "wide", 112: "wide"})
    steps = len(store.history())
    suggest(learning)
    found = classes(learning)
    assert [found[label] for label in (*range(101, 111), *range(111, 120))] == ["thin"] * 10 + ["wide"] * 9
    assert len(store.history()) == steps + 1
    assert next(iter(learning.dock.objects._context.classes.suggested)) == 120
    assert "16 objects, learned from 4" in learning.messages[0]
    assert not learning.panel.confusion.isHidden()
    assert "100 % right" in learning.panel.confusion.text()
    learning.do(learning.panel.undo.click)
    assert sum(name is not None for name in classes(learning).values()) == 4


def test_suggestions_are_no_examples_until_they_are_corrected_or_accepted(learning):
    store = learning.store
    store.set_category({101: "thin", 111: "wide"})
    suggest(learning)
    store.set_category(120, "medium")
    store.review(103, "accepted")
    learning.page.selected.set([104])
    learning.do(learning.page.edits.classify, "thin")  # as suggested
    steps = len(store.history())
    suggest(learning)
    assert "learned from 5" in learning.messages[1]
    assert len(store.history()) == steps  # nothing changed
    assert classes(learning)[120] == "medium"
    assert learning.measured == 1  # classes change no features
    store.erase(105)
    suggest(learning)
    assert learning.measured == 2


def test_the_review_begins_with_the_doubtful_one(learning):
    learning.store.set_category({101: "thin", 102: "thin", 111: "wide", 112: "wide"})
    suggest(learning)
    dock, panel = learning.dock, learning.dock.panel.review
    dock.panel.tabs.setCurrentIndex(REVIEW)
    panel.order.setCurrentIndex(1)
    panel.order.activated.emit(1)
    assert dock.review.session.current.label == 120


@pytest.mark.parametrize("given", [{}, {101: "thin"}, {101: "thin", 111: "thin"}])
def test_one_class_alone_cannot_be_learned_and_nothing_is_lost(learning, given):
    if given:
        learning.store.set_category(given)
    before = classes(learning)
    suggest(learning)
    assert "two have to compete" in learning.messages[0]
    assert classes(learning) == before


def test_a_confusion_matrix_is_readable_and_names_are_no_markup():
    text = confusion_text(ConfusionMatrix(("<b>a", "c"), np.array([[3, 1], [0, 4]])))
    assert "88 % right" in text
    assert "&lt;b&gt;a" in text
    many = tuple(f"class {i}" for i in range(50))
    assert "<table>" not in confusion_text(ConfusionMatrix(many, np.eye(50, dtype=np.int64)))
    assert confusion_text(None) == ""
