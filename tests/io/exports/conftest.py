"""Label stores to export."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam.io.labels.label_store import LabelStore
from tests.io.exports.drawings import drawn, like


@pytest.fixture
def blobs(rng):
    """A label image with objects of all shapes, holes and pieces among them."""
    image = ndimage.gaussian_filter(rng.random((1500, 1300)), 6)
    labels, _ = ndimage.label(image > 0.505, np.ones((3, 3)))
    return labels.astype(np.uint32)


@pytest.fixture
def store(tmp_path, blobs):
    with LabelStore.create(tmp_path / "cells.ome.zarr", like=like(scale=(0.25, 0.5))) as labels:
        labels.paint(blobs, (0, 0))
        labels.set_category(1, "cell")
        yield labels


@pytest.fixture
def small(tmp_path):
    with LabelStore.create(tmp_path / "small", shape=(6, 8)) as labels:
        labels.paint(drawn("01100000 01110000 00000022 00000022"), (0, 0))
        yield labels
