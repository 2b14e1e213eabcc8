"""What the engine asks of an image; `napari_sam.io` has the kinds of image there are."""

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
        Of the pixels.
    levels : sequence of (int, int)
        Shape of every scale level, finest first.
    contrast_limits : tuple of (float, float) or None
        Values shown as black and white, if somebody chose them.
    persistent : bool, optional
        Whether `identity` means the same pixels in another process, as a file's does and an array's does not. Only
        then are embeddings kept on disk; taken as False where a source does not say.
    uri : str or None, optional
        Address of the file, None for arrays in memory.
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
        """Read (h, w, channels) pixels of a scale level, every `step`-th."""
        ...
