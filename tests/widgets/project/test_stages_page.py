"""The stages of annotation on the page "Project", in a real window."""

from __future__ import annotations

import pytest

from napari_sam.widgets.dock_panel import CLICK, PROJECT
from tests.widgets.pages.test_everything_page import press
from tests.widgets.pages.test_review_page import go_to
from tests.widgets.project.conftest import settle
from tests.widgets.project.test_project_page import shown


def open_first(page):
    press(page, page.panel.project.next)
    page.wait(lambda: shown(page, "i0.png"))
    settle(page)


def test_the_time_per_object_is_measured_and_shown(page, project):
    panel, now = page.panel.project.stages, [100.0]
    assert "measured as you accept" in panel.time.text()
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
    page.wait(lambda: panel.time.text() == "Time per object: 17.0 s in this image (2), 17.0 s in the project (2)")
    assert project.time_per_object().total_s == pytest.approx(34)
    table = project.provenance()
    assert table.stage.tolist() == ["assisted"] * 2
    assert table.image.tolist() == ["i0.png"] * 2
    assert table.prompts.tolist() == [1, 1]
    assert page.errors == []
