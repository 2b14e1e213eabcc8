"""Synthetic images of thin structures: cells with long branching arms, cracks, and roads.

The structures are networks of curves of varying width. Their appearance is random: of microscopy, of walls and aerial
images, or of arbitrary surfaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from src_models.training.synthetic.parts import blob, camera, cloud, lit, log_uniform, mosaic, smooth_noise, tidy, tint
from src_models.training.synthetic.surfaces import cast_shadow, surface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MOST_CURVES = 40  # of one network


class _Curve(NamedTuple):
    """Random walk from a point, with its width along the way."""

    start: tuple[float, float]  # (y, x)
    angle: float  # radians
    length: float  # pixels
    width: tuple[float, float]  # pixels, at the start and at the end
    bend: float  # standard deviation of the change of direction at each step, radians


def _points(curve: _Curve, step: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the points (n, 2) of a curve."""
    n = max(2, int(curve.length / step))
    angles = curve.angle + np.cumsum(rng.normal(0, curve.bend, n))
    steps = np.stack([np.sin(angles), np.cos(angles)], 1) * step
    return np.concatenate([[curve.start], np.asarray(curve.start) + np.cumsum(steps, 0)])


def _draw(draw: ImageDraw.ImageDraw, points: NDArray[np.float64], widths: NDArray[np.float64], label: int) -> None:
    """Draw a curve of the given width at each point, with round joints."""
    for (y0, x0), (y1, x1), width in zip(points[:-1], points[1:], widths[:-1], strict=True):
        draw.line([(x0, y0), (x1, y1)], fill=label, width=max(1, round(width)))
        if width > 2:
            r = width / 2
            draw.ellipse([x1 - r, y1 - r, x1 + r, y1 + r], fill=label)


