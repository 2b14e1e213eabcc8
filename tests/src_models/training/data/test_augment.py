"""Augmentation of images and labels."""

from __future__ import annotations

import numpy as np

from src_models.training.data.augment import augment, dihedral, rotate
from src_models.training.synthetic.sample import synthetic_sample


def test_augmentation_and_synthesis_are_seeded():
    image, labels = synthetic_sample(96, np.random.default_rng(3))
    again, _ = synthetic_sample(96, np.random.default_rng(3))
    np.testing.assert_array_equal(image, again)
    assert image.shape == (96, 96, 3)
    assert labels.max() >= 1
    np.testing.assert_array_equal(augment(image, np.random.default_rng(1)), augment(image, np.random.default_rng(1)))


def test_rotation_by_right_angles_keeps_image_and_labels_aligned(rng):
    labels = rng.integers(0, 9, (8, 8)).astype(np.int32)
    image = np.repeat(labels[..., None].astype(np.uint8), 3, 2)
    for _ in range(10):
        turned, turned_labels = dihedral(image, labels, rng)
        np.testing.assert_array_equal(turned[..., 0], turned_labels)


def test_rotation_by_any_angle_keeps_image_and_labels_aligned(rng):
    labels = np.zeros((92, 92), np.int32)
    labels[20:60, 30:80] = 3
    image = np.repeat((labels > 0).astype(np.uint8)[..., None] * 255, 3, 2)
    turned, turned_labels = rotate(image, labels, 64, rng)
    assert turned.shape == (64, 64, 3)
    assert np.mean((turned[..., 0] > 127) == (turned_labels == 3)) > 0.98
    assert set(np.unique(turned_labels)) <= {0, 3}
