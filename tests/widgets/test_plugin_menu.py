"""Both docks open from napari's Plugins menu."""

from __future__ import annotations

import pytest

from tests.widgets.conftest import open_from_menu


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    return make_napari_viewer(show=True)


@pytest.mark.parametrize(
    ("entry", "kind", "guide"), [("SAM", "SamDock", "Open an image"), ("Rate masks", "RatingWidget", "Open a study")]
)
def test_the_plugins_menu_opens_the_dock(viewer, qtbot, entry, kind, guide):
    dock = open_from_menu(viewer, qtbot, entry, kind)
    assert dock.isVisible()
    assert guide in dock.panel.next_step.text()
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(50)


def test_the_command_and_display_names_are_those_of_version_0_1():
    import npe2

    manifest = npe2.PluginManifest.from_distribution("napari-sam-xl")
    names = {widget.command: widget.display_name for widget in manifest.contributions.widgets}
    assert names == {"napari-sam-xl.make_widget": "SAM", "napari-sam-xl.rate_masks": "Rate masks"}
