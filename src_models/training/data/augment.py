"""Augmentation: changes of appearance, which leave the masks unchanged, and rotations and reflections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


PADDING = (124, 116, 104)
"""Colour outside the image, RGB: the mean, which is normalised to zero."""


def augment(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary the appearance of a crop.

    Parameters
    ----------
    image : ndarray of uint8
        (H, W, 3).
    rng : numpy.random.Generator
        Draws the changes: grey, channel order, inversion, gamma, contrast, gain per channel, blur, noise.

    Returns
    -------
    ndarray of uint8
        (H, W, 3).
    """
    x = image.astype(np.float32) / 255.0
    if rng.random() < 0.2:
        x = np.repeat(x @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    elif rng.random() < 0.2:
        x = x[..., rng.permutation(3)]
    if rng.random() < 0.2:
        x = 1.0 - x
    if rng.random() < 0.5:
        x = np.clip(x, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.5:
        middle = x.mean()
        x = (x - middle) * np.float32(rng.uniform(0.5, 1.5)) + middle + np.float32(rng.normal(0, 0.08))
    if rng.random() < 0.3:
        x = x * rng.uniform(0.8, 1.2, size=(1, 1, 3)).astype(np.float32)
    if rng.random() < 0.2:
        x = ndimage.gaussian_filter(x, (s := float(rng.uniform(0.4, 1.6)), s, 0))
    if rng.random() < 0.3:
        noise = rng.standard_normal((*x.shape[:2], 1 if rng.random() < 0.5 else 3), dtype=np.float32)
        x = x + noise * np.float32(rng.uniform(0.01, 0.08))
    out: NDArray[np.uint8] = (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)
    out[(image == np.array(PADDING, np.uint8)).all(-1)] = PADDING  # pixels outside the image keep their colour
    return out


def dihedral(
    image: NDArray[np.uint8], labels: NDArray[np.int32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Rotate image and labels by a random multiple of 90 degrees, and mirror half of them."""
    turns = int(rng.integers(4))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def rotate(
    image: NDArray[np.uint8], labels: NDArray[np.int32], side: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Rotate image and labels by a random angle and keep the centre.

    Parameters
    ----------
    image : ndarray of uint8
        (S, S, 3); no corner stays empty if S is at least `side` times the square root of two.
    labels : ndarray of int32
        (S, S).
    side : int
        Height and width of the result.
    rng : numpy.random.Generator
        Draws the angle.
    """
    angle, start = float(rng.uniform(0, 90)), (image.shape[0] - side) // 2
    keep = (slice(start, start + side),) * 2
    turned = Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR, fillcolor=PADDING)
    cut = Image.fromarray(labels).rotate(angle, Image.Resampling.NEAREST)
    return np.asarray(turned)[keep].copy(), np.asarray(cut, dtype=np.int32)[keep].copy()
