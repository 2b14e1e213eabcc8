"""Choices are kept in a file, and a damaged file is like none."""

from __future__ import annotations

import pytest

from napari_sam.widgets.dock_memory import DockMemory


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    return tmp_path


def test_what_was_saved_is_loaded(data):
    DockMemory("vit_b", "cpu", "replace", 12.5, str(data)).save()
    assert DockMemory.load() == DockMemory("vit_b", "cpu", "replace", 12.5, str(data))
    assert DockMemory.load().start_folder == str(data)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"model": 3, "diameter_px": true, "folder": ["a"]}', "[" * 100_000]
)
def test_a_damaged_file_is_like_none(data, content):
    (data / "dock.json").write_text(content)
    assert DockMemory.load() == DockMemory()


def test_a_folder_that_is_gone_is_not_offered(data):
    assert DockMemory(folder=str(data / "gone")).start_folder == ""
