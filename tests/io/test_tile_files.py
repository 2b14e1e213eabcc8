"""Results of tiles on disk: read back, or named as damaged."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from napari_sam.engine.tiling.tiles import SIDES, make_tile_result, plan_tiles
from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import encode_labels
from napari_sam.io.tile_files import TileFiles
from tests.engine.tiling.tile_answers import as_objects


@pytest.fixture(scope="module")
def grid():
    return plan_tiles((0, 0, 90, 120), (90, 120), 1, 64, 8)


@pytest.fixture
def files(grid, tmp_path):
    """Files of all tiles, with two objects each."""
    files = TileFiles(tmp_path / "tiles")
    for tile in grid.tiles:
        labels = np.zeros(tile.shape, np.int32)
        labels[5:9, 5:9], labels[12:20, 12:20] = 1, 2
        files.write(tile, make_tile_result(tile, as_objects(labels), grid))
    return files


def read_all(files, tile):
    files.table(tile)
    files.labels(tile)
    for side in SIDES:
        files.strip(tile, side)


def test_what_was_written_is_read_back(files, grid):
    for tile in grid.tiles:
        read_all(files, tile)
        assert np.unique(files.labels(tile)).tolist() == [0, 1, 2]


def test_exchanged_files_are_noticed(files, grid):
    first, second = (files.folder / f"{tile.name}.npz" for tile in grid.tiles[:2])
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    for tile in grid.tiles[:2]:
        with pytest.raises(StoreError, match="it is the file of tile"):
            files.table(tile)


def encoded(labels):
    return np.frombuffer(encode_labels(labels), np.uint8)


WRONG = {
    "area": [np.zeros((2, 2)), np.zeros(3, np.int64), np.array("x"), np.zeros(2, "U3")],
    "boxes": [np.zeros((2, 3), np.int64), np.zeros(8, np.int64), np.zeros((2, 4), float)],
    "predicted_iou": [np.zeros(1, np.float32), np.zeros(2, int)],
    "labels": [
        np.zeros(0, np.uint8),
        np.frombuffer(encode_labels(np.full((3, 3), 1)), np.uint8),
        np.zeros(9, np.uint8),
    ],
    "top": [np.frombuffer(encode_labels(np.full((3, 3), 7)), np.uint8), np.zeros(40, np.uint8)],
}


@pytest.mark.parametrize("member", [(name, i) for name, values in WRONG.items() for i in range(len(values))])
def test_wrong_members_are_one_line_with_the_file(files, grid, member):
    name, i = member
    tile = grid.tiles[0]
    path = files.folder / f"{tile.name}.npz"
    with np.load(path) as stored:
        arrays = dict(stored) | {name: WRONG[name][i]}
    np.savez(path, **arrays)
    with pytest.raises(StoreError, match=r"damaged.*delete this file") as caught:
        read_all(files, tile)
    assert path.name in str(caught.value)


def test_damaged_files_are_one_line_with_the_file(files, grid):
    tile = grid.tiles[0]
    path = files.folder / f"{tile.name}.npz"
    original = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for seed in range(150):
        data = bytearray(original)
        for where in rng.integers(0, len(data), 4 if seed % 2 else 40):
            data[where] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(data) if seed % 5 else original[: int(rng.integers(0, len(original)))])
        fresh = TileFiles(files.folder)
        try:
            read_all(fresh, tile)
        except StoreError:
            refused += 1
    assert refused > 75


def test_a_member_of_a_huge_declared_size_is_refused(files, grid):
    tile = grid.tiles[0]
    path = files.folder / f"{tile.name}.npz"
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 55,)})
        archive.writestr("area.npy", header.getvalue())
    with pytest.raises(StoreError, match="damaged"):
        files.table(tile)
