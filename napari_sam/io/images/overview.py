"""Overview files: the scale levels that an image lacks, computed once, tile by tile, in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError, ImageError
from napari_sam.io.images.pooling import halve
from napari_sam.io.images.pyramid_files import (
    LevelFormat,
    block_is_written,
    check_free_space,
    chunk_boxes,
    create_level,
    open_level,
    write_block,
    write_metadata,
)
from napari_sam.io.images.virtual_levels import FIRST_FACTOR, CoarseLevel, exact_region, is_striped, virtual_levels
from napari_sam.io.step_counter import RESUME, StepCounter
from src_models.checkpoints.registry import weights_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import tensorstore as ts
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

_CHUNK = 512
_LARGE_PX = 1 << 26
_FORMAT = 1
_MANY_CHANNELS = 16
_MARKER = "finished.json"


def is_worth_an_overview(image: Image) -> bool:
    """Return whether an overview file would help: for a large file or URL without coarse levels of its own."""
    h, w = image.levels[image.file_levels - 1]
    return image.persistent and not image.has_overview and bool(image.coarse) and h * w > _LARGE_PX


def overview_path(image: Image) -> Path:
    """Return the folder of an image's overview, whether it exists or not."""
    key = json.dumps([image.file_identity, image.plane, _stored_channels(image)])
    return weights_dir() / "overviews" / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.zarr"


def _stored_channels(image: Image) -> tuple[int, ...]:
    """Return the channels in an overview: all, so that it serves any choice, or the selected ones of very many."""
    return tuple(range(image.channel_count)) if image.channel_count <= _MANY_CHANNELS else image.selected


def overview_levels(image: Image, coarse: list[CoarseLevel]) -> list[CoarseLevel] | None:
    """Return the levels of a finished overview file; None if there is none for this image."""
    if not image.persistent:
        return None
    folder = overview_path(image)
    try:
        if json.loads((folder / _MARKER).read_text()) != _description(image, coarse):
            return None
        stored = [open_level(folder / str(i)) for i in range(len(coarse))]
    except (OSError, ValueError):
        return None
    channels = _stored_channels(image)
    expected = [(*level.shape, len(channels)) for level in coarse]
    if [tuple(s.shape) for s in stored] != expected or any(s.dtype != image.dtype for s in stored):
        return None
    return [replace(level, stored=array, channels=channels) for level, array in zip(coarse, stored, strict=True)]


def build_overview(
    image: Image,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Image:
    """Compute the scale levels that a file lacks, and store them in the user's cache folder.

    Every pixel of the file is read once. Blocks that were finished when the work was stopped or killed are kept: the
    same call resumes it. Memory is bounded by a band of tiles.

    Parameters
    ----------
    image : Image
        Image of a file or URL.
    progress : callable, optional
        Called with tiles done and their number.
    cancelled : callable, optional
        Called between tiles; the work stops if it returns True.

    Returns
    -------
    Image
        The same image with the new levels, which `open_image` uses from then on.

    Raises
    ------
    ImageError
        If the image is an array in memory, or cannot be read.
    StoreError
        If the overview cannot be written.
    CancelledError
        If `cancelled` returned True.
    """
    if image.has_overview:
        return image
    coarse = virtual_levels(image)
    if not coarse:
        return image
    if not image.persistent:
        raise ImageError(f"{image.name}: overviews are stored for files and URLs only", remedy="save the image first")
    folder = overview_path(image)
    description = _description(image, coarse)
    whole = image.with_plane(image.plane, _stored_channels(image))
    sizes = [level.shape[0] * level.shape[1] for level in coarse]
    check_free_space(folder, sum(sizes) * whole.channels * image.dtype.itemsize)
    arrays = [
        create_level(
            folder / str(i), (*level.shape, whole.channels), image.dtype, LevelFormat((_CHUNK, _CHUNK, whole.channels))
        )
        for i, level in enumerate(coarse)
    ]
    boxes = [list(chunk_boxes(level.shape, (_CHUNK, _band_width(image, level)))) for level in coarse]
    counter = StepCounter(progress, cancelled, task="overview", consequence=RESUME, total=sum(map(len, boxes)))
    for i, level_boxes in enumerate(boxes):
        for box in level_boxes:
            counter.check()
            if not block_is_written(folder / str(i), box, (_CHUNK, _CHUNK)):
                first = i == 0
                block = exact_region(whole, FIRST_FACTOR, box) if first else _halved(arrays[i - 1], box, image.nodata)
                write_block(arrays[i][box.slices], block)
            counter.step()
    write_metadata(folder / _MARKER, description)
    levels = overview_levels(image, coarse)
    if levels is None:
        raise CancelledError(f"{folder}: the overview was removed while it was written", remedy="run it again")
    return image.with_coarse(levels, overview=True)


def _band_width(image: Image, level: CoarseLevel) -> int:
    """Return the width of a block: the whole width for a striped file, so that no strip is decoded twice."""
    wide = is_striped(image) and level.factor == FIRST_FACTOR
    return -(-level.shape[1] // _CHUNK) * _CHUNK if wide else _CHUNK


def _halved(finer: ts.TensorStore, box: tuple[int, int, int, int], nodata: float | None) -> NDArray[np.generic]:
    """Compute a block of a level from the next finer one."""
    y0, x0, y1, x1 = box
    height, width = finer.shape[:2]
    region = finer[2 * y0 : min(height, 2 * y1), 2 * x0 : min(width, 2 * x1)]
    return halve(region.read().result(), nodata)


def _description(image: Image, coarse: list[CoarseLevel]) -> JsonObject:
    """Return the properties that identify the overview of an image."""
    return {
        "format": _FORMAT,
        "identity": image.file_identity,
        "plane": list(image.plane),
        "levels": [list(level.shape) for level in coarse],
        "dtype": str(image.dtype),
        "channels": list(_stored_channels(image)),
    }


def remove_overview(image: Image) -> bool:
    """Delete the overview of an image; returns whether there was one."""
    folder = overview_path(image)
    if not folder.is_dir():
        return False
    marker = folder / _MARKER
    if marker.exists():
        marker.unlink()  # first, so that a half-deleted overview is never used
    shutil.rmtree(folder)
    return True
