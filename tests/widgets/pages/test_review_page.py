"""The page "Review" in a real window: keys decide, the camera follows, prompts correct."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.layers.review_outline import OUTLINE_NAME
from napari_sam.widgets.dock_panel import CLICK, EVERYTHING, REVIEW
from napari_sam.widgets.viewer.canvas_view import visible_box

SCORES = {1: 0.9, 2: 0.2, 3: 0.5}


def fill(store, truth, scores=SCORES):
    """Put nuclei of the truth into a store as a run does, with scores."""
    sizes = np.bincount(truth.ravel())
    chosen = np.argsort(-sizes[1:])[: len(scores)] + 1
    numbers = np.zeros(len(sizes), np.uint32)
    numbers[chosen] = list(scores)
    run = store.run_writer("run", plane=(0,) * (len(store.shape) - 2))
    begin = run.begin({}, max(scores))
    details = {label: {"predicted_iou": score} for label, score in scores.items()}
    run.write(numbers[truth], (0, 0), tile="tile", begin=begin, details=details)


@pytest.fixture
def reviewing(window, nuclei):
    """A window that shows the first object to review."""
    window.layer = window.show(nuclei[0], name="nuclei")
    fill(window.dock.labels.ready_store().store, nuclei[1])
    go_to(window, REVIEW)
    return window


def go_to(window, page):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    bar = window.panel.tabs.tabBar()
    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(page).center())
    window.qtbot.wait(150)


def at(window):
    review = window.dock.review.session
    return None if review.current is None else review.current.label


def said(window):
    return window.panel.review.counts.text()


def test_keys_decide_least_confident_first_and_every_verdict_can_be_undone(reviewing):
    store = reviewing.writer.store
    before = reviewing.labels().copy()
    assert at(reviewing) == 2
    assert "Object 2" in reviewing.panel.review.object.text()
    assert "right?" in reviewing.guide
    reviewing.key("A")
    assert at(reviewing) == 3
    assert store.reviewed() == {2}
    reviewing.key("R")
    assert at(reviewing) == 1
    assert not (reviewing.labels() == 3).any()
    assert said(reviewing) == "2 of 3 reviewed, 1 rejected"
    reviewing.key("Delete")
    assert at(reviewing) is None
    assert not reviewing.panel.review.object.isVisible()
    assert "Nothing is left" in reviewing.guide
    for label, modifier in ((1, "NoModifier"), (3, "ControlModifier"), (2, "NoModifier")):
        reviewing.key("Z", modifier)
        assert at(reviewing) == label
    np.testing.assert_array_equal(reviewing.labels(), before)
    assert said(reviewing) == "0 of 3 reviewed, 0 rejected"
    assert not reviewing.panel.review.undo.isEnabled()
    reviewing.key("Z")
    assert "no verdict" in reviewing.errors.pop()  # the run itself stays
    assert len(store) == 3
    reviewing.key("Z", "ControlModifier+ShiftModifier")
    assert store.reviewed() == {2}
    assert reviewing.errors == []


def test_the_object_is_outlined_and_fills_a_third_of_the_view(reviewing):
    reviewing.qtbot.wait(200)
    box = reviewing.dock.review.session.current.box
    y0, x0, y1, x1 = visible_box(reviewing.layer)
    shares = (box[2] - box[0]) / (y1 - y0), (box[3] - box[1]) / (x1 - x0)
    assert 0.25 < max(shares) < 0.42
    outline = reviewing.viewer.layers[OUTLINE_NAME]
    origin = np.asarray(outline.data_to_world((0, 0)))
    inside = reviewing.labels() == 2
    rows, cols = (np.argwhere(outline.data > 0) + origin.astype(int)).T
    assert inside[rows, cols].all()
    assert len(rows) == inside.sum()
    go_to(reviewing, CLICK)
    assert OUTLINE_NAME not in reviewing.viewer.layers


def test_what_is_skipped_comes_again_and_buttons_do_what_keys_do(reviewing):
    panel = reviewing.panel.review
    reviewing.key("S")
    assert at(reviewing) == 3
    panel.undo.click()
    assert at(reviewing) == 2
    for button in (panel.skip, panel.accept, panel.accept):
        button.click()
    assert at(reviewing) == 2
    panel.reject.click()
    assert said(reviewing) == "3 of 3 reviewed, 1 rejected"
    assert not panel.accept.isEnabled()


def test_an_object_is_fixed_with_prompts_and_the_review_goes_on(reviewing, nuclei):
    store = reviewing.writer.store
    hurt = store.read((0, 0, *store.shape))
    rows, cols = np.nonzero(hurt == 2)
    middle = int(np.median(rows))
    hurt[middle:][hurt[middle:] == 2] = 0  # half of it is missing
    store.paint(hurt, (0, 0))
    whole = nuclei[1] == nuclei[1][rows[0], cols[0]]
    reviewing.key("F")
    assert reviewing.panel.tabs.currentIndex() == CLICK
    assert "Fixing object 2" in reviewing.guide
    reviewing.settle()
    preview = reviewing.viewer.layers["SAM preview"]
    assert preview.data.sum() == (hurt == 2).sum()
    assert preview.contour > 0  # what is under it can be seen
    low = rows > middle
    spot = (int(np.median(rows[low])), int(np.median(cols[low])))
    answer = reviewing.predict(lambda: reviewing.click(reviewing.layer, spot))
    assert answer.predictions[0].prompt.mask.mask.sum() == (hurt == 2).sum()
    assert preview.contour > 0
    reviewing.key("C")
    fixed = reviewing.labels() == 2
    assert (fixed & whole).sum() / (fixed | whole).sum() > 0.7
    assert reviewing.panel.tabs.currentIndex() == REVIEW
    assert at(reviewing) == 3
    assert said(reviewing) == "1 of 3 reviewed, 0 rejected"
    reviewing.key("Z")
    assert at(reviewing) == 2
    np.testing.assert_array_equal(reviewing.labels() == 2, hurt == 2)
    assert reviewing.errors == []


def test_escape_leaves_a_fix_and_the_object_as_they_were(reviewing):
    before = reviewing.labels().copy()
    y0, x0, y1, x1 = reviewing.dock.review.session.current.box
    reviewing.key("F")
    reviewing.key("B")
    reviewing.predict(lambda: reviewing.click(reviewing.layer, ((y0 + y1) // 2, (x0 + x1) // 2)))  # beside the mask
    reviewing.key("Escape")
    assert at(reviewing) == 2
    assert reviewing.dock.click.answer is None
    np.testing.assert_array_equal(reviewing.labels(), before)
    reviewing.key("A")  # the review has its keys back
    assert at(reviewing) == 3


def test_each_page_has_its_own_keys(reviewing):
    reviewing.key("C")  # accepts only on the other page
    reviewing.key("B")
    assert reviewing.errors == []
    assert reviewing.dock.click.prompts.kind == "foreground"
    go_to(reviewing, CLICK)
    reviewing.key("R")
    assert reviewing.panel.click.box.isChecked()
    assert len(reviewing.writer.store) == 3  # it rejected nothing
    reviewing.key("A")
    assert reviewing.writer.store.reviewed() == set()


def test_objects_of_a_scaled_stack_are_found_on_their_planes(window, nuclei):
    stack = np.stack([nuclei[0], nuclei[0][::-1]])
    window.layer = window.show(stack, scale=(1, 0.5, 0.5), translate=(0, 10, 20))
    store = window.dock.labels.ready_store().store
    store.paint(np.full((30, 20), 1), (100, 200), plane=(1,))
    window.viewer.dims.set_point(0, 0)
    window.settle()
    go_to(window, REVIEW)
    window.qtbot.wait(200)
    assert window.viewer.dims.current_step[0] == 1
    outline = window.viewer.layers[OUTLINE_NAME]
    np.testing.assert_allclose(outline.data_to_world((0, 2, 2)), window.layer.data_to_world((1, 100, 200)))
    y0, x0, y1, x1 = visible_box(window.layer)
    assert y0 < 100 < 130 < y1
    assert x0 < 200 < 220 < x1
    assert window.errors == []


def test_without_objects_the_guide_names_the_page_that_finds_them(window, nuclei):
    window.show(nuclei[0])
    go_to(window, REVIEW)
    panel = window.panel.review
    assert "on the page “Everything” first" in window.guide
    assert not panel.object.isVisible()
    assert not panel.undo.isEnabled()
    window.key("A")
    window.key("Z")
    go_to(window, EVERYTHING)
    assert window.errors == []


def test_another_image_ends_the_review(reviewing, nuclei):
    reviewing.viewer.layers.remove(reviewing.layer)
    reviewing.settle()
    assert OUTLINE_NAME not in reviewing.viewer.layers
    reviewing.key("A")
    assert reviewing.errors == []
