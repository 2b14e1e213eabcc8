"""Synthetic images with exact masks: blobs, polygons and fields, with texture, shading and overlap.

They widen what a small network has seen: any closed region that differs from its surroundings in brightness, colour
or texture can be the object. Textures may be borrowed from real images, whose masks are not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def smooth_noise(side: int, scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of one spatial scale, (side, side), zero mean and unit variance.

    Parameters
    ----------
    side : int
        In pixels.
    scale : float
        Size of the grains, in pixels.
    rng : numpy.random.Generator
        Source of the noise.
    """
    small = max(2, int(side / max(scale, 1.0)) + 2)
    grain = rng.standard_normal((small, small)).astype(np.float32)
    noise = np.asarray(Image.fromarray(grain).resize((side, side), Image.Resampling.BICUBIC))
    out: NDArray[np.float32] = (noise - noise.mean()) / (noise.std() + 1e-6)
    return out


def _outline(kind: int, radius: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(K, 2) outline around the origin: 0 blob, 1 polygon, 2 rectangle, 3 ellipse."""
    if kind == 2:
        half = radius * np.array([1.0, rng.uniform(0.3, 1.0)])
        corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        corners = np.stack([np.sin(angles), np.cos(angles)], 1) * radius
    else:
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        r = np.ones_like(angles)
        if kind == 0:
            for k in range(2, 6):
                r += rng.normal(0, 0.35 / k) * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
        stretch = np.array([1.0, rng.uniform(0.4, 1.0)])
        corners = np.stack([np.sin(angles), np.cos(angles)], 1) * np.clip(r, 0.3, 2)[:, None] * radius * stretch
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    out: NDArray[np.float64] = corners @ rotation
    return out


def _shapes(side: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Label image of scattered shapes of one size class; later ones lie on top."""
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    size = float(np.exp(rng.uniform(np.log(side / 20), np.log(side / 3))))
    kind = int(rng.integers(4))
    count = int(np.clip(rng.uniform(0.1, 0.7) * (side / (2 * size)) ** 2, 1, 60))
    for label in range(1, count + 1):
        outline = _outline(kind, size * rng.uniform(0.6, 1.4), rng) + rng.uniform(0, side, 2)
        draw.polygon([(float(x), float(y)) for y, x in outline], fill=label)
    return np.asarray(canvas, dtype=np.int32)


def _fields(side: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Label image that tiles the plane (Voronoi cells of a warped lattice), with some cells left out."""
    pitch = side / rng.uniform(2, 9)
    n = int(side / pitch) + 2
    seeds = (np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2) - 0.5) * pitch
    seeds += rng.normal(0, rng.uniform(0.05, 0.3) * pitch, seeds.shape)
    yx = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).astype(np.float32)
    yx += np.stack([smooth_noise(side, pitch, rng) for _ in range(2)], -1) * rng.uniform(0, 0.08) * pitch
    distance = np.full((side, side), np.inf, np.float32)
    labels = np.zeros((side, side), np.int32)
    for i, (y, x) in enumerate(seeds):
        d = (yx[..., 0] - y) ** 2 + (yx[..., 1] - x) ** 2
        closer = d < distance
        distance[closer], labels[closer] = d[closer], i + 1
    if rng.random() < 0.7:  # a gap between cells
        inner = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
        labels = np.where(inner, labels, 0)
    drop = rng.random(len(seeds) + 1) < rng.uniform(0, 0.4)
    return np.where(drop[labels], 0, labels).astype(np.int32)


def _texture(side: int, textures: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.float32]:
    """(side, side, 3) colour in about [0, 1]: procedural, or a piece of a real image."""
    if textures and rng.random() < 0.4:
        source = textures[int(rng.integers(len(textures)))]
        span = min(*source.shape[:2], int(side * rng.uniform(0.3, 1.0)))
        y, x = (int(rng.integers(0, n - span + 1)) for n in source.shape[:2])
        piece = Image.fromarray(source[y : y + span, x : x + span]).resize((side, side))
        return np.asarray(piece, dtype=np.float32) / 255.0
    base = rng.uniform(0, 1, 3).astype(np.float32) if rng.random() < 0.6 else np.float32(rng.random())
    grain = smooth_noise(side, float(np.exp(rng.uniform(0, np.log(40)))), rng)[..., None]
    return np.broadcast_to(base, (side, side, 3)) + grain * np.float32(rng.choice([0.0, 0.03, 0.1]))


def synthetic_sample(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make one image and its labels.

    Parameters
    ----------
    side : int
        Height and width, in pixels.
    rng : numpy.random.Generator
        The same state gives the same image.
    textures : sequence of ndarray of uint8
        (H, W, 3) images to borrow textures from.

    Returns
    -------
    image : ndarray of uint8
        (side, side, 3).
    labels : ndarray of int32
        (side, side), 0 is background.
    """
    labels = _fields(side, rng) if rng.random() < 0.3 else _shapes(side, rng)
    image = _texture(side, textures, rng).copy()
    alike = rng.random() < 0.6  # objects of one look, or each its own
    look = _texture(side, textures, rng)
    shift = rng.normal(0, 0.07, size=int(labels.max()) + 1).astype(np.float32)
    for label in range(1, int(labels.max()) + 1):
        inside = labels == label
        if not inside.any():
            continue
        own = look if alike else _texture(side, textures, rng)
        image[inside] = own[inside] + shift[label]
    if rng.random() < 0.4:  # a rim, brighter or darker, as membranes and halos make
        edge = ndimage.morphological_gradient(labels, 3) > 0
        image[edge] += np.float32(rng.normal(0, 0.3))
    if rng.random() < 0.4:  # uneven illumination
        image *= 1 + 0.25 * smooth_noise(side, side / 2, rng)[..., None]
    blur = float(rng.uniform(0, 1.5))
    image = ndimage.gaussian_filter(image, (blur, blur, 0))
    image += rng.standard_normal(image.shape).astype(np.float32) * np.float32(rng.uniform(0, 0.06))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), labels
