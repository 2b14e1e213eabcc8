"""A fingerprint of pixels: tells in a later session that an image without a file is the same image."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.level_protocols import LevelArray

_MOST_BYTES = 1 << 26  # of an array in memory; of larger ones, evenly spaced rows count
_BLOCK_PX, _BLOCKS = 128, 3  # of arrays that are read or computed piece by piece


def pixel_fingerprint(levels: Sequence[LevelArray]) -> str:
    """Return 16 hexadecimal digits that depend on shape, type and pixels of an image, and on nothing else.

    Parameters
    ----------
    levels : sequence of array
        Scale levels, finest first. An array of numpy counts whole up to 64 MiB, and by evenly spaced rows beyond
        that. Of other arrays, 3 x 3 blocks of the coarsest level count in each of up to three planes, because reading
        them whole may take minutes.

    Examples
    --------
    >>> import numpy as np
    >>> ones, twos = np.ones((4, 5), np.uint8), np.full((4, 5), 2, np.uint8)
    >>> pixel_fingerprint([ones]) == pixel_fingerprint([ones.copy()]) != pixel_fingerprint([twos])
    True
    """
    levels = [getattr(level, "unmasked", level) for level in levels]  # a mask does not make another image
    finest = levels[0]
    digest = hashlib.sha256(f"{tuple(finest.shape)} {finest.dtype}".encode())
    for part in _rows(finest) if isinstance(finest, np.ndarray) else _blocks(levels[-1]):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def _rows(array: NDArray[np.generic]) -> Iterator[NDArray[np.generic]]:
    if array.nbytes <= _MOST_BYTES or array.ndim < 2:
        yield array
        return
    rows = array.reshape(-1, *array.shape[-2:]) if array.flags.c_contiguous else array
    count = max(1, _MOST_BYTES * len(rows) // array.nbytes)
    if count >= 3:
        yield from (rows[i] for i in np.linspace(0, len(rows) - 1, count).astype(int))
        return
    step = -(-array.nbytes // _MOST_BYTES)
    yield array[..., ::step, :]


def _blocks(array: LevelArray) -> list[NDArray[np.generic]]:
    sizes = tuple(int(n) for n in array.shape)
    axes = len(sizes) - (3 if sizes[-1] in (3, 4) and len(sizes) > 2 else 2)
    is_stack = any(n > 1 for n in sizes[:axes])
    planes = [tuple(int(f * (n - 1)) for n in sizes[:axes]) for f in (np.linspace(0, 1, _BLOCKS) if is_stack else (0,))]
    places = itertools.product(planes, _starts(sizes[axes]), _starts(sizes[axes + 1]))
    h, w = sizes[axes : axes + 2]
    parts = [
        array[(*plane, slice(y, min(h, y + _BLOCK_PX)), slice(x, min(w, x + _BLOCK_PX)))] for plane, y, x in places
    ]
    if hasattr(array, "dask"):
        from dask.base import compute  # noqa: PLC0415 - only for its arrays

        parts = compute(*parts)  # type: ignore[no-untyped-call] # together, so that a chunk under several blocks is computed once
    return [np.asarray(part) for part in parts]


def _starts(size: int) -> list[int]:
    """Return where the blocks along an axis begin."""
    return sorted({int(s) for s in np.linspace(0, max(0, size - _BLOCK_PX), _BLOCKS)})
