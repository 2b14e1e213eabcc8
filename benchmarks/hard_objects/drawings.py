"""Drawn images with exact truth: cracks and roads over photographs, membranes of cells, and even areas side by side.

They share no code with the synthetic images of the training, so that a network trained on those meets them as new.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import CubicSpline

from benchmarks.hard_objects.selection import HardCase, unchanged
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import MIN_AREA_PX, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Drawing = tuple[NDArray[np.uint8], NDArray[np.int32]]
    Painter = Callable[[NDArray[np.uint8], np.random.Generator], Drawing]

SIDE = 512
"""Side of the images, in pixels."""

_OVERSAMPLING = 4  # lines are drawn larger and averaged, so that their outlines are smooth


def drawn_case(name: str, painter: Painter, backgrounds: Sequence[NDArray[np.uint8]], images: int) -> HardCase:
    """Draw the images of a case.

    Parameters
    ----------
    name : str
        Name of the case; also the seed.
    painter : callable
        Takes a background (SIDE, SIDE, 3) and random numbers; returns an image and its labels.
    backgrounds : sequence of ndarray of uint8
        (H, W, 3) photographs, used in turn.
    images : int
        Number of images.
    """
    samples = []
    for number in range(images):
        rng = np.random.default_rng([number, *name.encode()])
        pixels, labels = painter(_background(backgrounds[number % len(backgrounds)], rng), rng)
        truth = truth_from_labels(labels)
        read_truth, read_image = partial(unchanged, truth), partial(unchanged, pixels)
        samples.append(Sample(name, f"{number:03}", None, read_truth, read_image, f"{name} {number}"))
    return HardCase(name, tuple(samples))


def cracks(background: NDArray[np.uint8], rng: np.random.Generator) -> Drawing:
    """Draw one to three dark, branching, jagged cracks, 2 to 5 px wide, which do not touch each other."""
    image, labels = background.astype(np.float32), np.zeros((SIDE, SIDE), np.int32)
    for label in range(1, int(rng.integers(1, 4)) + 1):
        lines = _branching(rng.uniform(0.1, 0.9, 2) * SIDE, rng.uniform(0, 2 * np.pi), rng.uniform(2, 5), rng)
        coverage = _stroke(lines)
        if not (ndimage.binary_dilation(coverage > 0, iterations=4) & (labels > 0)).any():
            depth = rng.uniform(0.35, 0.75) * _speckle(rng, 0.12)
            image *= 1 - np.clip(coverage * depth, 0, 1)[:, :, None]
            labels[coverage >= 0.5] = label
    return _finished(image, labels)


def roads(background: NDArray[np.uint8], rng: np.random.Generator) -> Drawing:
    """Draw a network of one to three smooth roads, 4 to 12 px wide; roads that cross are one object."""
    image, coverage = background.astype(np.float32), np.zeros((SIDE, SIDE), np.float32)
    colour = rng.uniform(70, 210) + rng.normal(0, 6, 3)
    width = rng.uniform(4, 12)
    for _ in range(int(rng.integers(1, 4))):
        road = _stroke([(_curve(rng), width * rng.uniform(0.8, 1.2))])
        coverage = np.maximum(coverage, road)
    shade = _speckle(rng, 0.05)[:, :, None]
    image += coverage[:, :, None] * (colour * shade - image)
    labels, _ = ndimage.label(coverage >= 0.5, np.ones((3, 3)))
    return _finished(image, labels)


def membranes(background: NDArray[np.uint8], rng: np.random.Generator) -> Drawing:
    """Draw cells as an electron microscope sees them; the objects are their dark membranes, rings 2 to 5 px wide."""
    width, gap = rng.uniform(2, 5), rng.uniform(2, 6)
    cells, inside = _mosaic(int(rng.integers(8, 24)), rng)
    kept = rng.random(int(cells.max()) + 1) < 0.8
    kept[np.unique(np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]]))] = False  # rings are closed
    ring = kept[cells] & (inside > gap) & (inside <= gap + width)
    core = kept[cells] & (inside > gap + width)
    texture = (background.mean(2) - background.mean()) * rng.uniform(0.1, 0.25)
    levels = rng.uniform([140, 90, 40], [200, 130, 80])  # cytoplasm, outside, membrane
    grey = np.where(core, levels[0], np.where(ring, levels[2], levels[1])) + texture
    grey = ndimage.gaussian_filter(grey, 0.7) + rng.normal(0, rng.uniform(4, 14), grey.shape)
    return _finished(np.repeat(grey[:, :, None], 3, 2), np.where(ring, cells, 0))


def even_areas(background: NDArray[np.uint8], rng: np.random.Generator) -> Drawing:
    """Draw 4 to 12 areas that fill the image and differ little: even colours, a slow gradient, noise."""
    areas, _ = _mosaic(int(rng.integers(4, 13)), rng)
    base, step = rng.uniform(90, 170), rng.uniform(6, 16)
    count = int(areas.max())
    colours = base + step * rng.permutation(np.arange(count + 1) - count / 2)[:, None] * rng.uniform(0.4, 1, 3)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    gradient = rng.normal(0, 12) * y + rng.normal(0, 12) * x
    image = colours[areas] + (gradient + rng.normal(0, rng.uniform(1, 6), areas.shape))[:, :, None]
    return _finished(image, areas)


def _background(photograph: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random square (SIDE, SIDE, 3) of a photograph, enlarged if it is smaller, and softened."""
    h, w = photograph.shape[:2]
    side = int(min(h, w, SIDE))
    top, left = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
    square = Image.fromarray(photograph[top : top + side, left : left + side])
    soft = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    softened = ndimage.gaussian_filter(soft, (1, 1, 0))
    level = softened.mean()
    return np.clip(level + rng.uniform(0.4, 0.8) * (softened - level), 0, 255).astype(np.uint8)


