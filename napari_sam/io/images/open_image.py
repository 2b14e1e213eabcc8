"""Open images of any size lazily: arrays, napari layers, zarr, OME-Zarr, TIFF, and formats that Pillow reads."""

from __future__ import annotations

import itertools
import os
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard
from urllib.parse import unquote

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.geo.axis_placement import AxisPlacement, in_one_unit
from napari_sam.io.geo.units import normal_unit
from napari_sam.io.images.address import Choice, axes_by_shape, check_axes, split_address
from napari_sam.io.images.check_image import check_image
from napari_sam.io.images.formats.picture_file import open_picture
from napari_sam.io.images.formats.tiff.tiff_image import TIFF_SUFFIXES, open_tiff
from napari_sam.io.images.formats.zarr.zarr_image import open_zarr
from napari_sam.io.images.formats.zarr.zarr_store import is_url
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL, Image, default_channels
from napari_sam.io.images.overview import overview_levels
from napari_sam.io.images.virtual_levels import virtual_levels
from src_models.user_paths import existing_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.io.images.level_protocols import LevelArray

__all__ = ["Image", "completed", "image_from_layer", "open_image"]

_serial = itertools.count()
_HEAD_BYTES = 16
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
_ZIP = b"PK\x03\x04"


class ImageLayer(Protocol):
    """An Image layer of napari, which this room does not import."""

    name: str
    data: Any
    rgb: bool
    multiscale: bool
    scale: Sequence[float]
    contrast_limits: Sequence[float]


_layer_data: weakref.WeakKeyDictionary[ImageLayer, tuple[object, int]] = weakref.WeakKeyDictionary()


def open_image(
    source: Any, channels: Sequence[int] | None = None, *, series: int | None = None, axes: str | None = None
) -> Image:
    """Open an image without reading its pixels.

    Parameters
    ----------
    source
        Path of a TIFF, OME-TIFF, GeoTIFF, whole-slide TIFF, OME-Zarr, zarr array or anything Pillow reads; URL
        (http, https, s3, gs) of a zarr; an array (y, x[, c]) of numpy, dask or zarr; a list of such arrays, finest
        first; a napari Image layer; or an opened `Image`. A path or URL may end in ``#series=1`` or ``#axes=zyx``.
    channels : sequence of int, optional
        Channels to use: three as red, green and blue, or one as grey. By default the first three, or the first.
    series : int, optional
        Which picture of a TIFF or OME-Zarr with several; by default the largest that is not a label, macro or
        thumbnail.
    axes : str, optional
        One letter for each axis of the array, such as "zyx" or "cyx": y, x, c for channels, any other for planes. By
        default what the file declares.

    Returns
    -------
    Image
        The image; scale levels that the file lacks come from its overview file, if there is one. Its `notes` tell what
        was chosen.

    Raises
    ------
    ImageError
        If it cannot be opened, is not a two-dimensional picture of numbers, or has no such series or axes.

    Examples
    --------
    >>> import numpy as np
    >>> image = open_image(np.zeros((40, 30, 3), np.uint8))
    >>> image.shape, image.channels, image.read(0, 0, 0, 2, 5).shape
    ((40, 30), 3, (2, 5, 3))
    """
    if isinstance(source, Image):
        image = source
    elif isinstance(source, str | Path):
        location, choice = split_address(str(source))
        image = _open_path(location, Choice(series, axes).or_else(choice))
    elif _is_layer(source):
        image = image_from_layer(source)
    elif isinstance(source, list | tuple):
        image = _from_arrays(list(source), axes)
    elif hasattr(source, "shape") and hasattr(source, "dtype"):
        image = _from_arrays([source], axes)
    else:
        raise ImageError(f"cannot open {type(source).__name__}", remedy="give a path, an array or a napari Image layer")
    check_image(image)
    return completed(image if channels is None else _with_channels(image, channels))


