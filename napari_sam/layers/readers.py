"""Open large images in napari: multiscale, lazy, with pixel size and place on the ground."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.normalisation import decide
from napari_sam.errors import ImageError
from napari_sam.io.images.formats.tiff_image import TIFF_SUFFIXES, open_tiff
from napari_sam.io.images.formats.zarr_image import is_image_folder
from napari_sam.io.images.formats.zarr_store import is_url
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL
from napari_sam.io.images.open_image import completed, open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image

    LayerData = tuple[Any, dict[str, Any], str]

_LARGE_PX = 1 << 26
_SHOWN_EXACT_PX = 1 << 25  # the viewer waits for what it shows
_COLOURS = ("red", "green", "blue", "cyan", "magenta", "yellow")


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read a path, as npe2 asks.

    Parameters
    ----------
    path : str or sequence of str
        OME-Zarr or zarr folder; TIFF with scale levels, a place on the ground, or of more than 64 megapixels. All
        else is left to napari's own readers.

    Returns
    -------
    callable or None
        Gives layer data of a path.
    """
    if not isinstance(path, str | Path):
        return None
    return read_layers if _is_ours(str(path)) else None


def read_layers(path: str) -> list[LayerData]:
    """Layers of an image: one in colour, or one per channel.

    Parameters
    ----------
    path : str
        Whatever `open_image` opens.

    Returns
    -------
    list of (list of ShownLevel, dict, "image")
        The keywords have scale, contrast limits, and as ``metadata`` the source, CRS and affine.

    Raises
    ------
    ImageError
        If it cannot be opened.
    """
    image = open_image(path)
    count, name = image.channel_count, Path(path.rstrip("/")).name.split(".")[0] or "image"
    if image.dtype == np.uint8 and count in (3, 4) and not image.channel_names:
        return [_layer(image, rgb=True, name=name)]
    if count == 1:
        return [_layer(image, rgb=False, name=name)]
    layers = []
    for channel in range(count):
        own = completed(image.with_plane(image.plane, (channel,)))
        label = image.channel_names[channel] if image.channel_names else f"channel {channel}"
        data, keywords, kind = _layer(own, rgb=False, name=f"{name} {label}")
        keywords |= {"colormap": _COLOURS[channel % len(_COLOURS)], "blending": "additive", "visible": channel < 3}
        layers.append((data, keywords, kind))
    return layers


def _is_ours(path: str) -> bool:
    """Whether we read it better than napari's own plugins; looks at names and headers only."""
    lowered = path.lower().rstrip("/")
    if is_url(path):
        return lowered.endswith(".zarr") and is_image_folder(path)
    place = Path(path)
    if place.is_dir():
        known = ("zarr.json", ".zattrs", ".zarray", ".zgroup")
        return any((place / name).exists() for name in known) and is_image_folder(path)
    if not lowered.endswith(TIFF_SUFFIXES) or not place.is_file():
        return False
    try:
        image = open_tiff(place)
    except (ImageError, OSError):
        return False
    h, w = image.shape
    return len(image.arrays) > 1 or image.transform is not None or h * w > _LARGE_PX


def _layer(image: Image, *, rgb: bool, name: str) -> LayerData:
    shown = replace(image, exact_px=_SHOWN_EXACT_PX)
    data = [ShownLevel(shown, level, rgb=rgb) for level in range(len(shown.levels))]
    lead = data[0].ndim - (3 if rgb else 2)
    keywords: dict[str, Any] = {
        "name": name,
        "rgb": rgb,
        "multiscale": len(data) > 1,
        "scale": (1.0,) * lead + image.scale,
        "metadata": {
            "napari_sam": {"source": image.uri},
            "geo": {"crs": image.crs, "transform": image.transform},
            "unit": image.unit,
        },
    }
    if not rgb:
        keywords["contrast_limits"] = _limits(image)
    return data if len(data) > 1 else data[0], keywords, "image"


def _limits(image: Image) -> tuple[float, float]:
    """What is shown as black and white; napari would read a whole level to find out."""
    found = decide(image)
    low, high = (found.low[0], found.high[0]) if found.low else (0.0, 255.0)
    return (low, high) if low < high else (low, low + 1.0)


class ShownLevel:
    """One scale level of an image as napari slices it: reads what is shown, and nothing else.

    Parameters
    ----------
    image : Image
        Opened; `image_from_layer` finds it here again.
    level : int
        Scale level.
    rgb : bool
        Whether the channels are a last axis; else the one channel has no axis.
    """

    def __init__(self, image: Image, level: int, *, rgb: bool) -> None:
        self.image, self._level, self._rgb = image, level, rgb
        axes = image.array_axes
        self._lead = tuple(
            int(n) for n, a in zip(image.arrays[0].shape, axes, strict=True) if a not in SPATIAL + CHANNEL_NAMES
        )
        self.shape: tuple[int, ...] = (*self._lead, *image.levels[level], *((image.channels,) if rgb else ()))
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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.generic]:
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        full = _full_index(index, self.ndim)
        n = len(self._lead)
        places = [range(size)[_as_slice(i, size)] for i, size in zip(full[:n], self._lead, strict=True)]
        rows, cols = (
            range(size)[_as_slice(i, size)] for i, size in zip(full[n : n + 2], self.shape[n : n + 2], strict=True)
        )
        planes = [self._read(place, rows, cols) for place in product(*places)]
        tail = (len(rows), len(cols), *self.shape[n + 2 :])
        block = np.stack(planes) if planes else np.empty((0, *tail), self.dtype)
        block = block.reshape([len(p) for p in places] + list(tail))
        kept = tuple(slice(None) if isinstance(i, slice) else 0 for i in full[: n + 2])
        found: NDArray[np.generic] = block[kept + ((full[-1],) if self._rgb else ())]
        return found

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


def _full_index(index: Any, ndim: int) -> tuple[Any, ...]:
    """An index with one entry per axis."""
    given = index if isinstance(index, tuple) else (index,)
    at = next((i for i, entry in enumerate(given) if entry is Ellipsis), len(given))
    rest = given[at + 1 :]
    missing = ndim - at - len(rest)
    if missing < 0:
        raise IndexError(f"{len(given)} indices for {ndim} axes")
    return (*given[:at], *(slice(None),) * missing, *rest)


def _as_slice(index: Any, size: int) -> slice:
    if isinstance(index, slice):
        return index
    at = int(index)
    if not -size <= at < size:
        raise IndexError(f"index {at} of an axis of {size}")
    at %= size
    return slice(at, at + 1)
