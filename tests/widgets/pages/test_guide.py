"""The line on top of the dock tells what to do next."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.widgets.engine_session import Answer
from napari_sam.widgets.pages.guide import candidate_text, correction_step, everything_step, next_step, review_step


def answer(count):
    prediction = SimpleNamespace(predicted_iou=np.array([0.5, 0.91, 0.3]), count=3)
    return Answer([prediction] * count, ())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((False, None, "foreground"), "Open an image"),
        ((True, None, "foreground"), "Click an object"),
        ((True, None, "box"), "Drag boxes"),
        ((True, None, "background", "background"), "needs an object point"),
        ((True, answer(1), "foreground"), "N for another mask"),
        ((True, answer(3), "box"), "accept all 3 objects"),
        ((True, None, "brush"), "Draw with the brush"),
        ((True, None, "brush", "far"), "Zoom in"),
    ],
)
def test_the_next_step_of_the_click_page(arguments, words):
    assert words in next_step(*arguments)


@pytest.mark.parametrize(
    ("state", "drawing", "words"),
    [
        ("idle", False, "Choose where"),
        ("idle", True, "Drag a rectangle"),
        ("running", False, "Finding all objects"),
        ("unfinished", True, "Resume continues"),
        ("finished", False, "review the objects"),
    ],
)
def test_the_next_step_of_the_everything_page(state, drawing, words):
    assert words in everything_step(True, state, drawing)
    assert "Open an image" in everything_step(False, state, drawing)


@pytest.mark.parametrize(
    ("reviewing", "all_done", "words"),
    [(True, False, "right?"), (False, True, "Nothing is left"), (False, False, "find objects on the page")],
)
def test_the_next_step_of_the_review_page(reviewing, all_done, words):
    assert words in review_step(reviewing, all_done)


def test_a_correction_names_its_object():
    assert "object 7: click" in correction_step(7, False)
    assert "C accepts" in correction_step(7, True)


def test_the_candidate_is_shown_with_its_score():
    assert candidate_text(None, 0) == "no mask yet"
    assert candidate_text(answer(1), 1) == "mask 2 of 3  ·  score 0.91"
    assert candidate_text(answer(4), 0) == "4 objects"
