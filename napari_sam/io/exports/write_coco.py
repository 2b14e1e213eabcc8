"""Labels as a COCO instances file, written object by object."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.io.labels.edits import plane_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.io.exports.export_job import Job
    from napari_sam.io.labels.journal import Row
    from napari_sam.io.labels.object_reader import Runs

_UNNAMED = "object"  # category of what has none


def write_coco(job: Job) -> None:
    """Write images, categories and annotations with compressed run lengths; one image for each plane."""
    height, width = job.store.shape[-2:]
    planes = {plane: i for i, plane in enumerate(job.planes(), start=1)}
    names = [name for (name,) in job.journal.query("SELECT DISTINCT category FROM objects ORDER BY category")]
    categories = {name: i for i, name in enumerate(names, start=1)}
    images = [
        {"id": i, "file_name": _file_name(job), "width": width, "height": height}
        | ({"plane": list(plane)} if plane else {})
        for plane, i in planes.items()
    ]
    head = {
        "info": {"description": f"exported from {job.store.path.name} by napari-sam-xl"},
        "images": images,
        "categories": [{"id": i, "name": name or _UNNAMED} for name, i in categories.items()],
    }
    with job.partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "annotations": [')
        between = "\n"
        for row, runs in job.objects(columns=True):
            number = categories.setdefault(row["category"], 0)
            entry = _annotation(row, runs, (height, width), planes[plane_of(row)], number)
            file.write(between + json.dumps(entry))
            between = ",\n"
        file.write("\n]}\n")


def _annotation(row: Row, runs: Runs, shape: tuple[int, int], image: int, category: int) -> dict[str, Any]:
    entry = {
        "id": row["label"],
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "area": row["area_px"],
        "bbox": [row["x0"], row["y0"], row["x1"] - row["x0"], row["y1"] - row["y0"]],
        "segmentation": {"size": list(shape), "counts": compress(counts_of(runs, shape))},
    }
    if row["predicted_iou"] is not None:
        entry["score"] = row["predicted_iou"]
    return entry


def counts_of(runs: Runs, shape: tuple[int, int]) -> list[int]:
    """Run lengths of background and object in turn, down the columns, as COCO counts them.

    Parameters
    ----------
    runs : Runs
        Down the columns, in order.
    shape : (int, int)
        Height and width of the image.

    Examples
    --------
    >>> from napari_sam.io.labels.object_reader import Runs
    >>> counts_of(Runs(*np.array([[0, 1], [1, 0], [2, 1]])), (2, 3))  # the last pixel of column 0, the first of 1
    [1, 2, 3]
    """
    height, width = shape
    bounds = np.stack([runs.line * height + runs.start, runs.line * height + runs.stop], axis=1).reshape(-1)
    goes_on = np.flatnonzero(bounds[1:-1:2] == bounds[2::2])  # from the foot of a column to the head of the next
    bounds = np.delete(bounds, np.concatenate([2 * goes_on + 1, 2 * goes_on + 2]))
    ends = np.concatenate(([0], bounds, [height * width]))
    counts: list[int] = np.diff(ends).tolist()
    return counts if counts[-1] else counts[:-1]


def compress(counts: Sequence[int]) -> str:
    """Run lengths as COCO's compressed string, which `src_models.training.data.coco_files.decompress` reads.

    From the fourth on, each is written as the difference to the one two before; five bits in a character, low ones
    first, and a sixth that says whether the number goes on. The highest bit of the last five is the sign.

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


def _file_name(job: Job) -> str:
    """Of the image, or what stands for it."""
    image = job.store.meta("image") or {}
    return PurePath(str(image.get("uri") or job.store.path)).name
