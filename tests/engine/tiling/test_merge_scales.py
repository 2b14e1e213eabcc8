import numpy as np

from benchmarks.seams import cells
from napari_sam.engine.tiling.merge_scales import merge_scales
from napari_sam.engine.tiling.merge_tiles import merge_tiles
from napari_sam.engine.tiling.merged_objects import MergedObjects
from napari_sam.engine.tiling.tiles import plan_tiles
from tests.engine.tiling.tile_answers import MadeUpTiles, disc, perfect, same_partition


def draw_scales(answer, shape=(512, 512), outer=64, halo=8):
    """Merge tiles of factors 1 and 4, and draw the objects."""
    grids = [plan_tiles((0, 0, *shape), shape, f, outer, halo) for f in (1, 4)]
    source = MadeUpTiles(answer, *grids)
    objects = MergedObjects([merge_tiles(grid, source) for grid in grids], source, outer)
    out = np.zeros(shape, np.int64)
    for index, tile in enumerate(grids[0].tiles):
        out[tile.core.slices] = objects.render(index)
    return out


def test_pieces_of_an_object_larger_than_a_tile_are_replaced_by_a_coarse_object():
    large = disc((512, 512), (250, 260), 80)

    def answer(tile):
        seen = perfect(large.astype(int), tile)
        return seen * (1 + (tile.row + tile.col) % 2) if tile.factor == 1 and (tile.row + tile.col) % 3 else seen

    out = draw_scales(answer)
    assert len(np.unique(out)) == 2
    assert (out.astype(bool) & large).sum() / (out.astype(bool) | large).sum() > 0.97


def test_a_group_of_whole_objects_is_not_replaced_by_a_coarse_object():
    truth = cells(512, seed=4)
    out = draw_scales(
        lambda tile: perfect(truth, tile) if tile.factor == 1 else np.ones(tile.shape, int), outer=96, halo=24
    )
    assert same_partition(out, truth)


def test_a_large_object_does_not_change_small_ones_beside_it():
    truth = cells(512, seed=4) + 1000
    truth[truth == 1000] = 0
    large = disc((512, 512), (250, 260), 90)
    truth[disc((512, 512), (250, 260), 100)] = 0
    truth[large] = 1

    def answer(tile):
        seen = perfect(truth, tile)
        return seen if tile.factor == 1 else np.where(seen == 1, 1, 0)

    out = draw_scales(answer, outer=96, halo=24)
    assert same_partition(out, truth)


def test_small_coarse_objects_are_dropped():
    square = np.zeros((512, 512), int)
    square[200:220, 200:220] = 1
    grids = [plan_tiles((0, 0, 512, 512), (512, 512), f, 64, 8) for f in (1, 4)]
    source = MadeUpTiles(lambda tile: perfect(square, tile) if tile.factor == 4 else np.zeros(tile.shape, int), *grids)
    levels = [merge_tiles(grid, source) for grid in grids]
    assert levels[1].count == 1
    merge_scales(levels, source, 64)
    assert (levels[0].count, levels[1].count) == (0, 0)


def test_coarse_objects_of_low_predicted_iou_replace_nothing():
    large = disc((512, 512), (250, 260), 80)

    def answer(tile):
        pixels = perfect(large.astype(int), tile)
        labels = pixels * (1 + (tile.row + tile.col) % 2) if tile.factor == 1 and (tile.row + tile.col) % 3 else pixels
        return (labels, [0.3] * len(np.unique(labels[labels > 0]))) if tile.factor == 4 else labels

    grids = [plan_tiles((0, 0, 512, 512), (512, 512), f, 64, 8) for f in (1, 4)]
    source = MadeUpTiles(answer, *grids)
    levels = [merge_tiles(grid, source) for grid in grids]
    merge_scales(levels, source, 64)
    assert levels[1].count == 0
    assert levels[0].count > 0
