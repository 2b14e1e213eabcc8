"""Open images of any size, lazily: arrays, zarr, OME-Zarr, TIFF, and what Pillow reads."""

from __future__ import annotations

import itertools
import threading
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SPATIAL = "yx"
_CHANNEL_NAMES = "cs"  # tifffile calls interleaved samples S
_serial = itertools.count()
_layer_data: weakref.WeakKeyDictionary[Any, tuple[Any, int]] = weakref.WeakKeyDictionary()


@dataclass
class Image:
    """A lazy 2-D image with channels and scale levels; thread-safe to read.

    Attributes
    ----------
    arrays : list
        One array-like per scale level, finest first, each with the axes of `array_axes`.
    array_axes : str
        Axes of the arrays, such as "yx", "yxc" or "tczyx".
    identity : str
        Stable name of the pixels, for cache keys; never computed from the pixels.
    selected : tuple of int
        Channels that `read` returns, in this order.
    plane : tuple of int
        Index along each axis that is neither y, x nor channel, in the order of `array_axes`.
    scale : (float, float)
        Size of a level-0 pixel along y and x, in the file's unit; 1 where the file says nothing.
    crs : str or None
        Coordinate reference system, such as "EPSG:32632".
    transform : tuple of float or None
        Affine (a, b, c, d, e, f) from (column, row) to map coordinates.
    contrast_limits : (float, float) or None
        Values shown as black and white, where a viewer chose them.
    """

    arrays: list[Any]
    array_axes: str
    identity: str
    selected: tuple[int, ...]
    plane: tuple[int, ...] = ()
    scale: tuple[float, float] = (1.0, 1.0)
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    contrast_limits: tuple[float, float] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def axes(self) -> str:
        """Axes of what `read` returns."""
        return "yxc"

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Height and width of every scale level."""
        at = [self.array_axes.index(a) for a in _SPATIAL]
        return [(int(a.shape[at[0]]), int(a.shape[at[1]])) for a in self.arrays]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, in pixels."""
        return self.levels[0]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the pixels."""
        found: np.dtype[np.generic] = np.dtype(self.arrays[0].dtype)
        return found

    @property
    def channels(self) -> int:
        """Number of channels that `read` returns."""
        return len(self.selected)

    def read(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.generic]:
        """Read a region of a scale level.

        Parameters
        ----------
        level : int
            Scale level, 0 is full resolution.
        y0, x0, y1, x1 : int
            Region in that level's pixels, half-open, inside the level.
        step : int
            Take every `step`-th pixel along y and x.

        Returns
        -------
        ndarray
            (h, w, channels), of the file's dtype.

        Raises
        ------
        ImageError
            If the region lies outside the level, or the file cannot be read any more.
        """
        h, w = self.levels[level]
        if not (0 <= y0 < y1 <= h and 0 <= x0 < x1 <= w):
            raise ImageError(f"region {(y0, x0, y1, x1)} lies outside scale level {level} of shape {(h, w)}")
        index: list[Any] = []
        rest = iter(self.plane)
        for axis in self.array_axes:
            if axis == "y":
                index.append(slice(y0, y1, step))
            elif axis == "x":
                index.append(slice(x0, x1, step))
            elif axis in _CHANNEL_NAMES:
                index.append(slice(None))
            else:  # coarser levels may have fewer planes, too
                count, finest = self.arrays[level].shape[len(index)], self.arrays[0].shape[len(index)]
                index.append(min(count - 1, next(rest) * count // finest))
        try:
            with self._lock:
                block = np.asarray(self.arrays[level][tuple(index)])
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise ImageError(f"{self.identity}: level {level} cannot be read: {error}") from error
        kept = [a for a in self.array_axes if a in _SPATIAL or a in _CHANNEL_NAMES]
        if len(kept) == 2:
            block = block[..., None] if kept == ["y", "x"] else block.T[..., None]
        else:
            channel = next(a for a in kept if a in _CHANNEL_NAMES)
            block = block.transpose([kept.index(a) for a in ("y", "x", channel)])
        return block[..., list(self.selected)]


def open_image(source: Any, channels: Sequence[int] | None = None) -> Image:
    """Open an image without reading its pixels.

    Parameters
    ----------
    source
        Path of a TIFF, OME-TIFF, GeoTIFF, OME-Zarr, zarr array or anything Pillow reads; an array (y, x[, c]) of
        numpy, dask or zarr; a list of such arrays, finest first; a napari Image layer; or an opened `Image`.
    channels : sequence of int, optional
        Channels to use: three as red, green and blue, or one as grey. By default the first three, or the first.

    Returns
    -------
    Image

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
    _check(image)
    return image if channels is None else _with_channels(image, channels)


