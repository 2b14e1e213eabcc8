"""The stages of annotation on the page "Project", in a real window."""

from __future__ import annotations

import pytest
from PIL import Image

import napari_sam as ns
from napari_sam.io.user_name import user_name
from napari_sam.widgets.dock_panel import CLICK, EVERYTHING, PROJECT, REVIEW
from tests.project.stages.conftest import write_automatic
from tests.widgets.pages.test_everything_page import press
from tests.widgets.pages.test_review_page import go_to
from tests.widgets.project.conftest import open_project, settle
from tests.widgets.project.test_project_page import shown


@pytest.fixture
def cells(tmp_path, nuclei):
    """A project of one image with five objects, of which the model is sure of two."""
    Image.fromarray(nuclei[0][:256, :256]).save(tmp_path / "cells.png")
    made = ns.Project.create(tmp_path / "cells", user="Ada")
    made.add(tmp_path / "cells.png")
    return made


def open_first(page, name="i0.png"):
    press(page, page.panel.project.next)
    page.wait(lambda: shown(page, name))
    settle(page)


def test_the_time_per_object_is_measured_and_shown(page, project):
    panel, now = page.panel.project.stages, [100.0]
    assert "measured as you click" in panel.time.text()
    page.dock.click._acceptance.timer._clock = lambda: now[0]
    open_first(page)
    go_to(page, CLICK)
    for seconds, place in ((4.0, (60, 60)), (900.0, (20, 100))):
        page.predict(lambda place=place: page.click(page.dock.images.layer, place))
        now[0] += seconds
        page.key("C")
        page.wait(lambda: page.dock.click.answer is None)
    image = project.images()[0]
    assert sorted(image.seconds().values()) == [4.0, 30.0]  # of the pause 30 s count
    go_to(page, PROJECT)
    page.wait(lambda: panel.time.text() == "Per object: 17.0 s here (2), 17.0 s in all (2)")
    assert project.time_per_object().total_s == pytest.approx(34)
    table = project.provenance()
    assert table.stage.tolist() == ["assisted"] * 2
    assert table.image.tolist() == ["i0.png"] * 2
    assert table.prompts.tolist() == [1, 1]
    assert page.errors == []


def test_confident_objects_are_filled_in_and_taken_back_in_one_step(window, cells):
    go_to(window, PROJECT)
    open_project(window, cells)
    page, project = window, cells
    panel = page.panel.project.stages
    assert not panel.fill_in.isEnabled()
    page.wait(lambda: panel.threshold.text() == "Confident: score ≥ 0.75 (0 of 20 judged)")
    open_first(page, "cells.png")
    press(page, panel.fill_in)
    assert page.panel.tabs.currentIndex() == EVERYTHING
    message = page.panel.everything.run.message
    page.wait(lambda: not page.dock.everything.run.is_running and bool(message.text()))
    assert "Only those of score 0.75 and more are kept: add what is missing" in message.text()
    table = project.provenance()
    assert set(table.stage) == {"semi-automatic"}
    assert table.predicted_iou.min() >= 0.75
    go_to(page, CLICK)
    page.key("Z", "ControlModifier")
    page.wait(lambda: project.images()[0].objects == 0)
    assert page.errors == []


def test_a_random_sample_is_reviewed_image_by_image_and_the_agreement_is_shown(page, project):
    panel, images = page.panel.project.stages, project.images()[1:3]
    for image, number in zip(images, (2, 3), strict=True):
        with image.labels() as store:
            write_automatic(store, number)
    press(page, panel.audit)
    page.wait(lambda: shown(page, "i1.png") and page.panel.tabs.currentIndex() == REVIEW)
    page.wait(lambda: page.dock.review.has_object)
    assert page.panel.review.order.currentText() == "Random sample of an audit (2 left)"
    page.key("A")
    page.key("R")
    page.wait(lambda: shown(page, "i2.png") and page.dock.review.has_object)
    assert page.panel.tabs.currentIndex() == REVIEW
    page.key("A")
    go_to(page, PROJECT)
    begun = "Audit 1: 2 of 3 right, 67 % (21–94 %); 2 left"
    page.wait(lambda: panel.agreement.text() == begun)
    assert panel.audit.text() == "Continue the audit"
    press(page, panel.audit)
    page.wait(lambda: page.panel.tabs.currentIndex() == REVIEW and page.dock.review.has_object)
    page.key("A")
    page.key("A")
    page.wait(lambda: page.panel.tabs.currentIndex() == PROJECT)
    expected = "Audit 1: 4 of 5 right, 80 % (38–96 %)"
    page.wait(lambda: panel.agreement.text() == expected)
    assert project.stages.agreement().left == 0
    assert set(project.provenance().accepted_by.dropna()) == {user_name()}
    assert page.errors == []
