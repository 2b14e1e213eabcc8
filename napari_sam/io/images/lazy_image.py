"""A lazy image with scale levels: what every reader gives, and what the engine reads."""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.virtual_levels import CoarseLevel

SPATIAL = "yx"
CHANNEL_NAMES = "cs"  # tifffile calls interleaved samples S
_STORED_PLACES, _STORED_PX = 32, 256
READ_LIMIT_BYTES = 4 << 30
EXACT_PX = 1 << 28
READ_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,  # imagecodecs' errors, NotImplementedError and RecursionError are of this kind
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
)
_SAFE_MODULES = ("numpy", "zarr", "dask", "tensorstore", "napari_sam", "xarray")


@dataclass
class Image:
    """A lazy 2-D image with channels and scale levels; thread-safe to read.

    Attributes
    ----------
    arrays : list
        One array-like per scale level that the file has, finest first, each with the axes of `array_axes`.
    array_axes : str
        Axes of the arrays, such as "yx", "yxc" or "tczyx".
    identity : str
        Stable name of the pixels, for cache keys; never computed from the pixels.
    selected : tuple of int
        Channels that `read` returns, in this order.
    plane : tuple of int
        Index along each axis that is neither y, x nor channel, in the order of `array_axes`.
    scale : (float, float)
        Size of a level-0 pixel along y and x, in `unit`; 1 where the file says nothing.
    unit : str or None
        Unit of `scale`, such as "micrometer".
    crs : str or None
        Coordinate reference system, such as "EPSG:32632", or what the file calls it.
    transform : tuple of float or None
        Affine (a, b, c, d, e, f) from (column, row) to map coordinates; b and d where it is rotated or sheared.
    contrast_limits : (float, float) or None
        Values shown as black and white, where a viewer chose them.
    persistent : bool
        Whether `identity` means the same pixels in another process: files and URLs, not arrays in memory.
    uri : str or None
        Path or URL of the file, None for arrays in memory.
    channel_names : tuple of str
        Names of all channels of the file; empty where it has none.
    nodata : float or None
        Value of pixels where nothing was measured; left out when contrast is chosen.
    coarse : list of CoarseLevel
        Scale levels that the file does not have.
    exact_px : int
        A region of a virtual level is computed from all its pixels up to this many of the finer level, and
        sketched from some of them beyond.
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
    persistent: bool = False
    uri: str | None = None
    unit: str | None = None
    channel_names: tuple[str, ...] = ()
    nodata: float | None = None
    coarse: list[CoarseLevel] = field(default_factory=list, repr=False)
    exact_px: int = EXACT_PX
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def axes(self) -> str:
        """Axes of what `read` returns."""
        return "yxc"

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.uri or self.identity

    @property
    def file_identity(self) -> str:
        """The part of `identity` that names the file, whatever plane, channels or overview are looked at."""
        return self.identity.split("|plane")[0].removesuffix("|overview")

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Height and width of every scale level, those of the file first."""
        at = [self.array_axes.index(a) for a in SPATIAL]
        real = [(int(a.shape[at[0]]), int(a.shape[at[1]])) for a in self.arrays]
        return real + [c.shape for c in self.coarse]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, in pixels."""
        return self.levels[0]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of what `read` returns: native byte order."""
        found: np.dtype[np.generic] = np.dtype(self.arrays[0].dtype).newbyteorder("=")
        return found

    @property
    def channels(self) -> int:
        """Number of channels that `read` returns."""
        return len(self.selected)

    @property
    def channel_axis(self) -> int | None:
        """Which axis of the arrays is the channel."""
        return next((i for i, a in enumerate(self.array_axes) if a in CHANNEL_NAMES), None)

    @property
    def channel_count(self) -> int:
        """Number of channels in the file."""
        return 1 if self.channel_axis is None else int(self.arrays[0].shape[self.channel_axis])

    @property
    def chunk(self) -> tuple[int, int]:
        """Height and width of what must be decoded at once in the coarsest level of the file."""
        chunks = getattr(self.arrays[-1], "chunks", None)
        if not chunks or len(chunks) != len(self.array_axes):
            return 512, 512
        found = [chunks[self.array_axes.index(a)] for a in SPATIAL]
        h, w = (int(max(c) if isinstance(c, tuple) else c) for c in found)  # dask lists all sizes
        return max(1, h), max(1, w)

    @property
    def strided(self) -> bool:
        """Whether reading every n-th pixel of the coarsest level of the file costs only those."""
        return isinstance(self.arrays[-1], np.ndarray) or bool(getattr(self.arrays[-1], "strided", False))

    @property
    def has_overview(self) -> bool:
        """Whether the coarse levels come from a finished overview file."""
        return any(not c.virtual for c in self.coarse)

    @property
    def advice(self) -> str | None:
        """What makes this image slow, and the remedy; None if nothing does."""
        name = self.uri or "IMAGE"
        reason = next((r for a in self.arrays if (r := getattr(a, "slow_reason", None))), None)
        if reason is not None:
            return f"{reason}; run once: napari-sam transcode {name} OUT.ome.zarr"
        base = self.levels[len(self.arrays) - 1]
        if self.coarse and not self.has_overview and not self.strided and base[0] * base[1] > self.exact_px:
            return (
                f"no scale level coarser than {base[0]} x {base[1]}: views of all of it are sketches; "
                f"run once: napari-sam overview {name} (or napari-sam transcode {name} OUT.ome.zarr)"
            )
        return None

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
            If the region lies outside the level or is too large to hold, or the file cannot be read any more.
        """
        self._check_region(level, y0, x0, y1, x1, step)
        real = len(self.arrays)
        if level >= real:
            return self.coarse[level - real].read(self, (y0, x0, y1, x1), step)
        return self._guarded(level, slice(y0, y1, step), slice(x0, x1, step))

    def sample(self, limit_px: int = 1 << 23) -> NDArray[np.generic]:
        """Pixels from all over the image, at a bounded cost.

        Parameters
        ----------
        limit_px : int
            About how many pixels of a scale level are decoded at most; far fewer of a source that is slow.

        Returns
        -------
        ndarray
            (n, channels), of the file's dtype, without those of the value `nodata`.
        """
        from napari_sam.io.images.virtual_levels import spread_sample  # noqa: PLC0415 - coarse levels know images

        slow = getattr(self.arrays[-1], "slow_reason", None) is not None
        pixels = spread_sample(self, limit_px // 16 if slow else limit_px)
        if len(pixels) and (pixels == pixels[0]).all():  # an image that is empty almost everywhere
            pixels = np.concatenate([pixels[:1], *self._stored_pixels()])
        if self.nodata is None:
            return pixels
        kept: NDArray[np.generic] = pixels[~np.all(pixels == self.nodata, axis=1)]
        return kept

    def _stored_pixels(self) -> list[NDArray[np.generic]]:
        """Pixels (n, channels) of places of level 0 that a sparse file stores."""
        listing = getattr(self.arrays[0], "stored_corners", None)
        at = [self.array_axes.index(axis) for axis in "yx"]
        h, w = self.shape
        found = []
        for corner in [] if listing is None else listing(_STORED_PLACES):
            y, x = (int(corner[i]) for i in at)
            if y < h and x < w:
                block = self.read(0, y, x, min(h, y + _STORED_PX), min(w, x + _STORED_PX))
                found.append(block.reshape(-1, block.shape[-1]))
        return found

    def with_plane(self, plane: Sequence[int], selected: Sequence[int]) -> Image:
        """The same file, seen at another plane or in other channels, without coarse levels."""
        own, channels = tuple(int(i) for i in plane), tuple(int(c) for c in selected)
        if (own, channels) == (self.plane, self.selected):
            return self
        identity = f"{self.file_identity}|plane{own}|channels{channels}"
        return replace(self, plane=own, selected=channels, identity=identity, coarse=[], _lock=threading.Lock())

    def _check_region(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int) -> None:
        levels = self.levels
        if not 0 <= level < len(levels):
            raise ImageError(f"{self.name}: scale level {level}: there are levels 0 to {len(levels) - 1}")
        h, w = levels[level]
        if not (0 <= y0 < y1 <= h and 0 <= x0 < x1 <= w):
            raise ImageError(f"region {(y0, x0, y1, x1)} lies outside scale level {level} of shape {(h, w)}")
        if step < 1:
            raise ImageError(f"step {step}: give 1 or more")
        size = -(-(y1 - y0) // step) * -(-(x1 - x0) // step) * self.channels * self.dtype.itemsize
        if size > READ_LIMIT_BYTES:
            raise ImageError(
                f"region {(y0, x0, y1, x1)} of scale level {level} takes {size / 2**30:.3g} GiB; "
                "read a smaller region, a coarser level or a larger step"
            )

    def _guarded(self, level: int, rows: slice, cols: slice) -> NDArray[np.generic]:
        """Read one of the file's levels; what goes wrong names the file and the level."""
        array = self.arrays[level]
        try:
            if type(array).__module__.partition(".")[0] in _SAFE_MODULES:
                return self._block(array, rows, cols)
            with self._lock:  # an array of a kind we do not know
                return self._block(array, rows, cols)
        except READ_ERRORS as error:
            raise ImageError(_why(self.name, level, error)) from error

    def _block(self, array: Any, rows: slice, cols: slice) -> NDArray[np.generic]:
        """(h, w, channels) of an array."""
        index: list[Any] = []
        rest = iter(self.plane)
        for position, axis in enumerate(self.array_axes):
            if axis in SPATIAL:
                index.append(rows if axis == "y" else cols)
            elif axis in CHANNEL_NAMES:
                index.append(slice(None))
            else:  # coarser levels may have fewer planes, too
                count, finest = array.shape[position], self.arrays[0].shape[position]
                index.append(min(count - 1, next(rest) * count // finest))
        at = self.channel_axis
        kept = [a for a in self.array_axes if a in SPATIAL or a in CHANNEL_NAMES]
        if at is None:
            block = _get(array, index)
            view = (block if kept == ["y", "x"] else block.T)[..., None]
            view = np.broadcast_to(view, (*view.shape[:2], self.channels))
        else:
            order = [kept.index(a) for a in ("y", "x", self.array_axes[at])]
            view = self._channels(array, index, at, order)
        native = np.ascontiguousarray(view, dtype=view.dtype.newbyteorder("="))
        if isinstance(array, np.ndarray) and np.may_share_memory(native, array):
            return native.copy()  # the caller may write into what it gets
        return native

    def _channels(self, array: Any, index: list[Any], at: int, order: list[int]) -> NDArray[np.generic]:
        """Read the selected channels: in one go where they are near each other, else one by one."""
        first, last = min(self.selected), max(self.selected)
        if last - first < 2 * len(self.selected):
            index[at] = slice(first, last + 1)
            block = _get(array, index).transpose(order)
            if self.selected == tuple(range(first, last + 1)):
                return block
            return block[..., [c - first for c in self.selected]]
        parts = []
        for channel in self.selected:
            index[at] = slice(channel, channel + 1)
            parts.append(_get(array, index).transpose(order))
        return np.concatenate(parts, axis=-1)


def _get(array: Any, index: list[Any]) -> NDArray[np.generic]:
    return np.asarray(array[tuple(index)])


def _why(name: str, level: int, error: BaseException) -> str:
    """What a failed read means to the user."""
    text = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return f"{name}: scale level {level}: not enough memory; read a smaller region or a coarser level"
    if isinstance(error, ConnectionError | TimeoutError | FileNotFoundError):
        return f"{name}: scale level {level} cannot be reached: {text}; is the file or the network still there?"
    return (
        f"{name}: scale level {level} cannot be read: {text}; if the file is still there, it is damaged: "
        "copy it again, or open another level"
    )


def check_image(image: Image) -> None:
    """Refuse what is not a picture of numbers, or whose levels do not match, before any pixel is read.

    Raises
    ------
    ImageError
        It names the dtype, shape or level, and the remedy.
    """
    dtype = image.dtype
    if dtype.kind not in "buif":
        remedy = "take its absolute value or real part" if dtype.kind == "c" else "convert it to numbers"
        raise ImageError(f"{image.name}: dtype {dtype} is not a picture; {remedy}")
    if min(image.shape) < 1 or image.channel_count < 1:
        raise ImageError(f"{image.name}: shape {tuple(image.arrays[0].shape)} has no pixels")
    remedy = "open level 0 alone, or write the levels again with napari-sam transcode"
    for level in range(1, len(image.arrays)):
        before, array = image.arrays[level - 1], image.arrays[level]
        if len(array.shape) != len(before.shape) or np.dtype(array.dtype) != np.dtype(before.dtype):
            raise ImageError(
                f"{image.name}: level {level} is {array.dtype} {tuple(array.shape)}, "
                f"level {level - 1} {before.dtype} {tuple(before.shape)}; {remedy}"
            )
        at = image.channel_axis
        if at is not None and array.shape[at] != before.shape[at]:
            raise ImageError(
                f"{image.name}: level {level} has {array.shape[at]} channels, "
                f"level {level - 1} {before.shape[at]}; {remedy}"
            )
        _check_shrinks(image, level, remedy)


def _check_shrinks(image: Image, level: int, remedy: str) -> None:
    """A level is no larger than the one before, and of the image's aspect."""
    (h0, w0), (hb, wb), (h, w) = image.levels[0], image.levels[level - 1], image.levels[level]
    if min(h, w) < 1:
        raise ImageError(f"{image.name}: level {level} of shape {(h, w)} has no pixels; {remedy}")
    if h > hb or w > wb:
        raise ImageError(
            f"{image.name}: level {level} of shape {(h, w)} is larger than level {level - 1} of {(hb, wb)}; {remedy}"
        )
    factor = max(h0, w0) / max(h, w)
    if abs(h - h0 / factor) > 2 + 0.01 * h or abs(w - w0 / factor) > 2 + 0.01 * w:
        raise ImageError(
            f"{image.name}: level {level} of shape {(h, w)} has another aspect than level 0 of {(h0, w0)}; {remedy}"
        )
