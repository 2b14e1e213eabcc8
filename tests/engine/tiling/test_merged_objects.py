import numpy as np
import pytest

from napari_sam.engine.tiling.merge_tiles import merge_tiles
from napari_sam.engine.tiling.merged_objects import MergedObjects
from napari_sam.engine.tiling.tiles import plan_tiles
from tests.engine.tiling.tile_answers import MadeUpTiles, disc, perfect


def test_scores_of_parts_are_weighted_by_their_pixels():
    grid = plan_tiles((0, 0, 40, 96), (40, 96), 1, 64, 8)
    score_of = {0: 0.5, 1: 0.8}
    source = MadeUpTiles(lambda tile: (np.ones(tile.shape, int), [score_of.get(tile.col, 0.8)]), grid)
    objects = MergedObjects([merge_tiles(grid, source)], source, 64)
    areas = [int(source.table(t).area[0]) for t in grid.tiles if source.table(t).core_area[0]]
    scores = [score_of[t.col] for t in grid.tiles]
    assert objects.count == 1
    assert objects.scores()[0][0] == pytest.approx(np.average(scores, weights=areas), abs=1e-6)


def merged_disc(factor=1):
    """A disc across several tiles of one factor."""
    truth = disc((256, 256), (120, 120), 30)
    grid = plan_tiles((0, 0, 256, 256), (256, 256), factor, 64, 8)
    source = MadeUpTiles(lambda tile: perfect(truth.astype(int), tile), grid)
    return truth, MergedObjects([merge_tiles(grid, source)], source, 64)


def test_only_tiles_near_an_object_are_not_empty():
    truth, objects = merged_disc()
    drawn = [index for index, tile in enumerate(objects.tiles) if truth[tile.core.slices].any()]
    assert drawn
    assert not any(objects.is_empty(index) for index in drawn)
    assert objects.is_empty(len(objects.tiles) - 1)


@pytest.mark.parametrize("factor", [1, 2])
def test_pixels_are_drawn_at_full_resolution_for_every_factor(factor):
    truth, objects = merged_disc(factor)
    out = np.zeros(truth.shape, np.int64)
    for index, tile in enumerate(objects.tiles):
        out[tile.core.slices] = objects.render_pixels(index)
    assert objects.count == 1
    assert ((out > 0) & truth).sum() / ((out > 0) | truth).sum() > (0.999 if factor == 1 else 0.95)


def test_the_border_of_a_core_holds_the_pixels_of_its_neighbours():
    truth, objects = merged_disc()
    index = next(i for i, tile in enumerate(objects.tiles) if truth[tile.core.slices].any())
    frame = objects.tiles[index].core.grow(1)
    inside = frame.clip(truth.shape)
    wide = objects.render_with_border(index)
    assert wide.shape == frame.shape
    np.testing.assert_array_equal(wide[inside.shift(-frame.y0, -frame.x0).slices] > 0, truth[inside.slices])
