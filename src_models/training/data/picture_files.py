"""Decode picture files, within limits, and convert them to RGB of 8 bits."""

from __future__ import annotations

import lzma
import math
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import tifffile
from PIL import Image

from src_models.deep_picture import read_deep_picture
from src_models.lossy_pictures import check_exact
from src_models.model_errors import TrainingError
from src_models.picture_formats import picture_formats
from src_models.training.data.picture_alpha import masked_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPage

Channels: TypeAlias = tuple[int, ...] | None
"""Channels to use as RGB, or one as grey; None for the first three, or the first."""

TIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".jp2")
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""Errors that decoders raise on damaged files."""

_MAX_PX = 1 << 28  # of one image; its RGB and its labels then take 1.75 GiB
_MIN_IS_WHITE = 0  # photometric interpretation of TIFF
_MAX_CHANNELS = 4  # a file or a chunk holds at most this many times _MAX_PX values
_RGB_MODES = {"P": "RGBA", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}


def read_picture(path: Path, indices: bool = False) -> NDArray[np.generic]:
    """Decode a picture file.

    Parameters
    ----------
    path : Path
        TIFF, or any format of Pillow; at most 2^28 pixels.
    indices : bool
        Return the indices of a palette image, as in label images, not its colours.

    Returns
    -------
    ndarray
        With the axes and dtype of the file.

    Raises
    ------
    TrainingError
        If it is too large or not a picture, or keeps no indices exactly.
    """
    if indices:
        check_exact(path, TrainingError)
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as tiff:
                series = tiff.series[0]
                size = dict(zip(series.axes, series.shape, strict=True))
                check_size(path, size.get("Y", 1), size.get("X", 1), math.prod(series.shape))
                array = np.asarray(series.asarray())
                return array if indices else _positive(array, series.keyframe)
        deep = None if indices else read_deep_picture(path, check_size)
        if deep is not None:
            return deep
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=picture_formats()) as image:
                check_size(path, image.height, image.width)
                mode = _RGB_MODES.get(image.mode, image.mode)
                return np.asarray(image if indices or mode == image.mode else image.convert(mode))
    except TrainingError:
        raise
    except Image.DecompressionBombError as error:
        raise TrainingError(f"{path} is too large for a picture file ({error})", remedy="tile it") from error
    except UNREADABLE as error:
        raise TrainingError(f"{path} cannot be read as an image: {error}", remedy="save it again") from error


def _positive(array: NDArray[np.generic], page: TiffPage) -> NDArray[np.generic]:
    """Return the values of a TIFF so that the smallest is black, as images are shown to the networks."""
    if page.photometric != _MIN_IS_WHITE or array.dtype.kind not in "bu":
        return array
    if array.dtype.kind == "b":
        return np.asarray(np.logical_not(array))
    return np.asarray((1 << int(page.bitspersample)) - 1 - array)


def read_rgb(path: Path, channels: Channels, shape: tuple[int, ...] = ()) -> NDArray[np.uint8]:
    """Read a picture file as RGB.

    Parameters
    ----------
    path : Path
        The file.
    channels : tuple of int, optional
        Channels to use.
    shape : tuple of int
        Height and width, if known; shows whether the channels come first.

    Returns
    -------
    ndarray of uint8
        (H, W, 3); pixels that an alpha channel masks are black, and do not count in the contrast.

    Raises
    ------
    TrainingError
        If the file is not an image, or lacks one of the channels.
    """
    array = read_picture(path)
    if array.ndim == 3 and array.shape[:2] != shape and array.shape[1:] == shape:
        array = np.moveaxis(array, 0, -1)
    return image_to_rgb(array, channels, str(path), masked_pixels(path, array))


def check_size(path: Path, height: int, width: int, values: int = 0) -> None:
    """Refuse declared sizes that would exhaust the memory, before any pixel is read.

    Raises
    ------
    TrainingError
        If there are more than 2^28 pixels, or 2^30 values.
    """
    if height * width > _MAX_PX:
        raise TrainingError(f"{path}: {height} x {width} pixels are more than {_MAX_PX}", remedy="tile it")
    if values > _MAX_CHANNELS * _MAX_PX:
        raise TrainingError(
            f"{path}: {values} values at once are more than {_MAX_CHANNELS * _MAX_PX}", remedy="tile it"
        )


def image_to_rgb(
    array: NDArray[np.generic], channels: Channels, path: str, masked: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Convert an image (H, W[, C]) of numbers to RGB of 8 bits, (H, W, 3); pixels that are masked, (H, W), are black.

    Raises
    ------
    TrainingError
        If it is not an image of numbers, or lacks one of the channels.
    """
    if array.dtype.kind not in "buif":
        raise TrainingError(f"{path}: dtype {array.dtype} is not that of an image", remedy="convert it to numbers")
    if array.ndim not in (2, 3):
        message = f"{path}: an image of shape {array.shape} is not (y, x) or (y, x, c)"
        raise TrainingError(message, remedy="save single planes")
    array = array if array.ndim == 3 else array[..., None]
    array = array[..., list(chosen_channels(channels, array.shape[-1], path))]
    if array.dtype.kind == "f":
        known = np.isfinite(array)
        array = array if known.all() else np.where(known, array, array[known].min() if known.any() else 0)
    return to_rgb8(array, masked)


def chosen_channels(channels: Channels, count: int, path: str) -> tuple[int, ...]:
    """Return the channels to use of an image with `count` channels.

    Raises
    ------
    TrainingError
        If the image lacks one of them.
    """
    chosen = channels or ((0, 1, 2) if count >= 3 else (0,))
    if any(not 0 <= c < count for c in chosen):
        message = f"channels is {chosen}, but {path} has {count} channels"
        raise TrainingError(message, parameter="channels", remedy=f"choose from 0 to {count - 1}")
    return chosen


def to_rgb8(array: NDArray[np.generic], masked: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Convert a grey or multi-channel image of any depth to RGB uint8.

    Images of 8 bits keep their values, others are stretched from the 0.1 to the 99.9 percentile. Pixels that are
    masked, (H, W), do not count, and become black.

    >>> to_rgb8(np.array([[0, 65535]], np.uint16)).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    if array.ndim == 2:
        array = array[..., None]
    array = array[..., :3] if array.shape[-1] >= 3 else array[..., :1]
    if array.dtype != np.uint8:
        x = array.astype(np.float32)
        valid = x if masked is None else x[~masked]
        low, high = np.percentile(valid, [0.1, 99.9])
        array = np.clip((x - low) / max(high - low, 1e-6) * 255 + 0.5, 0, 255).astype(np.uint8)
    rgb: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
    if masked is not None:
        rgb = np.where(masked[..., None], np.uint8(0), rgb)
    return rgb