def _branching(
    start: NDArray[np.float64], angle: float, width: float, rng: np.random.Generator
) -> list[tuple[NDArray[np.float64], float]]:
    """Return jagged lines (K, 2) with their widths: a trunk of about half the image, and thinner branches."""
    lines = []
    steps = int(rng.integers(25, 50))
    turns = angle + np.cumsum(rng.normal(0, 0.2, steps)) + rng.normal(0, 0.45, steps)
    lengths = rng.uniform(4, 12, steps)
    trunk = start + np.cumsum(np.stack([np.sin(turns), np.cos(turns)], 1) * lengths[:, None], 0)
    lines.append((trunk, width))
    if width > 2.5:
        for at in rng.integers(5, steps, int(rng.integers(1, 4))):
            side = turns[at] + rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
            lines += _branching(trunk[at], side, 2.0, rng)[:1]
    return lines


def _curve(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a smooth curve (K, 2) from one side of the image to another."""
    knots = np.linspace(-0.1, 1.1, 5)
    across = rng.uniform(0.15, 0.85) + np.cumsum(rng.normal(0, 0.12, 5))
    t = np.linspace(-0.1, 1.1, 120)
    curve = np.stack([t, CubicSpline(knots, across)(t)], 1) * SIDE
    return curve[:, ::-1] if rng.random() < 0.5 else curve


def _stroke(lines: Sequence[tuple[NDArray[np.float64], float]]) -> NDArray[np.float32]:
    """Return the share (SIDE, SIDE) of each pixel that lines of (K, 2) points (y, x) and a width in px cover."""
    large = Image.new("L", (SIDE * _OVERSAMPLING, SIDE * _OVERSAMPLING))
    draw = ImageDraw.Draw(large)
    for points, width in lines:
        xy = [(float(x), float(y)) for y, x in points * _OVERSAMPLING]
        draw.line(xy, fill=255, width=max(1, round(width * _OVERSAMPLING)), joint="curve")
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


def _mosaic(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return areas (SIDE, SIDE), from 1, that fill the image with wavy outlines, and each pixel's distance to them."""
    seeds = rng.uniform(0, SIDE, (count, 2))
    waves = np.stack([ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 20) for _ in range(2)])
    yx = np.mgrid[:SIDE, :SIDE] + waves / np.abs(waves).max() * SIDE / 40
    distances = np.linalg.norm(yx[None] - seeds[:, :, None, None], axis=1)
    nearest = distances.argmin(0)
    border = (nearest != ndimage.minimum_filter(nearest, 3)) | (nearest != ndimage.maximum_filter(nearest, 3))
    depth = np.asarray(ndimage.distance_transform_edt(~border), np.float64)
    return (nearest + 1).astype(np.int32), depth


def _speckle(rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Return a factor (SIDE, SIDE) around 1 that varies over a few pixels."""
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2)
    return (1 + strength * noise / noise.std()).astype(np.float32)


def _finished(image: NDArray[np.floating], labels: NDArray[np.integer]) -> Drawing:
    """Return pixels of 8 bits, and labels without objects that are too small to be clicked."""
    sizes = np.bincount(labels.ravel())
    large = sizes >= MIN_AREA_PX
    large[0] = False
    return np.clip(image, 0, 255).astype(np.uint8), np.where(large[labels], labels, 0).astype(np.int32)
