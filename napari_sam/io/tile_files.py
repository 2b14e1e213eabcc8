"""Results of tiles on disk, while all objects of an image are found: one file per tile, whole or not there."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.tiling.tiles import SIDES, TileResult, TileTable
from napari_sam.errors import StoreError
from napari_sam.io.labels.run_length import decode_labels, encode_labels
from src_models.lru import LRU

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.tiling.tiles import Tile

_COLUMNS = ("area", "core_area", "boxes", "cut", "predicted_iou", "stability_score")
_HELD_BYTES = 64 << 20  # of decoded labels and strips, which neighbours ask for again
_RUN = "run.json"


class TileFiles:
    """A folder with the results of tiles.

    A tile's file appears under its name when all of it is on the disk: it is the sign that the tile is done.

    Parameters
    ----------
    folder : Path
        Where; made when the first file is written.

    Attributes
    ----------
    failed : set of str
        Names of tiles that could not be done; they are read as empty. Any other that is missing is an error.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: set[str] = set()
        self._decoded: LRU[tuple[str, str], NDArray[np.int32]] = LRU(limit_bytes=_HELD_BYTES)

    def describe(self, run: dict[str, Any]) -> None:
        """Write what the run is about, before its first tile."""
        _write(self.folder / _RUN, json.dumps(run, indent=1).encode())

    def described(self) -> dict[str, Any] | None:
        """What `describe` wrote; None if nothing was, or not whole."""
        try:
            found = json.loads((self.folder / _RUN).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        whole = isinstance(found, dict) and isinstance(found.get("about"), dict) and {"run", "tiles"} <= found.keys()
        return found if whole else None

    def done(self) -> set[str]:
        """Names of the tiles that are there."""
        try:
            return {
                entry.name[:-4]
                for entry in os.scandir(self.folder)
                if entry.name[0] == "f" and entry.name.endswith(".npz")
            }
        except FileNotFoundError:
            return set()

    def write(self, tile: Tile, result: TileResult) -> None:
        """Keep a tile's result.

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
        """Of all objects of a tile; empty for one of `failed`.

        Raises
        ------
        StoreError
            If its file is damaged.
        """
        if self._is_empty(tile):
            none = np.zeros(0, np.int64)
            score = np.zeros(0, np.float32)
            return TileTable(none, none, none.reshape(0, 4), none.astype(bool), score, score)
        return TileTable(*(self._member(tile, name) for name in _COLUMNS))

    def strip(self, tile: Tile, side: str) -> NDArray[np.int32]:
        """Labels along one of `SIDES`."""
        if side not in SIDES:
            raise ValueError(f"side {side!r}: one of {SIDES}")
        return self._runs(tile, side)

    def labels(self, tile: Tile) -> NDArray[np.int32]:
        """Labels of the whole tile."""
        return self._runs(tile, "labels")

    def clear(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _runs(self, tile: Tile, name: str) -> NDArray[np.int32]:
        return self._decoded.get_or_compute((tile.name, name), lambda: self._decode(tile, name))

    def _decode(self, tile: Tile, name: str) -> NDArray[np.int32]:
        if self._is_empty(tile):
            labels = np.zeros(tile.shape, np.int32)  # also for a strip: whoever cuts it finds background
        else:
            labels = decode_labels(self._member(tile, name).tobytes()).view(np.int32)
        labels.setflags(write=False)
        return labels

    def _is_empty(self, tile: Tile) -> bool:
        if self._path(tile).exists():
            return False
        if tile.name in self.failed:
            return True
        raise StoreError(f"{self._path(tile)}: is gone; go on with resume=True (--resume), which finds it again")

    def _member(self, tile: Tile, name: str) -> NDArray[Any]:
        path = self._path(tile)
        try:
            with np.load(path, allow_pickle=False) as file:
                out: NDArray[Any] = file[name]
                return out
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(
                f"{path}: damaged ({error}); delete this file, then go on with resume=True (--resume)"
            ) from error

    def _path(self, tile: Tile) -> Path:
        return self.folder / f"{tile.name}.npz"


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there, also after a power cut."""
    begun = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with begun.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            begun.replace(path)
        finally:
            begun.unlink(missing_ok=True)
        if os.name == "posix":
            handle = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error}; make room or choose another place, then go on with resume=True: "
            "the tiles that are done are kept"
        ) from error
