"""Changes of appearance that microscopes and satellites make for free; masks stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def augment(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary the appearance of a crop.

    Parameters
    ----------
    image : ndarray of uint8
        (H, W, 3).
    rng : numpy.random.Generator
        Decides what happens: grey, channel order, inversion, gamma, contrast, gain per channel, blur, noise.

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
    return out


def dihedral(
    image: NDArray[np.uint8], labels: NDArray[np.int32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Turn by a multiple of 90 degrees and maybe mirror, image and labels together."""
    turns = int(rng.integers(4))
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)
