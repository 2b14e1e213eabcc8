"""Write the surfaces of objects as STL or PLY, for renderers, simulations and printers."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.exports.object_mesh import Mesh, object_mesh, smooth_mesh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.exports.export_job import ExportJob
    from napari_sam.io.exports.object_mesh import Box3D, ReadMask

_STL_HEADER = 80
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
_PLY_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3), ("label", "<u4")])
_DIGITS = 12  # of the counts in a PLY header, which are known last


def write_stl(job: ExportJob) -> None:
    """Write a binary STL with the triangles of all objects; STL has no place for their ids.

    Raises
    ------
    LabelsError
        If the labels have no axis z, or other axes with several planes.
    """
    count = 0
    with job.partial.open("wb") as file:
        file.write(b"napari-sam-xl".ljust(_STL_HEADER) + bytes(4))
        for _, mesh in _meshes(job):
            corners = mesh.vertices[mesh.faces]
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            triangles = np.zeros(len(corners), _STL_TRIANGLE)
            triangles["corners"] = corners
            triangles["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
            file.write(triangles.tobytes())
            count += len(triangles)
        file.seek(_STL_HEADER)
        file.write(np.uint32(count).tobytes())


def write_ply(job: ExportJob) -> None:
    """Write a binary PLY whose faces have a property ``label`` with the id of their object; errors as `write_stl`."""
    vertex_count = face_count = 0
    with job.partial.open("wb") as file, tempfile.TemporaryFile(dir=job.partial.parent) as faces:
        file.write(_ply_header(job, 0, 0))
        for label, mesh in _meshes(job):
            file.write(mesh.vertices.astype("<f4").tobytes())
            rows = np.zeros(len(mesh.faces), _PLY_FACE)
            rows["count"], rows["corners"], rows["label"] = 3, mesh.faces + vertex_count, label
            faces.write(rows.tobytes())
            vertex_count, face_count = vertex_count + len(mesh.vertices), face_count + len(mesh.faces)
        _append(faces, file)
        file.seek(0)
        file.write(_ply_header(job, vertex_count, face_count))


def _append(source: BinaryIO, target: BinaryIO) -> None:
    source.seek(0)
    shutil.copyfileobj(source, target)


def _ply_header(job: ExportJob, vertices: int, faces: int) -> bytes:
    unit = job.source.placement("x").unit or "voxel"
    lines = (
        "ply",
        "format binary_little_endian 1.0",
        f"comment unit {unit}",
        f"element vertex {vertices:0{_DIGITS}d}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {faces:0{_DIGITS}d}",
        "property list uchar int vertex_indices",
        "property uint label",
        "end_header\n",
    )
    return "\n".join(lines).encode("ascii", "replace")


def _meshes(job: ExportJob) -> Iterator[tuple[int, Mesh]]:
    """Yield every object's id and its triangles (x, y, z) in the image's unit, turned outwards."""
    axes, leading = job.source.axes, job.source.shape[:-2]
    if "z" not in axes or any(n > 1 for axis, n in zip(axes, leading, strict=False) if axis != "z"):
        raise LabelsError(
            f"{job.path}: a mesh needs labels (z, y, x), and these have the axes {axes}",
            remedy="export one volume; give the stack's {axes}, such as zyx, when the labels are made",
        )
    spacing = np.array([job.source.placement(axis).scale for axis in "zyx"])
    start = np.array([job.source.placement(axis).translation for axis in "zyx"])
    boxes = _boxes(job)
    job.counter.begin(len(boxes))
    for label, box in boxes.items():
        mesh = smooth_mesh(object_mesh(_reader(job, label), box), job.settings.smooth)
        world = (mesh.vertices * spacing + start)[:, ::-1]
        yield label, Mesh(world, _outwards(world, mesh.faces))
        job.step()


def _outwards(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return triangles whose order makes the enclosed volume positive."""
    if not len(faces):
        return faces
    a, b, c = np.moveaxis(vertices[faces] - vertices.mean(0), 1, 0)
    return faces if float(np.einsum("ij,ij->", a, np.cross(b, c))) >= 0 else faces[:, ::-1]


def _boxes(job: ExportJob) -> dict[int, Box3D]:
    """Return the box of each object through z, by label."""
    along_z = job.source.axes.index("z")
    boxes: dict[int, tuple[int, int, Box]] = {}
    for obj in job.source.rows(job.labels):
        z = obj.plane[along_z]
        first, last, box = boxes.get(obj.label, (z, z, obj.box))
        boxes[obj.label] = (min(first, z), max(last, z), box.union(obj.box))
    return {label: ((first, box.y0, box.x0), (last + 1, box.y1, box.x1)) for label, (first, last, box) in boxes.items()}


def _reader(job: ExportJob, label: int) -> ReadMask:
    along_z, count = job.source.axes.index("z"), len(job.source.shape) - 2

    def read(part: Box3D) -> NDArray[np.bool_]:
        (z0, y0, x0), (z1, y1, x1) = part
        planes = [tuple(z if k == along_z else 0 for k in range(count)) for z in range(z0, z1)]
        return np.stack([job.source.read((y0, x0, y1, x1), 0, plane) == label for plane in planes])

    return read
