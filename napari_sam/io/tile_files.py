"""Results of tiles on disk while a whole image is segmented: one file per tile, complete or absent."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.tiling.tiles import SIDES, TileResult, TileTable
from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import decode_labels, encode_labels
from src_models.atomic import write_bytes
from src_models.lru import LRU

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.tiling.tiles import Tile

_COLUMNS = ("area", "core_area", "boxes", "cut", "predicted_iou", "stability_score")
_CACHE_BYTES = 64 << 20  # of decoded labels and strips, which neighbouring tiles read again
_RESUME = "continue with {resume=True}"


class TileFiles:
    """A folder with the results of tiles.

    A tile's file gets its name once all of it is on disk: its existence marks the tile as done.

    Parameters
    ----------
    folder : Path
        The folder, which is created when the first file is written.

    Attributes
    ----------
    failed : set of str
        Names of tiles that could not be segmented, which are read as empty. Any other missing tile is an error.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: set[str] = set()
        self._decoded: LRU[tuple[str, str], NDArray[np.int32]] = LRU(limit_bytes=_CACHE_BYTES)

    def done(self) -> set[str]:
        """Return the names of the tiles that have a file."""
        try:
            return {
                entry.name[:-4]
                for entry in os.scandir(self.folder)
                if entry.name[0] == "f" and entry.name.endswith(".npz")
            }
        except FileNotFoundError:
            return set()

    def write(self, tile: Tile, result: TileResult) -> None:
        """Write a tile's result.

        Raises
        ------
        StoreError
            If the disk is full or cannot be written.
        """
        arrays = {name: getattr(result.table, name) for name in _COLUMNS}
        runs = {"labels": result.labels, **result.strips}
        arrays |= {name: np.frombuffer(encode_labels(labels), np.uint8) for name, labels in runs.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        _write(self._path(tile), buffer.getvalue())

    def table(self, tile: Tile) -> TileTable:
        """Return the table of a tile's objects; empty for one of `failed`.

        Raises
        ------
        StoreError
            If its file is damaged.
        """
        if self._is_empty(tile):
            empty, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
            return TileTable(empty, empty, empty.reshape(0, 4), empty.astype(bool), scores, scores)
        return TileTable(*(self._member(tile, name) for name in _COLUMNS))

    def strip(self, tile: Tile, side: str) -> NDArray[np.int32]:
        """Return the labels along one of `SIDES`."""
        if side not in SIDES:
            raise ValueError(f"side {side!r}: one of {SIDES}")
        return self._runs(tile, side)

    def labels(self, tile: Tile) -> NDArray[np.int32]:
        """Return the labels of the whole tile."""
        return self._runs(tile, "labels")

    def clear(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _runs(self, tile: Tile, name: str) -> NDArray[np.int32]:
        return self._decoded.get_or_compute((tile.name, name), lambda: self._decode(tile, name))

    def _decode(self, tile: Tile, name: str) -> NDArray[np.int32]:
        if self._is_empty(tile):
            labels = np.zeros(tile.shape, np.int32)  # also for a strip, which then reads as background
        else:
            labels = decode_labels(self._member(tile, name).tobytes()).view(np.int32)
        labels.setflags(write=False)
        return labels

    def _is_empty(self, tile: Tile) -> bool:
        if self._path(tile).exists():
            return False
        if tile.name in self.failed:
            return True
        raise StoreError(f"{self._path(tile)}: is missing", remedy=f"{_RESUME}, which segments this tile again")

    def _member(self, tile: Tile, name: str) -> NDArray[Any]:
        path = self._path(tile)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                member: NDArray[Any] = file[name]
                return member
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path}: damaged ({error})", remedy=f"delete this file, then {_RESUME}") from error

    def _path(self, tile: Tile) -> Path:
        return self.folder / f"{tile.name}.npz"


def _write(path: Path, data: bytes) -> None:
    """Write a file in one step."""
    try:
        write_bytes(path, data)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error}",
            remedy=f"make room or choose another folder, then {_RESUME}; finished tiles are kept",
        ) from error
