"""One object is stepped through by its masks, several by objects, and each keeps the mask chosen for it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.widgets.engine_session import Answer
from napari_sam.widgets.pages.mask_preview import MaskPreview
from tests.layers.conftest import prediction

SQUARE = np.ones((10, 10), bool)


class NoAcceptance:
    """Finds no overlap."""

    def overlaps(self, answer, candidates, label):
        return [None] * len(candidates)


@pytest.fixture
def preview():
    return MaskPreview(NoAcceptance())


def answer(count):
    return Answer([prediction(SQUARE, (12 * k, 0)) for k in range(count)], ())


def test_the_masks_of_one_object_are_cycled(preview):
    preview.begin(answer(1))
    seen = []
    for _ in range(3):
        seen.append(preview.candidates[0])
        preview.step(1)
    assert seen == [0, 1, 2]
    preview.step(-1)
    assert preview.text == "mask 3 of 3  ·  score 0.20"


def test_several_objects_are_highlighted_in_turn(preview):
    preview.begin(answer(3))
    assert preview.text == "3 objects  ·  scores 0.80 to 0.80"
    positions = []
    for step in (1, 1, 1, 1, -1):
        preview.step(step)
        positions.append(preview.position)
    assert positions == [0, 1, 2, 0, 2]
    preview.next_mask()
    assert preview.candidates == [0, 0, 1]
    assert preview.text == "3 of 3  ·  mask 2 of 3  ·  score 0.10"


def test_backwards_begins_with_the_last(preview):
    preview.begin(answer(3))
    preview.step(-1)
    assert preview.position == 2


def test_without_an_answer_nothing_happens(preview):
    preview.step(1)
    preview.next_mask()
    assert preview.text == "no mask yet"
