"""Accepting over a saved object: the overlap is shown, scraps are not saved, and X replaces."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.layers.prompt_layers import PREVIEW_NAME

A = (122, 182)


@pytest.fixture
def window(menu_window, nuclei):
    """A window with an accepted object, clicked once more beside the first click."""
    layer = menu_window.viewer.add_image(nuclei[0], name="nuclei")
    window = menu_window()
    window.predict(lambda: window.click(layer, A))
    window.key("C")
    window.predict(lambda: window.click(layer, (A[0] + 4, A[1] + 5)))
    return window


def test_the_overlap_is_shown_and_scraps_are_not_saved(window):
    before = window.labels().copy()
    assert "under object 1" in window.guide
    assert "X replaces" in window.guide
    preview = window.viewer.layers[PREVIEW_NAME]
    np.testing.assert_allclose(preview.get_color(preview.data.max()), (1, 0.15, 0.1, 1), atol=0.01)  # red
    window.key("C")
    np.testing.assert_array_equal(window.labels(), before)
    assert any("press X to replace" in message for message in window.errors)
    assert window.dock.click.answer is not None  # still there to be corrected


def test_x_replaces_the_object_as_one_step(window):
    before = window.labels().copy()
    mask = window.dock.click.answer.predictions[0].full_mask(before.shape)
    window.key("X")
    np.testing.assert_array_equal(window.labels(), mask.astype(np.uint32))
    window.key("Z", "ControlModifier")
    np.testing.assert_array_equal(window.labels(), before)
