import numpy as np
import pytest

from benchmarks.seams import Memory, cells, compare, cores_alone, imperfect
from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.enlarge_labels import enlarge_labels
from napari_sam.engine.tiling.merge_tiles import DROPPED, PART, merge_tiles, render_core
from napari_sam.engine.tiling.merged_objects import MergedObjects
from napari_sam.engine.tiling.tiles import make_tile_result, plan_tiles


class Said:
    """Tiles' results from what a function says of each."""

    def __init__(self, say, *grids):
        self.results = {t.name: make_tile_result(t, _objects(say(t)), grid) for grid in grids for t in grid.tiles}

    def table(self, tile):
        return self.results[tile.name].table

    def strip(self, tile, side):
        return self.results[tile.name].strips[side]

    def labels(self, tile):
        return self.results[tile.name].labels


def _objects(said, score=0.9):
    labels, scores = said if isinstance(said, tuple) else (said, None)
    values, local = np.unique(labels, return_inverse=True)
    local = local.reshape(labels.shape) + (values[0] != 0)
    count = int(local.max())
    scores = np.full(count, score, np.float32) if scores is None else np.asarray(scores, np.float32)
    return TileObjects(local.astype(np.int32), scores, scores)


def _seen(truth, tile):
    """A perfect answer: the truth in the tile, one sample per label pixel."""
    y0, x0, y1, x1 = tile.outer
    half = tile.factor // 2
    return truth[y0:y1, x0:x1][half :: tile.factor, half :: tile.factor]


def _drawn(joined, source):
    out = np.zeros(joined.grid.image_shape, np.int64)
    for i, t in enumerate(joined.grid.tiles):
        y0, x0, y1, x1 = t.core
        out[y0:y1, x0:x1] = render_core(joined, source, i)
    return out


def _same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


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


@pytest.mark.parametrize(("outer", "halo"), [(64, 8), (96, 24), (70, 15)])
def test_a_perfect_answer_is_joined_without_a_trace_of_the_tiles(outer, halo):
    truth = cells(200, seed=3)
    grid = plan_tiles((0, 0, 200, 200), (200, 200), 1, outer, halo)
    source = Said(lambda tile: _seen(truth, tile), grid)
    assert _same_partition(_drawn(merge_tiles(grid, source), source), truth)


def test_an_object_over_everything_is_one():
    truth = np.ones((300, 300), int)
    truth[:, 0] = 0
    grid = plan_tiles((0, 0, 300, 300), (300, 300), 1, 64, 8)
    source = Said(lambda tile: _seen(truth, tile), grid)
    joined = merge_tiles(grid, source)
    assert joined.count == 1
    assert _same_partition(_drawn(joined, source), truth)
    assert set(joined.state.tolist()) <= {PART, DROPPED}


def test_the_version_of_the_tile_that_holds_most_is_drawn_across_the_border():
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)
    assert [t.core for t in grid.tiles][:2] == [(0, 0, 48, 48), (0, 48, 48, 96)]

    def say(tile):
        labels = np.zeros((64, 112), int)
        labels[20:30, 40 if tile.col == 0 else 41 : 52] = 1  # the left tile sees a column more
        return _seen(labels, tile)

    source = Said(say, grid)
    joined = merge_tiles(grid, source)
    drawn = _drawn(joined, source)
    assert joined.count == 1
    assert (drawn[20:30, 40:52] > 0).all()
    assert drawn.astype(bool).sum() == 120


def test_what_a_tile_missed_is_taken_from_its_neighbours_halo():
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)
    truth = np.zeros((64, 112), int)
    truth[10:16, 49:54] = 1  # in the second core; only the first tile sees it
    source = Said(lambda tile: _seen(truth, tile) if tile.col == 0 else np.zeros(tile.shape, int), grid)
    assert _drawn(merge_tiles(grid, source), source).astype(bool).sum() == 30


@pytest.mark.parametrize(("score", "objects"), [(0.5, 2), (0.99, 1)])
def test_one_against_several_is_settled_by_their_scores(score, objects):
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)

    def say(tile):
        labels = np.zeros((64, 112), int)
        labels[20:30, 42:48] = 1
        labels[20:30, 48:54] = 1 if tile.col == 0 else 2
        return _seen(labels, tile), [score] if tile.col == 0 else [0.9, 0.9] if tile.col == 1 else []

    source = Said(say, grid)
    drawn = _drawn(merge_tiles(grid, source), source)
    assert len(np.unique(drawn)) - 1 == objects
    assert drawn.astype(bool).sum() == 120


def test_few_objects_at_borders_are_split_and_no_more_joined_than_the_model_joined():
    truth = cells(2048, seed=1)
    grid = plan_tiles((0, 0, 2048, 2048), truth.shape, 1, 448, 96)
    source = Memory(truth, grid, seed=1)
    found = compare(truth, _drawn(merge_tiles(grid, source), source), grid)
    alone = compare(truth, cores_alone(source, grid), grid)
    assert alone["split"] > 0.5 * alone["border"]
    assert found["split"] <= 0.01 * found["border"]
    assert found["merged"] <= alone["merged"]
    assert found["missed"] < alone["missed"]


