"""Zarr levels written block by block: every file appears whole or not at all, so a killed writer can go on."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CancelledError, StoreError
from napari_sam.io.images.zarr_store import ZarrStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Box = tuple[int, int, int, int]

_CODECS: dict[str, list[dict[str, Any]]] = {
    "zstd": [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}],
    "lz4": [
        {
            "name": "blosc",
            "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 0, "blocksize": 0},
        }
    ],
}
CODECS = tuple(_CODECS)


class Progress:
    """Counts blocks, tells a callback, and stops when asked."""

    def __init__(
        self, total: int, report: Callable[[int, int], None] | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self._total, self._report, self._cancelled, self._done = total, report, cancelled, 0

    def check(self) -> None:
        """Stop if asked to.

        Raises
        ------
        CancelledError
            Then.
        """
        if self._cancelled is not None and self._cancelled():
            raise CancelledError(f"stopped at block {self._done} of {self._total}; the same call goes on from there")

    def step(self) -> None:
        """One block more is done."""
        self._done += 1
        if self._report is not None:
            self._report(self._done, self._total)


def create_level(
    folder: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[np.generic],
    chunks: tuple[int, ...],
    shard: tuple[int, ...] | None = None,
    codec: str = "zstd",
) -> Any:
    """A zarr v3 array to write, new or as far as it was written before.

    Parameters
    ----------
    folder : Path
        Of the array.
    shape, chunks : tuple of int
        Of the array, and of what is decoded at once.
    dtype : numpy.dtype
        Of the pixels.
    shard : tuple of int, optional
        Shape of a file, in whole chunks; one file per chunk by default.
    codec : str
        "zstd", or "lz4" with bit-shuffling, which is larger and decodes in half the time.

    Raises
    ------
    StoreError
        If it cannot be made, or another array is there.
    """
    import tensorstore as ts  # noqa: PLC0415 - keeps the import of this module quick

    packed = [dict(c) for c in _CODECS[codec]]
    if packed[0]["name"] == "blosc":
        packed[0]["configuration"] = {**packed[0]["configuration"], "typesize": dtype.itemsize}
    raw = {"name": "bytes"} if dtype.itemsize == 1 else {"name": "bytes", "configuration": {"endian": "little"}}
    codecs: list[dict[str, Any]] = [raw, *packed]
    if shard is not None:
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        sharding = {"chunk_shape": list(chunks), "codecs": codecs, "index_codecs": index, "index_location": "end"}
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    metadata = {
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard or chunks)}},
        "codecs": codecs,
    }
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "metadata": metadata,
        "store_data_equal_to_fill_value": True,  # a file that is there says that its block is done
    }
    try:
        return ts.open(spec, create=True, open=True, read=True, write=True, context=_context()).result()
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{folder}: cannot be written ({error}); remove it, or choose another place") from error


def open_level(folder: Path) -> Any:
    """A level to read."""
    return ZarrStore(str(folder)).array()


def write_block(array: Any, box: Box, block: NDArray[np.generic]) -> None:
    """Write a region (y, x) of an array (y, x, c), and wait until it is on disk.

    Raises
    ------
    StoreError
        If the disk is full, read-only or gone.
    """
    y0, x0, y1, x1 = box
    write(array[y0:y1, x0:x1], block)


def write(region: Any, block: NDArray[np.generic]) -> None:
    """Write a tensorstore region, and wait until it is on disk; raises as `write_block`."""
    try:
        region.write(block).result()
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"cannot be written: {error}; make room, or choose another place, and run it again") from error


def block_is_written(folder: Path, box: Box, file_shape: tuple[int, int]) -> bool:
    """Whether all files of a block of an array (y, x, c) are there."""
    y0, x0, y1, x1 = box
    h, w = file_shape
    places = [(i, j) for i in range(y0 // h, -(-y1 // h)) for j in range(x0 // w, -(-x1 // w))]
    return all((folder / "c" / str(i) / str(j) / "0").exists() for i, j in places)


def chunk_boxes(shape: tuple[int, int], block: tuple[int, int]) -> Iterator[Box]:
    """Blocks that cover a level, row by row.

    >>> list(chunk_boxes((3, 5), (2, 4)))
    [(0, 0, 2, 4), (0, 4, 2, 5), (2, 0, 3, 4), (2, 4, 3, 5)]
    """
    (h, w), (bh, bw) = shape, block
    for y in range(0, h, bh):
        for x in range(0, w, bw):
            yield y, x, min(h, y + bh), min(w, x + bw)


def publish(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that is there whole or not at all, also after a power cut.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error}); make room, or choose another place") from error


def spare_room(folder: Path, size_bytes: int) -> None:
    """Refuse to start what the disk cannot hold; compression usually needs less, so a third must be there.

    Raises
    ------
    StoreError
        If the folder cannot be made or the disk is too full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error}); choose another place") from error
    if free < size_bytes / 3:
        raise StoreError(f"{folder}: {free / 2**30:.3g} GiB free, up to {size_bytes / 2**30:.3g} needed; make room")


def _context() -> Any:
    import tensorstore as ts  # noqa: PLC0415

    if not _shared:
        _shared.append(ts.Context({"cache_pool": {"total_bytes_limit": 0}}))
    return _shared[0]


_shared: list[Any] = []
