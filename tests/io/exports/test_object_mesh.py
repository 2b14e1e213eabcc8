"""Meshes are closed, have the right volume, and do not depend on blocks."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from napari_sam.io.exports.object_mesh import object_mesh, smooth_mesh


def reader(volume):
    return lambda part: volume[tuple(slice(a, b) for a, b in zip(*part, strict=True))]


def mesh_of(volume, **options):
    return object_mesh(reader(volume), ((0, 0, 0), volume.shape), **options)


def signed_volume(mesh):
    a, b, c = np.moveaxis(mesh.vertices[:, ::-1][mesh.faces], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6


def ball(radius=12):
    grid = np.indices((2 * radius + 5,) * 3) - radius - 2.2
    return (grid**2).sum(0) <= radius**2


def is_closed(mesh):
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    return set(Counter(map(tuple, np.sort(edges, 1).tolist())).values()) == {2}


def test_a_ball_is_closed_and_has_its_volume():
    mesh = mesh_of(ball())
    assert is_closed(mesh)
    assert abs(signed_volume(mesh)) == pytest.approx(4 / 3 * math.pi * 12**3, rel=0.02)


def test_an_object_at_the_border_of_its_box_is_closed():
    mesh = mesh_of(np.ones((3, 4, 5), bool))
    assert is_closed(mesh)
    assert mesh.vertices.min(0).tolist() == [-0.5, -0.5, -0.5]
    assert mesh.vertices.max(0).tolist() == [2.5, 3.5, 4.5]


@pytest.mark.parametrize("block", [(4, 5, 7), (8, 64, 64), (29, 29, 29), (30, 30, 30)])
def test_the_mesh_does_not_depend_on_blocks(block):
    volume = ball() & (np.random.default_rng(0).random(ball().shape) > 0.02)
    whole, parts = mesh_of(volume), mesh_of(volume, block=block)
    assert np.array_equal(whole.vertices, parts.vertices)
    triangles = [Counter(map(tuple, np.sort(m.faces, 1).tolist())) for m in (whole, parts)]
    assert triangles[0] == triangles[1]


def test_the_box_may_lie_anywhere():
    volume = np.zeros((40, 40, 40), bool)
    volume[8:37, 5:34, 9:38] = ball()
    moved = object_mesh(reader(volume), ((8, 5, 9), (37, 34, 38)))
    assert np.array_equal(moved.vertices, mesh_of(ball()).vertices + np.array((8, 5, 9)))


def test_smoothing_takes_steps_away_and_keeps_the_volume():
    mesh = mesh_of(ball())
    smooth = smooth_mesh(mesh, 10)
    centre = mesh.vertices.mean(0)
    spread = [np.linalg.norm(m.vertices - centre, axis=1).std() for m in (mesh, smooth)]
    assert spread[1] < spread[0] / 1.5
    assert signed_volume(smooth) == pytest.approx(signed_volume(mesh), rel=0.01)
    assert smooth_mesh(mesh, 0) is mesh


def test_nothing_has_no_triangles():
    assert len(mesh_of(np.zeros((3, 3, 3), bool)).faces) == 0