def test_the_result_does_not_depend_on_the_order_of_tiles():
    truth = cells(512, seed=2)
    grid = plan_tiles((0, 0, 512, 512), truth.shape, 1, 160, 32)
    drawn = []
    for order in (1, -1):
        source = Said(lambda tile: np.zeros(tile.shape, int), grid)
        for tile in grid.tiles[::order]:
            source.results[tile.name] = make_tile_result(tile, imperfect(truth, tile.outer, 5), grid)
        drawn.append(_drawn(merge_tiles(grid, source), source))
    np.testing.assert_array_equal(*drawn)


def test_no_object_at_all_is_an_empty_result():
    grid = plan_tiles((0, 0, 200, 200), (200, 200), 1, 64, 8)
    source = Said(lambda tile: np.zeros(tile.shape, int), grid)
    joined = merge_tiles(grid, source)
    assert joined.count == 0
    assert not _drawn(joined, source).any()
    assert MergedObjects([joined], source, 64).count == 0


def _scene(say, shape=(512, 512), outer=64, halo=8):
    grids = [plan_tiles((0, 0, *shape), shape, f, outer, halo) for f in (1, 4)]
    source = Said(say, *grids)
    scene = MergedObjects([merge_tiles(grid, source) for grid in grids], source, outer)
    out = np.zeros(shape, np.int64)
    for i, t in enumerate(grids[0].tiles):
        y0, x0, y1, x1 = t.core
        out[y0:y1, x0:x1] = scene.render(i)
    return scene, out


def _disc(shape, centre, radius):
    yy, xx = np.ogrid[: shape[0], : shape[1]]
    return (yy - centre[0]) ** 2 + (xx - centre[1]) ** 2 <= radius**2


def test_pieces_of_an_object_larger_than_a_tile_are_replaced_by_the_whole_from_a_coarser_level():
    disc = _disc((512, 512), (250, 260), 80)

    def say(tile):
        seen = _seen(disc.astype(int), tile)
        return seen * (1 + (tile.row + tile.col) % 2) if tile.factor == 1 and (tile.row + tile.col) % 3 else seen

    _, out = _scene(say)
    assert len(np.unique(out)) == 2
    assert (out.astype(bool) & disc).sum() / (out.astype(bool) | disc).sum() > 0.97


def test_a_group_of_whole_objects_is_not_swallowed_by_what_a_coarser_level_makes_of_it():
    truth = cells(512, seed=4)
    _, out = _scene(
        lambda tile: _seen(truth, tile) if tile.factor == 1 else np.ones(tile.shape, int), outer=96, halo=24
    )
    assert _same_partition(out, truth)


def test_a_large_object_beside_small_ones_leaves_them_alone():
    truth = cells(512, seed=4) + 1000
    truth[truth == 1000] = 0
    disc = _disc((512, 512), (250, 260), 90)
    truth[_disc((512, 512), (250, 260), 100)] = 0
    truth[disc] = 1

    def say(tile):
        seen = _seen(truth, tile)
        return seen if tile.factor == 1 else np.where(seen == 1, 1, 0)

    _, out = _scene(say, outer=96, halo=24)
    assert _same_partition(out, truth)


def test_scores_of_parts_count_by_their_pixels():
    grid = plan_tiles((0, 0, 40, 96), (40, 96), 1, 64, 8)
    said = {0: 0.5, 1: 0.8}
    source = Said(lambda tile: (np.ones(tile.shape, int), [said.get(tile.col, 0.8)]), grid)
    scene = MergedObjects([merge_tiles(grid, source)], source, 64)
    areas = [int(source.table(t).area[0]) for t in grid.tiles if source.table(t).core_area[0]]
    scores = [said[t.col] for t in grid.tiles]
    assert scene.count == 1
    assert scene.scores()[0][0] == pytest.approx(np.average(scores, weights=areas), abs=1e-6)


def test_enlarged_outlines_are_smooth_and_labels_stay_apart():
    yy, xx = np.indices((40, 40))
    small = np.where((yy - 20) ** 2 + (xx - 12) ** 2 <= 60, 3, 0) + np.where(
        (yy - 20) ** 2 + (xx - 29) ** 2 <= 60, 9, 0
    )
    large = enlarge_labels(small, 8)
    assert set(np.unique(large)) == {0, 3, 9}
    assert (large == 3).sum() / 64 == pytest.approx((small == 3).sum(), rel=0.03)
    steps = np.abs(np.diff((large == 3).any(1).astype(int))).sum()
    assert steps == 2
    edge = [np.flatnonzero(row == 3)[0] for row in large if (row == 3).any()]
    assert np.abs(np.diff(edge[8:-8])).max() < 8  # a nearest-neighbour copy steps by 8 or more


def test_labels_of_another_shape_or_with_gaps_beyond_the_scores_are_refused():
    grid = plan_tiles((0, 0, 40, 40), (40, 40), 1, 64, 8)
    none = np.zeros(0, np.float32)
    with pytest.raises(ValueError, match="shape"):
        make_tile_result(grid.tiles[0], TileObjects(np.zeros((3, 3), np.int32), none, none), grid)
    with pytest.raises(ValueError, match="for 0 objects"):
        make_tile_result(grid.tiles[0], TileObjects(np.ones((40, 40), np.int32), none, none), grid)
