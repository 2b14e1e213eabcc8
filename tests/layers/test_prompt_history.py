"""Prompts are taken back in the reverse order of drawing, on the plane in view."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.layers.prompt_history import PromptHistory
from napari_sam.layers.prompt_layers import BACKGROUND, FOREGROUND, PromptLayers

SQUARE = np.array([[1, 1], [1, 9], [9, 9], [9, 1]])


@pytest.fixture
def prompts(viewer):
    return PromptLayers.create(viewer, viewer.add_image(np.zeros((40, 50))))


@pytest.fixture
def history(prompts):
    return PromptHistory(prompts)


def test_points_and_boxes_are_taken_back_in_order_and_drawn_again(prompts, history):
    prompts.points.add((3, 4))
    history.update()
    prompts.shapes.add(SQUARE, shape_type="rectangle")
    history.update()
    prompts.set_kind(BACKGROUND)
    prompts.points.add((7, 8))
    history.update()
    assert [history.undo(()) for _ in range(4)] == ["point", "box", "point", None]
    assert prompts.is_empty
    prompts.set_kind(FOREGROUND)
    assert [history.redo() for _ in range(4)] == ["point", "box", "point", None]
    np.testing.assert_array_equal(prompts.points.data, [[3, 4], [7, 8]])
    assert prompts.points.features["kind"].tolist() == [FOREGROUND, BACKGROUND]
    np.testing.assert_array_equal(prompts.shapes.data[0], SQUARE)
    assert prompts.kind == FOREGROUND


def test_a_new_prompt_ends_the_redo(prompts, history):
    prompts.points.add((3, 4))
    history.update()
    history.undo(())
    prompts.points.add((5, 6))
    history.update()
    assert not history.can_redo
    assert history.can_undo(())


def test_prompts_that_the_user_removed_are_forgotten(prompts, history):
    prompts.points.add((3, 4))
    prompts.points.add((5, 6))
    history.update()
    prompts.points.selected_data = {0}
    prompts.points.remove_selected()
    assert history.undo(()) == "point"
    assert history.undo(()) is None


def test_only_prompts_of_the_plane_in_view_are_taken_back(viewer):
    prompts = PromptLayers.create(viewer, viewer.add_image(np.zeros((3, 40, 50))))
    history = PromptHistory(prompts)
    prompts.points.add((1, 3, 4))
    history.update()
    prompts.points.add((2, 3, 4))
    history.update()
    assert history.undo((1,)) == "point"
    np.testing.assert_array_equal(prompts.points.data, [[2, 3, 4]])
    assert history.undo((1,)) is None
