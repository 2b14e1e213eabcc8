"""Surfaces of synthetic objects: textures, patterns, relief and shadows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

from src_models.training.synthetic.parts import cloud, log_uniform, smooth_noise, streaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def texture(
    shape: tuple[int, int], textures: Sequence[NDArray[np.uint8]], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a texture (h, w, 3) in about [0, 1]: procedural, or a piece of a real image."""
    h, w = shape
    if textures and rng.random() < 0.4:
        source = textures[int(rng.integers(len(textures)))]
        span = max(1, min(*source.shape[:2], int(max(h, w) * rng.uniform(0.3, 1.0))))
        y, x = (int(rng.integers(0, n - span + 1)) for n in source.shape[:2])
        piece = Image.fromarray(source[y : y + span, x : x + span]).resize((w, h), Image.Resampling.BILINEAR)
        return np.asarray(piece, dtype=np.float32) * np.float32(1 / 255)
    base = rng.uniform(0, 1, 3).astype(np.float32) if rng.random() < 0.6 else np.full(3, rng.random(), np.float32)
    strength = np.float32(rng.choice([0.0, 0.03, 0.1]))
    grain = smooth_noise(max(h, w), log_uniform(rng, 1, 40), rng)[:h, :w, None]
    return base + grain * strength


def surface(
    side: int, textures: Sequence[NDArray[np.uint8]], rng: np.random.Generator, photo: float = 0.5
) -> NDArray[np.float32]:
    """Draw a surface (side, side, 3) in about [0, 1] of any colour, often with stains, a pattern or a gradient.

    Parameters
    ----------
    side : int
        Height and width, in pixels.
    textures : sequence of ndarray of uint8
        (H, W, 3) images of which pieces may be used.
    rng : numpy.random.Generator
        Source of randomness.
    photo : float
        Probability of a piece of an image, if there are any.
    """
    if textures and rng.random() < photo:
        return _piece(side, textures, rng)
    image = np.broadcast_to(rng.uniform(0, 1, 3).astype(np.float32), (side, side, 3))
    if rng.random() < 0.35:
        image = np.broadcast_to(image.mean(-1, keepdims=True), image.shape)
    other = rng.uniform(0, 1, 3).astype(np.float32)
    mix = _pattern(side, rng)[..., None] * np.float32(rng.choice([0.05, 0.15, 0.4, 1.0]))
    grain = smooth_noise(side, log_uniform(rng, 1, 6), rng)[..., None] * np.float32(rng.choice([0.0, 0.02, 0.08]))
    out: NDArray[np.float32] = image * (1 - mix) + other * mix + grain
    return out


def _piece(side: int, textures: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Cut a square from a random image, and enlarge, mirror or turn it."""
    source = textures[int(rng.integers(len(textures)))]
    span = max(1, int(min(source.shape[:2]) * log_uniform(rng, 0.2, 1.0)))
    y, x = (int(rng.integers(0, n - span + 1)) for n in source.shape[:2])
    picture = Image.fromarray(source[y : y + span, x : x + span]).resize((side, side), Image.Resampling.BILINEAR)
    turned = np.rot90(np.asarray(picture, dtype=np.float32), int(rng.integers(4)))
    return turned * np.float32(rng.uniform(0.6, 1.2) / 255)


def _pattern(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a pattern (side, side) in [0, 1]: stains, fibres, stripes, checks, spots or a gradient."""
    line = np.arange(side, dtype=np.float32)
    angle = rng.uniform(0, np.pi)
    along = line[:, None] * np.float32(np.sin(angle)) + line * np.float32(np.cos(angle))
    across = line[:, None] * np.float32(np.cos(angle)) - line * np.float32(np.sin(angle))
    pitch = log_uniform(rng, 5, side / 3)
    kind = int(rng.integers(6))
    if kind == 0:
        values = 0.5 + 0.3 * cloud(side, pitch, rng, 0.7)
    elif kind == 1:
        values = 0.5 + 0.25 * streaks(side, min(pitch, side / 5), rng)
    elif kind in (2, 3):  # stripes, checks
        share = float(rng.uniform(-0.6, 0.6))
        waves = np.sin(along * np.float32(2 * np.pi / pitch))
        if kind == 3:
            waves = waves * np.sin(across * np.float32(2 * np.pi / pitch))
        values = np.clip((waves - share) * 3 + 0.5, 0, 1)
    elif kind == 4:
        values = np.clip(2 * (smooth_noise(side, pitch, rng) - 0.7), 0, 1)
    else:
        values = (along - along.min()) / (np.ptp(along) + 1)
    out: NDArray[np.float32] = np.clip(values, 0, 1).astype(np.float32)
    return out


def relief(depth: NDArray[np.float32], round_px: float, light: float, steep: float) -> NDArray[np.float32]:
    """Return the brightness of a body lit from one side, about 1: flat inside, round within `round_px` of its outline.

    Parameters
    ----------
    depth : ndarray of float32
        (h, w), distance to the outline, in pixels, 0 outside.
    round_px : float
        Width of the round rim; the whole body is round if it is larger than its depth.
    light : float
        Direction of the light, in radians.
    steep : float
        Contrast.
    """
    share = np.clip(depth / np.float32(round_px), 0, 1)
    height = np.sqrt(np.maximum(share * (2 - share), 0)) * np.float32(round_px)  # quarter circle
    smooth = ndimage.gaussian_filter(height, 1.0)
    dy, dx = (np.gradient(smooth, axis=axis) if smooth.shape[axis] > 1 else 0 * smooth for axis in (0, 1))  # a line
    lean = dy * np.float32(np.sin(light)) + dx * np.float32(np.cos(light))
    out: NDArray[np.float32] = 1 + np.float32(steep) * np.clip(lean, -1.5, 1.5)
    return out


def cast_shadow(
    image: NDArray[np.float32], mask: NDArray[np.bool_], shift: tuple[int, int], soft: float, strength: float
) -> None:
    """Darken an image (S, S, 3) in place by the shadow of a mask (S, S), displaced by `shift` pixels (y, x)."""
    shade = ndimage.shift(mask.astype(np.float32), shift, order=0)
    if soft > 0.5:
        shade = ndimage.uniform_filter(shade, 2 * int(soft) + 1)
    image *= 1 - np.float32(strength) * shade[..., None]
