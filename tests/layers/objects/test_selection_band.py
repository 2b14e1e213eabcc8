"""Clicks, rectangles and lassos, from the events of a mouse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.layers.objects.selection_band import LASSO, PICK, RECTANGLE, Combine, SelectionBand


@pytest.fixture
def band(viewer):
    image = viewer.add_image(np.zeros((40, 50)), scale=(2, 2), translate=(10, 0))
    taken = []
    made = SelectionBand(image, lambda *a: taken.append(("click", *a)), lambda *a: taken.append(("area", *a)))
    viewer.add_layer(made.layer)
    made.taken, made.image = taken, image
    return made


def press(band, spots, modifiers=(), button=1):
    """Press the mouse at the first of some (y, x), drag it over the others, and release it; return what was drawn."""

    def event(kind, spot):
        world = band.image.data_to_world(spot)
        return {"type": kind, "position": world, "pos": np.array(spot[::-1], float) * 5}

    now = SimpleNamespace(button=button, modifiers=modifiers, **event("mouse_press", spots[0]))
    drag, drawn = band._on_press(band.layer, now), []
    for kind, spot in [
        ("mouse_press", spots[0]),
        *(("mouse_move", s) for s in spots[1:]),
        ("mouse_release", spots[-1]),
    ]:
        for name, value in event(kind, spot).items():
            setattr(now, name, value)
        if next(drag, "ended") == "ended":
            break
        drawn = [np.array(shape) for shape in band.layer.data] or drawn
    return drawn


def test_a_click_gives_its_position_in_image_pixels(band):
    press(band, [(12, 30)])
    assert band.taken == [("click", (12.0, 30.0), Combine.REPLACE)]


@pytest.mark.parametrize(("tool", "corners"), [(RECTANGLE, 4), (LASSO, 5)])
def test_a_drag_draws_an_area_that_disappears_when_it_ends(band, tool, corners):
    band.tool = tool
    drawn = press(band, [(2, 3), (2, 20), (12, 20), (12, 3)], modifiers=("Shift",))
    ((kind, area, how),) = band.taken
    assert (kind, how) == ("area", Combine.ADD)
    assert area.shape == (corners, 2)
    np.testing.assert_array_equal(area.min(0), (2, 3))
    np.testing.assert_array_equal(drawn[0][0], drawn[0][-1])  # a closed line
    assert len(band.layer.data) == 0
    assert not band.layer.mouse_pan


def test_control_takes_away_and_other_buttons_do_nothing(band):
    press(band, [(12, 30)], modifiers=("Control",))
    press(band, [(12, 30)], button=2)
    assert band.taken == [("click", (12.0, 30.0), Combine.REMOVE)]


def test_a_drag_with_the_click_tool_moves_the_camera_and_selects_nothing(band):
    band.tool = PICK
    assert press(band, [(2, 3), (12, 20)]) == []
    assert band.taken == []
    assert band.layer.mouse_pan


def test_a_hand_that_trembles_still_clicks(band):
    band.tool = LASSO
    press(band, [(12, 30), (12.2, 30.2)])
    assert [kind for kind, *_ in band.taken] == ["click"]
