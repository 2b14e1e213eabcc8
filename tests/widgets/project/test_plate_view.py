"""Plates of a project as a grid of wells."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam.widgets.project.image_rows import ImageRow, ImageRows
from napari_sam.widgets.project.plate_view import PlateView
from napari_sam.widgets.project.well_grid import Well

STATES = {"A/1": ("done", "checked"), "A/2": ("in work", "unseen"), "C/12": ("unseen", "unseen")}


def fields(plate):
    return [
        ImageRow(f"{plate}{well}{field}", f"{plate}/{well}/{field}", state, "", {"plate": plate, "well": well})
        for well, states in STATES.items()
        for field, state in enumerate(states)
    ]


@pytest.fixture
def rows():
    return ImageRows()


@pytest.fixture
def view(qtbot, rows):
    made = PlateView(rows)
    qtbot.addWidget(made)
    made.resize(300, 200)
    return made


def show(view, rows, shown):
    rows.show_rows(shown)
    view.read()
    view.show()
    view.adjustSize()


def click(view, well):
    QTest.mouseClick(view.grid, Qt.MouseButton.LeftButton, pos=view.grid.rect_of(well).center().toPoint())


def test_a_click_lists_the_images_of_a_well_and_another_one_all(view, rows):
    other = ImageRow("x", "x.tif", "unseen", "")
    show(view, rows, [*fields("p"), other])
    assert view.grid.wells == {"A/1": Well(2, 0, 2), "A/2": Well(2, 1, 0), "C/12": Well(2, 0, 0)}
    click(view, "A/2")
    assert rows.ids == ["pA/20", "pA/21"]
    rows.show_state("unseen")
    assert rows.ids == ["pA/21"]
    rows.show_state(None)
    click(view, "A/2")
    assert len(rows.ids) == 7


def test_arrow_keys_go_to_the_next_well_and_escape_to_all(view, rows):
    show(view, rows, fields("p"))
    reached = []
    view.grid.chosen.connect(reached.append)
    for key in (
        Qt.Key.Key_Right,
        Qt.Key.Key_Right,
        Qt.Key.Key_Right,
        Qt.Key.Key_Left,
        Qt.Key.Key_Down,
        Qt.Key.Key_Escape,
    ):
        QTest.keyClick(view.grid, key)
    assert reached == ["A/1", "A/2", "A/1", ""]  # right of A/2 and below A/1 there is none


def test_wells_keep_their_choice_when_states_change_and_lose_it_with_the_project(view, rows):
    show(view, rows, fields("p"))
    click(view, "A/1")
    changed = [
        row if row.state != "done" else ImageRow(row.image_id, row.name, "unseen", "", row.groups)
        for row in fields("p")
    ]
    show(view, rows, changed)
    assert view.grid.wells["A/1"].text == "1 of 2 done"
    assert rows.ids == ["pA/10", "pA/11"]
    rows.show_rows([ImageRow("x", "x.tif", "unseen", "")])
    view.read()
    assert view.isHidden()
    assert rows.ids == ["x"]


def test_of_several_plates_one_is_shown(view, rows):
    show(view, rows, [*fields("p"), *fields("q")])
    assert [view.plate.itemText(i) for i in range(view.plate.count())] == ["p", "q"]
    view.plate.setCurrentIndex(1)
    click(view, "C/12")
    assert rows.ids == ["qC/120", "qC/121"]
    view.plate.setCurrentIndex(0)
    assert len(rows.ids) == 12


@pytest.mark.parametrize("name", ["control", "A/0", "", "1A"])
def test_wells_without_a_place_are_left_out_of_the_grid(view, rows, name):
    show(view, rows, [ImageRow("a", "a", "unseen", "", {"plate": "p", "well": name or " "})])
    QTest.keyClick(view.grid, Qt.Key.Key_Right)
    assert view.grid.selected == ""


def test_a_well_is_filled_as_far_as_its_images_are_done(view, rows):
    show(view, rows, fields("p"))
    picture = view.grid.grab().toImage()
    ratio = picture.devicePixelRatio()

    def colour(well):
        centre = view.grid.rect_of(well).center() * ratio
        return picture.pixelColor(centre.toPoint()).name()

    assert colour("A/1") == "#3f9b5c"
    assert len({colour("A/1"), colour("A/2"), colour("C/12")}) == 3
