"""Windows: everything prompted inside, the same window again, whole images as SAM feeds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.engine.prompts import parse_prompt
from napari_sam.engine.windows import Hints, Window, choose_window, coarser_window, grid_window, whole_window

NONE = Hints()


def _choose(shape, img_size=512, hints=NONE, **ask):
    return choose_window(parse_prompt(shape, **ask), shape, img_size, hints)


@pytest.mark.parametrize("shape", [(1, 1), (100, 1), (303, 384), (512, 512)])
def test_an_image_that_fits_is_seen_whole_whatever_is_prompted(shape):
    assert _choose(shape, points=[(0, 0)]) == whole_window(shape, 512)
    assert _choose(shape, box=(0, 0, 1, 1)) == whole_window(shape, 512)


@given(
    st.tuples(st.integers(600, 16_000), st.integers(1, 16_000)),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_a_window_holds_every_point_and_lies_in_the_image(shape, shares):
    points = [(y * (shape[0] - 1), x * (shape[1] - 1)) for y, x in shares]
    window = _choose(shape, points=points)
    y0, x0, y1, x1 = window.bbox
    assert 0 <= y0 < y1 <= shape[0]
    assert 0 <= x0 < x1 <= shape[1]
    assert all(y0 - 0.5 <= y <= y1 and x0 - 0.5 <= x <= x1 for y, x in points)


@given(st.floats(5, 9000), st.floats(0, 1), st.floats(0, 1))
def test_a_boxed_object_lies_well_inside_with_context(size, fy, fx):
    shape = (20_000, 20_000)
    y, x = fy * (20_000 - size), fx * (20_000 - size)
    window = _choose(shape, box=(y, x, y + size, x + size))
    assert window.holds((y, x, y + size, x + size))
    assert max(window.shape) >= 1.5 * size


def test_small_objects_are_magnified_and_large_ones_reduced():
    shape = (50_000, 50_000)
    assert max(_choose(shape, box=(1000, 1000, 1020, 1020)).scale) > 2
    assert max(_choose(shape, box=(1000, 1000, 9000, 9000)).scale) < 0.1


def test_neighbouring_clicks_share_a_window():
    shape = (50_000, 50_000)
    assert _choose(shape, points=[(20_300, 20_300)]) == _choose(shape, points=[(20_340, 20_260)])


def test_hints_count_in_the_promised_order():
    shape, click = (50_000, 50_000), {"points": [(20_000, 20_000)]}
    sides = [
        max(_choose(shape, hints=hints, **click).shape)
        for hints in (Hints(), Hints(last_px=40), Hints(view_px=300, last_px=40), Hints(40, 3000, 9000))
    ]
    assert sides[0] == 512
    assert sides[1] < sides[2] < sides[0]
    assert sides[3] == sides[1]


def test_a_click_on_a_huge_image_looks_at_full_resolution():
    assert _choose((100_000, 100_000), points=[(99_999, 5)]).bbox == (99_488, 0, 100_000, 512)


def test_a_coarser_window_ends_at_the_whole_image():
    window, seen = grid_window((3000, 3000), 512, (5000, 4000), 512), []
    while window is not None:
        seen.append(max(window.shape))
        window = coarser_window(window, (2800, 2800, 3200, 3200), (5000, 4000))
    assert seen == [512, 1024, 2048, 4096, 5000]


def test_scaling_is_sams():
    window = Window((0, 0, 303, 384), 1024)
    np.testing.assert_allclose(window.to_network(np.array([[70.0, 60.0]])), [[70 * 808 / 303, 60 * 1024 / 384]])
