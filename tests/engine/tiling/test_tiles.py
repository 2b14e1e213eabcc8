import numpy as np
import pytest

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.tiles import make_tile_result, plan_tiles, strip_box
from tests.engine.tiling.tile_answers import as_objects


def test_cores_cover_a_region_once_and_halos_stay_in_the_image():
    grid = plan_tiles((10, 20, 700, 990), (700, 1000), 2, 128, 16)
    seen = np.zeros((700, 1000), int)
    for tile in grid.tiles:
        y0, x0, y1, x1 = tile.core
        seen[y0:y1, x0:x1] += 1
        assert tile.outer[0] <= y0
        assert tile.outer[3] >= x1
        assert min(tile.outer) >= 0
        assert tile.outer[2] <= 700
        assert tile.outer[3] <= 1000
        assert tile.outer[0] % 2 == tile.outer[1] % 2 == 0
    assert (seen[10:700, 20:990] == 1).all()
    assert seen.sum() == 690 * 970


def test_labels_of_another_shape_or_beyond_the_scores_are_refused():
    grid = plan_tiles((0, 0, 40, 40), (40, 40), 1, 64, 8)
    none = np.zeros(0, np.float32)
    with pytest.raises(ValueError, match="shape"):
        make_tile_result(grid.tiles[0], TileObjects(np.zeros((3, 3), np.int32), none, none), grid)
    with pytest.raises(ValueError, match="for 0 objects"):
        make_tile_result(grid.tiles[0], TileObjects(np.ones((40, 40), np.int32), none, none), grid)


def test_an_image_smaller_than_a_tile_is_a_single_tile():
    grid = plan_tiles((10, 10, 50, 60), (64, 100), 2, 64, 8)
    assert grid.shape == (1, 1)
    assert (grid.tiles[0].core, grid.tiles[0].outer) == ((10, 10, 50, 60), (0, 0, 64, 100))


def test_cores_lie_on_the_same_grid_for_every_region():
    whole = plan_tiles((0, 0, 300, 300), (300, 300), 1, 64, 8)
    part = plan_tiles((60, 60, 200, 200), (300, 300), 1, 64, 8)
    edges = {tile.core.y0 for tile in whole.tiles}
    assert {tile.core.y0 for tile in part.tiles} - {60} <= edges


def test_neighbours_are_the_tiles_around_and_pairs_name_each_once():
    grid = plan_tiles((0, 0, 144, 144), (144, 144), 1, 64, 8)
    assert grid.shape == (3, 3)
    assert grid.neighbours(4) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert grid.neighbours(0) == [1, 3, 4]
    assert grid.index_at(3, 0) is None
    pairs = list(grid.pairs())
    assert len(pairs) == len(set(pairs)) == 20
    assert all(a < b for a, b in pairs)


def test_objects_are_measured_in_tile_and_core():
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)
    labels = np.zeros((56, 56), int)
    labels[10:20, 40:56] = 1
    table = make_tile_result(grid.tiles[0], as_objects(labels), grid).table
    assert (table.area.tolist(), table.core_area.tolist()) == ([160], [80])
    assert table.boxes.tolist() == [[10, 40, 20, 56]]


@pytest.mark.parametrize(("col", "cut"), [(0, 8), (1, 2 + 8), (2, 2)])
def test_an_object_is_cut_only_where_the_image_continues(col, cut):
    grid = plan_tiles((0, 0, 40, 144), (40, 144), 1, 64, 8)
    tile = grid.tiles[col]
    table = make_tile_result(tile, as_objects(np.ones(tile.shape, int)), grid).table
    assert table.cut.tolist() == [cut]


@pytest.mark.parametrize("side", ["top", "left", "bottom", "right"])
def test_strips_are_the_labels_along_each_side(side):
    grid = plan_tiles((0, 0, 144, 144), (144, 144), 1, 64, 8)
    tile = grid.tiles[4]
    labels = np.arange(64 * 64).reshape(64, 64)
    result = make_tile_result(tile, as_objects(labels), grid)
    box = strip_box(tile, side, grid.rim).shift(-tile.outer.y0, -tile.outer.x0)
    np.testing.assert_array_equal(result.strips[side], result.labels[box.slices])
