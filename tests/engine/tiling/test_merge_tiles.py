import numpy as np
import pytest

from benchmarks.seams import Memory, cells, compare, cores_alone, imperfect
from napari_sam.engine.tiling.merge_tiles import DROPPED, PART, WHOLE, boxes_meet, crop, merge_tiles
from napari_sam.engine.tiling.merged_objects import MergedObjects
from napari_sam.engine.tiling.tiles import make_tile_result, plan_tiles
from tests.engine.tiling.tile_answers import MadeUpTiles, draw, perfect, same_partition


@pytest.mark.parametrize(("outer", "halo"), [(64, 8), (96, 24), (70, 15)])
def test_perfect_tiles_merge_into_the_true_objects(outer, halo):
    truth = cells(200, seed=3)
    grid = plan_tiles((0, 0, 200, 200), (200, 200), 1, outer, halo)
    source = MadeUpTiles(lambda tile: perfect(truth, tile), grid)
    assert same_partition(draw(merge_tiles(grid, source), source), truth)


def test_an_object_that_fills_the_image_is_a_single_object():
    truth = np.ones((300, 300), int)
    truth[:, 0] = 0
    grid = plan_tiles((0, 0, 300, 300), (300, 300), 1, 64, 8)
    source = MadeUpTiles(lambda tile: perfect(truth, tile), grid)
    merged = merge_tiles(grid, source)
    assert merged.count == 1
    assert same_partition(draw(merged, source), truth)
    assert set(merged.state.tolist()) <= {PART, DROPPED}


def test_the_version_with_most_core_pixels_is_drawn_across_the_border():
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)
    assert [t.core for t in grid.tiles][:2] == [(0, 0, 48, 48), (0, 48, 48, 96)]

    def answer(tile):
        labels = np.zeros((64, 112), int)
        labels[20:30, 40 if tile.col == 0 else 41 : 52] = 1  # the left tile sees a column more
        return perfect(labels, tile)

    source = MadeUpTiles(answer, grid)
    merged = merge_tiles(grid, source)
    drawn = draw(merged, source)
    assert merged.count == 1
    assert (drawn[20:30, 40:52] > 0).all()
    assert drawn.astype(bool).sum() == 120


def test_an_object_that_a_tile_missed_is_taken_from_its_neighbours_halo():
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)
    truth = np.zeros((64, 112), int)
    truth[10:16, 49:54] = 1  # in the second core; only the first tile sees it
    source = MadeUpTiles(lambda tile: perfect(truth, tile) if tile.col == 0 else np.zeros(tile.shape, int), grid)
    assert draw(merge_tiles(grid, source), source).astype(bool).sum() == 30


@pytest.mark.parametrize(("score", "objects"), [(0.5, 2), (0.99, 1)])
def test_scores_decide_between_one_object_and_several(score, objects):
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)

    def answer(tile):
        labels = np.zeros((64, 112), int)
        labels[20:30, 42:48] = 1
        labels[20:30, 48:54] = 1 if tile.col == 0 else 2
        return perfect(labels, tile), [score] if tile.col == 0 else [0.9, 0.9] if tile.col == 1 else []

    source = MadeUpTiles(answer, grid)
    drawn = draw(merge_tiles(grid, source), source)
    assert len(np.unique(drawn)) - 1 == objects
    assert drawn.astype(bool).sum() == 120


def test_few_objects_are_split_at_borders_and_none_are_merged_that_the_model_separated():
    truth = cells(2048, seed=1)
    grid = plan_tiles((0, 0, 2048, 2048), truth.shape, 1, 448, 96)
    source = Memory(truth, grid, seed=1)
    found = compare(truth, draw(merge_tiles(grid, source), source), grid)
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
        source = MadeUpTiles(lambda tile: np.zeros(tile.shape, int), grid)
        for tile in grid.tiles[::order]:
            source.results[tile.name] = make_tile_result(tile, imperfect(truth, tile.outer, 5), grid)
        drawn.append(draw(merge_tiles(grid, source), source))
    np.testing.assert_array_equal(*drawn)


def test_tiles_without_objects_merge_into_an_empty_result():
    grid = plan_tiles((0, 0, 200, 200), (200, 200), 1, 64, 8)
    source = MadeUpTiles(lambda tile: np.zeros(tile.shape, int), grid)
    merged = merge_tiles(grid, source)
    assert merged.count == 0
    assert not draw(merged, source).any()
    assert MergedObjects([merged], source, 64).count == 0


def two_objects():
    """Two objects in two tiles: the first across the border, the second in the right tile only."""
    grid = plan_tiles((0, 0, 64, 112), (64, 112), 1, 64, 8)
    truth = np.zeros((64, 112), int)
    truth[20:30, 42:54], truth[5:10, 80:90] = 1, 2
    source = MadeUpTiles(lambda tile: perfect(truth, tile), grid)
    return truth, source, merge_tiles(grid, source)


def test_blocked_entries_are_not_drawn():
    truth, source, merged = two_objects()
    blocked = merged.number == merged.number[merged.boxes[:, 1] == 80][0]
    again = merge_tiles(merged.grid, source, blocked)
    assert again.count == 1
    assert same_partition(draw(again, source), np.where(truth == 1, 1, 0))


def test_dropped_numbers_leave_no_gap_after_renumbering():
    _, _, merged = two_objects()
    merged.drop(merged.number == 1)
    assert set(merged.number.tolist()) == {0, 2}
    merged.renumber()
    assert set(merged.number.tolist()) == {0, 1}
    assert (merged.state[merged.number == 0] == DROPPED).all()


def test_extents_span_all_parts_of_an_object():
    _, _, merged = two_objects()
    low, high = merged.extents()
    assert {(*low[n], *high[n]) for n in (1, 2)} == {(20, 42, 30, 54), (5, 80, 10, 90)}


def test_numbers_are_known_by_the_state_of_their_entries():
    _, _, merged = two_objects()
    assert merged.numbers_in_state(WHOLE).tolist() == [False, True, True]
    assert not merged.numbers_in_state(PART).any()


def test_an_object_reaches_into_the_neighbours_core_only_across_the_border():
    _, _, merged = two_objects()
    owner = next(i for i in range(len(merged.grid.tiles)) if (merged.number[merged.entries_of(i)] > 0).any())
    reached = [i for i in range(len(merged.grid.tiles)) if merged.reaches_into(i)]
    assert reached
    assert set(reached) <= set(merged.grid.neighbours(owner)) | {owner}


def test_boxes_that_only_touch_do_not_meet():
    boxes = np.array([[0, 0, 5, 5], [5, 0, 9, 5], [4, 4, 6, 6]])
    assert boxes_meet(boxes, (0, 0, 5, 5)).tolist() == [True, False, True]


def test_a_crop_is_a_view_in_the_frame_of_the_array():
    from napari_sam.engine.geometry import Box

    labels = np.arange(12).reshape(3, 4)
    part = crop(labels, Box(10, 20, 13, 24), Box(11, 21, 13, 23))
    assert part.tolist() == [[5, 6], [9, 10]]
    part[:] = 0
    assert labels[1, 1] == 0
