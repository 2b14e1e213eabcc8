"""Windows: they hold all prompts, are shared by nearby ones, and show small images whole as SAM does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.windows import (
    Hints,
    Window,
    coarser_window,
    cut_by,
    grid_window,
    ladder_side,
    source_region,
    whole_window,
)
from napari_sam.errors import PromptError

NONE = Hints()
SHAPES = st.tuples(st.integers(1, 120_000), st.integers(1, 120_000))
SHARES = st.tuples(st.floats(0, 1), st.floats(0, 1))
SIZES = st.sampled_from([256, 512, 1024])


def _choose(shape, img_size=512, hints=NONE, **ask):
    return choose_window(parse_prompt(shape, **ask), shape, img_size, hints)


@pytest.mark.parametrize("shape", [(1, 1), (100, 1), (303, 384), (512, 512)])
def test_a_small_image_is_shown_whole_for_any_prompt(shape):
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


def _inner_distances(window, shape, yx):
    """Distances from a point to those sides of a window beyond which the image goes on."""
    (y, x), (y0, x0, y1, x1) = yx, window.bbox
    distances = (y + 0.5 - y0, x + 0.5 - x0, y1 - y - 0.5, x1 - x - 0.5)
    return [d for d, goes_on in zip(distances, window.inner_sides(shape), strict=True) if goes_on]


@given(SHAPES, SHARES, SIZES, st.floats(1, 50_000))
def test_a_click_lies_a_quarter_of_the_side_inside_its_window_or_at_the_image_border(shape, share, img_size, view):
    point = tuple(f * (n - 1) for f, n in zip(share, shape, strict=True))
    window = _choose(shape, img_size, Hints(view_px=view), points=[point])
    y0, x0, y1, x1 = window.bbox
    assert 0 <= y0 < y1 <= shape[0]
    assert 0 <= x0 < x1 <= shape[1]
    assert min(_inner_distances(window, shape, point), default=np.inf) >= max(window.shape) / 4 - 1.5


@given(SHAPES, SHARES, st.integers(0, 3), st.floats(0.51, 1e6))
def test_a_point_just_outside_is_refused_by_name(shape, share, side, beyond):
    y, x = (f * (n - 1) for f, n in zip(share, shape, strict=True))
    y, x = ((-beyond, x), (shape[0] + beyond, x), (y, -beyond), (y, shape[1] + beyond))[side]
    with pytest.raises(PromptError) as refused:
        _choose(shape, points=[(y, x)])
    assert f"point ({y:g}, {x:g}) lies outside the image of shape {shape}" in str(refused.value)


@given(SHAPES, SHARES, SIZES, st.integers(8, 100_000))
def test_coordinates_come_back_to_half_a_pixel_of_the_coarser_frame(shape, share, img_size, side):
    point = np.array([[f * (n - 1) for f, n in zip(share, shape, strict=True)]])
    window = grid_window(tuple(point[0]), side, shape, img_size)
    there = window.to_network(point)
    assert ((there >= -0.5) & (there <= img_size + 0.5)).all()
    half = 0.5 * np.maximum(1, 1 / np.array(window.scale))  # SAM scales pixel centres without the half pixel
    assert (np.abs(window.from_network(there) - point) <= half + 1e-6).all()


@given(SHAPES, SHARES, SHARES, st.sampled_from([64, 362, 512, 724, 4096]))
def test_all_centres_of_a_grid_cell_give_one_window(shape, cell, other, side):
    step = side / 2
    at = [int(f * n / step) for f, n in zip(cell, shape, strict=True)]
    middles = [tuple((a + 0.501 + 0.998 * f) * step for a, f in zip(at, share, strict=True)) for share in (cell, other)]
    first, second = (grid_window(m, side, shape, 512) for m in middles)
    assert first == second
    for start, n in zip(first.bbox[:2], shape, strict=True):
        assert start in (0, n - side) or start % step == 0


@given(st.floats(5, 85), SHARES)
def test_tiny_objects_are_magnified_but_not_without_end(size, share):
    y, x = (f * (50_000 - size) for f in share)
    window = _choose((50_000, 50_000), box=(y, x, y + size, x + size))
    assert window.holds((y, x, y + size, x + size))
    assert 1 < max(window.scale) <= 8
    assert size * max(window.scale) >= min(512 / 4 / np.sqrt(2) - 1, 8 * size)


@given(SHAPES, SHARES, SIZES, st.floats(0, 13), st.floats(1.5, 4))
def test_a_coarser_window_holds_the_previous_one(shape, share, img_size, octaves, factor):
    point = tuple(f * (n - 1) for f, n in zip(share, shape, strict=True))
    window = grid_window(point, ladder_side(img_size * 2**octaves, img_size), shape, img_size)
    coarser = coarser_window(window, window.bbox, shape, factor)
    if coarser is None:
        assert max(window.shape) == max(shape)
    else:
        assert coarser.holds(window.bbox)
        assert max(coarser.shape) > max(window.shape)


@pytest.mark.parametrize("at", [(0, 9), (9, 0), (-1, 9), (9, -1)])
def test_a_mask_is_cut_by_its_window_only_where_the_image_continues(at):
    logits = np.full((256, 256), -8, np.float32)
    logits[at] = 8
    assert cut_by(logits, Window((512, 512, 1024, 1024), 512), (4000, 4000))
    assert not cut_by(logits, whole_window((512, 512), 512), (512, 512))
    assert not cut_by(np.roll(logits, (3, 3), (0, 1)), Window((512, 512, 1024, 1024), 512), (4000, 4000))


@given(SHAPES, SHARES, st.floats(5, 100_000))
@example((5768, 32356), (0.0, 0.0), 1449.0)  # the short side of the window is rounded up
def test_at_most_two_windows_of_pixels_are_read_for_a_window(shape, share, diameter):
    levels = [shape]
    while max(levels[-1]) > 256:
        levels.append(tuple(-(-n // 2) for n in levels[-1]))
    point = tuple(f * (n - 1) for f, n in zip(share, shape, strict=True))
    window = _choose(shape, hints=Hints(diameter_px=diameter), points=[point])
    level, (y0, x0, y1, x1), step = source_region(levels, window)
    assert (step, 0 <= y0 < y1 <= levels[level][0], 0 <= x0 < x1 <= levels[level][1]) == (1, True, True)
    whole = max(window.shape) == max(shape)  # seen whole, an image is up to twice as fine as the network sees it
    assert (y1 - y0) * (x1 - x0) <= (4.02 if whole else 2.02) * 512**2
