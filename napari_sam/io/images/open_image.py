"""Open images of any size, lazily: arrays, layers, zarr, OME-Zarr, TIFF, and what Pillow reads."""

from __future__ import annotations

import itertools
import threading
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.images.lazy_image import Image, check_image
from napari_sam.io.images.overview import overview_levels
from napari_sam.io.images.tiff_image import TIFF_SUFFIXES, file_identity, open_tiff
from napari_sam.io.images.virtual_levels import virtual_levels
from napari_sam.io.images.zarr_image import open_zarr
from napari_sam.io.images.zarr_store import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Image", "completed", "image_from_layer", "open_image"]

_PICTURE_PX = 1 << 29
_serial = itertools.count()
_layer_data: weakref.WeakKeyDictionary[Any, tuple[Any, int]] = weakref.WeakKeyDictionary()


def open_image(source: Any, channels: Sequence[int] | None = None) -> Image:
    """Open an image without reading its pixels.

    Parameters
    ----------
    source
        Path of a TIFF, OME-TIFF, GeoTIFF, whole-slide TIFF, OME-Zarr, zarr array or anything Pillow reads; URL
        (http, https, s3, gs) of a zarr; an array (y, x[, c]) of numpy, dask or zarr; a list of such arrays, finest
        first; a napari Image layer; or an opened `Image`.
    channels : sequence of int, optional
        Channels to use: three as red, green and blue, or one as grey. By default the first three, or the first.

    Returns
    -------
    Image
        With a finished overview file in place of the scale levels that the file lacks, if there is one.

    Raises
    ------
    ImageError
        If it cannot be opened, or is not a two-dimensional picture of numbers.

    Examples
    --------
    >>> image = open_image(np.zeros((40, 30, 3), np.uint8))
    >>> image.shape, image.channels, image.read(0, 0, 0, 2, 5).shape
    ((40, 30), 3, (2, 5, 3))
    """
    if isinstance(source, Image):
        image = source
    elif isinstance(source, str | Path):
        image = _open_path(source)
    elif _is_layer(source):
        image = image_from_layer(source)
    elif isinstance(source, list | tuple):
        image = _from_arrays(list(source))
    elif hasattr(source, "shape") and hasattr(source, "dtype"):
        image = _from_arrays([source])
    else:
        raise ImageError(f"cannot open {type(source).__name__}: give a path, an array or a napari Image layer")
    check_image(image)
    return completed(image if channels is None else _with_channels(image, channels))


def image_from_layer(layer: Any, plane: Sequence[int] = ()) -> Image:
    """The picture a napari Image layer shows.

    Parameters
    ----------
    layer : napari.layers.Image
        Single- or multiscale, RGB or one channel, of any number of dimensions; y and x are the last two (before the
        colour of an RGB layer). One that our reader opened is read from its file, whose identity it keeps.
    plane : sequence of int
        Index along each leading axis; zeros where it is too short.
    """
    arrays = list(layer.data) if layer.multiscale else [layer.data]
    spatial = arrays[0].ndim - (3 if layer.rgb else 2)
    if spatial < 0:
        raise ImageError(f"layer {layer.name!r} of shape {arrays[0].shape} is not an image; give at least (y, x)")
    index = tuple(int(plane[i]) if i < len(plane) else 0 for i in range(spatial))
    limits = None if layer.rgb else (float(layer.contrast_limits[0]), float(layer.contrast_limits[1]))
    shown = getattr(arrays[0], "image", None)
    if isinstance(shown, Image):  # the data themselves tell, because metadata are copied to other data
        own = replace(shown.with_plane(index, shown.selected), contrast_limits=limits)
        return completed(own)
    image = Image(
        arrays,
        "abdefgh"[:spatial] + ("yxc" if layer.rgb else "yx"),
        f"layer-{_pixels_of(layer)}-{index}",
        _default_channels(arrays[0].shape[-1] if layer.rgb else 1),
        plane=index,
        scale=(float(layer.scale[-2]), float(layer.scale[-1])),
        contrast_limits=limits,
    )
    check_image(image)
    return completed(image)


