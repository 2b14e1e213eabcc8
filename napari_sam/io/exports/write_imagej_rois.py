"""Labels as ImageJ's ROI set: a zip of one .roi file for each object."""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.polygons import polygons_of
from napari_sam.io.labels.edits import plane_of

if TYPE_CHECKING:
    from napari_sam.io.exports.export_job import Job
    from napari_sam.io.exports.polygons import Ring

_MAX_SHORT = 32767
_VERSION, _TRACED, _RECT = 227, 8, 1
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_MAX_FLOAT_PX = 1 << 24  # whole numbers that a 32-bit float holds


def write_roi(job: Job) -> None:
    """Write a zip that ImageJ's ROI manager opens; outlines run along the pixels' edges.

    Raises
    ------
    LabelsError
        If the image is too large for ImageJ's coordinates.
    """
    if max(job.store.shape[-2:]) > _MAX_FLOAT_PX:
        raise LabelsError(f"{job.path}: shape {job.store.shape} is beyond ImageJ's ROI files; write .geojson")
    axes = str(job.store.meta("axes"))[:-2]
    with zipfile.ZipFile(job.partial, "w", zipfile.ZIP_DEFLATED) as file:
        for row, runs in job.objects():
            at = dict(zip(axes, plane_of(row), strict=True))
            name = f"{row['label']:07d}"
            file.writestr(f"{name}.roi", roi_bytes(polygons_of(runs), name, at))


def roi_bytes(polygons: list[list[Ring]], name: str, at: dict[str, int] | None = None) -> bytes:
    """One .roi file.

    Parameters
    ----------
    polygons : list of list of list of (int, int)
        As `polygons_of` gives them.
    name : str
        What ImageJ lists it as.
    at : dict of str to int, optional
        Index along some of the axes c, z and t.
    """
    corners = np.array([corner for polygon in polygons for ring in polygon for corner in ring], np.int64)
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    plain = len(polygons) == 1 and len(polygons[0]) == 1 and max(right, bottom, len(corners)) <= _MAX_SHORT
    if plain:
        body: bytes = (corners - (left, top)).T.astype(">i2").tobytes()
        kind, count, floats = _TRACED, len(corners), 0
    else:
        path = _path(polygons)
        body = path.astype(">f4").tobytes()
        kind, count, floats = _RECT, 0, len(path)  # a rectangle with a path is a composite
    box = [min(v, _MAX_SHORT) for v in (top, left, bottom, right)]
    second = 64 + len(body)
    head = struct.pack(">4shBx5h", b"Iout", _VERSION, kind, *box, count)
    head += struct.pack(">16xhi16xii", 0, floats, 0, second)
    at = {axis: index + 1 for axis, index in (at or {}).items()}
    where = (at.get("c", 0), at.get("z", 0), at.get("t", 0))
    return head + body + struct.pack(">4x5i40x", *where, second + 64, len(name)) + name.encode("utf-16-be")


def _path(polygons: list[list[Ring]]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """All rings as one path, filled by the even-odd rule: moves, lines and closings with absolute coordinates."""
    parts = []
    for ring in (ring for polygon in polygons for ring in polygon):
        lines = np.full((len(ring), 3), _LINE, np.float32)
        lines[0, 0] = _MOVE
        lines[:, 1:] = ring
        parts += [lines.reshape(-1), np.array([_CLOSE], np.float32)]
    return np.concatenate(parts)