def image_from_layer(layer: Any, plane: Sequence[int] = ()) -> Image:
    """The picture a napari Image layer shows.

    Parameters
    ----------
    layer : napari.layers.Image
        Single- or multiscale, RGB or one channel, of any number of dimensions; y and x are the last two (before the
        colour of an RGB layer).
    plane : sequence of int
        Index along each leading axis; zeros where it is too short.
    """
    arrays = list(layer.data) if layer.multiscale else [layer.data]
    spatial = arrays[0].ndim - (3 if layer.rgb else 2)
    if spatial < 0:
        raise ImageError(f"layer {layer.name!r} of shape {arrays[0].shape} is not an image; give at least (y, x)")
    index = tuple(int(plane[i]) if i < len(plane) else 0 for i in range(spatial))
    axes = "abdefgh"[:spatial] + ("yxc" if layer.rgb else "yx")
    limits = None if layer.rgb else (float(layer.contrast_limits[0]), float(layer.contrast_limits[1]))
    image = Image(
        arrays,
        axes,
        f"layer-{_pixels_of(layer)}-{index}",
        _default_channels(arrays[0].shape[-1] if layer.rgb else 1),
        plane=index,
        scale=(float(layer.scale[-2]), float(layer.scale[-1])),
        contrast_limits=limits,
    )
    _check(image)
    return image


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
    name = next((a for a in image.array_axes if a in _CHANNEL_NAMES), None)
    count = 1 if name is None else int(image.arrays[0].shape[image.array_axes.index(name)])
    chosen = tuple(int(c) for c in channels)
    if len(chosen) not in (1, 3):
        raise ImageError(f"channels {chosen}: give three (red, green, blue) or one (grey)")
    if any(not 0 <= c < count for c in chosen):
        raise ImageError(f"channels {chosen}: the image has channels 0 to {count - 1}")
    return replace(image, selected=chosen, identity=f"{image.identity}|channels{chosen}", _lock=threading.Lock())


def _check(image: Image) -> None:
    """Refuse what is not a picture of numbers, before any pixel is read."""
    if image.dtype.kind not in "buif":
        remedy = "take its absolute value or real part" if image.dtype.kind == "c" else "convert it to numbers"
        raise ImageError(f"{image.identity}: dtype {image.dtype} is not a picture; {remedy}")
    if min(image.shape) < 1:
        raise ImageError(f"{image.identity}: shape {image.shape} has no pixels")


def _open_path(source: str | Path) -> Image:
    path = Path(source).expanduser()
    if not path.exists():
        raise ImageError(f"{path}: no such file or folder")
    if path.is_dir():
        return _open_zarr(path)
    if path.suffix.lower() in (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".lsm"):
        return _open_tiff(path)
    return _open_picture(path)


def _file_identity(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"


def _open_picture(path: Path) -> Image:
    from PIL import Image as PillowImage  # noqa: PLC0415 - keeps the import of this module quick
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    try:
        with PillowImage.open(path) as picture:
            plain = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}
            mode = plain.get(picture.mode, picture.mode)
            array = np.asarray(picture if mode == picture.mode else picture.convert(mode))
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        PillowImage.DecompressionBombError,
    ) as error:
        raise ImageError(f"{path}: not a readable image ({error}); give TIFF, zarr, PNG or JPEG") from error
    if array.ndim == 3 and array.shape[2] == 2:  # grey and alpha
        array = array[..., 0]
    image = _from_arrays([array])
    image.identity = _file_identity(path)
    return image