def image_from_layer(layer: ImageLayer, plane: Sequence[int] = ()) -> Image:
    """Return the image that a napari Image layer displays.

    Parameters
    ----------
    layer : napari.layers.Image
        Single- or multiscale, RGB or one channel, of any number of dimensions; y and x are the last two (before the
        colour of an RGB layer). A layer that our reader opened is read from its file and keeps the file's identity.
    plane : sequence of int
        Index along each leading axis; missing entries are 0.
    """
    arrays = list(layer.data) if layer.multiscale else [layer.data]
    spatial = arrays[0].ndim - (3 if layer.rgb else 2)
    if spatial < 0:
        raise ImageError(
            f"layer {layer.name!r} of shape {arrays[0].shape} is not an image", remedy="give at least (y, x)"
        )
    index = tuple(int(plane[i]) if i < len(plane) else 0 for i in range(spatial))
    limits = None if layer.rgb else (float(layer.contrast_limits[0]), float(layer.contrast_limits[1]))
    opened = getattr(arrays[0], "image", None)  # set on the data, because metadata are copied to other data
    if isinstance(opened, Image):
        return completed(replace(opened.with_plane(index, opened.selected), contrast_limits=limits))
    image = Image(
        arrays,
        "abdefgh"[:spatial] + ("yxc" if layer.rgb else "yx"),
        f"layer-{_data_number(layer)}-{index}",
        default_channels(arrays[0].shape[-1] if layer.rgb else 1),
        plane=index,
        contrast_limits=limits,
    )
    image.place(_layer_placements(layer, image.stack_axes + "yx"))
    check_image(image)
    return completed(image)


def _layer_placements(layer: ImageLayer, axes: str) -> dict[str, AxisPlacement]:
    """Return the placement of each axis of a layer."""
    count = len(axes)
    starts = getattr(layer, "translate", (0.0,) * count)
    units = [normal_unit(str(unit)) for unit in getattr(layer, "units", ())] or [None] * count
    placements = {
        axis: AxisPlacement(float(size), float(start), unit)
        for axis, size, start, unit in zip(axes, layer.scale, starts, units, strict=True)
    }
    return in_one_unit(placements)


def completed(image: Image) -> Image:
    """Return the image with the scale levels that the file lacks, from an overview file or computed when read."""
    if image.coarse:
        return image
    coarse = virtual_levels(image)
    if not coarse:
        return image
    stored = overview_levels(image, coarse)
    return image.with_coarse(coarse) if stored is None else image.with_coarse(stored, overview=True)


def _data_number(layer: ImageLayer) -> int:
    """Return a number for the data of a layer; other data get another number, even at the same address."""
    known = _layer_data.get(layer)
    if known is None or known[0] is not layer.data:
        known = _layer_data[layer] = (layer.data, next(_serial))
    return known[1]


def _is_layer(source: object) -> TypeGuard[ImageLayer]:
    return all(hasattr(source, name) for name in ("data", "rgb", "multiscale", "contrast_limits"))


def _from_arrays(arrays: list[LevelArray], axes: str | None) -> Image:
    if not arrays or not hasattr(arrays[0], "shape"):
        raise ImageError("an empty list, or one without arrays", remedy="give scale levels, finest first")
    nodata = None
    if any(isinstance(array, np.ma.MaskedArray) for array in arrays):
        arrays, nodata = _filled(arrays)
    shape = tuple(arrays[0].shape)
    axes = _declared_axes(shape) if axes is None else check_axes(axes, shape, "the array")
    channel = next((i for i, a in enumerate(axes) if a in CHANNEL_NAMES), None)
    return Image(
        arrays,
        axes,
        f"array-{next(_serial)}",
        default_channels(1 if channel is None else shape[channel]),
        plane=(0,) * sum(a not in SPATIAL + CHANNEL_NAMES for a in axes),
        nodata=nodata,
    )


