import threading

import numpy as np
import pytest

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.find_tiles import failure_reason, find_tile, find_tiles, is_tile_error
from napari_sam.engine.tiling.tiles import plan_tiles
from napari_sam.errors import CancelledError, DeviceError, ImageError, StoreError

GRID = plan_tiles((0, 0, 96, 192), (96, 192), 1, 64, 8)
TILES = [(GRID, tile) for tile in GRID.tiles]


class SquareFinder:
    """Finds one square in each tile; raises `error` at a stage of the tile in the first column."""

    def __init__(self, stage=None, error=None, empty=False):
        self.stage, self.error, self.empty, self.computed = stage, error, empty, []

    def _maybe_fail(self, stage, region):
        if stage == self.stage and region[1] == 0:
            raise self.error

    def read(self, region, factor):
        self._maybe_fail("read", region)
        return region

    def is_blank(self, read):
        return self.empty

    def compute(self, region, factor, read, cancelled=None):
        self._maybe_fail("compute", region)
        self.computed.append(region)
        return read

    def finish(self, region, factor, computed):
        self._maybe_fail("finish", region)
        labels = np.zeros((region[2] - region[0], region[3] - region[1]), np.int32)
        labels[2:5, 2:5] = 1
        scores = np.ones(1, np.float32)
        return TileObjects(labels, scores, scores)


class Stored:
    """Keeps results, and what the listener is told."""

    def __init__(self, error=None):
        self.results, self.told, self.error, self._lock = {}, {}, error, threading.Lock()

    def write(self, tile, result):
        if self.error is not None:
            raise self.error
        self.results[tile.name] = result

    def on_tile(self, tile, result, reason):
        with self._lock:
            self.told[tile.name] = reason


def run(finder, stored, cancelled=None):
    find_tiles(finder, TILES, stored, stored.on_tile, cancelled)
    return stored


def test_every_tile_is_stored_and_reported():
    stored = run(SquareFinder(), Stored())
    assert stored.results.keys() == stored.told.keys() == {tile.name for tile in GRID.tiles}
    assert set(stored.told.values()) == {None}


@pytest.mark.parametrize("stage", ["read", "compute", "finish"])
def test_an_error_of_a_tile_at_any_stage_is_reported_and_the_others_are_stored(stage):
    stored = run(SquareFinder(stage, ImageError("chunk 7 is damaged")), Stored())
    failed = {tile.name for tile in GRID.tiles if tile.outer[1] == 0}
    assert {name for name, reason in stored.told.items() if reason == "chunk 7 is damaged"} == failed
    assert stored.results.keys() == {tile.name for tile in GRID.tiles} - failed


@pytest.mark.parametrize("stage", ["read", "compute", "finish"])
def test_a_fatal_error_at_any_stage_ends_the_run(stage):
    with pytest.raises(DeviceError, match="gone"):
        run(SquareFinder(stage, DeviceError("gone")), Stored())


def test_an_error_of_the_writer_ends_the_run():
    with pytest.raises(StoreError, match="full"):
        run(SquareFinder(), Stored(StoreError("full")))


def test_the_network_does_not_run_on_a_tile_without_structure():
    finder = SquareFinder(empty=True)
    stored = run(finder, Stored())
    assert finder.computed == []
    assert all(len(result.table) == 0 for result in stored.results.values())


def test_a_cancelled_run_stores_what_it_reported():
    stored = Stored()
    with pytest.raises(CancelledError, match="finished tiles are kept"):
        run(SquareFinder(), stored, cancelled=lambda: len(stored.told) > 1)
    assert stored.results.keys() == stored.told.keys()


def test_a_single_tile_gives_the_same_result():
    stored = run(SquareFinder(), Stored())
    grid, tile = TILES[1]
    np.testing.assert_array_equal(find_tile(SquareFinder(), grid, tile).labels, stored.results[tile.name].labels)


def test_only_errors_of_a_tile_are_tile_errors():
    assert is_tile_error(ImageError("damaged"))
    assert is_tile_error(MemoryError())
    assert not is_tile_error(StoreError("full"))
    assert not is_tile_error(KeyboardInterrupt())


def test_the_reason_of_a_failure_is_one_line_and_names_foreign_errors():
    assert failure_reason(ImageError("chunk 7\nis damaged")) == "chunk 7 is damaged"
    assert failure_reason(ValueError("no")) == "ValueError: no"
