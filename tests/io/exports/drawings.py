"""Drawn labels, and what tests of exports compute from them."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np

from napari_sam.io.exports.outlines import trace_outlines
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.pixel_runs import runs_by_label

UTM = (0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
DEGREES = (0.001, 0.0, 10.0, 0.0, -0.001, 50.0)
ROTATED = (0.3, 0.4, 500_000.0, 0.4, -0.3, 5_200_000.0)


def drawn(rows):
    """A label image from lines of digits."""
    return np.array([[int(c) for c in row] for row in rows.split()], np.uint32)


def polygons_of(mask):
    """Polygons of the pixels that are not zero, as one object."""
    return trace_outlines([runs_by_label(np.asarray(mask).astype(np.uint32), (0, 0))[2]]).lists()[0]


def filled(polygons, shape):
    """Pixels within axis-aligned rings, by the even-odd rule."""
    mask = np.zeros(shape, bool)
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x, y), (x_next, y_next) in itertools.pairwise([*ring, ring[0]]):
            if x == x_next:
                mask[min(y, y_next) : max(y, y_next), int(x) :] ^= True
    return mask


def area(ring):
    """Of a ring, negative if it runs clockwise with y upwards."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise([*ring, ring[0]])) / 2


def like(crs=None, transform=None, shape=(1500, 1300), scale=(1.0, 1.0), uri="/data/image.tif"):
    return SimpleNamespace(shape=shape, scale=scale, identity="x", uri=uri, crs=crs, transform=transform)


def on_map(tmp_path, crs, transform):
    labels = LabelStore.create(tmp_path / "map.zarr", like=like(crs, transform, (40, 50), (0.5, 0.5)))
    labels.paint(drawn("110 100"), (10, 20))
    return labels


def features(path):
    return json.loads(path.read_text())["features"]
