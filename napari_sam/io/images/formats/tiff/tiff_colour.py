"""Colours of a TIFF that are not red, green and blue: converted when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from tifffile import TiffPage
    from zarr import Array as ZarrView

    from napari_sam.io.images.formats.tiff.tiff_level import TiffLevel
    from napari_sam.io.images.level_protocols import Index, LevelArray

    Conversion = Callable[[NDArray[np.generic]], NDArray[np.uint8]]

MIN_IS_WHITE, PALETTE, MASK = 0, 3, 4
_SEPARATED, _YCBCR, _CIELAB, _ICCLAB = 5, 6, 8, 9
_CONVERTED_BY_DECODER = (6, 7, 34892, 33007, 34712, 33003, 33004, 33005)  # JPEG and JPEG 2000
_NAMES = {32803: "colour filter array", 32844: "LogL", 32845: "LogLuv", 10: "ITU L*a*b*"}


def colour_arrays(arrays: list[TiffLevel | ZarrView], axes: str, page: TiffPage) -> tuple[list[LevelArray], str]:
    """Return arrays that read as red, green and blue where the page has another colour space, with their axes.

    Parameters
    ----------
    arrays : list of TiffLevel or zarr.Array
        Scale levels.
    axes : str
        Their axes, lower case.
    page : tifffile.TiffPage
        A page of level 0.

    Raises
    ------
    ValueError
        If the colour space is not supported.
    """
    if page.photometric in _NAMES:
        raise ValueError(f"its colours are {_NAMES[page.photometric]}, which is not supported")
    if page.photometric == PALETTE and "s" not in axes and page.colormap is not None:
        return [PaletteArray(a, page.colormap) for a in arrays], axes + "s"
    conversion = _conversion(page) if "s" in axes else None
    if conversion is None:
        return list(arrays), axes
    return [ConvertedArray(a, axes.index("s"), conversion) for a in arrays], axes


def _conversion(page: TiffPage) -> Conversion | None:
    """Return the function from samples (..., n) to red, green and blue (..., 3); None if they are that already."""
    samples, kind = int(page.samplesperpixel), np.dtype(page.dtype).kind
    if kind != "u" or np.dtype(page.dtype).itemsize > 2:
        return None
    if page.photometric == _SEPARATED and samples >= 4:
        return cmyk_to_rgb
    if page.photometric in (_CIELAB, _ICCLAB) and samples >= 3:
        return _signed_lab if page.photometric == _CIELAB else _offset_lab
    if page.photometric == _YCBCR and samples >= 3 and page.compression not in _CONVERTED_BY_DECODER:
        return ycbcr_to_rgb
    return None


def cmyk_to_rgb(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Convert cyan, magenta, yellow and black, of 8 or 16 bits, without a colour profile.

    >>> cmyk_to_rgb(np.array([[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]], np.uint8)).tolist()
    [[255, 255, 255], [0, 255, 255], [0, 0, 0]]
    """
    light = 1.0 - _fractions(samples[..., :4])
    return _bytes(light[..., :3] * light[..., 3:4])


def ycbcr_to_rgb(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Convert luma and chroma of ITU-R BT.601 with full range, as TIFF's default coefficients.

    >>> ycbcr_to_rgb(np.array([[128, 128, 128], [76, 85, 255]], np.uint8)).tolist()
    [[128, 128, 128], [254, 0, 0]]
    """
    y, cb, cr = np.moveaxis(_fractions(samples[..., :3]) * 255.0, -1, 0)
    cb, cr = cb - 128.0, cr - 128.0
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return _bytes(rgb / 255.0)


def _signed_lab(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Convert CIE L*a*b* whose a* and b* are signed."""
    signed = samples[..., 1:3].view(np.int8 if samples.dtype.itemsize == 1 else np.int16)
    return _lab_to_rgb(samples[..., :1], signed.astype(np.float64) / 256.0 ** (samples.dtype.itemsize - 1))


def _offset_lab(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Convert L*a*b* of the ICC, whose a* and b* are 128 at neutral grey."""
    scaled = samples[..., 1:3].astype(np.float64) / 256.0 ** (samples.dtype.itemsize - 1)
    return _lab_to_rgb(samples[..., :1], scaled - 128.0)


def _lab_to_rgb(lightness: NDArray[np.generic], ab: NDArray[np.float64]) -> NDArray[np.uint8]:
    from skimage.color import lab2rgb  # noqa: PLC0415 - slow to import

    return _bytes(lab2rgb(np.concatenate([_fractions(lightness) * 100.0, ab], axis=-1)))


def _fractions(samples: NDArray[np.generic]) -> NDArray[np.float64]:
    highest = float(np.iinfo(samples.dtype).max)  # type: ignore[type-var]
    return samples.astype(np.float64) / highest


def _bytes(rgb: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.floor(rgb * 255.0 + 0.5), 0, 255).astype(np.uint8)


class _RgbArray:
    """An array that reads as 8-bit red, green and blue.

    Parameters
    ----------
    base : array-like
        What is stored.
    shape, chunks : tuple of int
        Shape and unit of decoding, with three colours.
    """

    def __init__(self, base: TiffLevel | ZarrView, shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
        self._base = base
        self.shape, self.chunks, self.dtype = shape, chunks, np.dtype(np.uint8)
        self.strided = bool(getattr(base, "strided", False))
        self.slow_reason: str | None = getattr(base, "slow_reason", None)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


class PaletteArray(_RgbArray):
    """Indices into a colour map, read as 8-bit red, green and blue along a last axis.

    Parameters
    ----------
    indices : array-like
        Integers.
    colours : ndarray
        (3, n) uint16, as in TIFF.
    """

    def __init__(self, indices: TiffLevel | ZarrView, colours: NDArray[np.uint16]) -> None:
        super().__init__(indices, (*indices.shape, 3), (*indices.chunks, 3))
        self._colours = np.ascontiguousarray((np.asarray(colours) >> 8).astype(np.uint8).T)

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        *position, channel = index if isinstance(index, tuple) else (index,)
        clipped = np.clip(self._base[tuple(position)], 0, len(self._colours) - 1)
        colours: NDArray[np.generic] = self._colours[clipped][..., channel]
        return colours


class ConvertedArray(_RgbArray):
    """Samples of another colour space, read as 8-bit red, green and blue along the same axis.

    Parameters
    ----------
    base : array-like
        The samples.
    axis : int
        Axis of the samples.
    conversion : callable
        From samples (..., n) to colours (..., 3).
    """

    def __init__(self, base: TiffLevel | ZarrView, axis: int, conversion: Conversion) -> None:
        shape, chunks = (tuple(3 if i == axis else int(n) for i, n in enumerate(s)) for s in (base.shape, base.chunks))
        super().__init__(base, shape, chunks)
        self._axis, self._conversion = axis, conversion

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        given = index if isinstance(index, tuple) else (index,)
        full = [*given, *(slice(None),) * (self.ndim - len(given))]
        channel, full[self._axis] = full[self._axis], slice(None)
        axis = sum(isinstance(i, slice) for i in full[: self._axis])
        samples = np.moveaxis(np.asarray(self._base[tuple(full)]), axis, -1)
        chosen = self._conversion(np.ascontiguousarray(samples))[..., channel]
        return np.moveaxis(chosen, -1, axis) if isinstance(channel, slice) else chosen
