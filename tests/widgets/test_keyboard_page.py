"""The page on the keyboard in the docs lists the keys that each page of the dock has, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.widgets.dock_panel import CLICK, FIND, OBJECTS, PROJECT, REVIEW
from tests.widgets.objects.conftest import paint_objects
from tests.widgets.project.conftest import open_project

PAGE = Path(__file__).parents[2] / "docs" / "keyboard.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="needs the source tree")
NAMES = {"Ctrl": "Control"}


def documented(title):
    """Return the keys of a section, as napari writes them."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    keys = set()
    for cell in re.findall(r"^\| (?!key)([^|-][^|]*?) \|", section, re.MULTILINE):
        first, _, last = cell.partition(" to ")
        cells = [str(n) for n in range(int(first), int(last) + 1)] if last else cell.split(", ")
        keys |= {"-".join(NAMES.get(part, part) for part in key.split("+")) for key in cells}
    return keys


PAGES = [("Click", CLICK), ("Find", FIND), ("Review", REVIEW), ("Objects", OBJECTS)]


def test_the_keys_of_a_page_are_those_that_the_docs_list(window):
    window.show(np.zeros((40, 90), np.uint8), name="cells")
    paint_objects(window.dock.labels.ready_store().store)
    window.panel.tabs.setCurrentIndex(OBJECTS)
    window.settle()
    for key in range(1, 10):
        window.dock.objects.palette.add_named(f"class {key}")
        window.settle()
    for title, page in PAGES:
        window.panel.tabs.setCurrentIndex(page)
        window.settle()
        assert set(window.dock.keys._keys) == documented(title), title


def test_the_keys_of_an_open_project_are_listed_and_work_on_every_page(window, tmp_path):
    window.panel.tabs.setCurrentIndex(PROJECT)
    window.settle()
    assert not documented("Project") & set(window.dock.keys._keys)
    open_project(window, ns.Project.create(tmp_path / "screen", user="Ada"))
    no_class = set("123456789")  # no class has a key yet
    assert set(window.dock.keys._keys) == documented("Project") | documented("Click") - no_class
    for title, page in PAGES:
        window.panel.tabs.setCurrentIndex(page)
        window.settle()
        assert documented("Project") <= set(window.dock.keys._keys), title
