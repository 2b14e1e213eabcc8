"""Objects of the planes of a stack on disk while they are linked: one file per plane, complete or absent."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.linking.plane_objects import Links, PlaneObjects, PlaneOverlap
from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import decode_labels, encode_labels
from napari_sam.io.tile_files import named_write_errors, read_member
from src_models.atomic import replacing
from src_models.lru import LRU

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK_PX = 2048
"""Side of the blocks of a plane that are read and written at a time, level-0 pixels."""

Block = tuple[int, int]
"""Row and column of a block."""

_COLUMNS: dict[str, tuple[int, ...]] = {"labels": (), "area": (), "centroid": (2,), "boxes": (4,), "score": ()}
_PLANE, _BLOCK = re.compile(r"p(\d{6})\.npz"), re.compile(r"b(\d+)_(\d+)\.npy")
_LINKS = "links.npz"
_CACHE_BYTES = 64 << 20


class PlaneFiles:
    """A folder with the objects of planes.

    Parameters
    ----------
    folder : Path
        The folder, which is created when the first file is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._decoded: LRU[tuple[int, Block], NDArray[np.uint32]] = LRU(limit_bytes=_CACHE_BYTES)

    def planes(self) -> list[int]:
        """Return the planes that have a file, ascending."""
        try:
            names = (entry.name for entry in os.scandir(self.folder))
            return sorted(int(match[1]) for match in map(_PLANE.fullmatch, names) if match)
        except FileNotFoundError:
            return []

    def write(self, objects: PlaneObjects, blocks: Iterable[tuple[Block, NDArray[np.integer]]]) -> None:
        """Write the objects of a plane.

        Parameters
        ----------
        objects : PlaneObjects
            Their table.
        blocks : iterable of (Block, ndarray of int)
            Ids (h, w) of each block of `BLOCK_PX` that shows objects; those at the border are smaller.

        Raises
        ------
        StoreError
            If the disk is full or cannot be written.
        """
        path = self._path(objects.plane)
        for key in [key for key in self._decoded if key[0] == objects.plane]:
            self._decoded.pop(key)
        with named_write_errors(path), replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
            for name in _COLUMNS:
                _add(file, name, getattr(objects, name))
            for (row, column), labels in blocks:
                _add(file, f"b{row}_{column}", np.frombuffer(encode_labels(labels), np.uint8))

    def copy_plane(self, plane: int, other: PlaneFiles) -> None:
        """Copy the file of a plane into another folder.

        Raises
        ------
        StoreError
            If the disk is full or cannot be written.
        """
        path = other._path(plane)
        with named_write_errors(path), replacing(path) as temporary:
            shutil.copyfile(self._path(plane), temporary)

    def table(self, plane: int) -> PlaneObjects:
        """Return the table of a plane's objects.

        Raises
        ------
        StoreError
            If its file is damaged.
        """
        columns = {name: read_member(self._path(plane), name) for name in _COLUMNS}
        count = len(columns["labels"])
        for name, values in _COLUMNS.items():
            if columns[name].shape != (count, *values):
                raise StoreError(
                    f"{self._path(plane)}: damaged ({name} has shape {columns[name].shape})",
                    remedy="delete this file, then continue with {resume=True}",
                )
        return PlaneObjects(plane, **columns)

    def blocks(self, plane: int) -> list[Block]:
        """Return the blocks of a plane that show objects, row by row."""
        try:
            with zipfile.ZipFile(self._path(plane)) as file:
                matches = [_BLOCK.fullmatch(name) for name in file.namelist()]
        except (OSError, zipfile.BadZipFile) as error:
            raise StoreError(
                f"{self._path(plane)}: damaged ({error})",
                remedy="delete this file, then continue with {resume=True}",
            ) from error
        return sorted((int(match[1]), int(match[2])) for match in matches if match)

    def block(self, plane: int, block: Block) -> NDArray[np.uint32]:
        """Return the ids (h, w) of a block of a plane."""
        return self._decoded.get_or_compute((plane, block), lambda: self._decode(plane, block))

    def overlap(self, first: int, second: int) -> PlaneOverlap | None:
        """Return the overlap of two planes, if it is on disk."""
        path = self._overlap_path(first, second)
        if not path.exists():
            return None
        pairs = read_member(path, "pairs").reshape(-1, 3)
        return PlaneOverlap(first, second, *pairs.T)

    def write_overlap(self, overlap: PlaneOverlap) -> None:
        """Write the overlap of two planes."""
        pairs = np.stack([overlap.first, overlap.second, overlap.pixels], axis=1)
        _save(self._overlap_path(overlap.first_plane, overlap.second_plane), {"pairs": pairs})

    def links(self) -> Links | None:
        """Return the links of all planes, if they are on disk."""
        path = self.folder / _LINKS
        if not path.exists():
            return None
        planes, parents = read_member(path, "planes").tolist(), read_member(path, "parents").reshape(-1, 2)
        return Links({plane: read_member(path, f"p{plane}") for plane in planes}, dict(parents.tolist()))

    def write_links(self, links: Links) -> None:
        """Write the links of all planes."""
        arrays = {f"p{plane}": numbers for plane, numbers in links.numbers.items()}
        arrays["planes"] = np.array(sorted(links.numbers), np.int64)
        arrays["parents"] = np.array(sorted(links.parents.items()), np.int64)
        _save(self.folder / _LINKS, arrays)

    def clear(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _decode(self, plane: int, block: Block) -> NDArray[np.uint32]:
        data = read_member(self._path(plane), "b{}_{}".format(*block))
        labels = decode_labels(data.tobytes())
        labels.setflags(write=False)
        return labels

    def _path(self, plane: int) -> Path:
        return self.folder / f"p{plane:06d}.npz"

    def _overlap_path(self, first: int, second: int) -> Path:
        return self.folder / f"overlap{first:06d}_{second:06d}.npz"


def _add(file: zipfile.ZipFile, name: str, values: NDArray[Any]) -> None:
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)


def _save(path: Path, arrays: dict[str, NDArray[np.int64]]) -> None:
    with named_write_errors(path), replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
