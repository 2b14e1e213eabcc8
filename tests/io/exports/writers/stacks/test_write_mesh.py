"""STL and PLY files, read byte by byte."""

from __future__ import annotations

import re

import numpy as np
import pytest

from napari_sam.errors import LabelsError
from tests.io.exports.writers.stacks.stacks import stack_store

SCALES, STARTS = (2.0, 0.5, 0.25), [10.0, 20.0, 30.0]


@pytest.fixture
def labels():
    volume = np.zeros((8, 30, 40), np.uint32)
    volume[2:6, 5:15, 8:20], volume[1:7, 18:28, 25:35] = 3, 8
    return volume


@pytest.fixture
def store(tmp_path, labels):
    with stack_store(tmp_path / "v.zarr", labels, "zyx", SCALES, starts=STARTS) as opened:
        yield opened


def read_stl(path):
    data = path.read_bytes()
    count = int(np.frombuffer(data, "<u4", 1, 80)[0])
    rows = np.frombuffer(data, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("x", "<u2")]), -1, 84)
    assert len(rows) == count
    return rows["normal"].astype(float), rows["corners"].astype(float)


def read_ply(path):
    header, _, body = path.read_bytes().partition(b"end_header\n")
    vertices, faces = (int(n) for n in re.findall(rb"element \w+ (\d+)", header))
    points = np.frombuffer(body, "<f4", 3 * vertices).reshape(-1, 3).astype(float)
    kind = np.dtype([("n", "u1"), ("corners", "<i4", 3), ("label", "<u4")])
    rows = np.frombuffer(body, kind, -1, 12 * vertices)
    assert len(rows) == faces
    assert (rows["n"] == 3).all()
    return points, rows["corners"], rows["label"]


def volume_of(corners):
    a, b, c = np.moveaxis(corners, 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6


def test_stl_has_the_triangles_of_all_objects_in_the_units_of_the_image(store, tmp_path):
    normals, corners = read_stl(store.export(tmp_path / "v.stl"))
    assert corners.min((0, 1)).tolist() == [30 + 7.5 * 0.25, 20 + 4.5 * 0.5, 10 + 0.5 * 2]
    assert corners.max((0, 1)).tolist() == [30 + 34.5 * 0.25, 20 + 27.5 * 0.5, 10 + 6.5 * 2]
    voxels = 4 * 10 * 12 + 6 * 10 * 10
    assert volume_of(corners) == pytest.approx(voxels * 0.25, rel=0.05)
    outward = corners.mean(1) - (30 + 13.5 * 0.25, 20 + 9.5 * 0.5, 10 + 3.5 * 2)
    of_first = corners[:, :, 0].max(1) < 30 + 20 * 0.25
    assert ((normals * outward).sum(1)[of_first] > 0).all()
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(normals)), rel=1e-5)


def test_ply_faces_name_their_object(store, tmp_path, labels):
    points, faces, ids = read_ply(store.export(tmp_path / "v.ply"))
    assert set(ids.tolist()) == {3, 8}
    for label in (3, 8):
        corners = points[faces[ids == label]]
        assert volume_of(corners) == pytest.approx(np.count_nonzero(labels == label) * 0.25, rel=0.05)
    assert b"comment unit micrometer" in (tmp_path / "v.ply").read_bytes()[:200]


def test_chosen_objects_and_smoothing(store, tmp_path):
    _, all_corners = read_stl(store.export(tmp_path / "all.stl", labels=[8]))
    _, smooth = read_stl(store.export(tmp_path / "smooth.stl", labels=[8], smooth=5))
    assert len(smooth) == len(all_corners)
    assert not np.allclose(smooth, all_corners)
    with pytest.raises(LabelsError, match="smooth is 5, and format 'csv' has no meshes"):
        store.export(tmp_path / "x.csv", smooth=5)


def test_movies_have_no_mesh(tmp_path, labels):
    with stack_store(tmp_path / "m.zarr", labels, "tyx", SCALES) as store:
        with pytest.raises(LabelsError, match=r"a mesh needs labels \(z, y, x\), and these have the axes tyx"):
            store.export(tmp_path / "m.stl")
    assert not (tmp_path / "m.stl").exists()


def test_a_volume_without_objects_has_no_triangles(tmp_path, labels):
    with stack_store(tmp_path / "e.zarr", np.zeros_like(labels), "zyx", SCALES) as store:
        assert len(read_stl(store.export(tmp_path / "e.stl"))[0]) == 0
        assert len(read_ply(store.export(tmp_path / "e.ply"))[0]) == 0
