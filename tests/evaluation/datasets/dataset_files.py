"""Small data sets of every format."""

from __future__ import annotations

import numpy as np
from PIL import Image

from napari_sam.evaluation.datasets.dataset_formats import find_samples

LABELS = np.zeros((20, 30), np.uint16)
LABELS[2:8, 3:9], LABELS[10:18, 12:28] = 4, 9
RGB = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
BOXES = [(2, 3, 8, 9), (10, 12, 18, 28)]


def boxes(sample):
    """Return the boxes of the true objects."""
    return [o.box for o in sample.truth().objects]


def save_rgb(path, rgb=RGB):
    """Write a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)


def coco(shape=(20, 30), **image):
    """Return an instances file with one image and two objects of two categories."""
    return {
        "images": [{"id": 7, "file_name": "a.png", "height": shape[0], "width": shape[1], **image}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[3, 2, 9, 2, 9, 8, 3, 8]], "iscrowd": 0},
            {
                "id": 2,
                "image_id": 7,
                "category_id": 5,
                "segmentation": [[12, 10, 28, 10, 28, 18, 12, 18]],
                "iscrowd": 0,
            },
        ],
        "categories": [{"id": 3, "name": "cell", "frequency": "f"}, {"id": 5, "name": "field", "frequency": "r"}],
    }


def identity_of(path):
    """Return the identity of the first sample."""
    return find_samples(path)[0].identity
