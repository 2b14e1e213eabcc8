"""Label stores of volumes and movies."""

from __future__ import annotations

import numpy as np

from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore

UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}


def stack_store(path, labels, axes, scales, parents=None, starts=None):
    """Return a store with the objects of a label stack, each with one id through all planes."""
    image = open_image(np.zeros(labels.shape, np.uint8), axes=axes)
    starts = starts or [0.0] * len(axes)
    placed = zip(axes, scales, starts, strict=True)
    image.place({axis: AxisPlacement(scale, start, UNITS[axis]) for axis, scale, start in placed})
    store = LabelStore.create(path, like=image, shape=labels.shape)
    parts = {}
    for plane in np.ndindex(labels.shape[:-2]):
        for label in np.unique(labels[plane][labels[plane] > 0]).tolist():
            parts.setdefault(label, {})[plane] = (labels[plane] == label, (0, 0, *labels.shape[-2:]), 0.5)
    for label, masks in sorted(parts.items()):
        store.commit_planes(masks, label=label, parent=(parents or {}).get(label))
    return store


def movie():
    """Return a movie in which 1 divides into 2 and 3, 4 is missing in a frame, and 5 keeps its id as mother of 6."""
    labels = np.zeros((5, 40, 60), np.uint32)
    labels[:2, 5:15, 5:15] = 1
    labels[2:, 3:9, 5:15], labels[2:, 10:16, 5:15] = 2, 3
    labels[[0, 1, 3, 4], 25:33, 8:18] = 4
    labels[:, 20:30, 40:50], labels[3:, 30:36, 40:50] = 5, 6
    return labels, {2: 1, 3: 1, 6: 5}
