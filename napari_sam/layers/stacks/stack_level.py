"""A level of one image of a stack, as an array that other processes can open, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class StackLevel:
    """A level that is opened again in the process that reads it.

    If a Dask client is active, Dask computes every array on its workers, where open files cannot be sent.

    Parameters
    ----------
    reopen : callable
        Takes `key` and returns the array; must be importable by the other process.
    key : tuple
        What `reopen` needs.
    array : array_like, optional
        The array, if it is open already.
    """

    def __init__(self, reopen: Callable[..., Any], key: tuple[Any, ...], array: Any = None) -> None:
        self._reopen, self._key = reopen, key
        self._array = reopen(*key) if array is None else array

    def __reduce__(self) -> tuple[Any, ...]:
        return StackLevel, (self._reopen, self._key)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the level."""
        return tuple(int(n) for n in self._array.shape)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the pixels."""
        dtype: np.dtype[np.generic] = np.dtype(self._array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        return np.asarray(self._array[index])