def _draw_network(
    draw: ImageDraw.ImageDraw, first: Sequence[_Curve], fork: float, rough: float, label: int, rng: np.random.Generator
) -> None:
    """Draw curves and their branches; `fork` is the expected number of branches of a curve, `rough` of the width."""
    waiting, drawn = list(first), 0
    while waiting and drawn < _MOST_CURVES:
        curve = waiting.pop(0)
        drawn += 1
        points = _points(curve, max(2.0, curve.length / 30), rng)
        widths = np.linspace(*curve.width, len(points)) * np.exp(rng.normal(0, rough, len(points)))
        _draw(draw, points, widths, label)
        for _ in range(int(rng.poisson(fork))):
            at = int(rng.integers(len(points) // 4, len(points)))
            heading = np.arctan2(*(points[min(at + 1, len(points) - 1)] - points[max(at - 1, 0)]))
            side = float(rng.choice([-1, 1]) * rng.uniform(0.4, 1.3))
            width = float(np.linspace(*curve.width, len(points))[at]) * rng.uniform(0.5, 0.9)
            length = curve.length * rng.uniform(0.3, 0.7)
            if length > 6:
                waiting.append(
                    _Curve(
                        (float(points[at][0]), float(points[at][1])),
                        float(heading) + side,
                        length,
                        (width, max(1.0, width * 0.6)),
                        curve.bend,
                    )
                )


def _star_cells(side: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Draw labels of cells with a body and long arms; later cells lie on top."""
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    size = log_uniform(rng, side / 16, side / 2.5)
    most_arms, fork = int(rng.integers(2, 7)), rng.choice([0.0, 0.3, 1.0])
    thick, bend = rng.uniform(0.05, 0.22), rng.uniform(0.02, 0.3)
    count = int(np.clip(rng.uniform(0.1, 0.6) * (side / (1.6 * size)) ** 2, 1, 24))
    for label in range(1, count + 1):
        centre = rng.uniform(0, side, 2)
        radius = size * rng.uniform(0.12, 0.4)
        around = np.linspace(0, 2 * np.pi, 256, endpoint=False)
        body = blob(rng, 0.25, rng.uniform(1, 2.5)) * np.float32(radius)
        outline = centre + np.stack([np.sin(around), np.cos(around)], 1) * body[:, None]
        draw.polygon([(float(x), float(y)) for y, x in outline], fill=label)
        width = float(np.clip(2 * thick * size, 2.0, 0.9 * radius + 1.5))
        turn = rng.uniform(0, 2 * np.pi)
        arms = int(rng.integers(1, most_arms + 1))
        first = [
            _Curve(
                (float(centre[0]), float(centre[1])),
                turn + (k + rng.uniform(-0.3, 0.3)) * 2 * np.pi / arms,
                size * rng.uniform(0.5, 1.6),
                (width, max(1.2, 0.4 * width)),
                bend,
            )
            for k in range(arms)
        ]
        _draw_network(draw, first, fork, 0.1, label, rng)
    return np.asarray(canvas, dtype=np.int32)


def thin_cells(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of thin and branching cells: phase contrast, fluorescence, or any surfaces.

    Random: size, number and branching of arms, thickness, halo, granules, contrast, colours, debris.
    """
    labels = tidy(_star_cells(side, rng))
    inside = labels > 0
    kind = rng.random()
    if kind < 0.25:
        image = surface(side, textures, rng, photo=0)
        image = np.where(inside[..., None], _each_tone(labels, rng)[..., None] * surface(side, textures, rng), image)
        return camera(lit(image, rng, 0.2), rng, 1.2, 0.08, 0.2), labels
    tone = _each_tone(labels, rng) * inside
    grain = cloud(side, log_uniform(rng, 1.5, side / 20), rng, 0.8)
    tone = tone * (1 + np.float32(rng.uniform(0, 0.5)) * grain)
    soft = ndimage.gaussian_filter(tone, rng.uniform(0.3, 1.2))
    if kind < 0.65:  # phase contrast: dark or bright bodies with a halo
        wide = ndimage.gaussian_filter(inside.astype(np.float32), rng.uniform(1.5, 5))
        halo = np.float32(rng.uniform(0.3, 1.4)) * wide * ~inside
        sign = np.float32(rng.choice([-1, -1, 1]) * rng.uniform(0.08, 0.3))
        rim = inside & ~ndimage.binary_erosion(inside)
        scene = np.float32(rng.uniform(0.3, 0.65)) + sign * (soft - halo) + np.float32(rng.normal(0, 0.1)) * rim
        scene = scene + np.float32(0.03 * rng.random()) * cloud(side, side / 6, rng)
        return camera(lit(scene, rng, 0.15), rng, 1.0, 0.08), labels
    glow = soft + np.float32(rng.uniform(0, 0.25)) * ndimage.gaussian_filter(soft, side / 25)
    scene = glow * np.float32(rng.uniform(0.25, 1.0)) + np.float32(0.15 * rng.random())
    if rng.random() < 0.2:
        scene = np.float32(0.95) - scene * np.float32(0.8)
    return camera(lit(scene, rng)[..., None] * tint(rng, 0.6), rng, 1.3, 0.1), labels


def _each_tone(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a brightness around 1 for each object; return that of every pixel."""
    level = np.exp(rng.normal(0, rng.uniform(0.05, 0.3), int(labels.max()) + 1)).astype(np.float32)
    out: NDArray[np.float32] = level[labels]
    return out


def cracks(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of cracks, scratches or veins in a surface; each connected network is an object.

    Random: number, branching, width and roughness, darker or brighter, stains and lines that are not labelled.
    """
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    fork, bend, rough = rng.uniform(0, 1.6), rng.uniform(0.05, 0.5), rng.uniform(0.1, 0.5)
    width = log_uniform(rng, max(2.0, side / 130), side / 22)
    for _ in range(int(rng.integers(1, 5))):
        start = rng.uniform(0, side, 2)
        ends = (width * rng.uniform(0.6, 1.4), max(1.5, width * rng.uniform(0.3, 1.0)))
        turn = float(rng.uniform(0, 2 * np.pi))
        length = side * rng.uniform(0.3, 0.9)
        both = [_Curve((start[0], start[1]), turn + k * np.pi, length, ends, bend) for k in (0, 1)]
        _draw_network(draw, both, fork, rough, 1, rng)
    labels = tidy(ndimage.label(np.asarray(canvas) > 0, np.ones((3, 3)))[0].astype(np.int32), 40)
    image = surface(side, textures, rng, 0.4).copy()
    image *= 1 + np.float32(rng.uniform(0, 0.15)) * cloud(side, side / 5, rng, 0.8)[..., None]
    alpha = np.clip(ndimage.gaussian_filter((labels > 0).astype(np.float32), rng.uniform(0.3, 0.9)) * 1.2, 0, 1)
    level = rng.uniform(0, 1, 3).astype(np.float32) if rng.random() < 0.3 else np.full(3, rng.random(), np.float32)
    floor = level + np.float32(rng.uniform(0, 0.1)) * smooth_noise(side, 3, rng)[..., None]
    contrast = np.abs(image - floor).mean()
    if contrast < 0.15:  # too much alike to be seen
        floor = floor + np.float32(0.3 if image.mean() < 0.5 else -0.3)
    if rng.random() < 0.4:  # lit from one side
        cast_shadow(image, labels > 0, (1, 1), 1, float(rng.uniform(-0.3, 0.5)))
    image = image + alpha[..., None] * np.float32(rng.uniform(0.6, 1.0)) * (floor - image)
    return camera(lit(image, rng, 0.3), rng, 1.2, 0.06, 0.3), labels


def roads(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of roads, rivers or vessels; each connected network, or each road, is an object.

    Random: layout (blocks, or curves that cross), width, markings, surfaces of road and ground, trees over it.
    """
    if rng.random() < 0.4:
        cells, gap = mosaic(side, side / rng.uniform(1.3, 5), rng, rng.uniform(0.05, 0.4), rng.uniform(0, 0.08))
        half = rng.uniform(max(1.5, side / 120), side / 30)
        open_cells = rng.random(int(cells.max()) + 1) < rng.choice([0.0, 0.3])
        labels = np.where((gap < half) & ~open_cells[cells], 1, 0).astype(np.int32)
    else:
        canvas = Image.new("I", (side, side))
        draw = ImageDraw.Draw(canvas)
        apart = rng.random() < 0.4
        width = log_uniform(rng, max(3.0, side / 80), side / 8)
        bend = rng.choice([0.01, 0.06, 0.15])
        for label in range(1, int(rng.integers(2, 7))):
            turn = float(rng.uniform(0, 2 * np.pi))
            middle = rng.uniform(0.1, 0.9, 2) * side
            start = middle - 1.2 * side * np.array([np.sin(turn), np.cos(turn)])
            this = width * rng.uniform(0.6, 1.2)
            curve = _Curve((start[0], start[1]), turn, 2.4 * side, (this, this), bend * 0.5)
            points = _points(curve, side / 40, rng)
            _draw(draw, points, np.full(len(points), this), label if apart else 1)
        labels = np.asarray(canvas, dtype=np.int32)
    image, ground = surface(side, textures, rng, 0.2), surface(side, textures, rng, 0.6)
    if np.abs(image.mean((0, 1)) - ground.mean((0, 1))).mean() < 0.1:
        image = image + np.float32(0.25 if ground.mean() < 0.5 else -0.25)
    out = np.where((labels > 0)[..., None], image, ground)
    if rng.random() < 0.4:  # kerbs
        edge = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
        out[edge] += np.float32(rng.normal(0, 0.3))
    for _ in range(int(rng.choice([0, 0, 8, 20]))):  # trees hide parts
        y, x = rng.uniform(0, side, 2)
        away = np.hypot(np.arange(side)[:, None] - y, np.arange(side) - x)
        tree = away < rng.uniform(0.01, 0.05) * side
        out[tree] = np.array([0.15, 0.25, 0.12], np.float32) * np.float32(rng.uniform(0.6, 1.8))
        labels = np.where(tree, 0, labels)
    parts = ndimage.label(labels > 0)[0] if labels.max() <= 1 else labels
    return camera(lit(out, rng, 0.2), rng, 1.3, 0.06, 0.3), tidy(parts.astype(np.int32), 40)
