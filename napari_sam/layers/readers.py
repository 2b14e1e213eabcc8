"""The reader of large images for napari: multiscale and lazy, with pixel size and georeference."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.engine.window_pixels import network_rgb
from napari_sam.errors import ImageError
from napari_sam.io.images.formats.tiff.tiff_image import TIFF_SUFFIXES
from napari_sam.io.images.formats.zarr.zarr_image import zarr_content
from napari_sam.io.images.formats.zarr.zarr_store import is_url
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL
from napari_sam.io.images.open_image import completed, open_image
from napari_sam.layers.stacks.stack_level import StackLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import EllipsisType

    from numpy.typing import DTypeLike, NDArray

    from napari_sam.io.images.lazy_image import Image

    AxisIndex = int | np.integer | slice
    Index = AxisIndex | EllipsisType | tuple[AxisIndex | EllipsisType, ...]
    LayerData = tuple[object, dict[str, object], str]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SHOWN_EXACT_PX = 1 << 25  # limit of exact averages, for which the viewer has to wait
_CHUNK_PX = 1024
_COLOURS = ("red", "green", "blue", "cyan", "magenta", "yellow")
_SHOWN_CHANNELS = 3


def get_reader(path: str | Sequence[str]) -> Callable[..., list[LayerData]] | None:
    """Return a function that reads a path, as npe2 expects it.

    Parameters
    ----------
    path : str or sequence of str
        A TIFF, a zarr or OME-Zarr folder, or a folder of such images; or several, to be read as a stack.

    Returns
    -------
    callable or None
        Returns the layer data; None if there is no TIFF and no zarr. A file that turns out to be damaged or
        unsupported is refused by the function, with the reason.
    """
    if isinstance(path, str | Path):
        return read_layers if _is_ours(str(path)) else None
    return read_stack if path and all(_is_ours(str(single)) for single in path) else None


def read_layers(path: str) -> list[LayerData]:
    """Read the layers of an image: one for a colour image, otherwise one per channel.

    Parameters
    ----------
    path : str
        Path or URL that `open_image` accepts, or a folder of such images. Label images become labels layers, and a
        zarr group without OME-Zarr metadata one layer per array.

    Returns
    -------
    list of (list of ShownLevel, dict, "image" or "labels")
        The keywords hold scale and contrast limits; their ``metadata`` hold source, CRS and affine transform.

    Raises
    ------
    ImageError
        If the image cannot be opened.
    """
    content = zarr_content(path) if is_url(path) or Path(path).is_dir() else "image"
    if content is None:
        return [layer for single in _images_in(path) for layer in read_layers(single)]
    if isinstance(content, list):
        return _array_layers(path, content)
    return [_labels_layer(path)] if content == "labels" else image_layers(path)


def read_stack(paths: Sequence[str]) -> list[LayerData]:
    """Read several images of one size as planes of a stack.

    Parameters
    ----------
    paths : sequence of str
        What `read_layers` reads.

    Returns
    -------
    list of (list of dask arrays, dict, "image" or "labels")
        The layers of the first image, with a leading axis along the images.

    Raises
    ------
    ImageError
        If an image cannot be opened, or they differ in shape or channels.
    """
    import dask.array as da  # noqa: PLC0415 - only a stack needs it

    images = [read_layers(str(path)) for path in paths]
    stacked = []
    for number, (data, keywords, kind) in enumerate(images[0]):
        levels = [_levels_of(image[number][0]) if number < len(image) else [] for image in images]
        for path, single, layers in zip(paths, levels, images, strict=True):
            if [x.shape for x in single] != [x.shape for x in levels[0]] or len(layers) != len(images[0]):
                shape, first = (x[0].shape if x else "nothing" for x in (single, levels[0]))
                raise ImageError(
                    f"{path}: {shape} in {len(layers)} layers does not go on {first} in {len(images[0])} layers",
                    remedy="open the images without stacking them, or stack those of one size",
                )
        arrays = []
        for k, level in enumerate(zip(*levels, strict=True)):
            parts = [StackLevel(_level, (str(p), number, k), x) for p, x in zip(paths, level, strict=True)]
            pieces = zip(parts, level, strict=True)
            blocks = [da.from_array(part, chunks=_chunks(x), name=False) for part, x in pieces]  # type: ignore[no-untyped-call]
            arrays.append(da.stack(blocks))  # type: ignore[no-untyped-call]
        stacked.append((arrays if isinstance(data, list) else arrays[0], keywords | _with_leading_axis(keywords), kind))
    return stacked


def _level(path: str, layer: int, level: int) -> Any:
    """Return a level of a layer of an image."""
    return _levels_of(read_layers(path)[layer][0])[level]


def image_layers(path: str) -> list[LayerData]:
    """Return the layers of a single image."""
    return layers_of_image(open_image(path), _name_of(path))


def layers_of_image(image: Image, name: str | None = None) -> list[LayerData]:
    """Return the layers of an opened image: one for a colour image, otherwise one per channel.

    Parameters
    ----------
    image : Image
        The image, with all of its planes and channels.
    name : str, optional
        Name of the layers; that of the file by default.
    """
    count = image.channel_count
    name = name or _name_of(image.uri or "image")
    if _is_colour(image):
        return [_layer(image, rgb=True, name=name)]
    if count == 1:
        return [_layer(image, rgb=False, name=name)]
    layers = []
    for channel in range(count):
        single = completed(image.with_plane(image.plane, (channel,)))
        label = image.channel_names[channel] if image.channel_names else f"channel {channel}"
        data, keywords, kind = _layer(single, rgb=False, name=f"{name} {label}")
        colour = _COLOURS[channel % len(_COLOURS)]
        keywords |= {"colormap": colour, "blending": "additive", "visible": channel < _SHOWN_CHANNELS}
        layers.append((data, keywords, kind))
    return layers


def _is_ours(path: str) -> bool:
    """Whether there is a TIFF, a zarr, or a folder of them; looks at names and first bytes only."""
    if is_url(path):
        return path.lower().split("?")[0].rstrip("/").endswith(".zarr")
    location = Path(path)
    if location.is_dir():
        try:
            return zarr_content(path) is not None or bool(_images_in(path))
        except ImageError:
            return True  # broken metadata, which `read_layers` explains
    if not location.is_file() or not location.name.lower().endswith(TIFF_SUFFIXES):
        return False
    with suppress(OSError), location.open("rb") as file:
        return file.read(4) in _TIFF_MAGIC
    return False


def _images_in(folder: str) -> list[str]:
    """Return the images directly in a folder that is no zarr itself, by name."""
    entries = sorted(str(entry) for entry in Path(folder).iterdir() if not entry.name.startswith("."))
    zarrs = (entry for entry in entries if entry.lower().endswith(".zarr") and Path(entry).is_dir())
    return sorted([*zarrs, *(entry for entry in entries if Path(entry).is_file() and _is_ours(entry))])


def _array_layers(path: str, names: list[str]) -> list[LayerData]:
    """Return the layers of the arrays of a group; those that are no images are left out."""
    layers, errors = [], []
    for name in names:
        try:
            layers += image_layers(f"{path.rstrip('/')}/{name}")
        except ImageError as error:
            errors.append(error)
    if not layers:
        raise errors[0]
    return layers


def _labels_layer(path: str) -> LayerData:
    """Return the layer of a label image, of which only the levels in the file are used: labels have no mean."""
    image = open_image(path)
    if image.dtype.kind not in "ui":
        raise ImageError(f"{path}: labels of type {image.dtype}", remedy="write them as whole numbers")
    levels, keywords, _ = _layer(image, rgb=False, name=_name_of(path))
    kept = _levels_of(levels)[: image.file_levels]
    shown = {key: value for key, value in keywords.items() if key not in ("rgb", "contrast_limits")}
    return kept if len(kept) > 1 else kept[0], shown | {"multiscale": len(kept) > 1}, "labels"


def _with_leading_axis(keywords: dict[str, object]) -> dict[str, object]:
    """Return the transform keywords of a layer for one more axis in front."""
    front = {"scale": 1.0, "translate": 0.0, "axis_labels": "image", "units": "pixel"}
    values = {name: keywords[name] for name in front if name in keywords}
    return {name: (front[name], *value) for name, value in values.items() if isinstance(value, tuple | list)}


def _levels_of(data: object) -> list[ShownLevel]:
    return [x for x in (data if isinstance(data, list) else [data]) if isinstance(x, ShownLevel)]


def _chunks(level: ShownLevel) -> tuple[int, ...]:
    y = level.ndim - (3 if level.has_colour else 2)
    return tuple(
        min(n, _CHUNK_PX) if axis in (y, y + 1) else n if axis > y else 1 for axis, n in enumerate(level.shape)
    )


def _is_colour(image: Image) -> bool:
    """Whether channels are red, green and blue: unnamed ones of 8 bits, or the samples of a pixel in a TIFF."""
    if image.channel_count not in (3, 4) or image.channel_names or image.dtype == np.bool_:
        return False
    return image.dtype == np.uint8 or "s" in image.array_axes


def _name_of(path: str) -> str:
    return Path(path.rstrip("/")).name.split(".")[0] or "image"


def _layer(image: Image, *, rgb: bool, name: str) -> LayerData:
    shown = replace(image, exact_px=_SHOWN_EXACT_PX)
    levels = [ShownLevel(shown, level, rgb=rgb) for level in range(len(shown.levels))]
    placements = [image.placement(axis) for axis in image.stack_axes + "yx"]
    keywords: dict[str, object] = {
        "name": name,
        "rgb": rgb,
        "multiscale": len(levels) > 1,
        "scale": tuple(p.scale for p in placements),
        "translate": tuple(p.translation for p in placements),
        "axis_labels": tuple(image.stack_axes + "yx"),
        "metadata": {
            "napari_sam": {"source": image.uri},
            "geo": {"crs": image.crs, "transform": image.transform},
            "unit": image.unit,
        },
    }
    if not rgb:
        keywords["contrast_limits"] = _contrast_limits(image)
        if image.inverted:
            keywords["colormap"] = "gray_r"
    return levels if len(levels) > 1 else levels[0], keywords, "image"


def _contrast_limits(image: Image) -> tuple[float, float]:
    """Return the values shown as black and white; napari would read a whole level to determine them."""
    normalisation = choose_normalisation(image)
    ends = (normalisation.low[0], normalisation.high[0]) if normalisation.low else (0.0, 255.0)
    low, high = min(ends), max(ends)
    return (low, high) if low < high else (low, low + 1.0)


class ShownLevel:
    """A scale level of an image as an array for napari, of which only the indexed part is read.

    Parameters
    ----------
    image : Image
        The opened image, which `image_from_layer` finds here again.
    level : int
        Scale level.
    rgb : bool
        Whether the channels are the last axis, in 8 bits as the network sees them; otherwise there is one channel,
        without an axis.
    """

    def __init__(self, image: Image, level: int, *, rgb: bool) -> None:
        self.image, self._level, self._rgb = image, level, rgb
        self._normalisation = choose_normalisation(image) if rgb and image.dtype != np.uint8 else None
        axes = image.array_axes
        self._leading = tuple(
            int(n) for n, a in zip(image.arrays[0].shape, axes, strict=True) if a not in SPATIAL + CHANNEL_NAMES
        )
        self.shape: tuple[int, ...] = (*self._leading, *image.levels[level], *((image.channels,) if rgb else ()))
        self.dtype = np.dtype(np.uint8) if rgb else image.dtype
        self._planes: dict[tuple[int, ...], Image] = {image.plane: image}

    @property
    def has_colour(self) -> bool:
        """Whether the last axis is the colour."""
        return self._rgb

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    def __len__(self) -> int:
        return self.shape[0]

    def __deepcopy__(self, memo: dict[int, object]) -> ShownLevel:
        return self  # napari copies the data of a layer that is duplicated; nothing can be written here

    def astype(self, dtype: DTypeLike, copy: bool = True) -> NDArray[np.generic]:
        """Read everything and convert it, as numpy does."""
        return np.asarray(self).astype(dtype, copy=copy)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        full = _full_index(index, self.ndim)
        n = len(self._leading)
        planes = [range(size)[_as_slice(i, size)] for i, size in zip(full[:n], self._leading, strict=True)]
        rows, cols = (
            range(size)[_as_slice(i, size)] for i, size in zip(full[n : n + 2], self.shape[n : n + 2], strict=True)
        )
        blocks = [self._read(plane, rows, cols) for plane in product(*planes)]
        tail = (len(rows), len(cols), *self.shape[n + 2 :])
        block = np.stack(blocks) if blocks else np.empty((0, *tail), self.dtype)
        block = block.reshape([len(p) for p in planes] + list(tail))
        kept = tuple(slice(None) if isinstance(i, slice) else 0 for i in full[: n + 2])
        values: NDArray[np.generic] = block[kept + ((full[-1],) if self._rgb else ())]
        return values

    def _read(self, plane: tuple[int, ...], rows: range, cols: range) -> NDArray[np.generic]:
        if not (len(rows) and len(cols)):
            return np.empty((len(rows), len(cols), *((self.image.channels,) if self._rgb else ())), self.dtype)
        if plane not in self._planes:
            self._planes[plane] = completed(self.image.with_plane(plane, self.image.selected))
        (y0, y1), (x0, x1) = ((min(r[0], r[-1]), max(r[0], r[-1]) + 1) for r in (rows, cols))
        step = rows.step if rows.step == cols.step > 0 else 1
        block = self._planes[plane].read(self._level, y0, x0, y1, x1, step)
        if step != rows.step or step != cols.step:
            block = block[:: rows.step, :: cols.step]
        if self._normalisation is not None:
            return network_rgb(block, self._normalisation, self.image.nodata)
        return block if self._rgb else block[..., 0]


def _full_index(index: Index, ndim: int) -> tuple[AxisIndex, ...]:
    """Return an index with one entry per axis."""
    given = index if isinstance(index, tuple) else (index,)
    position = next((i for i, entry in enumerate(given) if entry is Ellipsis), len(given))
    before = [entry for entry in given[:position] if entry is not Ellipsis]
    after = [entry for entry in given[position + 1 :] if entry is not Ellipsis]
    missing = ndim - len(before) - len(after)
    if missing < 0:
        raise IndexError(f"{len(before) + len(after)} indices for {ndim} axes")
    return (*before, *(slice(None),) * missing, *after)


def _as_slice(index: AxisIndex, size: int) -> slice:
    if isinstance(index, slice):
        return index
    position = int(index)
    if not -size <= position < size:
        raise IndexError(f"index {position} is out of bounds for an axis of {size}")
    position %= size
    return slice(position, position + 1)
