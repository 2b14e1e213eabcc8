"""A window with a project of four small images of nuclei."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image

import napari_sam as ns
from napari_sam.widgets.dock_panel import PROJECT
from tests.widgets.pages.test_review_page import go_to

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    collect_ignore_glob = ["test_project_page*", "test_improve_page*", "test_stages_page*", "test_batch_page*"]


@pytest.fixture
def session(session):
    """A session that does not look at the image before the first click."""
    session.prepare_job = lambda *_: lambda _: None
    return session


@pytest.fixture
def project(tmp_path, nuclei):
    """Four small images; nobody has seen them."""
    (tmp_path / "images").mkdir()
    for number in range(4):
        cut = np.s_[:128, 128 * number : 128 * number + 128]
        Image.fromarray(nuclei[0][cut]).save(tmp_path / "images" / f"i{number}.png")
    made = ns.Project.create(tmp_path / "screen", user="Ada")
    made.add(tmp_path / "images" / "*.png")
    return made


@pytest.fixture
def page(window, project):
    """A window that shows the project on its page."""
    go_to(window, PROJECT)
    open_project(window, project)
    return window


def open_project(window, project):
    window.dock.project.open_project(str(project.path))
    window.wait(lambda: len(window.panel.project.list.rows.ids) == len(project))
    settle(window)


def settle(window):
    """Wait until the page has read and shown all."""
    page = window.dock.project
    window.qtbot.wait(50)
    window.wait(lambda: not (page.jobs.busy or page.listing.busy or page.adding.is_running))
    window.qtbot.wait(50)


def texts(window):
    """Return the second line of each row."""
    rows = window.panel.project.list.rows
    return [rows.data(rows.index(n)).split("\n")[1] for n in range(rows.rowCount())]


def names(window):
    """Return the image layers in the viewer."""
    return [layer.name for layer in window.viewer.layers if type(layer).__name__ == "Image"]
