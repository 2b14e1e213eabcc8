"""The reader of large images for napari: multiscale and lazy, with pixel size and georeference."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.errors import ImageError
from napari_sam.io.images.formats.tiff_image import TIFF_SUFFIXES, open_tiff
from napari_sam.io.images.formats.zarr_image import is_image_folder
from napari_sam.io.images.formats.zarr_store import is_url
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL
from napari_sam.io.images.open_image import completed, open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import EllipsisType

    from numpy.typing import DTypeLike, NDArray

    from napari_sam.io.images.lazy_image import Image

    AxisIndex = int | np.integer | slice
    Index = AxisIndex | EllipsisType | tuple[AxisIndex | EllipsisType, ...]
    LayerData = tuple["ShownLevel | list[ShownLevel]", dict[str, object], str]

_LARGE_PX = 1 << 26
_SHOWN_EXACT_PX = 1 << 25  # limit of exact averages, for which the viewer has to wait
_COLOURS = ("red", "green", "blue", "cyan", "magenta", "yellow")
_SHOWN_CHANNELS = 3


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return a function that reads a path, as npe2 expects it.

    Parameters
    ----------
    path : str or sequence of str
        OME-Zarr or zarr folder, or TIFF with scale levels, with a georeference, or of more than 64 megapixels.
        Everything else is left to napari's own readers.

    Returns
    -------
    callable or None
        Returns the layer data of a path; None for images that napari reads itself.
    """
    if not isinstance(path, str | Path):
        return None
    return read_layers if _is_ours(str(path)) else None


def read_layers(path: str) -> list[LayerData]:
    """Read the layers of an image: one for a colour image, otherwise one per channel.

    Parameters
    ----------
    path : str
        Path or URL that `open_image` accepts.

    Returns
    -------
    list of (list of ShownLevel, dict, "image")
        The keywords hold scale and contrast limits; their ``metadata`` hold source, CRS and affine transform.

    Raises
    ------
    ImageError
        If the image cannot be opened.
    """
    image = open_image(path)
    count, name = image.channel_count, Path(path.rstrip("/")).name.split(".")[0] or "image"
    if image.dtype == np.uint8 and count in (3, 4) and not image.channel_names:
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
    """Whether this reader suits a path better than napari's own; looks at names and headers only."""
    lowered = path.lower().rstrip("/")
    if is_url(path):
        return lowered.endswith(".zarr") and is_image_folder(path)
    location = Path(path)
    if location.is_dir():
        known = ("zarr.json", ".zattrs", ".zarray", ".zgroup")
        return any((location / name).exists() for name in known) and is_image_folder(path)
    if not lowered.endswith(TIFF_SUFFIXES) or not location.is_file():
        return False
    try:
        image = open_tiff(location)
    except (ImageError, OSError):
        return False
    h, w = image.shape
    return len(image.arrays) > 1 or image.transform is not None or h * w > _LARGE_PX


def _layer(image: Image, *, rgb: bool, name: str) -> LayerData:
    shown = replace(image, exact_px=_SHOWN_EXACT_PX)
    levels = [ShownLevel(shown, level, rgb=rgb) for level in range(len(shown.levels))]
    leading = levels[0].ndim - (3 if rgb else 2)
    keywords: dict[str, object] = {
        "name": name,
        "rgb": rgb,
        "multiscale": len(levels) > 1,
        "scale": (1.0,) * leading + image.scale,
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
        Whether the channels are the last axis; otherwise there is one channel, without an axis.
    """

    def __init__(self, image: Image, level: int, *, rgb: bool) -> None:
        self.image, self._level, self._rgb = image, level, rgb
        axes = image.array_axes
        self._leading = tuple(
            int(n) for n, a in zip(image.arrays[0].shape, axes, strict=True) if a not in SPATIAL + CHANNEL_NAMES
        )
        self.shape: tuple[int, ...] = (*self._leading, *image.levels[level], *((image.channels,) if rgb else ()))
        self.dtype = image.dtype
        self._planes: dict[tuple[int, ...], Image] = {image.plane: image}

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