def completed(image: Image) -> Image:
    """The image with the scale levels that the file lacks: from an overview file, else computed when read."""
    if image.coarse:
        return image
    coarse = virtual_levels(image)
    if not coarse:
        return image
    found = overview_levels(image, coarse)
    if found is None:
        return replace(image, coarse=coarse, _lock=threading.Lock())
    return replace(image, coarse=found, identity=f"{image.identity}|overview", _lock=threading.Lock())


def _pixels_of(layer: Any) -> int:
    """A number for the data a layer holds now; other data, even at the same address, gets another."""
    held = _layer_data.get(layer)
    if held is None or held[0] is not layer.data:
        held = _layer_data[layer] = (layer.data, next(_serial))
    return held[1]


def _is_layer(source: Any) -> bool:
    return all(hasattr(source, name) for name in ("data", "rgb", "multiscale", "contrast_limits"))


def _default_channels(count: int) -> tuple[int, ...]:
    """Red, green and blue where there are three channels or more, else the first."""
    return (0, 1, 2) if count >= 3 else (0,)


def _from_arrays(arrays: list[Any]) -> Image:
    if not arrays or not hasattr(arrays[0], "shape"):
        raise ImageError("an empty list, or one without arrays: give scale levels, finest first")
    shape = tuple(arrays[0].shape)
    if len(shape) not in (2, 3):
        raise ImageError(f"array of shape {shape}: give (y, x) or (y, x, c); index the other axes first")
    if len(shape) == 3 and shape[0] <= 4 < shape[2]:
        raise ImageError(f"array of shape {shape} has its channels first: pass numpy.moveaxis(array, 0, -1)")
    axes = "yx" if len(shape) == 2 else "yxc"
    return Image(arrays, axes, f"array-{next(_serial)}", _default_channels(1 if len(shape) == 2 else shape[2]))


def _with_channels(image: Image, channels: Sequence[int]) -> Image:
    count, chosen = image.channel_count, tuple(int(c) for c in channels)
    if len(chosen) not in (1, 3):
        raise ImageError(f"channels {chosen}: give three (red, green, blue) or one (grey)")
    if any(not 0 <= c < count for c in chosen):
        raise ImageError(f"channels {chosen}: the image has channels 0 to {count - 1}")
    return image.with_plane(image.plane, chosen)


def _open_path(source: str | Path) -> Image:
    text = str(source)
    if is_url(text):
        if text.lower().split("?")[0].endswith((*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")):
            raise ImageError(f"{text}: only zarr is read over the network; download the file first")
        return open_zarr(text)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    path = Path(text).expanduser()
    try:
        found = path.exists()
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be looked at ({error}); check the path") from error
    if not found:
        raise ImageError(f"{path}: no such file or folder")
    try:
        if path.is_dir():
            return open_zarr(str(path))
        if path.suffix.lower() in TIFF_SUFFIXES:
            return open_tiff(path)
        return _open_picture(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error}); check that it is there and may be read") from error


def _open_picture(path: Path) -> Image:
    from PIL import Image as PillowImage  # noqa: PLC0415 - keeps the import of this module quick
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)  # the size is checked here
            with PillowImage.open(path) as picture:
                if picture.width * picture.height > _PICTURE_PX:
                    raise ImageError(
                        f"{path}: {picture.height} x {picture.width} pixels in one PNG or JPEG, which can only be read "
                        "whole; convert it to tiled TIFF or OME-Zarr"
                    )
                plain = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}
                mode = plain.get(picture.mode, picture.mode)
                array = np.asarray(picture if mode == picture.mode else picture.convert(mode))
    except PillowImage.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}; convert it to tiled TIFF or OME-Zarr") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, MemoryError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: not a readable image ({error}); give TIFF, zarr, PNG or JPEG") from error
    if array.ndim == 3 and array.shape[2] == 2:  # grey and alpha
        array = array[..., 0]
    image = _from_arrays([array])
    image.identity, image.persistent, image.uri = file_identity(path), True, str(path.resolve())
    return image
