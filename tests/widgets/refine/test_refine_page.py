"""The page "Refine" in a real window: objects of other programs become prompts, and the model's masks new objects."""

from __future__ import annotations

import json
import os
import sys
import threading

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from skimage.segmentation import clear_border, relabel_sequential

from napari_sam.errors import CancelledError
from napari_sam.jobs import segment_prompts as prompted
from napari_sam.widgets.dock_panel import REFINE, REVIEW
from napari_sam.widgets.refine import refine_controller
from napari_sam.widgets.refine.refine_panel import BOXES, OPEN_FILE, VIEW
from tests.widgets.pages.test_everything_page import press
from tests.widgets.pages.test_review_page import go_to

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    collect_ignore_glob = ["test_*"]

PART = (slice(40, 320), slice(80, 400))


@pytest.fixture
def session(session):
    """A session that does not look at the image before the first click."""
    session.prepare_job = lambda *_: lambda _: None
    return session


@pytest.fixture
def page(window, nuclei):
    """A window over a part of the sample, on the page "Refine"; `truth` holds its whole nuclei."""
    window.truth = relabel_sequential(clear_border(nuclei[1][PART]))[0].astype(np.int32)
    window.layer = window.show(nuclei[0][PART], name="nuclei")
    go_to(window, REFINE)
    return window


def coarse(truth):
    """Return labels that are too large, as a careless program makes them."""
    grown = np.zeros_like(truth)
    for label in range(1, truth.max() + 1):
        grown[binary_dilation(truth == label, iterations=4) & (grown == 0)] = label
    return grown


def mean_iou(labels, truth):
    """Return the mean IoU of each true object with its best label."""
    scores = []
    for label in range(1, truth.max() + 1):
        mask = truth == label
        others = [labels == other for other in np.unique(labels[mask]) if other]
        scores.append(max(((mask & o).sum() / (mask | o).sum() for o in others), default=0.0))
    return float(np.mean(scores))


def refine(window):
    press(window, window.panel.refine.run.start)
    window.wait(lambda: not window.dock.refine.run.is_running, timeout=240_000)
    window.qtbot.wait(300)


def choose(window, data):
    combo = window.panel.refine.source
    combo.setCurrentIndex(next(i for i in range(combo.count()) if combo.itemData(i) is data))
    window.qtbot.wait(50)


def test_masks_of_another_program_are_drawn_anew_and_better(page):
    panel = page.panel.refine
    assert "Drop labels" in page.guide
    assert not panel.run.start.isEnabled()
    original = coarse(page.truth)
    layer = page.viewer.add_labels(original.copy(), name="cellpose")
    assert panel.source.currentData() is layer
    assert "press Refine" in page.guide
    refine(page)
    assert page.errors == []
    assert f"Refined {page.truth.max()} of {page.truth.max()} objects" in panel.run.message.text()
    assert mean_iou(page.labels(), page.truth) > mean_iou(original, page.truth)
    np.testing.assert_array_equal(layer.data, original)
    assert not layer.visible
    assert "“cellpose” is hidden" in panel.run.message.text()
    press(page, panel.run.review)
    assert page.panel.tabs.currentIndex() == REVIEW


def test_only_what_is_in_view_is_refined_and_by_boxes_if_wanted(page, monkeypatch):
    tables = []

    def spy(image, table, *args, **kwargs):
        tables.append(table)
        raise CancelledError("enough")

    monkeypatch.setattr("napari_sam.jobs.segment_prompts.segment_prompts", spy)
    page.viewer.add_labels(page.truth, name="cellpose")
    panel = page.panel.refine
    refine(page)
    panel.which.setCurrentIndex(panel.which.findData(VIEW))
    panel.prompt.setCurrentIndex(panel.prompt.findData(BOXES))
    y0, x0, y1, x1 = tables[0].boxes[0]
    page.viewer.scene.camera.center = (0, (y0 + y1) / 2, (x0 + x1) / 2)
    page.viewer.scene.camera.zoom = 20
    page.qtbot.wait(300)
    refine(page)
    assert tables[0].mask is not None
    assert tables[1].mask is None
    assert 0 < len(tables[1]) < len(tables[0]) == page.truth.max()


