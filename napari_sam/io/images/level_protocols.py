"""Protocols of scale levels: one level as an array, and an image whose levels are read region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

Index = int | slice | tuple[int | slice, ...]


class LevelArray(Protocol):
    """One scale level: an array of numpy, dask or zarr, or one of our readers."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        ...

    @property
    def dtype(self) -> DTypeLike:
        """Type of the pixels."""
        ...

    def __getitem__(self, index: Index) -> Any: ...


class LevelSource(Protocol):
    """An image whose scale levels can be read region by region.

    Attributes
    ----------
    selected : tuple of int
        Channels that `read` returns.
    exact_px : int
        Number of pixels up to which a region of a virtual level is computed exactly.
    nodata : float or None
        Value of pixels without measurement.
    """

    selected: tuple[int, ...]
    exact_px: int
    nodata: float | None

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Height and width of every scale level, finest first."""
        ...

    @property
    def file_levels(self) -> int:
        """Number of scale levels in the file; coarser levels are virtual or come from an overview file."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the pixels."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels that `read` returns."""
        ...

    @property
    def chunk(self) -> tuple[int, int]:
        """Height and width of the unit of decoding in the file's coarsest level."""
        ...

    @property
    def strided(self) -> bool:
        """Whether every n-th pixel of the file's coarsest level can be read without decoding the others."""
        ...

    @property
    def has_overview(self) -> bool:
        """Whether the coarser levels come from an overview file."""
        ...

    def read(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.generic]:
        """Read every `step`-th pixel of a region as (h, w, channels)."""
        ...
