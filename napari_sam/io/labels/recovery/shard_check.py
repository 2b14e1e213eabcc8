"""Check chunk files without decoding them."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.io.json_files import read_json_object

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_ZSTD = b"\x28\xb5\x2f\xfd"
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
_CHECKSUM_BYTES = 4
_LONGEST_HEADER = 18


def damaged_shard(level: Path) -> Path | None:
    """Return a shard of a level that cannot be read, or None.

    A process that is killed while it writes a shard leaves a longer file behind, into which tensorstore writes the
    next version of the shard without truncating it. The index, which is expected at the end, then belongs to the old
    version.

    Parameters
    ----------
    level : Path
        Folder of a level.
    """
    try:
        meta = read_json_object(level / "zarr.json")
        (codec,) = meta["codecs"]
        settings = codec["configuration"]
        outer, inner = meta["chunk_grid"]["configuration"]["chunk_shape"], settings["chunk_shape"]
        if codec["name"] != "sharding_indexed" or settings["codecs"][-1]["name"] != "zstd":
            return None
        count = math.prod(a // b for a, b in zip(outer, inner, strict=True))
    except (OSError, ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return None  # whoever opens the level says what is wrong
    for folder, _, names in os.walk(level / "c"):
        for name in names:
            if name.isdigit() and not _is_sound(level.joinpath(folder, name), count):
                return level.joinpath(folder, name)
    return None


def _is_sound(shard: Path, count: int) -> bool:
    """Whether each entry of a shard's index leads to a compressed chunk of its length."""
    index_bytes = 16 * count + _CHECKSUM_BYTES
    with shard.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < index_bytes:
            return False
        file.seek(size - index_bytes)
        entries = np.frombuffer(file.read(16 * count), "<u8").reshape(count, 2)
        used = entries[(entries != _EMPTY).any(axis=1)]
        limit = np.uint64(size - index_bytes)
        if (used > limit).any() or (used.sum(axis=1) > limit).any():
            return False
        return all(_frame_bytes(file, offset, length) == length for offset, length in used.tolist())


def _frame_bytes(file: BinaryIO, offset: int, most: int) -> int | None:
    """Return the length of the zstd frame at an offset, from the headers of its blocks; None if there is none."""
    file.seek(offset)
    head = file.read(_LONGEST_HEADER)
    if len(head) < _LONGEST_HEADER or head[:4] != _ZSTD:
        return None
    flags = head[4]
    single = flags >> 5 & 1
    size_bytes = (single, 2, 4, 8)[flags >> 6]
    position = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + size_bytes
    while position < most:
        file.seek(offset + position)
        block = int.from_bytes(file.read(3), "little")
        is_last, kind, size = block & 1, block >> 1 & 3, block >> 3
        position += 3 + (1 if kind == 1 else size)  # a block of one repeated byte holds it once
        if is_last:
            return position + (_CHECKSUM_BYTES if flags >> 2 & 1 else 0)
    return None
