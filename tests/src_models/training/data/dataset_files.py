"""Small data sets for tests."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.data.datasets import read_dataset

SHAPE = (6, 8)


def random_image(seed=0, shape=(*SHAPE, 3), dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def label_image(*numbers, shape=SHAPE, dtype=np.uint8):
    """Make an object of 2 x 1 pixels for each number, side by side."""
    labels = np.zeros(shape, dtype)
    for i, number in enumerate(numbers or (1, 2)):
        labels[1:3, i] = number
    return labels


def save_picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def assert_refused(path, *words, **options):
    """Check that reading fails with a message of one line that has these words."""
    with pytest.raises(TrainingError) as caught:
        read_dataset(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message
