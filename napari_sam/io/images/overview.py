"""Overview files: the scale levels that an image lacks, computed once, tile by tile, in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_sam.errors import CancelledError, ImageError
from napari_sam.io.images.pooling import halve
from napari_sam.io.images.pyramid_files import (
    Progress,
    block_is_written,
    chunk_boxes,
    create_level,
    open_level,
    publish,
    spare_room,
    write_block,
)
from napari_sam.io.images.virtual_levels import FIRST_FACTOR, CoarseLevel, exact, is_striped, virtual_levels
from src_models.checkpoints.registry import weights_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.io.images.lazy_image import Image

_CHUNK = 512
_WORTH_PX = 1 << 26
_FORMAT = 1
_MANY_CHANNELS = 16


def is_worth_an_overview(image: Image) -> bool:
    """Whether an overview file would help: a file on disk or at a URL, large, without coarse levels of its own."""
    h, w = image.levels[len(image.arrays) - 1]
    return image.persistent and not image.has_overview and bool(image.coarse) and h * w > _WORTH_PX


def overview_path(image: Image) -> Path:
    """Where the overview of an image lies, whether it exists or not."""
    key = json.dumps([image.file_identity, image.plane, _kept(image)])
    return weights_dir() / "overviews" / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.zarr"


def _kept(image: Image) -> tuple[int, ...]:
    """Channels that an overview holds: all of them, so that it serves any choice; the chosen ones of very many."""
    return tuple(range(image.channel_count)) if image.channel_count <= _MANY_CHANNELS else image.selected


def overview_levels(image: Image, coarse: list[CoarseLevel]) -> list[CoarseLevel] | None:
    """The levels of a finished overview file, None if there is none that fits."""
    if not image.persistent:
        return None
    folder = overview_path(image)
    try:
        about = json.loads((folder / "finished.json").read_text())
        if about != _about(image, coarse):
            return None
        stored = [open_level(folder / str(i)) for i in range(len(coarse))]
    except (OSError, ValueError):
        return None
    kept = _kept(image)
    expected = [(*level.shape, len(kept)) for level in coarse]
    if [tuple(s.shape) for s in stored] != expected or any(s.dtype != image.dtype for s in stored):
        return None
    return [replace(level, stored=array, channels=kept) for level, array in zip(coarse, stored, strict=True)]


def build_overview(
    image: Image,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Image:
    """Compute the scale levels that a file lacks, and keep them in the user's cache folder.

    Every pixel of the file is read once. What was finished when the work was stopped, or killed, is kept: the same
    call goes on from there. Memory is bounded by a band of tiles.

    Parameters
    ----------
    image : Image
        Of a file or URL.
    progress : callable, optional
        Called with tiles done and their number.
    cancelled : callable, optional
        Asked between tiles; when it returns True the work stops.

    Returns
    -------
    Image
        The same image with the new levels; `open_image` finds them from now on.

    Raises
    ------
    ImageError
        If the image lies in memory, or cannot be read.
    StoreError
        If the overview cannot be written.
    CancelledError
        If `cancelled` said so.
    """
    if image.has_overview:
        return image
    coarse = virtual_levels(image)
    if not coarse:
        return image
    if not image.persistent:
        raise ImageError(f"{image.name}: an overview is kept for files and URLs only; save the image first")
    folder = overview_path(image)
    about = _about(image, coarse)
    whole = image.with_plane(image.plane, _kept(image))
    sizes = [level.shape[0] * level.shape[1] for level in coarse]
    spare_room(folder, sum(sizes) * whole.channels * image.dtype.itemsize)
    arrays = [
        create_level(folder / str(i), (*level.shape, whole.channels), image.dtype, (_CHUNK, _CHUNK, whole.channels))
        for i, level in enumerate(coarse)
    ]
    boxes = [list(chunk_boxes(level.shape, (_CHUNK, _band(image, level)))) for level in coarse]
    meter = Progress(sum(map(len, boxes)), progress, cancelled)
    for i, several in enumerate(boxes):
        for box in several:
            meter.check()
            if not block_is_written(folder / str(i), box, (_CHUNK, _CHUNK)):
                block = exact(whole, FIRST_FACTOR, box) if i == 0 else _halved(arrays[i - 1], coarse[i - 1].shape, box)
                write_block(arrays[i], box, block)
            meter.step()
    publish(folder / "finished.json", about)
    found = overview_levels(image, coarse)
    if found is None:
        raise CancelledError(f"{folder}: the overview was removed while it was made; make it again")
    return replace(image, coarse=found, identity=f"{image.identity}|overview", _lock=threading.Lock())


def _band(image: Image, level: CoarseLevel) -> int:
    """Width of a block: all of it where the file is striped, so that no strip is decoded twice."""
    wide = is_striped(image) and level.factor == FIRST_FACTOR
    return -(-level.shape[1] // _CHUNK) * _CHUNK if wide else _CHUNK


def _halved(finer: Any, shape: tuple[int, int], box: tuple[int, int, int, int]) -> Any:
    y0, x0, y1, x1 = box
    region = finer[2 * y0 : min(shape[0], 2 * y1), 2 * x0 : min(shape[1], 2 * x1)]
    return halve(region.read().result())


def _about(image: Image, coarse: list[CoarseLevel]) -> dict[str, Any]:
    """What makes an overview that of this image."""
    return {
        "format": _FORMAT,
        "identity": image.file_identity,
        "plane": list(image.plane),
        "levels": [list(level.shape) for level in coarse],
        "dtype": str(image.dtype),
        "channels": list(_kept(image)),
    }


def remove_overview(image: Image) -> bool:
    """Delete the overview of an image; returns whether there was one."""
    folder = overview_path(image)
    if not folder.is_dir():
        return False
    marker = folder / "finished.json"
    if marker.exists():
        marker.unlink()  # first, so that a half-deleted one is never used
    shutil.rmtree(folder)
    return True
