"""Synthetic images of leaves: overlapping, veined, lobed or toothed, above soil and litter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from src_models.training.synthetic.parts import (
    ANGLES,
    Stamp,
    camera,
    cloud,
    lit,
    log_uniform,
    scatter,
    smooth_noise,
    stamp,
    tidy,
)
from src_models.training.synthetic.surfaces import cast_shadow, surface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_THETA = np.arange(ANGLES) * (2 * np.pi / ANGLES)
_GREENS = np.array([[0.25, 0.45, 0.15], [0.35, 0.55, 0.25], [0.15, 0.30, 0.12], [0.5, 0.6, 0.2], [0.6, 0.4, 0.15]])


def _outline(kind: int, slim: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the radii of a leaf that points to angle 0: 0 lance, 1 lobed like maple, 2 round like clover."""
    if kind == 1:
        lobes = int(rng.choice([3, 5, 7]))
        wave = np.abs(np.cos(_THETA * lobes / 2)) ** rng.uniform(0.5, 2)
        radii = 0.35 + 0.65 * wave * (0.7 + 0.3 * np.cos(_THETA))
    elif kind == 2:
        radii = 0.9 + rng.uniform(0.0, 0.12) * np.cos(_THETA * int(rng.integers(2, 4)))
    else:  # two arcs that meet in a tip at both ends
        reach = np.abs(np.cos(_THETA))
        radii = slim / np.sqrt(slim**2 * reach**2 + (1 - reach**2) + 1e-6)
        radii = radii * (1 + 0.15 * np.cos(_THETA) ** 9)
    if rng.random() < 0.4:  # teeth
        radii = radii * (1 + rng.uniform(0.01, 0.05) * np.sign(np.sin(_THETA * int(rng.integers(16, 40)))))
    out: NDArray[np.float32] = np.clip(radii * np.exp(rng.normal(0, 0.03, ANGLES // 8).repeat(8)), 0.1, 1.4).astype(
        np.float32
    )
    return out


def _veins(mark: Stamp, heading: float, pairs: int) -> NDArray[np.float32]:
    """Return the midrib and the side veins of a leaf, (h, w) in [0, 1]."""
    s, c = np.float32(np.sin(heading)), np.float32(np.cos(heading))
    along, across = mark.dy * s + mark.dx * c, np.abs(mark.dy * c - mark.dx * s)
    size = max(float(mark.depth.max()), 2.0)
    midrib = np.exp(-np.square(across / np.float32(max(0.8, size * 0.06))))
    wave = np.cos((along - across * np.float32(0.8)) * np.float32(np.pi * pairs / 2 / size))
    out: NDArray[np.float32] = np.maximum(midrib, np.clip(wave * 6 - 5, 0, 1)).astype(np.float32)
    return out


def leaves(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of leaves; later leaves lie on top.

    Random: form, size, overlap, rosettes, colour of each, veins, gloss, shadows, ground, grass without label.
    """
    image = surface(side, textures, rng, 0.6).copy()
    labels = np.zeros((side, side), np.int32)
    size = log_uniform(rng, side / 22, side / 3)
    count = int(np.clip(rng.uniform(0.2, 1.2) * (side / (2 * size)) ** 2, 1, 45))
    kind, slim = int(rng.choice([0, 0, 1, 2])), rng.uniform(0.2, 0.6)
    colours = _GREENS[rng.choice(len(_GREENS), 2)] if rng.random() < 0.7 else rng.random((2, 3))
    rosette, apart, strength = rng.random() < 0.4, rng.uniform(0.3, 1.6), float(rng.choice([0.0, 0.3, 0.6]))
    light, pairs = rng.uniform(0, 2 * np.pi), int(rng.integers(3, 9))
    veins, gloss = np.float32(rng.normal(0, 0.3)), np.float32(rng.uniform(0, 0.4))
    skin = cloud(side, log_uniform(rng, 2, side / 8), rng, 0.8) * np.float32(rng.uniform(0, 0.1))
    shift = tuple(round(float(f(light)) * size * rng.uniform(0.05, 0.25)) for f in (np.sin, np.cos))
    for label, centre in enumerate(scatter(side, count, size * apart, rng), 1):
        heading = float(rng.uniform(0, 2 * np.pi))
        if rosette:  # leaves of one plant point away from its middle
            middle = np.round(centre / (4 * size)) * 4 * size
            heading = float(np.arctan2(centre[0] - middle[0], centre[1] - middle[1])) + rng.normal(0, 0.3)
        radii = np.roll(_outline(kind, slim, rng), round(heading * ANGLES / (2 * np.pi)))
        mark = stamp(side, centre, radii * np.float32(size * np.exp(rng.normal(0, 0.25))))
        if mark is None or not mark.inside.any():
            continue
        if strength:
            shape = np.zeros((side, side), bool)
            shape[mark.box] = mark.inside
            cast_shadow(image, shape, (shift[0], shift[1]), 2, strength)
        mix = rng.random()
        colour = (colours[0] * mix + colours[1] * (1 - mix) + rng.normal(0, 0.05, 3)).astype(np.float32)
        half = np.sign(mark.dy * np.float32(np.cos(heading)) - mark.dx * np.float32(np.sin(heading)))
        tone = 1 + veins * _veins(mark, heading, pairs) + np.float32(0.3) * gloss * half + skin[mark.box]
        tone = tone + gloss * np.clip(1 - mark.share, 0, 1) * np.float32(0.5)
        under = image[mark.box]
        under += mark.alpha(1.2)[..., None] * (colour * tone[..., None] - under)
        labels[mark.box][mark.inside] = label
    grass = int(rng.choice([0, 0, 10, 30]))
    _add_blades(image, labels, grass, rng)
    image *= 1 + np.float32(rng.uniform(0, 0.05)) * smooth_noise(side, 2, rng)[..., None]
    return camera(lit(image, rng, 0.25), rng, 1.2, 0.05, 0.3), tidy(labels, 30)


def _add_blades(image: NDArray[np.float32], labels: NDArray[np.int32], count: int, rng: np.random.Generator) -> None:
    """Draw straight blades of grass over image and labels; they are not objects."""
    side = len(labels)
    line = np.arange(side, dtype=np.float32)
    for _ in range(count):
        y, x = rng.uniform(0, side, 2)
        angle, half, length = rng.uniform(0, np.pi), rng.uniform(0.5, 1.6), rng.uniform(0.05, 0.25) * side
        s, c = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        dy, dx = (line - np.float32(y))[:, None], line - np.float32(x)
        on = (np.abs(dy * c - dx * s) < half) & (np.abs(dy * s + dx * c) < length)
        image[on] = np.array([0.35, 0.5, 0.2], np.float32) * np.float32(rng.uniform(0.4, 1.5))
        labels[on] = 0
