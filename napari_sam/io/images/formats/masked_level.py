"""Scale levels whose masked pixels read as "no data": alpha channels, masks inside a TIFF, and mask files of GDAL."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from src_models.alpha_channel import is_transparency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.images.level_protocols import Index, LevelArray

    FullIndex = tuple[int | slice, ...]


_WINDOWS, _WINDOW_PX, _WHOLE_PX = 5, 64, 2048  # what is read to tell an alpha channel, along each axis
_BAND_PX = 1 << 24  # of a mask, read at once


class Mask(Protocol):
    """The pixels of a level that are masked."""

    def read(self, index: FullIndex, axes: str, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Return which pixels of a part of a level are masked, to be broadcast to that part.

        Parameters
        ----------
        index : tuple of int or slice
            The part, one entry per axis.
        axes : str
            Axes of the level.
        shape : sequence of int
            Their lengths.
        """
        ...


def fill_of(dtype: np.dtype[np.generic], declared: float | None) -> float | None:
    """Return the value that stands for masked pixels in an image; None if its type has none.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the pixels.
    declared : float, optional
        "No data" value of the file.

    Examples
    --------
    >>> fill_of(np.dtype("u1"), None), fill_of(np.dtype("i2"), None), fill_of(np.dtype("f4"), -9999.0)
    (0.0, -32768.0, -9999.0)
    """
    if dtype.kind not in "iuf":
        return None
    if dtype.kind == "f":
        return math.nan if declared is None else declared
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    if declared is not None and float(declared).is_integer() and limits.min <= declared <= limits.max:
        return declared
    return float(limits.min)


def declare_nodata(image: Image, value: float | None) -> None:
    """Set the "no data" value that a file beside an image declares; other pixels are then black, by another identity.

    Parameters
    ----------
    image : Image
        The image.
    value : float or None
        The value; None changes nothing.
    """
    if value is not None and value != image.nodata:
        image.nodata = value
        image.identity += f"|nodata {value:g}"


def mask_image(image: Image, masks: Sequence[Sequence[Mask]], name: str = "masked") -> None:
    """Make the masked pixels of an image "no data".

    Parameters
    ----------
    image : Image
        The image, as its reader made it; one of truth values keeps its pixels.
    masks : sequence of sequence of Mask
        What masks each of its levels.
    name : str
        Addition to its identity, because its pixels differ from those without masks.
    """
    fill = fill_of(np.dtype(image.arrays[0].dtype), image.nodata)
    if fill is None or not any(masks):
        return
    keep_valid = fill != image.nodata
    image.arrays = [
        MaskedLevel(array, image.array_axes, own, fill, keep_valid=keep_valid)
        for array, own in zip(image.arrays, masks, strict=True)
    ]
    image.nodata = fill
    image.identity += f"|{name}"


def shows_transparency(samples: LevelArray, axes: str, alpha: int) -> bool:
    """Return whether a channel that is declared as alpha looks like one.

    Parameters
    ----------
    samples : array-like
        A level with all its samples, best the coarsest. Of a large one, a grid of small windows is read.
    axes : str
        Its axes, with "s" for samples.
    alpha : int
        Index of the channel among the samples.

    Examples
    --------
    >>> pixels = np.zeros((100, 100, 2), np.uint8)
    >>> pixels[:, 50:, 1] = 255
    >>> shows_transparency(pixels, "yxs", 1)
    True
    >>> pixels[:, :, 1] = np.arange(100)  # a measurement
    >>> shows_transparency(pixels, "yxs", 1)
    False
    """
    places = {axis: _spread(int(samples.shape[axes.index(axis)])) for axis in "yx"}
    values = []
    for rows in places["y"]:
        for cols in places["x"]:
            chosen: dict[str, int | slice] = {"y": rows, "x": cols, "s": alpha}
            index = tuple(chosen.get(axis, 0) for axis in axes)
            values.append(np.asarray(samples[index]).ravel())
    return is_transparency(np.concatenate(values))


def _spread(length: int) -> list[slice]:
    """Return windows spread evenly along an axis, or one of its whole length."""
    if length <= _WHOLE_PX:
        return [slice(0, length)]
    starts = np.linspace(0, length - _WINDOW_PX, _WINDOWS).round().astype(int)
    return [slice(start, start + _WINDOW_PX) for start in starts.tolist()]


