"""Both docks open from napari's Plugins menu."""

from __future__ import annotations

import pytest


def _actions(menu):
    """Return all actions of a menu and its submenus, by text."""
    found = {}
    for action in menu.actions():
        if action.menu() is not None:
            action.menu().aboutToShow.emit()
            found |= _actions(action.menu())
        else:
            found[action.text().replace("&", "")] = action
    return found


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_SAM_DATA", str(tmp_path))
    return make_napari_viewer(show=True)


@pytest.mark.parametrize(
    ("entry", "kind", "guide"), [("SAM", "SamDock", "Open an image"), ("Rate masks", "RatingWidget", "Open a study")]
)
def test_the_plugins_menu_opens_the_dock(viewer, qtbot, entry, kind, guide):
    from qtpy.QtWidgets import QWidget

    actions = _actions(viewer.window.plugins_menu)
    (text,) = [t for t in actions if t.startswith(entry)]
    actions[text].trigger()
    qtbot.wait(100)
    (dock,) = [w for w in viewer.window._qt_window.findChildren(QWidget) if type(w).__name__ == kind]
    assert dock.isVisible()
    assert guide in dock.panel.next_step.text()
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(50)


def test_the_command_and_display_names_are_those_of_version_0_1():
    import npe2

    manifest = npe2.PluginManifest.from_distribution("napari-sam-xl")
    names = {widget.command: widget.display_name for widget in manifest.contributions.widgets}
    assert names == {"napari-sam-xl.make_widget": "SAM", "napari-sam-xl.rate_masks": "Rate masks"}
