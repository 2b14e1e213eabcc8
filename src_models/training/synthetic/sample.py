"""Synthetic images with exact masks: microscopy, aerial images, thin, branching and everyday shapes, any closed shape.

They extend the training data of a small network: appearance, size, crowding and clutter vary far more than in real
images. Labels are the visible parts of objects: later objects lie on top, distractors and background are 0. Textures
may come from real images, whose masks are not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from src_models.training.synthetic.aerial import buildings, fields
from src_models.training.synthetic.electron import particles
from src_models.training.synthetic.leaves import leaves
from src_models.training.synthetic.light import cells, nuclei
from src_models.training.synthetic.parts import camera, lit, log_uniform, mosaic, tidy
from src_models.training.synthetic.scenes import scenes
from src_models.training.synthetic.surfaces import texture
from src_models.training.synthetic.thin import cracks, roads, thin_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STYLES = ("nuclei", "cells", "particles", "fields", "buildings", "shapes")
WIDE_STYLES = ("thin_cells", "cracks", "roads", "leaves", "scenes")
"""Styles whose appearance is random far beyond realism, after Billot et al., 2023, "SynthSeg", and Dey et al., 2024,
"AnyStar". They are drawn only by name."""
PARTIAL_STYLES = frozenset({"cracks", "roads", "leaves", "scenes"})
"""Styles that do not fit the dense decoder: networks without a centre, and photographs of things without a label."""
_CHANCES = (0.22, 0.22, 0.18, 0.12, 0.12, 0.14)


def _outline(kind: int, radius: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw an outline (K, 2) around the origin: 0 blob, 1 polygon, 2 rectangle, 3 ellipse."""
    if kind == 2:
        half = radius * np.array([1.0, rng.uniform(0.3, 1.0)])
        corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * half
    elif kind == 1:
        n = int(rng.integers(3, 9))
        angles = (np.arange(n) + rng.uniform(-0.4, 0.4, n)) * 2 * np.pi / n
        corners = np.stack([np.sin(angles), np.cos(angles)], 1) * radius
    else:
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        r = np.ones_like(angles)
        if kind == 0:
            for k in range(2, 6):
                r += rng.normal(0, 0.35 / k) * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
        stretch = np.array([1.0, rng.uniform(0.4, 1.0)])
        corners = np.stack([np.sin(angles), np.cos(angles)], 1) * np.clip(r, 0.3, 2)[:, None] * radius * stretch
    angle = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    out: NDArray[np.float64] = corners @ rotation
    return out


def _scattered(side: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a label image of scattered shapes of similar size; later shapes lie on top."""
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    size = log_uniform(rng, side / 25, side / 3)
    kind = int(rng.integers(4))
    count = int(np.clip(rng.uniform(0.1, 0.7) * (side / (2 * size)) ** 2, 1, 60))
    for label in range(1, count + 1):
        outline = _outline(kind, size * rng.uniform(0.6, 1.4), rng) + rng.uniform(0, side, 2)
        draw.polygon([(float(x), float(y)) for y, x in outline], fill=label)
    return np.asarray(canvas, dtype=np.int32)


def _tiling(side: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw a label image of cells that tile the plane, sometimes with gaps and missing cells."""
    labels, gap = mosaic(side, side / rng.uniform(2, 9), rng, rng.uniform(0.05, 0.4), rng.uniform(0, 0.15))
    keep = rng.random(int(labels.max()) + 1) > rng.uniform(0, 0.4)
    return np.where(keep[labels] & (gap > rng.choice([-1, 1, 2])), labels, 0).astype(np.int32)


def _shapes(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of closed shapes that differ from their surroundings in brightness, colour or texture."""
    tiled = rng.random() < 0.3
    labels = tidy(_tiling(side, rng) if tiled else _scattered(side, rng), split=tiled)
    image = texture((side, side), textures, rng).copy()
    alike = rng.random() < 0.6  # all objects share a texture, or each has its own
    shared = texture((side, side), textures, rng)
    shift = rng.normal(0, 0.07, size=int(labels.max()) + 1).astype(np.float32)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        inside = labels[box] == label
        surface = shared[box] if alike else texture(inside.shape, textures, rng)
        image[box][inside] = surface[inside] + shift[label]
    if rng.random() < 0.4:  # a brighter or darker rim, like a membrane or halo
        edge = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
        image[edge] += np.float32(rng.normal(0, 0.3))
    if rng.random() < 0.4:
        image = lit(image, rng, 0.3)
    return camera(image, rng, 1.5, 0.08, 0.1), labels


def synthetic_sample(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = (), style: str | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make one image and its labels.

    Parameters
    ----------
    side : int
        Height and width, in pixels.
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same image.
    textures : sequence of ndarray of uint8
        (H, W, 3) images that provide textures for the style 'shapes' and the wide styles.
    style : str, optional
        One of `STYLES`, which are drawn by default, or of `WIDE_STYLES`.

    Returns
    -------
    image : ndarray of uint8
        (side, side, 3).
    labels : ndarray of int32
        (side, side), 0 is background; the objects are numbered from 1 without gaps, and there is at least one.

    Raises
    ------
    ValueError
        If `style` is not one of them.
    """
    known = (*STYLES, *WIDE_STYLES)
    if style is not None and style not in known:
        raise ValueError(f"style {style!r} is not one of {', '.join(known)}")
    plain = {"nuclei": nuclei, "cells": cells, "particles": particles, "fields": fields, "buildings": buildings}
    textured = {
        "shapes": _shapes,
        "thin_cells": thin_cells,
        "cracks": cracks,
        "roads": roads,
        "leaves": leaves,
        "scenes": scenes,
    }
    while True:
        name = style or str(rng.choice(STYLES, p=_CHANCES))
        image, labels = plain[name](side, rng) if name in plain else textured[name](side, rng, textures)
        if labels.any():
            return image, labels
