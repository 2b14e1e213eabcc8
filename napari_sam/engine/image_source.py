"""The protocol of images that the engine reads; `napari_sam.io.images` implements it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class ImageSource(Protocol):
    """A lazy, thread-safe image with scale levels.

    Attributes
    ----------
    identity : str
        Stable name of the pixels, for cache keys; never computed from the pixels.
    shape : tuple of int
        (height, width) of level 0.
    channels : int
        Number of channels that `read` returns.
    dtype : numpy.dtype
        Type of the pixels.
    levels : sequence of (int, int)
        Shape of every scale level, finest first.
    contrast_limits : tuple of (float, float) or None
        Values displayed as black and white, where the user chose them.
    persistent : bool, optional
        Whether `identity` names the same pixels in another process, as that of a file does and that of an array does
        not. Only then are embeddings kept on disk; False for sources without this attribute.
    uri : str or None, optional
        Address of the file, None for arrays in memory.
    nodata : float or None, optional
        Value of pixels without measurement.
    bits : int or None, optional
        Number of bits that the values use, if fewer than their type has.
    inverted : bool, optional
        Whether the smallest value is white.
    """

    identity: str
    contrast_limits: tuple[float, float] | None

    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def channels(self) -> int: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype[np.generic]: ...  # noqa: D102

    @property
    def levels(self) -> Sequence[tuple[int, int]]: ...  # noqa: D102

    def read(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.generic]:
        """Read every `step`-th pixel of a region of a scale level: (h, w, channels)."""
        ...
