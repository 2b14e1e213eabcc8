"""Write labels as a COCO instances file, object by object."""

from __future__ import annotations

import itertools
import json
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.export_source import ExportedObject
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.pixel_runs import PixelRuns

_VIDEO = 1  # id of the only video
_UNNAMED = "object"  # name of the category of objects without one


def write_coco(job: ExportJob) -> None:
    """Write images, categories and annotations with compressed run lengths; each plane is an image of its own.

    A stack is a video in the form of TAO, which programs for images read as well: images have ``video_id`` and
    ``frame_index``, an object has an annotation for each of its planes, with its id as ``track_id``, and an entry in
    ``tracks``, with the id of its parent as ``parent``.
    """
    height, width = job.source.shape[-2:]
    planes = {plane: i for i, plane in enumerate(job.planes(), start=1)}
    used = job.source.categories()
    unused = sorted(job.classes.keys() - set(used))
    categories = {name: i for i, name in enumerate([*used, *unused], start=1)}
    images = [
        {"id": i, "file_name": _file_name(job), "width": width, "height": height}
        | ({"video_id": _VIDEO, "frame_index": i - 1, "plane": list(plane)} if plane else {})
        for plane, i in planes.items()
    ]
    info: JsonObject = {"description": f"exported from {job.source.path.name} by napari-sam-xl"}
    if None in categories:
        info["unclassified_category"] = categories[None]
    head = {
        "info": info,
        "images": images,
        "categories": [_category(job, name, i) for name, i in categories.items()],
    }
    is_stack = len(job.source.shape) > 2
    if is_stack:
        size = {"width": width, "height": height, "length": len(planes)}
        head["videos"] = [{"id": _VIDEO, "name": _file_name(job), **size, "axes": job.source.axes}]
    with job.partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "annotations": [')
        separator = "\n"
        for number, (obj, runs) in enumerate(job.objects(columns=True), start=1):
            category = categories.setdefault(obj.category, 0)
            entry = _annotation(obj, runs, (height, width), planes[obj.plane], category)
            if is_stack:
                entry |= {"id": number, "track_id": obj.label, "video_id": _VIDEO}
            file.write(separator + json.dumps(entry))
            separator = ",\n"
        file.write("\n]")
        if is_stack:
            _write_tracks(job, file, categories)
        file.write("}\n")


def _write_tracks(job: ExportJob, file: TextIO, categories: dict[str | None, int]) -> None:
    """Write an entry for each object of a stack."""
    file.write(', "tracks": [')
    separator = "\n"
    for _, (obj, *_) in itertools.groupby(job.source.rows(job.labels), key=lambda row: row.label):
        entry = {"id": obj.label, "category_id": categories.setdefault(obj.category, 0), "video_id": _VIDEO}
        entry |= {} if obj.parent is None else {"parent": obj.parent}
        file.write(separator + json.dumps(entry))
        separator = ",\n"
    file.write("\n]")


def _category(job: ExportJob, name: str | None, number: int) -> JsonObject:
    """Return a category: in COCO the class above is its ``supercategory``, and ``color`` is that of COCO panoptic."""
    if name is None:
        return {"id": number, "name": _UNNAMED}
    style = job.classes[name]
    return {"id": number, "name": name, "supercategory": style.parent or "", "color": style.rgb}


def _annotation(obj: ExportedObject, runs: PixelRuns, shape: tuple[int, int], image: int, category: int) -> JsonObject:
    y0, x0, y1, x1 = obj.box
    entry = {
        "id": obj.label,
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "area": obj.area_px,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": {"size": list(shape), "counts": compress(counts_of(runs, shape))},
    }
    if obj.predicted_iou is not None:
        entry["score"] = obj.predicted_iou
    return entry


def counts_of(runs: PixelRuns, shape: tuple[int, int]) -> list[int]:
    """Return run lengths of background and object in turn, down the columns, as COCO counts them.

    Parameters
    ----------
    runs : PixelRuns
        Pixels of the object, down the columns, in order.
    shape : (int, int)
        Height and width of the image.

    Examples
    --------
    >>> from napari_sam.io.pixel_runs import PixelRuns
    >>> counts_of(PixelRuns(*np.array([[0, 1], [1, 0], [2, 1]])), (2, 3))  # last pixel of column 0, first of column 1
    [1, 2, 3]
    """
    height, width = shape
    bounds = np.stack([runs.line * height + runs.start, runs.line * height + runs.stop], axis=1).reshape(-1)
    continued = np.flatnonzero(bounds[1:-1:2] == bounds[2::2])  # runs that reach from one column into the next
    bounds = np.delete(bounds, np.concatenate([2 * continued + 1, 2 * continued + 2]))
    ends = np.concatenate(([0], bounds, [height * width]))
    counts: list[int] = np.diff(ends).tolist()
    return counts if counts[-1] else counts[:-1]


def compress(counts: Sequence[int]) -> str:
    """Return run lengths as COCO's compressed string, which `src_models.training.data.coco_files.decompress` reads.

    From the fourth on, each length is written as the difference to the length two before. A character holds five
    bits, low bits first, and a sixth bit that is set if the number continues. The highest bit of the last five is the
    sign.

    Examples
    --------
    >>> compress([5, 2, 2, 2, 2, 2, 5])
    '5220003'
    """
    out = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            if value == (-1 if bits & 16 else 0):
                out.append(bits + 48)
                break
            out.append(bits + 80)
    return bytes(out).decode("ascii")


def _file_name(job: ExportJob) -> str:
    """Return the name of the image's file, or of the store if the image has none."""
    return PurePath(str(job.source.image_uri or job.source.path)).name
