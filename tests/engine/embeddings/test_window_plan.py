"""Plans of windows take no memory in proportion to the image, and hold what a list of them would."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import pytest

from napari_sam.engine.embeddings.precompute import grid_windows, plan_windows
from napari_sam.engine.tiling.tiles import plan_tiles
from napari_sam.engine.windows import grid_window


@pytest.mark.parametrize("shape", [(200, 300), (50, 700), (64, 64), (1000, 30)])
def test_a_plan_has_each_window_once_in_the_order_of_its_centres(shape):
    plan = grid_windows((0, 0, *shape), 64, shape, 64)
    centres = [[-0.5, *range(0, n, 32), n - 0.5] for n in shape]
    expected = dict.fromkeys(grid_window((y, x), 64, shape, 64) for y in centres[0] for x in centres[1])
    assert set(plan) == set(expected)
    assert list(plan) == sorted(plan, key=lambda window: window.bbox)
    assert len(plan) == len(set(plan))
    assert all(window in plan for window in plan)
    assert plan[-1] == list(plan)[-1]
    assert plan[1:3] == list(plan)[1:3]


def test_the_whole_image_is_in_a_plan_once():
    plan = plan_windows((0, 0, 300, 500), 64, (300, 500), 64, coarser=True)
    windows = list(plan)
    assert len(windows) == len(set(windows)) == len(plan)
    assert plan.sides() == tuple(sorted({max(window.shape) for window in windows}))


def test_a_million_by_a_million_pixels_are_planned_in_little_memory():
    shape = (1_000_000, 1_000_000)
    tracemalloc.start()
    plan = plan_windows((0, 0, *shape), 512, shape, 512, coarser=True)
    grid = plan_tiles((0, 0, *shape), shape, 1, 512, 64)
    first = [*islice(plan, 100), *islice(grid.tiles, 100)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first) == 200
    assert len(plan) > 15_000_000
    assert len(grid.tiles) == 2605**2
    assert peak < 10 << 20


def test_tiles_are_found_by_name():
    grid = plan_tiles((100, 50, 700, 900), (700, 1000), 2, 128, 16)
    assert [grid.tiles.named(tile.name) for tile in grid.tiles] == list(grid.tiles)
    for name in ("f1-r00000-c00000", "f2-r00099-c00000", "f2-r00000-c00099", "x", ""):
        assert grid.tiles.named(name) is None
    with pytest.raises(IndexError):
        grid.tiles[len(grid.tiles)]
    assert grid.tiles[-1] == list(grid.tiles)[-1]
