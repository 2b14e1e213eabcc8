"""Zarr levels written block by block: every file appears complete or not at all, so that a killed run can resume."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.engine.geometry import Box
from napari_sam.errors import StoreError
from napari_sam.io.images.formats.zarr.zarr_store import ZarrStore
from napari_sam.io.kvstore import file_kvstore
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import tensorstore as ts
    from numpy.typing import NDArray

    from napari_sam.io.images.formats.zarr.zarr_arrays import ZarrArray
    from napari_sam.io.json_types import JsonObject

_CODECS: dict[str, list[JsonObject]] = {
    "zstd": [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}],
    "lz4": [
        {
            "name": "blosc",
            "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 0, "blocksize": 0},
        }
    ],
}
CODECS = tuple(_CODECS)


@dataclass(frozen=True)
class LevelFormat:
    """How the pixels of a level are stored.

    Attributes
    ----------
    chunks : tuple of int
        Shape of a chunk.
    shard : tuple of int or None
        Shape of a file, in whole chunks; None for one file per chunk.
    codec : str
        "zstd", or "lz4" with bit-shuffling, whose files are larger and decode in half the time.
    axes : str
        Names of the axes, which zarr v3 keeps; empty for none.
    zarr_format : int
        3, or 2, which has no shards.
    """

    chunks: tuple[int, ...]
    shard: tuple[int, ...] | None = None
    codec: str = "zstd"
    axes: str = ""
    zarr_format: int = 3

    def spec(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> JsonObject:
        """Return tensorstore's driver and metadata of an array."""
        if self.zarr_format == 2:
            return {"driver": "zarr", "metadata": self._metadata_v2(shape, dtype)}
        return {"driver": "zarr3", "metadata": self._metadata_v3(shape, dtype)}

    def _metadata_v2(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> JsonObject:
        lz4 = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 2, "blocksize": 0}
        return {
            "zarr_format": 2,
            "shape": list(shape),
            "chunks": list(self.chunks),
            "dtype": dtype.newbyteorder("<").str,
            "compressor": lz4 if self.codec == "lz4" else {"id": "zstd", "level": 1},
            "dimension_separator": "/",
            "fill_value": 0,
            "filters": None,
            "order": "C",
        }

    def _metadata_v3(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> JsonObject:
        packed = [dict(c) for c in _CODECS[self.codec]]
        if packed[0]["name"] == "blosc":
            packed[0]["configuration"] = {**packed[0]["configuration"], "typesize": dtype.itemsize}
        raw = {"name": "bytes"} if dtype.itemsize == 1 else {"name": "bytes", "configuration": {"endian": "little"}}
        codecs: list[JsonObject] = [raw, *packed]
        if self.shard is not None:
            index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
            sharding = {
                "chunk_shape": list(self.chunks),
                "codecs": codecs,
                "index_codecs": index,
                "index_location": "end",
            }
            codecs = [{"name": "sharding_indexed", "configuration": sharding}]
        metadata: JsonObject = {
            "shape": list(shape),
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.shard or self.chunks)}},
            "codecs": codecs,
        }
        return metadata | ({"dimension_names": list(self.axes)} if self.axes else {})


def create_level(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic], layout: LevelFormat
) -> ts.TensorStore:
    """Create a zarr array to write, or open it if it exists in part.

    Parameters
    ----------
    folder : Path
        Folder of the array.
    shape : tuple of int
        Shape of the array.
    dtype : numpy.dtype
        Type of the pixels.
    layout : LevelFormat
        How they are stored.

    Returns
    -------
    tensorstore.TensorStore

    Raises
    ------
    StoreError
        If it cannot be created, or the folder holds another array.
    """
    import tensorstore as ts  # noqa: PLC0415 - keeps the import of this module fast

    spec = {
        **layout.spec(shape, dtype),
        "kvstore": file_kvstore(folder),
        "store_data_equal_to_fill_value": True,  # the existence of a file marks its block as done
    }
    try:
        return ts.open(spec, create=True, open=True, read=True, write=True, context=_context()).result()
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"{folder}: cannot be written ({error})", remedy="remove it, or choose another folder"
        ) from error


def open_level(folder: Path) -> ZarrArray:
    """Open a level to read."""
    return ZarrStore(str(folder)).array()


def write_block(region: ts.TensorStore, block: NDArray[np.generic]) -> None:
    """Write a region of an array, and wait until it is on disk.

    Parameters
    ----------
    region : tensorstore.TensorStore
        The region, such as ``array[y0:y1, x0:x1]``.
    block : ndarray
        Its pixels.

    Raises
    ------
    StoreError
        If the disk is full, read-only or gone.
    """
    try:
        region.write(block).result()
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"cannot be written: {error}", remedy="make room, or choose another folder, and run it again"
        ) from error


def block_is_written(folder: Path, box: tuple[int, int, int, int], file_shape: tuple[int, int]) -> bool:
    """Return whether all files of a block of an array (y, x, c) exist."""
    files = [(y0 // file_shape[0], x0 // file_shape[1]) for y0, x0, _, _ in cut_box(box, file_shape)]
    return all((folder / "c" / str(i) / str(j) / "0").exists() for i, j in files)


def chunk_boxes(shape: tuple[int, int], block: tuple[int, int]) -> Iterator[Box]:
    """Cut a level into blocks, row by row.

    >>> list(chunk_boxes((3, 5), (2, 4)))
    [(0, 0, 2, 4), (0, 4, 2, 5), (2, 0, 3, 4), (2, 4, 3, 5)]
    """
    return cut_box((0, 0, *shape), block)


def cut_box(box: tuple[int, int, int, int], block: tuple[int, int]) -> Iterator[Box]:
    """Cut a box along the grid of blocks, row by row.

    >>> list(cut_box((0, 4000, 10, 5000), (2048, 2048)))
    [(0, 4000, 10, 4096), (0, 4096, 10, 5000)]
    """
    (y0, x0, y1, x1), (bh, bw) = box, block
    for top in range(y0 // bh * bh, y1, bh):
        for left in range(x0 // bw * bw, x1, bw):
            yield Box(top, left, top + bh, left + bw).intersection(box)


def write_metadata(path: Path, content: JsonObject) -> None:
    """Write a JSON file in one step.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    try:
        write_json(path, content)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error})", remedy="make room, or choose another folder"
        ) from error


def check_free_space(folder: Path, size_bytes: int) -> None:
    """Refuse to start if a third of the uncompressed size does not fit on the disk.

    Raises
    ------
    StoreError
        If the folder cannot be created or the disk is too full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error})", remedy="choose another folder") from error
    if free < size_bytes / 3:
        raise StoreError(
            f"{folder}: {free / 2**30:.3g} GiB free, up to {size_bytes / 2**30:.3g} needed", remedy="make room"
        )


@functools.cache
def _context() -> ts.Context:
    """Return tensorstore's shared resources, without a cache."""
    import tensorstore as ts  # noqa: PLC0415

    return ts.Context({"cache_pool": {"total_bytes_limit": 0}})
