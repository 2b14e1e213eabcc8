"""Layout of a transcoded image: axes, scale levels and shards, a function of the source and the codec alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from napari_sam.errors import ImageError
from napari_sam.io.images.lazy_image import CHANNEL_NAMES
from napari_sam.io.images.pyramid_files import LevelFormat, chunk_boxes, create_level
from napari_sam.io.images.virtual_levels import is_striped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import tensorstore as ts

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image

_CHUNK, _SHARD = 512, 4096
_COARSEST_PX = 512
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class TranscodePlan:
    """Layout of the output; a resumed run computes the same layout again.

    Attributes
    ----------
    axes : str
        Axes of the output, some of "tczyx".
    order : tuple of int
        For every leading axis of the output, its position in the source's ``plane``.
    leading : tuple of int
        Lengths of the leading axes.
    channels : int
        Number of channels.
    levels : list of (int, int)
        Height and width of each scale level.
    shard : (int, int)
        Height and width of a shard.
    band : int
        Width of a block of level 0: several shards if the source is striped.
    codec : str
        Codec of the chunks.
    ngff : str
        Version of OME-Zarr: "0.5", or "0.4", whose zarr v2 has no shards: each chunk is a file.
    """

    axes: str
    order: tuple[int, ...]
    leading: tuple[int, ...]
    channels: int
    levels: list[tuple[int, int]]
    shard: tuple[int, int]
    band: int
    codec: str
    ngff: str = "0.5"

    @property
    def leading_axes(self) -> str:
        """Axes of the planes."""
        return "".join(a for a in self.axes if a not in "cyx")

    @property
    def working_axes(self) -> str:
        """Axes in the order of processing: planes first, then c if there is one, y and x."""
        return self.leading_axes + ("c" if "c" in self.axes else "") + "yx"

    @property
    def size_px(self) -> int:
        """Number of values in all levels."""
        return sum(h * w for h, w in self.levels) * self.channels * math.prod(self.leading)

    def create_array(self, folder: Path, level: int, dtype: np.dtype[np.generic]) -> ts.TensorStore:
        """Create the array of a level; its axes are in working order."""
        channels, ones = (self.channels,) if "c" in self.axes else (), (1,) * len(self.leading)
        shape = (*self.leading, *channels, *self.levels[level])
        chunks = (*ones, *(1 for _ in channels), _CHUNK, _CHUNK)
        shard = (*ones, *channels, *self.shard)
        to_stored = [self.working_axes.index(a) for a in self.axes]
        shape, chunks, shard = (tuple(sizes[i] for i in to_stored) for sizes in (shape, chunks, shard))
        layout = LevelFormat(chunks, shard, self.codec, self.axes)
        if self.ngff == "0.4":
            layout = LevelFormat(chunks, codec=self.codec, zarr_format=2)
        array = create_level(folder / str(level), shape, dtype, layout)
        return array.transpose([self.axes.index(a) for a in self.working_axes])

    def files(self, folder: Path, level: int, plane: tuple[int, ...], y: int, x: int) -> list[Path]:
        """Return the files that hold a pixel: a shard, or in OME-Zarr 0.4 the chunk of each channel."""
        index = dict(zip(self.leading_axes, plane, strict=True)) | {"y": y // self.shard[0], "x": x // self.shard[1]}
        if self.ngff == "0.5":
            return [folder.joinpath(str(level), "c", *(str(index.get(a, 0)) for a in self.axes))]
        channels = range(self.channels if "c" in self.axes else 1)
        return [folder.joinpath(str(level), *(str({**index, "c": c}[a]) for a in self.axes)) for c in channels]

    def blocks(self, level: int) -> Iterator[tuple[tuple[int, ...], Box]]:
        """Iterate over all blocks of a level: shards, or bands of shards."""
        width = self.band if level == 0 else self.shard[1]
        for plane in product(*(range(n) for n in self.leading)):
            for box in chunk_boxes(self.levels[level], (self.shard[0], width)):
                yield plane, box


def make_plan(image: Image, codec: str, ngff: str = "0.5") -> TranscodePlan:
    """Return the layout of an image's copy.

    Raises
    ------
    ImageError
        If the image has axes that OME-Zarr does not support.
    """
    leading = _leading_axes(image)
    names = "".join(name for name, _, _ in leading)
    with_channel = image.channel_axis is not None
    axes = "".join(a for a in "tczyx" if a in names or a in "yx" or (a == "c" and with_channel))
    leading.sort(key=lambda axis: axes.index(axis[0]))
    levels = [image.shape]
    while max(levels[-1]) > _COARSEST_PX:
        h, w = levels[-1]
        levels.append((-(-h // 2), -(-w // 2)))
    shard = _shard_shape(image) if ngff == "0.5" else (_CHUNK, _CHUNK)
    return TranscodePlan(
        axes=axes,
        order=tuple(position for _, position, _ in leading),
        leading=tuple(length for _, _, length in leading),
        channels=image.channel_count,
        levels=levels,
        shard=shard,
        band=-(-image.shape[1] // shard[1]) * shard[1] if is_striped(image) else shard[1],
        codec=codec,
        ngff=ngff,
    )


def _leading_axes(image: Image) -> list[tuple[str, int, int]]:
    """Return the axes besides y, x and channel as (name in the output, position in the source's plane, length)."""
    source = [
        (axis, int(length))
        for axis, length in zip(image.array_axes, image.arrays[0].shape, strict=True)
        if axis not in "yx" and axis not in CHANNEL_NAMES
    ]
    taken = {axis for axis, _ in source}
    leading = []
    for position, (axis, length) in enumerate(source):
        if axis not in "tz" and length == 1:
            continue
        name = axis if axis in "tz" else next((a for a in "tz" if a not in taken), "")
        if not name:
            raise ImageError(
                f"{image.name}: axes {image.array_axes!r}; OME-Zarr supports t, c, z, y and x", remedy="save one plane"
            )
        taken.add(name)
        leading.append((name, position, length))
    return leading


def _shard_shape(image: Image) -> tuple[int, int]:
    """Return the largest shard whose pixels fit the memory limit; flat shards for a striped source."""
    if is_striped(image):
        return _CHUNK, _SHARD
    pixel_bytes = image.dtype.itemsize * image.channel_count
    side = _SHARD
    while side > _CHUNK and side * side * pixel_bytes > _BLOCK_BYTES:
        side //= 2
    return side, side
