"""The page "Project" in a real window: open, list, annotate one image after another, and share a folder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

import napari_sam as ns
from napari_sam.io.projects.image_lock import ImageLock
from napari_sam.widgets.dock_memory import DockMemory
from napari_sam.widgets.dock_panel import CLICK, PROJECT
from tests.widgets.pages.test_everything_page import press
from tests.widgets.pages.test_review_page import go_to
from tests.widgets.project.conftest import names, open_project, settle, texts

CENTRE = (60, 60)


def double_click(window, number):
    images = window.panel.project.list
    place = images.visualRect(images.rows.index(number)).center()
    for act in (QTest.mouseClick, QTest.mouseDClick):
        act(images.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    settle(window)


def shown(window, name):
    """Whether an image of the project is the one to segment, and held."""
    opened = window.dock.project.opener.opened
    layer = window.dock.images.layer
    return opened is not None and opened.image.name == name and layer in opened.layers and opened.lock is not None


def paint(window):
    """Save an object as the brush does."""
    store = window.dock.labels.ready_store().store
    store.paint(np.ones((9, 9), np.int64), (5, 5))
    return store.path


def test_a_folder_is_made_filled_and_found_again(window, tmp_path, project, monkeypatch):
    go_to(window, PROJECT)
    panel = window.panel.project
    assert "Open a project" in window.guide
    assert panel.about.isVisible()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "new"), ""))
    press(window, panel.new)
    window.wait(lambda: panel.content.isVisible())
    settle(window)
    assert panel.name.text() == "new"
    assert "Add images" in window.guide
    files = sorted(str(path) for path in (tmp_path / "images").iterdir())
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (files[:1], ""))
    press(window, panel.add_files)
    window.wait(lambda: len(panel.list.rows.ids) == 1)
    (tmp_path / "images" / "bad.png").write_bytes(b"no picture")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "images"))
    press(window, panel.add_folder)
    window.wait(lambda: len(panel.list.rows.ids) == 4)
    settle(window)
    assert "1 image" in window.errors[0]
    assert "3 images added, 1 were in the project already. 1 could not be opened" in window.errors[-1]
    assert DockMemory.load().project == str(tmp_path / "new")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(project.path))
    press(window, panel.open)
    window.wait(lambda: panel.name.text() == "screen")
    settle(window)
    assert panel.progress.text() == "0 of 4 done"


def test_the_project_of_the_last_session_is_opened_when_its_page_is_first_shown(window, project):
    window.dock.memory.project = str(project.path)
    window.dock.refresh()
    assert window.dock.project.project is None
    go_to(window, PROJECT)
    window.wait(lambda: len(window.panel.project.list.rows.ids) == 4)


def test_a_double_click_opens_an_image_with_its_store_and_lock(page, project):
    assert texts(page) == ["○ unseen · 0 objects"] * 4
    assert not page.panel.project.list.rows.data(
        page.panel.project.list.rows.index(0), Qt.ItemDataRole.DecorationRole
    ).isNull()
    double_click(page, 1)
    page.wait(lambda: shown(page, "i1.png"))
    settle(page)
    first, second = project.images()[:2]
    assert second.locked_by is not None
    assert second.state == "in work"
    assert paint(page) == second.labels_path
    assert all("move or rename" not in page.panel.labels.itemText(n) for n in range(page.panel.labels.count()))
    double_click(page, 0)
    page.wait(lambda: shown(page, "i0.png"))
    page.wait(lambda: second.locked_by is None)
    settle(page)
    assert names(page) == ["i0.png"]
    assert first.locked_by is not None
    assert texts(page)[:2] == ["◐ in work · 0 objects · open here", "◐ in work · 1 object"]
    assert page.errors == []
    page.dock.shutdown()
    page.wait(lambda: first.locked_by is None)


def test_other_images_are_hidden_behind_that_of_the_project(page, nuclei):
    other = page.show(nuclei[0], name="nuclei")
    go_to(page, PROJECT)
    double_click(page, 1)
    page.wait(lambda: shown(page, "i1.png"))
    settle(page)
    assert [layer.name for layer in page.viewer.layers if layer.visible and layer.name in ("i1.png", "nuclei")] == [
        "i1.png"
    ]
    assert not other.visible
    assert page.panel.labels.itemText(0) == "the project"
    paint(page)
    page.wait(lambda: page.panel.labels.itemText(0) == "1 object in the project")
    assert page.errors == []


def test_enter_opens_an_image_and_removing_it_releases_it(page, project):
    images = page.panel.project.list
    images.setCurrentIndex(images.rows.index(2))
    QTest.keyClick(images, Qt.Key.Key_Return)
    page.wait(lambda: shown(page, "i2.png"))
    image = project.images()[2]
    page.viewer.layers.remove(page.dock.images.layer)
    page.wait(lambda: image.locked_by is None)
    assert page.dock.project.opener.image_id == ""


def test_another_image_releases_the_lock_until_one_returns(page, project, nuclei):
    double_click(page, 0)
    page.wait(lambda: shown(page, "i0.png"))
    image, layer = project.images()[0], page.dock.images.layer
    paint(page)
    page.viewer.add_image(nuclei[0], name="other")
    page.wait(lambda: image.locked_by is None)
    page.viewer.layers.selection.active = layer
    page.wait(lambda: image.locked_by is not None)
    assert page.dock.labels.store_path == image.labels_path
    page.viewer.layers.selection.active = page.viewer.layers["other"]
    page.wait(lambda: image.locked_by is None)
    with ns.Project(project.path, "Bob").images()[0].hold():
        page.viewer.layers.selection.active = layer
        page.wait(lambda: bool(page.errors))
        assert "is open for Bob" in page.errors[0]
        page.wait(lambda: names(page) == ["other"])


def test_who_has_an_image_open_is_named(page, project):
    with ns.Project(project.path, "Bob").images()[0].hold():
        double_click(page, 0)
        page.wait(lambda: bool(page.errors))
        assert "i0.png is open for Bob" in page.errors[0]
        assert names(page) == []
        page.dock.project.read()
        settle(page)
        assert "open for Bob@" in texts(page)[0]
        press(page, page.panel.project.next)
        page.wait(lambda: shown(page, "i1.png"))


def test_keys_go_from_image_to_image_on_every_page(page, project):
    project.images()[3].state = "checked"
    go_to(page, CLICK)
    page.key("PageDown")
    page.wait(lambda: shown(page, "i0.png"))
    page.key("PageDown")
    page.wait(lambda: shown(page, "i1.png"))
    page.key("PageDown", "ShiftModifier")
    page.wait(lambda: shown(page, "i2.png"))
    page.key("PageDown", "ShiftModifier")
    page.wait(lambda: shown(page, "i0.png"))  # was passed over before
    settle(page)
    assert [image.state for image in project.images()] == ["in work", "done", "done", "checked"]
    page.key("PageDown")
    page.wait(lambda: bool(page.errors))
    assert "no image left" in page.errors[0]
    assert page.panel.project.progress.text() == "3 of 4 done, 1 of them checked"


def test_the_most_useful_image_is_opened_first(page, project, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128), dtype=np.uint8)).save(tmp_path / "z.png")
    project.add(tmp_path / "z.png")
    project.image("i0.png").state = "done"
    check = page.panel.project.most_useful

    def toggle():
        QTest.mouseClick(check, Qt.MouseButton.LeftButton, pos=QPoint(8, check.height() // 2))

    toggle()
    page.wait(lambda: bool(page.dock.project.order.image_ids))
    settle(page)
    assert page.panel.project.busy.isHidden()
    page.key("PageDown")
    page.wait(lambda: shown(page, "z.png"))
    toggle()
    page.key("PageDown")
    page.wait(lambda: shown(page, "i1.png"))
    for image in project.images("unseen"):
        image.state = "done"
    toggle()
    page.wait(lambda: not check.isChecked())  # none is unseen


def test_states_are_set_and_filtered(page, project):
    panel = page.panel.project
    assert not panel.set_state["checked"].isEnabled()
    for number, modifier in ((0, Qt.KeyboardModifier.NoModifier), (2, Qt.KeyboardModifier.ControlModifier)):
        place = panel.list.visualRect(panel.list.rows.index(number)).center()
        QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, modifier, place)
    press(page, panel.set_state["checked"])
    page.wait(lambda: panel.list.rows.counts["checked"] == 2)
    assert [image.state for image in project.images()] == ["checked", "unseen", "checked", "unseen"]
    assert panel.progress.text() == "2 of 4 done, 2 of them checked"
    panel.state.setCurrentIndex(panel.state.findData("unseen"))
    assert panel.state.currentText() == "unseen (2)"
    assert panel.list.rows.ids == [image.image_id for image in project.images("unseen")]


def test_what_somebody_else_does_is_shown(page, project):
    (image,) = project.images()[:1]
    with ns.Project(project.path, "Bob").image(image.image_id).labels() as store:
        store.paint(np.ones((5, 5), np.int64), (0, 0))
    go_to(page, CLICK)
    go_to(page, PROJECT)
    page.wait(lambda: texts(page)[0] == "◐ in work · 1 object")


def test_a_moved_image_is_named_and_the_list_stays(page, project, tmp_path):
    (tmp_path / "images" / "i3.png").unlink()
    double_click(page, 3)
    page.wait(lambda: bool(page.errors))
    assert "the image has moved" in page.errors[0]
    assert project.images()[3].locked_by is None
    double_click(page, 2)
    page.wait(lambda: shown(page, "i2.png"))


def test_an_image_that_another_computer_took_over_is_closed(page, project):
    double_click(page, 0)
    page.wait(lambda: shown(page, "i0.png"))
    opener = page.dock.project.opener
    store = page.dock.labels.ready_store().store
    image, path = project.images()[0], opener.opened.lock._path
    path.unlink()
    with ImageLock(path, "i0.png", "Bob"):
        opener.opened.lock.renew()
        opener._check_lock()
        assert "Bob@" in page.errors[0]
        assert store.closed
        assert image.locked_by is not None
    assert opener.opened is None


def test_a_folder_that_is_no_project_is_refused(window, tmp_path, monkeypatch):
    go_to(window, PROJECT)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    press(window, window.panel.project.open)
    window.wait(lambda: bool(window.errors))
    assert "is no project" in window.errors[0]
    assert "“New…”" in window.errors[0]
    assert "“Add folder…”" in window.errors[0]
    assert not window.panel.project.content.isVisible()


def test_the_page_and_its_tab_fit_a_narrow_dock(page, tmp_path):
    assert page.dock.minimumSizeHint().width() <= 330
    bar = page.panel.tabs.tabBar()
    assert bar.tabRect(PROJECT).right() <= page.panel.tabs.width()
    double_click(page, 0)
    page.wait(lambda: shown(page, "i0.png"))
    assert page.dock.minimumSizeHint().width() <= 330


@pytest.mark.parametrize("channels", [2, 5])
def test_all_channels_of_an_image_have_one_store(window, tmp_path, rng, channels):
    import tifffile

    path = tmp_path / "c.ome.tif"
    tifffile.imwrite(path, rng.integers(0, 999, (channels, 64, 64), dtype=np.uint16), metadata={"axes": "CYX"})
    project = ns.Project.create(tmp_path / "p")
    (image,) = project.add(path).added
    go_to(window, PROJECT)
    open_project(window, project)
    press(window, window.panel.project.next)
    window.wait(lambda: shown(window, image.name))
    settle(window)
    layers = window.dock.project.opener.opened.layers
    assert len(layers) == channels
    window.viewer.layers.selection.active = layers[1]
    window.wait(lambda: window.dock.images.layer is layers[1])
    settle(window)
    assert shown(window, image.name)
    assert paint(window) == image.labels_path
