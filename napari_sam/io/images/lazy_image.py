"""A lazy image with scale levels: the result of every reader, and the image source of the engine."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.errors import ImageError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.geo.crs import crs_name, known_crs
from napari_sam.io.geo.geotiff import MapPosition
from napari_sam.io.geo.map_coordinates import are_degrees, control_points_text, pixel_size
from napari_sam.io.images.address import axis_notes
from napari_sam.io.images.check_plane import check_plane
from napari_sam.io.images.image_sample import spread_sample
from napari_sam.io.images.read_errors import READ_ERRORS, read_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.io.images.level_protocols import LevelArray
    from napari_sam.io.images.virtual_levels import CoarseLevel

SPATIAL = "yx"
CHANNEL_NAMES = "cs"  # tifffile calls interleaved samples S
_STORED_CORNERS, _STORED_PX = 32, 256
READ_LIMIT_BYTES = 4 << 30
EXACT_PX = 1 << 28
_THREAD_SAFE_MODULES = ("numpy", "zarr", "dask", "tensorstore", "napari_sam", "xarray")


def default_channels(count: int) -> tuple[int, ...]:
    """Return the channels to use of `count`: the first three as red, green and blue, or the first.

    >>> default_channels(4), default_channels(2)
    ((0, 1, 2), (0,))
    """
    return (0, 1, 2) if count >= 3 else (0,)


@dataclass(repr=False)
class Image:
    """A lazy 2-D image with channels and scale levels; thread-safe to read.

    Attributes
    ----------
    arrays : list of LevelArray
        One array per scale level in the file, finest first, each with the axes of `array_axes`.
    array_axes : str
        Axes of the arrays, such as "yx", "yxc" or "tczyx".
    identity : str
        Stable name of the pixels for cache keys, never computed from the pixels.
    selected : tuple of int
        Channels that `read` returns, in this order.
    plane : tuple of int
        Index along each axis that is neither y, x nor channel, in the order of `array_axes`.
    scale : (float, float)
        Size of a level-0 pixel along y and x, in `unit`; 1 if the file does not define it.
    unit : str or None
        Unit of `scale` and `translation`, such as "micrometer".
    translation : (float, float)
        Position of the centre of the first pixel along y and x, in `unit`.
    stack_placements : dict of str to AxisPlacement
        Pixel size, position and unit along axes such as z and t, as far as the file defines them.
    crs : str or None
        Coordinate reference system: a code such as "EPSG:32632", WKT, or the file's own name of it.
    transform : tuple of float or None
        Affine (a, b, c, d, e, f) from (column, row) to map coordinates; b and d are not 0 if it is rotated or
        sheared.
    control_points : int
        Number of ground control points that no affine fits: the image lies on the map, but it is not known where.
    contrast_limits : (float, float) or None
        Values displayed as black and white, if a viewer set them.
    persistent : bool
        Whether `identity` stands for the same pixels in another process: true for files and URLs, not for arrays in
        memory.
    uri : str or None
        Path or URL of the file, None for arrays in memory.
    channel_names : tuple of str
        Names of all channels of the file; empty if it has none.
    nodata : float or None
        Value of pixels without measurement: left out of contrast, scale levels and measurements, black for the network.
    bits : int or None
        Number of bits that the values use, if fewer than their type has.
    inverted : bool
        Whether the smallest value is white, as in TIFF's "min-is-white"; `read` returns the values of the file.
    notes : tuple of str
        What was chosen when the image was opened, and how to choose otherwise, for the user.
    coarse : list of CoarseLevel
        Scale levels that the file does not have.
    exact_px : int
        A region of a virtual level is computed from all pixels of the finer level up to this number, and estimated
        from some of them beyond it.
    """

    arrays: list[LevelArray]
    array_axes: str
    identity: str
    selected: tuple[int, ...]
    plane: tuple[int, ...] = ()
    scale: tuple[float, float] = (1.0, 1.0)
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    control_points: int = 0
    contrast_limits: tuple[float, float] | None = None
    persistent: bool = False
    uri: str | None = None
    unit: str | None = None
    translation: tuple[float, float] = (0.0, 0.0)
    stack_placements: dict[str, AxisPlacement] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()
    nodata: float | None = None
    bits: int | None = None
    inverted: bool = False
    notes: tuple[str, ...] = ()
    coarse: list[CoarseLevel] = field(default_factory=list, repr=False)
    exact_px: int = EXACT_PX
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __repr__(self) -> str:
        h, w = self.shape
        return f"<Image {self.name}: {h} x {w} px, {self.channel_count} channels, {self.dtype}>"

    @property
    def axes(self) -> str:
        """Axes of what `read` returns."""
        return "yxc"

    @property
    def name(self) -> str:
        """Name in messages."""
        return self.uri or self.identity

    @property
    def stack_axes(self) -> str:
        """Axes of the arrays that are neither y, x nor channel, to which `plane` refers."""
        return "".join(self.plane_axes)

    def placement(self, axis: str) -> AxisPlacement:
        """Return pixel size, position of the first pixel and unit along an axis."""
        if axis in SPATIAL:
            i = SPATIAL.index(axis)
            return AxisPlacement(self.scale[i], self.translation[i], self.unit)
        return self.stack_placements.get(axis, AxisPlacement())

    def place(self, placements: Mapping[str, AxisPlacement]) -> None:
        """Set the placements of axes that a file defines."""
        y, x = (placements.get(axis, AxisPlacement()) for axis in SPATIAL)
        self.scale, self.translation, self.unit = (y.scale, x.scale), (y.translation, x.translation), x.unit
        self.stack_placements = {a: p for a, p in placements.items() if a in self.stack_axes}

    @property
    def position(self) -> MapPosition:
        """Position on the map."""
        return MapPosition(self.crs, self.transform, self.control_points)

    def locate(self, position: MapPosition) -> None:
        """Set the position on the map; a pixel then has its size in map units."""
        self.crs, self.transform, self.control_points = position.crs, position.transform, position.control_points
        if position.transform is not None:
            self.scale, self.unit = pixel_size(position.transform), None
            crs = known_crs(position.crs)
            if crs is not None and crs.is_geographic and not are_degrees(position.transform, self.shape):
                self.notes += (f"its CRS {crs_name(crs.name)} has degrees, but its coordinates are no degrees",)
        if position.control_points:
            self.notes += (f"lies on the map by {control_points_text(position.control_points)}",)

    @property
    def file_identity(self) -> str:
        """The part of `identity` that names the file, regardless of plane, channels and overview."""
        return self.identity.split("|plane")[0].removesuffix("|overview")

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Height and width of every scale level, those of the file first."""
        y, x = (self.array_axes.index(axis) for axis in SPATIAL)
        return [(int(a.shape[y]), int(a.shape[x])) for a in self.arrays] + [c.shape for c in self.coarse]

    @property
    def file_levels(self) -> int:
        """Number of scale levels in the file."""
        return len(self.arrays)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, in pixels."""
        return self.levels[0]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of what `read` returns, in native byte order."""
        native: np.dtype[np.generic] = np.dtype(self.arrays[0].dtype).newbyteorder("=")
        return native

    @property
    def channels(self) -> int:
        """Number of channels that `read` returns."""
        return len(self.selected)

    @property
    def channel_axis(self) -> int | None:
        """Index of the channel axis of the arrays; None if they have none."""
        return next((i for i, a in enumerate(self.array_axes) if a in CHANNEL_NAMES), None)

    @property
    def channel_count(self) -> int:
        """Number of channels in the file."""
        return 1 if self.channel_axis is None else int(self.arrays[0].shape[self.channel_axis])

    @property
    def plane_axes(self) -> dict[str, int]:
        """Number of planes along each axis of `plane`."""
        sizes = zip(self.array_axes, self.arrays[0].shape, strict=True)
        return {axis: int(size) for axis, size in sizes if axis not in SPATIAL and axis not in CHANNEL_NAMES}

    @property
    def chunk(self) -> tuple[int, int]:
        """Height and width of the unit of decoding in the coarsest level of the file."""
        chunks = getattr(self.arrays[-1], "chunks", None)
        if not chunks or len(chunks) != len(self.array_axes):
            return 512, 512
        sizes = [chunks[self.array_axes.index(a)] for a in SPATIAL]
        h, w = (int(max(c) if isinstance(c, tuple) else c) for c in sizes)  # dask lists the sizes of all chunks
        return max(1, h), max(1, w)

    @property
    def strided(self) -> bool:
        """Whether every n-th pixel of the file's coarsest level can be read without decoding the others."""
        return isinstance(self.arrays[-1], np.ndarray) or bool(getattr(self.arrays[-1], "strided", False))

    @property
    def has_overview(self) -> bool:
        """Whether the coarse levels come from a finished overview file."""
        return any(not c.virtual for c in self.coarse)

    @property
    def choices(self) -> tuple[str, ...]:
        """What is used of the file, where it holds more; arguments that choose otherwise stand in braces."""
        return self.choices_along("")

    def choices_along(self, followed: str) -> tuple[str, ...]:
        """Return what is used of the file, as `choices`, if all planes along some axes are used.

        Parameters
        ----------
        followed : str
            Names of these axes. If the image has planes along a single axis, any name stands for it.
        """
        said = list(self.notes)
        has_alpha = self.channel_count == 4 and "s" in self.array_axes and self.channels == 3
        if self.channels < self.channel_count and not has_alpha:
            used = ", ".join(map(str, self.selected))
            said.append(f"uses channel {used} of {self.channel_count}: choose with {{channels}}")
        several = {axis: f"{n} ({axis})" for axis, n in self.plane_axes.items() if n > 1}
        chosen = [axis for axis in several if axis not in followed]
        if chosen and not (followed and len(several) == 1):
            of_all = [several[axis] for axis in several if axis in followed]
            every = f", and all {' x '.join(of_all)}" if of_all else ""
            index = ",".join(str(i) for axis, i in zip(self.plane_axes, self.plane, strict=True) if axis in chosen)
            planes = " x ".join(several[axis] for axis in chosen)
            said.append(f"uses plane {index} of {planes}{every}: choose with {{plane}}")
        if several:
            said += axis_notes(self.array_axes, {axis: self.placement(axis).unit for axis in several})
        return tuple(said)

    @property
    def advice(self) -> str | None:
        """Reason why this image is slow to read, and the remedy; None if it is not."""
        name = self.uri or "IMAGE"
        reason = next((r for r in (getattr(array, "slow_reason", None) for array in self.arrays) if r), None)
        if reason is not None:
            return f"{reason}; run once: napari-sam transcode {name} OUT.ome.zarr"
        base = self.levels[len(self.arrays) - 1]
        if self.coarse and not self.has_overview and not self.strided and base[0] * base[1] > self.exact_px:
            return (
                f"no scale level coarser than {base[0]} x {base[1]}: views of the whole image are estimates; "
                f"run once: napari-sam overview {name} (or napari-sam transcode {name} OUT.ome.zarr)"
            )
        return None

    def _repr_html_(self) -> str:
        from napari_sam.io.images.image_html import PICTURE_EXACT_PX, image_html  # noqa: PLC0415 - imports Pillow

        return image_html(replace(self, exact_px=min(self.exact_px, PICTURE_EXACT_PX)))

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
            If the region lies outside the level or is too large for memory, or the file cannot be read.
        """
        self._check_region(level, y0, x0, y1, x1, step)
        if level >= self.file_levels:
            return self.coarse[level - self.file_levels].read(self, (y0, x0, y1, x1), step)
        return self._read_file(level, slice(y0, y1, step), slice(x0, x1, step))

    def sample(self, limit_px: int = 1 << 23) -> NDArray[np.generic]:
        """Read pixels from all over the image at a bounded cost.

        Parameters
        ----------
        limit_px : int
            Approximate number of pixels of a scale level to decode at most; much fewer for a slow source.

        Returns
        -------
        ndarray
            (n, channels), of the file's dtype, without pixels of the value `nodata`.
        """
        slow = getattr(self.arrays[-1], "slow_reason", None) is not None
        pixels = spread_sample(self, limit_px // 16 if slow else limit_px)
        if len(pixels) and (pixels == pixels[0]).all():  # an image that is empty almost everywhere
            pixels = np.concatenate([pixels[:1], *self._stored_pixels()])
        if self.nodata is None:
            return pixels
        valid: NDArray[np.generic] = pixels[~invalid_pixels(pixels, self.nodata).all(axis=1)]
        return valid

    def _stored_pixels(self) -> list[NDArray[np.generic]]:
        """Return pixels (n, channels) of some chunks of level 0 that a sparse file stores."""
        stored_corners = getattr(self.arrays[0], "stored_corners", None)
        if stored_corners is None:
            return []
        y_axis, x_axis = (self.array_axes.index(axis) for axis in SPATIAL)
        h, w = self.shape
        blocks = []
        for corner in stored_corners(_STORED_CORNERS):
            y, x = int(corner[y_axis]), int(corner[x_axis])
            if y < h and x < w:
                block = self.read(0, y, x, min(h, y + _STORED_PX), min(w, x + _STORED_PX))
                blocks.append(block.reshape(-1, block.shape[-1]))
        return blocks

    def with_plane(self, plane: Sequence[int], selected: Sequence[int]) -> Image:
        """Return the same file at a plane and with channels that it has, or raise ImageError; without coarse levels."""
        index, channels = tuple(int(i) for i in plane), tuple(int(c) for c in selected)
        if (index, channels) == (self.plane, self.selected):
            return self
        check_plane(self.name, self.plane_axes, index, self.channel_count, channels)
        identity = f"{self.file_identity}|plane{index}|channels{channels}"
        return replace(self, plane=index, selected=channels, identity=identity, coarse=[], _lock=threading.Lock())

    def with_coarse(self, coarse: list[CoarseLevel], *, overview: bool = False) -> Image:
        """Return the image with these coarse levels; those of an overview file change its identity."""
        identity = f"{self.identity}|overview" if overview else self.identity
        return replace(self, coarse=coarse, identity=identity, _lock=threading.Lock())

    def _check_region(self, level: int, y0: int, x0: int, y1: int, x1: int, step: int) -> None:
        levels, region = self.levels, (y0, x0, y1, x1)
        if not 0 <= level < len(levels):
            raise ImageError(
                f"level is {level}; {self.name} has levels 0 to {len(levels) - 1}",
                parameter="level",
                remedy="choose one of them",
            )
        h, w = levels[level]
        if not (0 <= y0 < y1 <= h and 0 <= x0 < x1 <= w):
            raise ImageError(
                f"region {region} lies outside scale level {level} of shape {(h, w)}", remedy="read a region inside it"
            )
        if step < 1:
            raise ImageError(f"step is {step}", parameter="step", remedy="give 1 or more")
        size = -(-(y1 - y0) // step) * -(-(x1 - x0) // step) * self.channels * self.dtype.itemsize
        if size > READ_LIMIT_BYTES:
            raise ImageError(
                f"region {region} of scale level {level} takes {size / 2**30:.3g} GiB",
                remedy="read a smaller region, a coarser level or a larger step",
            )

    def _read_file(self, level: int, rows: slice, cols: slice) -> NDArray[np.generic]:
        """Read one of the file's levels; errors name the file and the level."""
        array = self.arrays[level]
        try:
            if type(array).__module__.partition(".")[0] in _THREAD_SAFE_MODULES:
                return self._block(array, rows, cols)
            with self._lock:  # an unknown type of array
                return self._block(array, rows, cols)
        except ImageError:
            raise
        except READ_ERRORS as error:
            raise read_error(self.name, level, error) from error

    def _block(self, array: LevelArray, rows: slice, cols: slice) -> NDArray[np.generic]:
        """Read a part of an array as (h, w, channels)."""
        index: list[int | slice] = []
        plane = iter(self.plane)
        for position, axis in enumerate(self.array_axes):
            if axis in SPATIAL:
                index.append(rows if axis == "y" else cols)
            elif axis in CHANNEL_NAMES:
                index.append(slice(None))
            else:  # coarser levels may also have fewer planes
                count, finest = array.shape[position], self.arrays[0].shape[position]
                index.append(min(count - 1, next(plane) * count // finest))
        channel = self.channel_axis
        kept = [a for a in self.array_axes if a in SPATIAL or a in CHANNEL_NAMES]
        if channel is None:
            block = _get(array, index)
            view = (block if kept == ["y", "x"] else block.T)[..., None]
            view = np.broadcast_to(view, (*view.shape[:2], self.channels))
        else:
            order = [kept.index(a) for a in ("y", "x", self.array_axes[channel])]
            view = self._channels(array, index, channel, order)
        native = np.ascontiguousarray(view, dtype=view.dtype.newbyteorder("="))
        if isinstance(array, np.ndarray) and np.may_share_memory(native, array):
            return native.copy()  # the caller may write into the result
        return native

    def _channels(
        self, array: LevelArray, index: list[int | slice], axis: int, order: list[int]
    ) -> NDArray[np.generic]:
        """Read the selected channels: at once if they are close to each other, else one by one."""
        first, last = min(self.selected), max(self.selected)
        if last - first < 2 * len(self.selected):
            index[axis] = slice(first, last + 1)
            block = _get(array, index).transpose(order)
            if self.selected == tuple(range(first, last + 1)):
                return block
            return block[..., [c - first for c in self.selected]]
        parts = []
        for channel in self.selected:
            index[axis] = slice(channel, channel + 1)
            parts.append(_get(array, index).transpose(order))
        return np.concatenate(parts, axis=-1)


def _get(array: LevelArray, index: list[int | slice]) -> NDArray[np.generic]:
    return np.asarray(array[tuple(index)])
