"""What a click, Shift and Control make of the selection."""

from __future__ import annotations

import pytest

from napari_sam.layers.objects.selection_band import Combine
from napari_sam.widgets.objects.selected_objects import SelectedObjects


@pytest.fixture
def selected(qtbot):
    made = SelectedObjects()
    made.set([2, 5])
    return made


@pytest.mark.parametrize(
    ("label", "how", "expected"),
    [
        (7, Combine.REPLACE, [7]),
        (0, Combine.REPLACE, []),
        (7, Combine.ADD, [2, 5, 7]),
        (5, Combine.ADD, [2]),
        (0, Combine.ADD, [2, 5]),
        (5, Combine.REMOVE, [2]),
        (0, Combine.REMOVE, [2, 5]),
    ],
)
def test_a_click_on_an_object_or_beside_all(selected, label, how, expected):
    selected.pick(label, how)
    assert selected.ordered == expected


@pytest.mark.parametrize(
    ("how", "expected"), [(Combine.REPLACE, [5, 9]), (Combine.ADD, [2, 5, 9]), (Combine.REMOVE, [2])]
)
def test_an_area_replaces_adds_or_takes_away(selected, how, expected):
    selected.combine([5, 9], how)
    assert selected.ordered == expected


def test_the_same_selection_is_no_change(selected, qtbot):
    with qtbot.assertNotEmitted(selected.changed):
        selected.set([5, 2])
    with qtbot.waitSignal(selected.changed):
        selected.clear()
    assert len(selected) == 0
