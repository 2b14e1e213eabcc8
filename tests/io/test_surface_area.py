"""Surfaces by the Crofton formula against those of spheres, ellipsoids and boxes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from napari_sam.io.surface_area import crossings, surface_weights


def surface(volume, spacing):
    padded = np.pad(volume.astype(np.int32), 1)
    padded = np.pad(padded, ((0, 0), (1, 1), (1, 1)))
    count = int(volume.max())
    counts = sum(crossings(a, b, count) for a, b in pairwise(padded))
    return surface_weights(spacing) @ counts


def ball(radius, spacing, centre=(0.3, 0.1, 0.2)):
    half = [math.ceil(radius / s) + 2 for s in spacing]
    grid = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(half, spacing, strict=True)), indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 1, 1), (5, 1, 1), (1, 0.5, 0.25)])
def test_the_surface_of_a_sphere(spacing):
    assert surface(ball(20, spacing), spacing)[0] == pytest.approx(4 * math.pi * 20**2, rel=0.03)


def test_marching_cubes_counts_the_steps_as_surface_and_this_does_not():
    from skimage.measure import marching_cubes, mesh_surface_area

    volume, true = ball(20, (1, 1, 1)), 4 * math.pi * 20**2
    vertices, faces, _, _ = marching_cubes(np.pad(volume, 1).astype(np.float32), 0.5)
    error = abs(mesh_surface_area(vertices, faces) - true)
    assert abs(surface(volume, (1, 1, 1))[0] - true) < error / 3


def test_a_box_in_other_units_has_the_surface_in_these_units():
    volume = np.ones((20, 30, 40), bool)
    in_voxels, in_um = surface(volume, (1, 1, 1))[0], surface(volume, (0.5, 0.5, 0.5))[0]
    assert in_um == pytest.approx(in_voxels / 4)
    assert in_voxels == pytest.approx(2 * (20 * 30 + 20 * 40 + 30 * 40), rel=0.1)


def test_objects_that_touch_have_the_surfaces_they_have_alone():
    volume = np.zeros((12, 12, 20), np.int32)
    volume[2:10, 2:10, 2:10], volume[2:10, 2:10, 10:18] = 1, 2
    together = surface(volume, (1, 1, 1))
    alone = surface((volume == 1).astype(np.int32), (1, 1, 1))[0]
    assert together.tolist() == pytest.approx([alone, alone])


def test_parts_of_a_plane_add_up():
    volume = np.pad((np.random.default_rng(0).random((6, 20, 30)) > 0.5).astype(np.int32), 1)
    whole = np.zeros((13, 1), np.int64)
    parts = np.zeros((13, 1), np.int64)
    for a, b in pairwise(volume):
        whole += crossings(a, b, 1)
        for y, x in ((0, 0), (0, 12), (8, 0), (8, 12)):
            rows, cols = slice(y, 10 if y == 0 else 22), slice(x, 14 if x == 0 else 32)
            parts += crossings(a[rows, cols], b[rows, cols], 1)
    assert np.array_equal(whole, parts)


def test_absurd_voxels_have_no_surface():
    assert np.isnan(surface_weights((1000.0, 1.0, 1.0))).all()
    assert np.isfinite(surface_weights((100.0, 1.0, 1.0))).all()