def _open_tiff(path: Path) -> Image:
    import tifffile  # noqa: PLC0415 - keeps the import of this module quick
    import zarr  # noqa: PLC0415

    try:
        tiff = tifffile.TiffFile(path)
        series = tiff.series[0]
        axes = series.axes.lower()
        arrays = [zarr.open_array(series.aszarr(level=i), mode="r") for i in range(len(series.levels))]
        crs, transform = _geotiff(tiff.pages[0])
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise ImageError(f"{path}: not a readable TIFF ({error}); check that the file is complete") from error
    if not {"y", "x"} <= set(axes):
        raise ImageError(f"{path}: axes {series.axes} have no y and x; save it as a picture")
    channel = next((a for a in axes if a in _CHANNEL_NAMES), None)
    if sum(a in _CHANNEL_NAMES for a in axes) > 1:  # samples within channels: keep the samples
        channel, axes = "s", axes.replace("c", "q")
    count = 1 if channel is None else series.shape[axes.index(channel)]
    others = sum(a not in _SPATIAL and a != channel for a in axes)
    return Image(
        arrays,
        axes,
        _file_identity(path),
        _default_channels(count),
        plane=(0,) * others,
        crs=crs,
        transform=transform,
    )


def _geotiff(page: Any) -> tuple[str | None, tuple[float, ...] | None]:
    """CRS and affine of a GeoTIFF page, or None."""
    tags = getattr(page, "geotiff_tags", None)
    if not tags:
        return None, None
    code = tags.get("ProjectedCSTypeGeoKey") or tags.get("GeographicTypeGeoKey")
    crs = None if code is None else f"EPSG:{int(code)}"
    pitch, tie = tags.get("ModelPixelScale"), tags.get("ModelTiepoint")
    if pitch is None or tie is None:
        return crs, None
    dx, dy = float(pitch[0]), float(pitch[1])
    column, row, _, east, north = (float(v) for v in tie[:5])
    return crs, (dx, 0.0, east - column * dx, 0.0, -dy, north + row * dy)


def _open_zarr(path: Path) -> Image:
    import zarr  # noqa: PLC0415 - keeps the import of this module quick

    try:
        node = zarr.open(path, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(f"{path}: not a zarr array or group ({error})") from error
    if isinstance(node, zarr.Array):
        image = _from_arrays([node])
        image.identity = _store_identity(path)
        return image
    attributes = dict(node.attrs)
    multiscales = attributes.get("ome", attributes).get("multiscales")
    if not multiscales:
        names = sorted(node.array_keys())
        hint = f"open one of its arrays: {', '.join(names[:5])}" if names else "it holds no arrays"
        raise ImageError(f"{path}: a zarr group without OME-Zarr multiscales; {hint}")
    first = multiscales[0]
    try:
        arrays = [node[d["path"]] for d in first["datasets"]]
        axes = "".join(a["name"] if isinstance(a, dict) else a for a in first.get("axes", "tczyx"))
        scale = _ome_scale(first["datasets"][0], axes)
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(f"{path}: broken OME-Zarr metadata, {error!r} is missing or wrong") from error
    if any(not isinstance(a, zarr.Array) for a in arrays) or len(axes) != arrays[0].ndim:
        raise ImageError(f"{path}: OME-Zarr axes {axes!r} do not fit its arrays")
    channel = "c" if "c" in axes else None
    count = arrays[0].shape[axes.index("c")] if channel else 1
    others = sum(a not in _SPATIAL and a != "c" for a in axes)
    return Image(
        arrays,
        axes,
        _store_identity(path),
        _default_channels(count),
        plane=(0,) * others,
        scale=scale,
    )


def _ome_scale(dataset: dict[str, Any], axes: str) -> tuple[float, float]:
    """Pixel size along y and x from a dataset's coordinate transformations."""
    for transformation in dataset.get("coordinateTransformations", []):
        if transformation.get("type") == "scale":
            values = transformation["scale"]
            return float(values[axes.index("y")]), float(values[axes.index("x")])
    return 1.0, 1.0


def _store_identity(path: Path) -> str:
    """Identity of a zarr store: its metadata's modification time, never its pixels."""
    for name in ("zarr.json", ".zattrs", ".zarray", ".zgroup"):
        if (path / name).exists():
            return f"{path.resolve()}|{(path / name).stat().st_mtime_ns}"
    return str(path.resolve())
