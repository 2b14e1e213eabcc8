"""Results of tiles on disk while a whole image is segmented: one file per tile, complete or absent."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.tiling.tiles import SIDES, TileResult, TileTable
from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import decode_labels, encode_labels
from src_models.atomic import write_bytes
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.tiling.tiles import Tile

_COLUMNS = {"area": "iu", "core_area": "iu", "boxes": "iu", "cut": "iub", "predicted_iou": "f", "stability_score": "f"}
"""Columns of a tile's table, with the kinds of numpy types that they may have."""

_NAME = "tile"
DAMAGED = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, IndexError, OverflowError, MemoryError,
    RuntimeError, SyntaxError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What numpy and zipfile raise for damaged files."""

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
        self._checked: set[Tile] = set()  # tiles whose file is known to be theirs
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
        arrays: dict[str, Any] = {name: getattr(result.table, name) for name in _COLUMNS}
        arrays[_NAME] = np.array(tile.name)
        runs = {"labels": result.labels, **result.strips}
        arrays |= {name: np.frombuffer(encode_labels(labels), np.uint8) for name, labels in runs.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        with named_write_errors(self._path(tile)):
            write_bytes(self._path(tile), buffer.getvalue())

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
        table = TileTable(*(self._member(tile, name) for name in _COLUMNS))
        count = len(table.area) if table.area.ndim == 1 else -1
        for name, kind in _COLUMNS.items():
            column = getattr(table, name)
            if column.shape != ((count, 4) if name == "boxes" else (count,)) or column.dtype.kind not in kind:
                raise _damaged(self._path(tile), f"{name} has shape {column.shape} and type {column.dtype}")
        return table

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
            shape = tile.shape if name == "labels" else None
            try:
                labels = decode_labels(self._member(tile, name).tobytes(), shape).view(np.int32)
            except StoreError as error:
                raise _damaged(self._path(tile), error) from error
            if labels.min() < 0 or labels.max() > self._member(tile, "area").size:
                raise _damaged(self._path(tile), f"labels from {labels.min()} to {labels.max()}")
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
        if tile not in self._checked:
            stored = str(read_member(path, _NAME, default=np.array(tile.name)))  # version 0.1 wrote no name
            if stored != tile.name:
                raise _damaged(path, f"it is the file of tile {stored}")
            self._checked.add(tile)
        return read_member(path, name)

    def _path(self, tile: Tile) -> Path:
        return self.folder / f"{tile.name}.npz"


def read_member(path: Path, name: str, default: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return an array of an npz file of a run.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the array.
    default : ndarray, optional
        What to return if the file has no such array.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if default is not None and name not in file.files:
                return default
            member: NDArray[Any] = file[name]
            return member
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, reason: object) -> StoreError:
    return StoreError(f"{path}: damaged ({reason})", remedy=f"delete this file, then {_RESUME}")


@contextlib.contextmanager
def named_write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of a file of a run into a `StoreError` with the remedy."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error}",
            remedy=f"make room or choose another folder, then {_RESUME}; finished parts are kept",
        ) from error
