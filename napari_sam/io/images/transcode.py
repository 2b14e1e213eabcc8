"""Write any image as OME-Zarr 0.5 with scale levels, in chunks that feed the model.

Level 0 is copied shard by shard, each pixel of the source read once; every coarser level is the mean of the level
before, read from what was written. A shard is a file that appears whole, so a killed run goes on where it stopped,
to the same bytes.
"""

from __future__ import annotations

import json
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.errors import ImageError, StoreError
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.images.pooling import halve
from napari_sam.io.images.pyramid_files import CODECS, Progress, chunk_boxes, create_level, publish, spare_room, write
from napari_sam.io.images.virtual_levels import is_striped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CHUNK, _SHARD = 512, 4096
_COARSEST_PX = 512
_BLOCK_BYTES = 64 << 20
_KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


@dataclass(frozen=True)
class _Plan:
    """How the output is laid out; a function of the source and the codec alone, so that a resumed run has the same.

    Attributes
    ----------
    axes : str
        Of the output, some of "tczyx".
    order : tuple of int
        For every axis of the output but c, y, x, which entry of the source's ``plane`` it is.
    lead : tuple of int
        Lengths of these axes.
    levels : list of (int, int)
        Heights and widths.
    side : (int, int)
        Height and width of a shard.
    """

    axes: str
    order: tuple[int, ...]
    lead: tuple[int, ...]
    channels: int
    levels: list[tuple[int, int]]
    side: tuple[int, int]
    codec: str

    def array(self, folder: Path, level: int, dtype: np.dtype[np.generic]) -> Any:
        """The array of a level, to write; its axes are the plane, y, x or the plane, c, y, x."""
        middle = (self.channels,) if "c" in self.axes else ()
        shape, ones = (*self.lead, *middle, *self.levels[level]), (1,) * len(self.lead)
        chunks = (*ones, *(1 for _ in middle), _CHUNK, _CHUNK)
        shard = (*ones, *middle, *self.side)
        place = [self.stored_axes.index(a) for a in self.axes]
        shape, chunks, shard = (tuple(s[i] for i in place) for s in (shape, chunks, shard))
        array = create_level(folder / str(level), shape, dtype, chunks, shard, self.codec)
        back = [self.axes.index(a) for a in self.stored_axes]
        return array.transpose(back)

    @property
    def stored_axes(self) -> str:
        """Axes in the order of work: planes first, then c, y, x."""
        return "".join(a for a in self.axes if a not in "cyx") + ("c" if "c" in self.axes else "") + "yx"

    def file(self, folder: Path, level: int, plane: tuple[int, ...], box: tuple[int, int, int, int]) -> Path:
        """The shard that holds a block."""
        at = dict(zip(self.stored_axes.replace("c", "").replace("y", "").replace("x", ""), plane, strict=True))
        at |= {"c": 0, "y": box[0] // self.side[0], "x": box[1] // self.side[1]}
        return folder.joinpath(str(level), "c", *(str(at[a]) for a in self.axes))


def transcode(
    source: Any,
    out: Path,
    *,
    codec: str = "zstd",
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Image:
    """Write an image as OME-Zarr 0.5: sharded, with scale levels, all planes and channels.

    Parameters
    ----------
    source
        Whatever `open_image` opens.
    out : Path
        Folder to write, such as ``slide.ome.zarr``.
    codec : str
        "zstd", or "lz4" with bit-shuffling: larger files that decode in half the time.
    resume : bool
        Go on with a run that was stopped or killed; start one if there is none.
    progress : callable, optional
        Called with blocks done and their number.
    cancelled : callable, optional
        Asked between blocks; when it returns True the work stops.

    Returns
    -------
    Image
        What was written, opened.

    Raises
    ------
    ImageError
        If the source cannot be read, or has axes that OME-Zarr does not know.
    StoreError
        If `out` is not called .zarr, exists already, holds a run of another image, or cannot be written.
    CancelledError
        If `cancelled` said so.
    """
    if codec not in CODECS:
        raise StoreError(f"codec {codec!r}: choose one of {', '.join(CODECS)}")
    if out.suffix.lower() != ".zarr":
        raise StoreError(f"{out}: what is written is a zarr folder; let its name end in .ome.zarr")
    if not out.absolute().parent.is_dir():
        raise StoreError(f"{out}: the folder {out.absolute().parent} does not exist; create it first")
    image = open_image(source)
    plan = _plan(image, codec)
    begun = {"unfinished": True, "identity": image.file_identity, "codec": codec}
    if not _start(out, begun, resume):
        return open_image(out)
    size = image.dtype.itemsize * plan.channels * int(np.prod(plan.lead, dtype=object))
    spare_room(out, sum(h * w for h, w in plan.levels) * size)
    arrays = [plan.array(out, level, image.dtype) for level in range(len(plan.levels))]
    blocks = [list(_blocks(plan, image, level)) for level in range(len(plan.levels))]
    meter = Progress(sum(map(len, blocks)), progress, cancelled)
    for level, several in enumerate(blocks):
        _each([(level, *job) for job in several], partial(_write_block, image, plan, arrays, out), meter)
    publish(out / "zarr.json", _group(_metadata(image, plan)))
    return open_image(out)


def _start(out: Path, begun: dict[str, Any], resume: bool) -> bool:
    """Make the folder, or check that it is ours to go on with; False if all is done already."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        publish(out / "zarr.json", _group({"napari_sam": begun}))
        return True
    try:
        found = json.loads((out / "zarr.json").read_text())["attributes"]["napari_sam"]
        same = all(found.get(k) == begun[k] for k in ("identity", "codec"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise StoreError(f"{out}: there is something else already; choose another name") from None
    if not resume:
        if "unfinished" in found:
            raise StoreError(
                f"{out}: a run was stopped there: go on with --resume (resume=True), or choose another name"
            )
        raise StoreError(f"{out}: there is an image already; choose another name")
    if not same:
        raise StoreError(f"{out}: was begun from another image, or that image has changed; choose another name")
    return "unfinished" in found


def _plan(image: Image, codec: str) -> _Plan:
    """Where everything goes."""
    own = [a for a in image.array_axes if a not in "yx" and a not in CHANNEL_NAMES]
    sizes = [int(n) for n, a in zip(image.arrays[0].shape, image.array_axes, strict=True) if a in own]
    names = ""
    order: list[int] = []
    lead: list[int] = []
    for i, (axis, size) in enumerate(zip(own, sizes, strict=True)):
        name = axis if axis in "tz" else next((a for a in "tz" if a not in own and a not in names), "")
        if size == 1 and axis not in "tz":
            continue
        if not name:
            raise ImageError(
                f"{image.name}: axes {image.array_axes!r}: OME-Zarr holds t, c, z, y and x; save one plane"
            )
        names, order, lead = names + name, [*order, i], [*lead, size]
    has_channel = image.channel_axis is not None
    axes = "".join(a for a in "tczyx" if a in names or a in "yx" or (a == "c" and has_channel))
    place = sorted(range(len(names)), key=lambda i: axes.index(names[i]))
    levels = [image.shape]
    while max(levels[-1]) > _COARSEST_PX:
        levels.append((-(-levels[-1][0] // 2), -(-levels[-1][1] // 2)))
    pixel = image.dtype.itemsize * image.channel_count
    side = _SHARD
    while side > _CHUNK and side * side * pixel > _BLOCK_BYTES:
        side //= 2
    shard = (_CHUNK, _SHARD) if is_striped(image) else (side, side)
    return _Plan(
        axes, tuple(order[i] for i in place), tuple(lead[i] for i in place), image.channel_count, levels, shard, codec
    )


def _blocks(plan: _Plan, image: Image, level: int) -> Iterator[tuple[tuple[int, ...], tuple[int, int, int, int]]]:
    """All blocks of a level: a shard, or a band of shards where the source is striped."""
    h, w = plan.levels[level]
    width = -(-w // plan.side[1]) * plan.side[1] if level == 0 and is_striped(image) else plan.side[1]
    for plane in product(*(range(n) for n in plan.lead)):
        for box in chunk_boxes((h, w), (plan.side[0], width)):
            yield plane, box


def _each(jobs: list[Any], work: Callable[[Any], None], meter: Progress) -> None:
    """Do jobs on two threads, few ahead; stop at the first that fails or when asked to."""
    with ThreadPoolExecutor(2) as pool:
        rest = iter(jobs)
        running = {pool.submit(work, job) for job in islice(rest, 2)}
        while running:
            meter.check()
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                meter.step()
            running |= {pool.submit(work, job) for job in islice(rest, len(done))}


def _write_block(
    image: Image,
    plan: _Plan,
    arrays: list[Any],
    out: Path,
    job: tuple[int, tuple[int, ...], tuple[int, int, int, int]],
) -> None:
    """Write one block of a level, unless it is there."""
    level, plane, (y0, x0, y1, x1) = job
    starts = range(x0, x1, plan.side[1])
    if all(plan.file(out, level, plane, (y0, x, y1, x1)).exists() for x in starts):
        return
    if level == 0:
        own = list(image.plane)
        for i, index in zip(plan.order, plane, strict=True):
            own[i] = index
        seen = image.with_plane(own, range(plan.channels))
        block = np.empty((y1 - y0, x1 - x0, plan.channels), image.dtype)
        for top, left, bottom, right in chunk_boxes((y1 - y0, x1 - x0), (plan.side[0], max(x1 - x0, 1))):
            block[top:bottom, left:right] = seen.read(0, y0 + top, x0 + left, y0 + bottom, x0 + right)
    else:
        h, w = plan.levels[level - 1]
        finer = arrays[level - 1][(*plane, ...)][..., 2 * y0 : min(h, 2 * y1), 2 * x0 : min(w, 2 * x1)]
        block = _halved(finer, plan, (y1 - y0, x1 - x0), image.dtype)
    ready = np.moveaxis(block, -1, 0) if "c" in plan.axes else block[..., 0]
    for x in starts:
        end = min(x + plan.side[1], x1)
        write(arrays[level][(*plane, ...)][..., y0:y1, x:end], ready[..., x - x0 : end - x0])


def _halved(finer: Any, plan: _Plan, shape: tuple[int, int], dtype: np.dtype[np.generic]) -> Any:
    """Mean of 2 x 2 pixels of what was written, quarter by quarter to spare memory."""
    out = np.empty((*shape, plan.channels), dtype)
    finer = finer.translate_to[(0,) * finer.ndim]
    for y0, x0, y1, x1 in chunk_boxes(shape, (1024, 1024)):
        block = finer[..., 2 * y0 : min(finer.shape[-2], 2 * y1), 2 * x0 : min(finer.shape[-1], 2 * x1)].read().result()
        out[y0:y1, x0:x1] = halve(np.moveaxis(block, 0, -1) if "c" in plan.axes else block[..., None])
    return out


def _group(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _metadata(image: Image, plan: _Plan) -> dict[str, Any]:
    """NGFF 0.5 metadata, and what NGFF has no words for under our own name."""
    axes: list[dict[str, str]] = [{"name": a, "type": _KINDS[a]} for a in plan.axes]
    for axis in axes:
        if image.unit and axis["name"] in "yx":
            axis["unit"] = image.unit
    datasets = []
    for level in range(len(plan.levels)):
        f = 2.0**level
        size = {"y": image.scale[0], "x": image.scale[1]}
        scale = [size[a] * f if a in size else 1.0 for a in plan.axes]
        shift = [size[a] * (f - 1) / 2 if a in size else 0.0 for a in plan.axes]  # a mean lies between its pixels
        moves: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if level:
            moves.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": "image", "axes": axes, "datasets": datasets, "type": "mean"}],
    }
    if image.channel_names:
        ome["omero"] = {"channels": [{"label": n, "color": "FFFFFF", "active": True} for n in image.channel_names]}
    own: dict[str, Any] = {
        "identity": image.file_identity,
        "codec": plan.codec,
        "source": image.uri,
        "crs": image.crs,
        "transform": None if image.transform is None else list(image.transform),
        "nodata": image.nodata,
    }
    return {"ome": ome, "napari_sam": own}