class SampleMask:
    """An alpha channel: pixels are masked where it is 0.

    Parameters
    ----------
    samples : array-like
        The level with all its samples.
    alpha : int
        Index of the alpha channel among the samples.
    """

    def __init__(self, samples: LevelArray, alpha: int) -> None:
        self._samples, self._alpha = samples, alpha

    def read(self, index: FullIndex, axes: str, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Return which pixels are masked; see `Mask`."""
        axis = axes.index("s")
        part = (*index[:axis], self._alpha, *index[axis + 1 :])
        masked: NDArray[np.bool_] = np.asarray(self._samples[part]) == 0
        if isinstance(index[axis], int):
            return masked
        return np.expand_dims(masked, sum(isinstance(i, slice) for i in index[:axis]))


class PlaneMask:
    """A mask for all planes and channels: pixels are masked where it is 0.

    Parameters
    ----------
    levels : sequence of array-like
        The mask (y, x) or (y, x, s) at one or more scale levels, finest first. Masked are pixels where all samples
        are 0. A level of the image without a mask of its size takes the nearest pixels of the finest one.
    """

    def __init__(self, levels: Sequence[LevelArray]) -> None:
        self._levels = {tuple(int(n) for n in level.shape[:2]): level for level in reversed(levels)}
        self._finest = levels[0]

    def read(self, index: FullIndex, axes: str, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Return which pixels are masked; see `Mask`."""
        y, x = axes.index("y"), axes.index("x")
        height, width = int(shape[y]), int(shape[x])
        level = self._levels.get((height, width), self._finest)
        rows, cols = _positions(index[y], height), _positions(index[x], width)
        rows, cols = rows * int(level.shape[0]) // height, cols * int(level.shape[1]) // width
        if not (len(rows) and len(cols)):
            return np.zeros([1] * sum(isinstance(i, slice) for i in index), bool)
        masked = self._masked(level, rows, cols)
        masked = masked if y < x else masked.T
        return masked.reshape([n for n, i in zip(_lengths(masked, axes), index, strict=True) if isinstance(i, slice)])

    @staticmethod
    def _masked(level: LevelArray, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return where a level masks the pixels of rows and columns; it is read in bands, as it may be much finer."""
        left, stop = int(cols.min()), int(cols.max()) + 1
        count = max(1, int(_BAND_PX / (stop - left) * len(rows) / (int(np.ptp(rows)) + 1)))
        bands = []
        for band in np.split(rows, range(count, len(rows), count)):
            top = int(band.min())
            block = np.asarray(level[slice(top, int(band.max()) + 1), slice(left, stop)])
            valid = block[np.ix_(band - top, cols - left)] != 0
            bands.append(~(valid.any(axis=-1) if valid.ndim == 3 else valid))
        return np.concatenate(bands)


def unmasked(image: Image) -> Image:
    """Return an image, such as one of labels, with the pixels that its file stores under its masks, too."""
    if not any(isinstance(array, MaskedLevel) for array in image.arrays):
        return image
    made = copy.copy(image)
    made.arrays = [getattr(array, "unmasked", array) for array in image.arrays]
    return made


class MaskedLevel:
    """A level that reads as `fill` where it is masked, and nowhere else.

    Valid integers that equal the fill value read as its neighbour, so that black pixels of a picture keep counting.

    Parameters
    ----------
    unmasked : array-like
        The level as it is stored.
    axes : str
        Its axes, with "s" for samples.
    masks : sequence of Mask
        What masks it.
    fill : float
        Value of masked pixels; NaN is possible.
    keep_valid : bool
        Whether valid pixels of the fill value stay valid; not if the file declares it as "no data".
    """

    def __init__(
        self, unmasked: LevelArray, axes: str, masks: Sequence[Mask], fill: float, *, keep_valid: bool
    ) -> None:
        self.unmasked = unmasked
        self.shape, self.dtype = tuple(int(n) for n in unmasked.shape), np.dtype(unmasked.dtype)
        self.strided = isinstance(unmasked, np.ndarray) or bool(getattr(unmasked, "strided", False))
        self.slow_reason: str | None = getattr(unmasked, "slow_reason", None)
        self.chunks: tuple[int, ...] | None = getattr(unmasked, "chunks", None)
        self._axes, self._masks, self._fill = axes, masks, fill
        self._keep_valid = keep_valid and self.dtype.kind in "iu"

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Index) -> NDArray[Any]:
        given = index if isinstance(index, tuple) else (index,)
        full = (*given, *(slice(None),) * (self.ndim - len(given)))
        block = np.array(self.unmasked[full])  # a copy: the base may return a view of its cache
        fill = block.dtype.type(self._fill if self.dtype.kind == "f" else int(self._fill))
        if self._keep_valid:
            block[block == fill] = fill + 1 if fill < np.iinfo(self.dtype).max else fill - 1
        for mask in self._masks:
            masked = mask.read(full, self._axes, self.shape)
            if masked.any():
                block[np.broadcast_to(masked, block.shape)] = fill
        return block


def _positions(index: int | slice, length: int) -> NDArray[np.int64]:
    """Return the positions that an index selects along an axis."""
    return np.arange(length)[index if isinstance(index, slice) else slice(index, index + 1)]


def _lengths(plane: NDArray[np.bool_], axes: str) -> list[int]:
    """Return a length for each axis: those of `plane` along y and x, 1 along others."""
    along = iter(plane.shape)
    return [next(along) if axis in "yx" else 1 for axis in axes]
