"""Jobs over all images on the page "Project", in a real window."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

import napari_sam as ns
from napari_sam.jobs.process_pool import stop_if
from tests.widgets.pages.test_everything_page import press
from tests.widgets.project.conftest import settle
from tests.widgets.project.test_project_page import shown


@pytest.fixture
def found(monkeypatch):
    """Replace the search by a stub that draws one object in each image, and waits while `state` says so."""
    state = {"wait": False, "images": []}

    def stub(image, predictor, output, settings, options):
        state["images"].append(image.name)
        while state["wait"]:
            stop_if(options.cancelled)
        store = ns.LabelStore.create(output, like=image)
        store.paint(np.ones((9, 9), int), (20, 20))
        return type("Report", (), {"objects": 1, "failed": [], "labels": store})

    monkeypatch.setattr("napari_sam.jobs.segment_image.segment_image", stub)
    return state


def is_over(page):
    return not page.dock.project.batch.run.is_running


def test_all_images_but_the_open_one_are_worked_on_and_measured(page, project, found, tmp_path):
    panel = page.panel.project.batch
    (tmp_path / "images" / "i3.png").unlink()
    press(page, page.panel.project.next)
    page.wait(lambda: shown(page, "i0.png"))
    settle(page)
    panel.run.start.click()
    page.wait(lambda: is_over(page) and bool(panel.run.message.text()))
    text = panel.run.message.text()
    assert text.startswith("2 images done: 2 objects. i0.png is open, and was passed over. 1 failed: i3.png: ")
    page.wait(lambda: page.panel.project.list.rows.counts["in work"] == 4)
    panel.measure.click()
    page.wait(lambda: is_over(page) and panel.run.message.text() == "2 images done: 2 objects.")
    assert pd.read_csv(project.path / "batch" / "measure.csv")["name"].tolist() == ["i1.png", "i2.png"]
    assert page.errors == []


def test_without_objects_the_page_tells_what_to_do_before_measuring(page):
    panel = page.panel.project.batch
    panel.measure.click()
    page.wait(lambda: is_over(page) and bool(panel.run.message.text()))
    assert panel.run.message.text() == "No image has objects to measure: find some first, with the button above."


def test_a_run_is_cancelled_and_continues(page, found):
    panel = page.panel.project.batch
    found["wait"] = True
    panel.run.start.click()
    page.wait(lambda: bool(found["images"]))
    assert panel.run.cancel.isVisibleTo(panel)
    assert not panel.measure.isEnabled()
    panel.run.cancel.click()
    page.wait(lambda: is_over(page) and "Stopped" in panel.run.message.text())
    found["wait"] = False
    assert panel.run.start.text() == "▶ Resume"
    panel.run.start.click()
    page.wait(lambda: is_over(page) and panel.run.message.text() == "4 images done: 4 objects.")
    assert [place[-6:] for place in found["images"]] == ["i0.png", "i0.png", "i1.png", "i2.png", "i3.png"]
    assert page.errors == []


@pytest.fixture
def concept(tmp_path, nuclei):
    """The file of a concept of nuclei, learned from the three largest of the sample image."""
    image, labels = nuclei
    path = tmp_path / "nucleus.concept"
    positive = (np.argsort(-np.bincount(labels[labels > 0]))[:3]).tolist()
    ns.Concept.from_examples(image, labels, positive=positive, predictor=ns.Predictor(device="cpu")).save(path)
    return path


def test_a_concept_is_found_in_all_images(page, project, concept, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(concept), ""))
    monkeypatch.setattr(page.dock.session, "load", lambda model: ns.Predictor(model, device="cpu"))
    panel = page.panel.project.batch
    panel.find.click()
    assert not panel.track.isEnabled()
    page.wait(lambda: is_over(page) and bool(panel.run.message.text()))
    assert panel.run.message.text().startswith("4 images done: ")
    assert panel.find.isEnabled()
    assert sum(image.objects for image in project.images()) > 4
    assert pd.read_csv(project.path / "batch" / "find.csv")["state"].tolist() == ["done"] * 4
    assert page.errors == []


def test_a_file_that_is_no_concept_is_named(page, tmp_path):
    (tmp_path / "a.concept").write_bytes(b"junk")
    page.dock.project.batch.find(str(tmp_path / "a.concept"))
    page.wait(lambda: is_over(page) and "a.concept" in page.panel.project.batch.run.message.text())
    assert any("a.concept" in error for error in page.errors)


def test_movies_are_tracked_and_pictures_named(page, project, tmp_path, monkeypatch):
    def stub(request, predictor, output, options):
        store = ns.LabelStore.create(output, like=request.stack.image)
        store.paint(np.ones((9, 9), int), (2, 2), plane=(0,))
        return type("Report", (), {"objects": 1, "failed": [], "labels": store})

    monkeypatch.setattr("napari_sam.jobs.stacks.segment_stack.segment_stack", stub)
    frames = np.zeros((3, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "movie.tif", frames, imagej=True, metadata={"axes": "TYX"})
    project.add(tmp_path / "movie.tif")
    panel = page.panel.project.batch
    panel.track.click()
    page.wait(lambda: is_over(page) and bool(panel.run.message.text()))
    text = panel.run.message.text()
    assert text.startswith("1 image done: 1 objects. 4 failed: i0.png: ")
    assert "movie.tif" not in text
