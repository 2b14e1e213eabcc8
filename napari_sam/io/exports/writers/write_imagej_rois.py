"""Write labels as an ImageJ ROI set: a zip with one .roi file per object."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.polygons import Polygon

CATEGORY_PROPERTY = "category"
"""Property of a ROI that holds the class of the object; ImageJ lists it under its properties."""
_MAX_INT16 = 32767
_VERSION = 227  # of the file format: ImageJ 1.52 and later read it
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_MAX_FLOAT_PX = 1 << 24  # whole numbers that float32 represents exactly


def write_imagej_rois(job: ExportJob) -> None:
    """Write a zip for ImageJ's ROI manager; outlines follow the pixels' edges.

    Raises
    ------
    LabelsError
        If the image is too large for ImageJ's coordinates.
    """
    shape = job.source.shape
    if max(shape[-2:]) > _MAX_FLOAT_PX:
        raise LabelsError(f"{job.path}: shape {shape} is beyond ImageJ's ROI files", remedy="write .geojson")
    with zipfile.ZipFile(job.partial, "w", zipfile.ZIP_DEFLATED) as file:
        for batch, outlines in job.outlined(job.sequence()):
            for (obj, _), polygons in zip(batch, outlines.lists(), strict=True):
                name = "-".join([f"{obj.label:07d}", *(f"{index:04d}" for index in obj.plane if obj.n_planes > 1)])
                roi = make_roi(polygons, name, job.plane_index(obj))
                if obj.category is not None:
                    roi.props = f"{CATEGORY_PROPERTY}: {obj.category}\n"
                    roi.stroke_color = bytes([255, *job.classes[obj.category].rgb])  # alpha first
                file.writestr(f"{name}.roi", roi.tobytes())
                job.step()


def make_roi(polygons: list[Polygon], name: str, plane: dict[str, int] | None = None) -> ImagejRoi:
    """Return an object as ROI: a traced outline, or a composite if it has holes or pieces or is very large.

    Parameters
    ----------
    polygons : list of Polygon
        As `Outlines.lists` returns them.
    name : str
        Name in ImageJ's list.
    plane : dict of str to int, optional
        Index along some of the axes c, z and t, from 0.
    """
    corners = np.array([corner for polygon in polygons for ring in polygon for corner in ring], np.int64)
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    roi = ImagejRoi(version=_VERSION, name=name)
    roi.top, roi.left, roi.bottom, roi.right = (min(v, _MAX_INT16) for v in (top, left, bottom, right))
    position = {axis: index + 1 for axis, index in (plane or {}).items()}  # 0 stands for any
    roi.c_position, roi.z_position, roi.t_position = (position.get(axis, 0) for axis in "czt")
    if len(polygons) == 1 and len(polygons[0]) == 1 and max(right, bottom, len(corners)) <= _MAX_INT16:
        roi.roitype = ROI_TYPE.TRACED
        roi.integer_coordinates = (corners - (left, top)).astype(np.int32)
        roi.n_coordinates = len(corners)
    else:
        roi.roitype = ROI_TYPE.RECT  # a rectangle with a path is ImageJ's composite
        roi.multi_coordinates = _path(polygons)
        roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _path(polygons: list[Polygon]) -> NDArray[np.float32]:
    """Return all rings as one path of moves, lines and closings, filled by the even-odd rule."""
    parts = []
    for ring in (ring for polygon in polygons for ring in polygon):
        lines = np.full((len(ring), 3), _LINE, np.float32)
        lines[0, 0] = _MOVE
        lines[:, 1:] = ring
        parts += [lines.reshape(-1), np.array([_CLOSE], np.float32)]
    return np.concatenate(parts)
