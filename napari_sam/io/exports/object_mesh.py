"""Surfaces of objects as triangles, by marching cubes block by block."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Box3D = tuple[tuple[int, int, int], tuple[int, int, int]]
    """First voxel (z, y, x), and the one after the last."""
    ReadMask = Callable[[Box3D], NDArray[np.bool_]]

_BLOCK = (64, 256, 256)
_TAUBIN = (0.5, -0.53)  # a step that shrinks and one that swells, so that the volume stays


class Mesh(NamedTuple):
    """Triangles.

    Attributes
    ----------
    vertices : ndarray of float64
        (V, 3) positions (z, y, x) in voxels, whose centres are whole numbers.
    faces : ndarray of int64
        (F, 3) indices of the vertices of each triangle, counterclockwise seen from outside once the vertices are turned
        to (x, y, z).
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def object_mesh(read: ReadMask, box: Box3D, block: tuple[int, int, int] = _BLOCK) -> Mesh:
    """Return the closed surface of an object, halfway between its voxels and those around it.

    Parameters
    ----------
    read : callable
        Returns the mask of a box inside `box`.
    box : ((int, int, int), (int, int, int))
        The object's box.
    block : (int, int, int)
        Size of the blocks that are read at once. The result does not depend on it.

    Notes
    -----
    Marching cubes (Lewiner et al., 2003) works on cells between eight voxels. Blocks share their outer voxels, so that
    every cell belongs to one block; vertices that blocks share are merged.
    """
    from skimage.measure import marching_cubes  # noqa: PLC0415 - slow to import

    low, high = (np.array(end) for end in box)
    keys: list[NDArray[np.int64]] = [np.zeros((0, 3), np.int64)]
    faces: list[NDArray[np.int64]] = [np.zeros((0, 3), np.int64)]
    count = 0
    for corner in product(*(range(a - 1, b, size) for a, b, size in zip(low, high, block, strict=True))):
        first = np.array(corner)
        last = np.minimum(first + block, high)  # the last voxel, which the next block has too
        voxels = _padded(read, (first, last + 1), (low, high))
        if voxels.all() or not voxels.any():
            continue
        vertices, triangles, _, _ = marching_cubes(voxels.astype(np.float32), 0.5, allow_degenerate=False)
        keys.append(np.rint(2 * (vertices + first)).astype(np.int64))  # vertices lie at multiples of one half
        faces.append(triangles.astype(np.int64) + count)
        count += len(vertices)
    unique, index = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    return Mesh(unique / 2, index.ravel()[np.concatenate(faces)])


def _padded(
    read: ReadMask, part: tuple[NDArray[np.int64], NDArray[np.int64]], box: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """Return the mask of a part that may reach one voxel beyond the object's box."""
    first, last = np.maximum(part[0], box[0]), np.minimum(part[1], box[1])
    padded = np.zeros(part[1] - part[0], bool)
    if (first < last).all():
        inside = tuple(slice(a, b) for a, b in zip(first - part[0], last - part[0], strict=True))
        padded[inside] = read((tuple(first.tolist()), tuple(last.tolist())))
    return padded


def smooth_mesh(mesh: Mesh, steps: int) -> Mesh:
    """Move every vertex towards the mean of its neighbours and back, which takes steps away and keeps the volume.

    Parameters
    ----------
    mesh : Mesh
        Triangles.
    steps : int
        Number of repetitions; 0 returns the mesh as it is.

    Notes
    -----
    Taubin, A signal processing approach to fair surface design, SIGGRAPH 1995.
    """
    from scipy import sparse  # noqa: PLC0415 - slow to import

    if not steps or not len(mesh.faces):
        return mesh
    count = len(mesh.vertices)
    first = mesh.faces.ravel()
    second = np.roll(mesh.faces, -1, axis=1).ravel()
    ones = np.ones(2 * len(first))
    pairs = (np.concatenate([first, second]), np.concatenate([second, first]))
    neighbours = sparse.csr_matrix((ones, pairs), shape=(count, count))
    mean = sparse.diags(1 / np.asarray(neighbours.sum(1)).ravel()) @ neighbours
    vertices = mesh.vertices
    for _ in range(steps):
        for factor in _TAUBIN:
            vertices = vertices + factor * (mean @ vertices - vertices)
    return Mesh(vertices, mesh.faces)