def _filled(arrays: list[Any]) -> tuple[list[Any], float]:
    """Return masked arrays with a value that stands for "no data" in place of masked pixels, and that value."""
    masked = [array for array in arrays if isinstance(array, np.ma.MaskedArray)]
    kind = masked[0].dtype
    if kind.kind == "f":
        value = float("nan")
    else:
        value = float(masked[0].fill_value)
        if kind.kind in "iu" and not np.iinfo(kind).min <= value <= np.iinfo(kind).max:  # NumPy's default is 999999
            value = float(_unused_value(masked, kind))
        if any((array.compressed() == value).any() for array in masked):
            raise ImageError(
                f"a masked array has pixels of its fill value {value:g}",
                remedy="set another with array.set_fill_value, or fill the masked pixels with array.filled",
            )
    whole = [np.ma.filled(a, a.dtype.type(value)) if isinstance(a, np.ma.MaskedArray) else a for a in arrays]
    return whole, value


def _unused_value(arrays: list[np.ma.MaskedArray[Any, Any]], kind: np.dtype[Any]) -> int:
    """Return the largest integer of a type that no pixel has."""
    used = np.unique(np.concatenate([np.unique(array.compressed()) for array in arrays]))
    value = int(np.iinfo(kind).max)
    for other in used[::-1].tolist():
        if other < value:
            break
        value -= 1
    if value < np.iinfo(kind).min:
        raise ImageError(
            f"a masked array of {kind} has pixels of every value, so that none can stand for its masked ones",
            remedy="convert it to a larger type, such as array.astype('int32')",
        )
    return value


def _declared_axes(shape: tuple[int, ...]) -> str:
    """Return the axes of an array in memory.

    Raises
    ------
    ImageError
        If it is not clearly (y, x) or (y, x, c).
    """
    if len(shape) not in (2, 3):
        raise ImageError(f"array of shape {shape}", remedy="give (y, x) or (y, x, c); index the other axes first")
    axes = axes_by_shape(shape)
    if axes == "cyx":
        raise ImageError(f"array of shape {shape} has its channels first", remedy="pass numpy.moveaxis(array, 0, -1)")
    if axes not in ("yx", "yxc"):
        raise ImageError(
            f"array of shape {shape} may be a stack or a picture of many channels",
            remedy="give one plane of it, or its axes with {axes}, such as zyx or yxc",
        )
    return axes


def _with_channels(image: Image, channels: Sequence[int]) -> Image:
    count, chosen = image.channel_count, tuple(int(c) for c in channels)
    if len(chosen) not in (1, 3):
        raise ImageError(
            f"channels is {chosen}", parameter="channels", remedy="give three (red, green, blue) or one (grey)"
        )
    if any(not 0 <= c < count for c in chosen):
        raise ImageError(
            f"channels is {chosen}; the image has channels 0 to {count - 1}",
            parameter="channels",
            remedy="choose among them",
        )
    return image.with_plane(image.plane, chosen)


def _open_path(text: str, choice: Choice) -> Image:
    if is_url(text):
        if text.lower().split("?")[0].endswith((*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")):
            raise ImageError(f"{text}: only zarr is read over the network", remedy="download the file first")
        return open_zarr(text, choice)
    if text.startswith("file://"):
        text = _local_path(text)
    path = existing_path(text, ImageError)
    try:
        if path.is_dir():
            return open_zarr(str(path), choice)
        return _open_file(path, choice)
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be opened ({error})", remedy="check that it exists and that you may read it"
        ) from error


def _local_path(uri: str) -> str:
    """Return the path of a file URI, which is percent-encoded unless it was written by hand.

    >>> _local_path("file:///a/b%20c.tif"), _local_path("file://localhost/a.tif")
    ('/a/b c.tif', '/a.tif')
    """
    path = uri.removeprefix("file://").removeprefix("localhost")
    return path if os.path.lexists(path) else unquote(path)


def _open_file(path: Path, choice: Choice) -> Image:
    """Open a file by what it begins with; its name decides only where that is unknown."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP):
        raise ImageError(f"{path}: a zip archive", remedy="unpack it, and open the zarr folder or picture in it")
    is_picture = head.startswith(_PICTURES)
    if head.startswith(_TIFF) or (path.suffix.lower() in TIFF_SUFFIXES and not is_picture):
        return open_tiff(path, choice)
    return open_picture(path, choice)