def test_points_shapes_and_files_are_prompts_too(page, tmp_path):
    centres = [np.mean(np.nonzero(page.truth == label), axis=1) for label in (1, 2)]
    page.viewer.add_points(centres, name="detections")
    refine(page)
    assert len(page.writer.store) == 2
    y, x = np.nonzero(page.truth == 3)
    box = np.array([[y.min(), x.min()], [y.min(), x.max()], [y.max(), x.max()], [y.max(), x.min()]])
    shapes = page.viewer.add_shapes([box], features={"class": ["cell"]}, name="drawn")
    choose(page, shapes)
    refine(page)
    assert page.writer.store.table()["category"].tolist()[2] == "cell"
    y, x = np.nonzero(page.truth == 4)
    path = tmp_path / "boxes.json"
    bbox = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
    path.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": bbox, "score": 0.9}]))
    page.dock.refine.use_file(path)
    assert page.panel.refine.source.currentText() == "boxes.json"
    refine(page)
    assert len(page.writer.store) == 4
    assert page.errors == []


def test_a_file_dialog_is_one_choice_of_the_box(page, monkeypatch, tmp_path):
    table = tmp_path / "boxes.csv"
    table.write_text("y0,x0,y1,x1\n1,2,30,40\n")
    answers = ["", str(table)]
    monkeypatch.setattr(refine_controller.QFileDialog, "getOpenFileName", lambda *_: (answers.pop(0), ""))
    source = page.panel.refine.source
    for expected in ("nothing open yet", "boxes.csv"):
        source.setCurrentIndex(source.findData(OPEN_FILE))
        assert source.currentText() == expected


def test_bad_input_is_told_and_changes_nothing(page, tmp_path):
    for name, text in (
        ("bad.json", "{"),
        ("empty.csv", "y0,x0,y1,x1\n"),
        ("far.csv", "y0,x0,y1,x1\n900,900,950,950\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        page.dock.refine.use_file(path)
        refine(page)
        message = page.errors.pop()
        assert name in message or "1 outside" in message
        assert "stopped" in page.panel.refine.run.message.text()
    assert len(page.writer.store) == 0


def test_a_cancelled_run_resumes(page, monkeypatch):
    layer = page.viewer.add_labels(page.truth, name="cellpose")
    monkeypatch.setattr(prompted.PromptRun, "steps", waiting_steps(prompted.PromptRun.steps))
    panel = page.panel.refine
    press(page, panel.run.start)
    page.wait(lambda: panel.run.progress.format() != "")
    assert page.guide.startswith("Drawing the objects")
    press(page, panel.run.cancel)
    page.wait(lambda: not page.dock.refine.run.is_running)
    page.wait(lambda: "Resume" in panel.run.start.text())
    assert "unfinished run" in panel.run.message.text()
    assert panel.source.currentData() is layer
    monkeypatch.undo()
    refine(page)
    assert len(page.writer.store) == page.truth.max()
    assert page.errors == []


def waiting_steps(steps):
    """Return steps of a run that report and then wait to be cancelled."""

    def wait(self):
        yield 0
        while not self._cancelled():
            threading.Event().wait(0.01)
        yield from steps(self)

    return wait


def test_a_layer_in_memory_is_no_place_for_a_run(page):
    mine = page.viewer.add_labels(np.zeros_like(page.truth), name="mine")
    combo = page.panel.labels
    combo.setCurrentIndex(combo.findText("mine"))
    panel = page.panel.refine
    assert not panel.run.start.isEnabled()
    assert panel.source.findData(mine) == -1
    press(page, panel.own_store)
    assert panel.source.currentData() is mine
