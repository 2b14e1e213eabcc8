"""Zarr arrays that return numpy: by tensorstore, and by zarr-python for codecs that tensorstore lacks."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorstore as ts
    import zarr
    from numpy.typing import NDArray

    from napari_sam.io.images.level_protocols import Index

REMOTE_SECONDS = 60
_LARGE_CHUNK_PX = 1 << 24
_LISTED_FILES = 4096


class ZarrArray(Protocol):
    """An array of a zarr store; many threads may read it at the same time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    @property
    def ndim(self) -> int:
        """Number of axes."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the pixels."""
        ...

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of the unit of decoding."""
        ...

    def __getitem__(self, index: Index) -> NDArray[np.generic]: ...


class TensorStoreArray:
    """An array read by tensorstore; many threads may read it at the same time.

    Parameters
    ----------
    store : tensorstore.TensorStore
        The opened array.
    remote : bool
        Whether it is read over the network, with a timeout.

    Attributes
    ----------
    shape, chunks : tuple of int
        Lengths of the axes, and shape of the unit of decoding.
    dtype : numpy.dtype
        Type of the pixels.
    """

    def __init__(self, store: ts.TensorStore, remote: bool = False) -> None:
        self._store, self._timeout = store, REMOTE_SECONDS if remote else None
        self.shape: tuple[int, ...] = tuple(int(n) for n in store.shape)
        self.dtype: np.dtype[np.generic] = np.dtype(store.dtype.numpy_dtype)
        self.chunks: tuple[int, ...] = _integers(store.chunk_layout.read_chunk.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def slow_reason(self) -> str | None:
        """Reason why it is slow to read, None if it is not."""
        return _large_chunks(self.chunks)

    def stored_corners(self, limit: int) -> list[tuple[int, ...]]:
        """Return the first elements of some chunks or shards that exist as files; none if they cannot be listed."""
        kvstore = self._store.spec().to_json().get("kvstore", {})
        if not isinstance(kvstore, dict) or kvstore.get("driver") != "file":
            return []
        chunk = _integers(self._store.chunk_layout.write_chunk.shape)
        corners = _listed_corners(str(kvstore["path"]), chunk)
        return corners[:: max(1, len(corners) // limit)][:limit]

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        block: NDArray[np.generic] = self._store[index].read().result(timeout=self._timeout)
        return block


class ZarrPythonArray:
    """An array read by zarr-python.

    Parameters
    ----------
    array : zarr.Array
        The opened array.
    """

    def __init__(self, array: zarr.Array) -> None:
        self._array = array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[np.generic] = np.dtype(array.dtype)
        self.chunks: tuple[int, ...] = tuple(array.chunks)
        self.ndim: int = array.ndim

    @property
    def slow_reason(self) -> str | None:
        """Reason why it is slow to read, None if it is not."""
        return _large_chunks(self.chunks)

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        return np.asarray(self._array[index])


def _listed_corners(root: str, chunk: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the first elements of the chunks in a folder, from a limited number of its files."""
    corners: list[tuple[int, ...]] = []
    listed = 0
    for folder, _, files in os.walk(root):
        for name in files:
            listed += 1
            numbers = re.findall(r"\d+", os.path.relpath(os.path.join(folder, name), root))
            if not name.startswith(("zarr.", ".z")) and len(numbers) == len(chunk):
                corners.append(tuple(int(n) * size for n, size in zip(numbers, chunk, strict=True)))
        if listed > _LISTED_FILES:
            break
    return corners


def _integers(shape: tuple[int | None, ...] | None) -> tuple[int, ...]:
    """Return the chunk shape of an opened array, which is never partial."""
    return tuple(int(n or 0) for n in shape or ())


def _large_chunks(chunks: tuple[int, ...]) -> str | None:
    size = math.prod(chunks)
    return f"each read decodes {size / 1e6:.0f} Mpx, a chunk of {chunks}" if size > _LARGE_CHUNK_PX else None
