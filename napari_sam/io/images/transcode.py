"""Write any image as OME-Zarr 0.5 or 0.4 with scale levels, in chunks that suit the model.

Level 0 is copied shard by shard, each pixel of the source read once; every coarser level is the mean of the next finer
one, read from the output. A shard is a file that appears complete or not at all, so that a killed run can resume and
writes the same bytes.
"""

from __future__ import annotations

import json
import math
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import StoreError
from napari_sam.io.geo.axis_placement import AxisPlacement, ngff_axes, ngff_transformations
from napari_sam.io.images.open_image import open_image
from napari_sam.io.images.pooling import halve
from napari_sam.io.images.pyramid_files import (
    CODECS,
    check_free_space,
    chunk_boxes,
    write_block,
    write_metadata,
)
from napari_sam.io.images.transcode_plan import TranscodePlan, make_plan
from napari_sam.io.step_counter import RESUME, StepCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import EllipsisType

    import tensorstore as ts
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject

    Block = tuple[tuple[int, ...], Box]

VERSIONS = ("0.5", "0.4")  # of OME-Zarr
_THREADS = 2
_PIECE_PX = 1024


def transcode(
    source: Any,
    out: Path,
    *,
    codec: str = "zstd",
    ngff: str = "0.5",
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Image:
    """Write an image as OME-Zarr: with scale levels, all planes and channels.

    Parameters
    ----------
    source
        Any source that `open_image` accepts.
    out : Path
        Folder to write, such as ``slide.ome.zarr``.
    codec : str
        "zstd", or "lz4" with bit-shuffling: larger files that decode in half the time.
    ngff : str
        Version of the format: "0.5", in shards of many chunks, or "0.4" for older programs, with a file for each chunk.
    resume : bool
        Resume a run that was stopped or killed; start one if there is none.
    progress : callable, optional
        Called with blocks done and their number.
    cancelled : callable, optional
        Called between blocks; the work stops if it returns True.

    Returns
    -------
    Image
        The written image, opened.

    Raises
    ------
    ImageError
        If the source cannot be read, or has axes that OME-Zarr does not support.
    StoreError
        If the name of `out` does not end in .zarr, it exists, holds a run of another image, or cannot be written.
    CancelledError
        If `cancelled` returned True.
    """
    _check_arguments(out, codec, ngff)
    image = open_image(source)
    plan = make_plan(image, codec, ngff)
    marker = {"unfinished": True, "identity": image.file_identity, "codec": codec}
    if not _start(out, marker, resume, ngff):
        return open_image(out)
    check_free_space(out, plan.size_px * image.dtype.itemsize)
    writer = _BlockWriter(image, plan, out)
    blocks = [list(plan.blocks(level)) for level in range(len(plan.levels))]
    counter = StepCounter(progress, cancelled, task="transcode", consequence=RESUME, total=sum(map(len, blocks)))
    for level, level_blocks in enumerate(blocks):
        _run_all(level_blocks, partial(writer.write, level), counter)
    _write_attributes(out, ngff, _metadata(image, plan))
    return open_image(out)


def _check_arguments(out: Path, codec: str, ngff: str) -> None:
    if ngff not in VERSIONS:
        raise StoreError(f"ngff is {ngff!r}", parameter="ngff", remedy=f"choose one of {', '.join(VERSIONS)}")
    if codec not in CODECS:
        raise StoreError(f"codec is {codec!r}", parameter="codec", remedy=f"choose one of {', '.join(CODECS)}")
    if out.suffix.lower() != ".zarr":
        raise StoreError(f"{out}: the output is a zarr folder", parameter="out", remedy="let its name end in .ome.zarr")
    if not out.absolute().parent.is_dir():
        raise StoreError(
            f"{out}: the folder {out.absolute().parent} does not exist", parameter="out", remedy="create it first"
        )


def _start(out: Path, marker: JsonObject, resume: bool, ngff: str) -> bool:
    """Create the folder, or check that its run can be resumed; returns False if that run is finished."""
    another = "choose another name"
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        _write_attributes(out, ngff, {"napari_sam": marker})
        return True
    try:
        existing = _read_attributes(out, ngff)["napari_sam"]
        same = all(existing.get(k) == marker[k] for k in ("identity", "codec"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StoreError(f"{out}: exists and is not a transcoded image", remedy=another) from None
    if not resume:
        if "unfinished" in existing:
            raise StoreError(
                f"{out}: holds an unfinished run", remedy="resume it with {resume=True}, or choose another name"
            )
        raise StoreError(f"{out}: an image exists there already", remedy=another)
    if not same:
        raise StoreError(f"{out}: holds a run of another image, or that image has changed", remedy=another)
    return "unfinished" in existing


def _run_all(blocks: Iterable[Block], work: Callable[[Block], None], counter: StepCounter) -> None:
    """Process blocks on two threads, few ahead; stop at the first error or when cancelled."""
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = iter(blocks)
        running = {pool.submit(work, block) for block in islice(waiting, _THREADS)}
        while running:
            counter.check()
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                counter.step()
            running |= {pool.submit(work, block) for block in islice(waiting, len(done))}


class _BlockWriter:
    """Write blocks of an image's copy.

    Parameters
    ----------
    image : Image
        The source.
    plan : TranscodePlan
        Layout of the output.
    out : Path
        Its folder.
    """

    def __init__(self, image: Image, plan: TranscodePlan, out: Path) -> None:
        self._image, self._plan, self._out = image, plan, out
        self._arrays = [plan.create_array(out, level, image.dtype) for level in range(len(plan.levels))]

    def write(self, level: int, block: Block) -> None:
        """Write a block of a level, unless all of its shards exist."""
        plan, (plane, box) = self._plan, block
        y0, x0, y1, x1 = box
        starts = range(x0, x1, plan.shard[1])
        if all(file.exists() for x in starts for file in plan.files(self._out, level, plane, y0, x)):
            return
        pixels = self._copied(plane, box) if level == 0 else self._halved(level, plane, box)
        stored = np.moveaxis(pixels, -1, 0) if "c" in plan.axes else pixels[..., 0]
        target = self._plane(level, plane)
        for x in starts:
            end = min(x + plan.shard[1], x1)
            write_block(target[..., y0:y1, x:end], stored[..., x - x0 : end - x0])

    def _plane(self, level: int, plane: tuple[int, ...]) -> ts.TensorStore:
        index: tuple[int | EllipsisType, ...] = (*plane, ...)
        return self._arrays[level][index]

    def _copied(self, plane: tuple[int, ...], box: Box) -> NDArray[np.generic]:
        """Read a block of the source as (h, w, channels)."""
        index = list(self._image.plane)
        for position, i in zip(self._plan.order, plane, strict=True):
            index[position] = i
        source = self._image.with_plane(index, range(self._plan.channels))
        block = np.empty((*box.shape, self._plan.channels), self._image.dtype)
        for part in chunk_boxes(box.shape, (self._plan.shard[0], max(box.width, 1))):
            block[part.slices] = source.read(0, *part.shift(box.y0, box.x0))
        return block

    def _halved(self, level: int, plane: tuple[int, ...], box: Box) -> NDArray[np.generic]:
        """Compute a block from the next finer level, piece by piece to save memory."""
        height, width = self._plan.levels[level - 1]
        finer = self._plane(level - 1, plane)
        block = np.empty((*box.shape, self._plan.channels), self._image.dtype)
        for part in chunk_boxes(box.shape, (_PIECE_PX, _PIECE_PX)):
            y0, x0, y1, x1 = part.shift(box.y0, box.x0)
            pixels = finer[..., 2 * y0 : min(height, 2 * y1), 2 * x0 : min(width, 2 * x1)].read().result()
            last = np.moveaxis(pixels, 0, -1) if "c" in self._plan.axes else pixels[..., None]
            block[part.slices] = halve(last, self._image.nodata)
        return block


def _write_attributes(out: Path, ngff: str, attributes: JsonObject) -> None:
    """Write the attributes of the group, which become its metadata in zarr v3."""
    if ngff == "0.5":
        write_metadata(out / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})
        return
    write_metadata(out / ".zattrs", attributes)
    write_metadata(out / ".zgroup", {"zarr_format": 2})


def _read_attributes(out: Path, ngff: str) -> JsonObject:
    name = "zarr.json" if ngff == "0.5" else ".zattrs"
    content: JsonObject = json.loads((out / name).read_text())
    return content["attributes"] if ngff == "0.5" else content


def _metadata(image: Image, plan: TranscodePlan) -> JsonObject:
    """Return NGFF metadata, and what NGFF does not define under our own key."""
    placements = {axis: AxisPlacement() if axis == "c" else image.placement(axis) for axis in plan.axes}
    datasets = []
    for level in range(len(plan.levels)):
        coarser = [_coarser(p, 2.0**level) if axis in "yx" else p for axis, p in placements.items()]
        datasets.append({"path": str(level), "coordinateTransformations": ngff_transformations(coarser)})
    axes = ngff_axes(plan.axes, placements)
    multiscale: JsonObject = {"name": "image", "axes": axes, "datasets": datasets, "type": "mean"}
    ome: JsonObject = {"multiscales": [multiscale]}
    (ome if plan.ngff == "0.5" else multiscale)["version"] = plan.ngff
    if image.channel_names:
        ome["omero"] = {"channels": [{"label": n, "color": "FFFFFF", "active": True} for n in image.channel_names]}
    extra = {
        "identity": image.file_identity,
        "codec": plan.codec,
        "source": image.uri,
        **image.position.as_json(),
        "nodata": image.nodata if image.nodata is None or math.isfinite(image.nodata) else str(image.nodata),
        "bits": image.bits,
        "inverted": image.inverted,
    }
    return {**({"ome": ome} if plan.ngff == "0.5" else ome), "napari_sam": extra}


def _coarser(placement: AxisPlacement, factor: float) -> AxisPlacement:
    """Return the placement of a level whose pixels are means, which lie between the pixels that they come from."""
    shift = placement.scale * (factor - 1) / 2
    return replace(placement, scale=placement.scale * factor, translation=placement.translation + shift)
