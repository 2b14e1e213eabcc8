"""Synthetic electron microscopy of particles on a support and of myelinated axons."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src_models.training.synthetic.parts import (
    ANGLES,
    blob,
    camera,
    cloud,
    facetted,
    lit,
    log_uniform,
    mosaic,
    scatter,
    smooth_noise,
    stamp,
    streaks,
    superellipse,
    tidy,
    tint,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from src_models.training.synthetic.parts import Stamp


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _caption(image: NDArray[np.float32], labels: NDArray[np.int32], rng: np.random.Generator) -> None:
    """Draw a scale bar with text, or a panel letter, over image and labels; it is not an object."""
    side = len(image)
    size = int(rng.integers(9, 12 + side // 16))
    text = str(rng.choice(["a", "B", "c)", "50 nm", "200 nm", "1 um", "20.0kV x5,000", "10"]))
    length, up, dark = int(rng.uniform(0.1, 0.35) * side), rng.random() < 0.25, rng.random() < 0.3
    paper = Image.new("L", (side // 2 + length, 2 * size + 2))
    draw = ImageDraw.Draw(paper)
    draw.text((2, 0), text, fill=255, font=_font(size))
    draw.rectangle((2, int(1.5 * size), 2 + length, int(1.5 * size) + max(1, size // 6)), fill=255)
    ink = np.asarray(paper, dtype=np.float32)[:, : int(rng.uniform(0.3, 0.6) * side)] / 255
    ink = ink[:, : np.flatnonzero(ink.any(0)).max() + 3]
    h, w = (min(n, side) for n in ink.shape)
    y = int(rng.integers(0, max(1, side // 10))) if up else max(0, side - h - int(rng.integers(0, max(1, side // 12))))
    x = int(rng.integers(0, side - w + 1))
    box = (slice(y, min(side, y + h)), slice(x, x + w))
    ink = ink[: box[0].stop - y, :w]
    if rng.random() < 0.3:  # on a plate
        image[box] = 1.0 if dark else 0.0
        labels[box] = 0
    image[box] += ink * ((0.0 if dark else 1.0) - image[box])
    labels[box][ink > 0.5] = 0


def _support(side: int, size: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the background, (side, side): flat, stained, grainy, brushed, or a carbon film with holes."""
    out = np.full((side, side), rng.uniform(0.05, 0.95), np.float32)
    out += np.float32(rng.uniform(0, 0.08)) * cloud(side, side / 3, rng)
    kind = rng.random()
    if kind < 0.35:
        out += np.float32(rng.uniform(0.02, 0.1)) * smooth_noise(side, log_uniform(rng, 1.2, max(2, size)), rng)
    elif kind < 0.5:
        out += np.float32(rng.uniform(0.02, 0.1)) * streaks(side, rng.uniform(2, 8), rng)
    elif kind < 0.65:
        edges = smooth_noise(side, side / rng.uniform(1.5, 4), rng)
        out += np.float32(rng.normal(0, 0.2)) * np.clip(edges * np.float32(side / 20), -1, 1)
    return out


def _shade(mark: Stamp, kind: str, tones: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the relief of a particle, about zero mean: a dome, a lit sphere, facets or a flat disc."""
    share: NDArray[np.float32] = np.clip(mark.share, 0, 1)
    if kind == "flat":
        return np.zeros_like(share)
    if kind == "facet":
        top = share < rng.uniform(0, 0.8)
        return np.where(top, np.float32(rng.normal(0, 0.25)), tones[mark.turn] * np.float32(0.6)).astype(np.float32)
    height: NDArray[np.float32] = np.sqrt(1 - share * share)
    if kind == "dome":
        return height - np.float32(0.6)
    lean: NDArray[np.float32] = tones[mark.turn] * share  # the table holds the cosine to the lamp
    return np.float32(0.6) * height + np.float32(0.6) * lean - np.float32(0.4)


def particles(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of particles in SEM or TEM, or of cross-sections of axons.

    Random: form (spheres, rods, plates, crystals, lumps), size, mix and overlap, relief and direction of light, rims,
    surface grain, polarity, support, captions. Axons: see `_axons`.
    """
    if rng.random() < 0.3:
        return _axons(side, rng)
    size = log_uniform(rng, side / 48, side / 4.2)
    count = int(np.clip(rng.uniform(0.08, 1.1) * (side / (2 * size)) ** 2, 1, 80))
    image, labels = _support(side, size, rng), np.zeros((side, side), np.int32)
    form = rng.choice(["ellipse", "rod", "crystal", "lump"], p=[0.4, 0.2, 0.25, 0.15])
    kind = (
        str(rng.choice(["flat", "dome", "lit"])) if form != "crystal" else str(rng.choice(["flat", "facet", "facet"]))
    )
    back = float(image.mean())
    toward = 1 if rng.random() > back else -1  # towards the larger part of the range
    level = (back + toward * rng.uniform(0.12, 0.55)) if kind == "flat" else rng.uniform(0.15, 0.85)
    relief, rim, spread = rng.choice([-1, 1, 1]) * rng.uniform(0.1, 0.6), rng.normal(0, 0.25), rng.uniform(0, 0.1)
    narrow, vary, stretch = rng.uniform(0.4, 2.5), rng.uniform(0.02, 0.5), rng.uniform(1, 5 if form == "rod" else 1.8)
    lamp = np.cos(np.arange(ANGLES) * (2 * np.pi / ANGLES) - rng.uniform(0, 6.3)).astype(np.float32)
    skin = cloud(side, max(1.5, size * rng.uniform(0.1, 0.6)), rng, 0.8) * np.float32(0.12 * rng.random() ** 2)
    apart = size * rng.choice([0.5, 1.0, 2.1])
    through = kind == "flat" and rng.random() < 0.3  # overlaps are visible; they belong to the upper object
    for label, centre in enumerate(scatter(side, count, apart, rng), 1):
        radius, tones = size * float(np.exp(rng.normal(0, vary))), lamp
        if form == "crystal":
            radii, tones = facetted(rng, int(rng.integers(3, 8)))
        elif form == "lump":
            radii = blob(rng, 0.4, rng.uniform(1, stretch))
        else:
            power = 2.0 if form == "ellipse" else rng.uniform(2.5, 10)
            radii = superellipse(rng, rng.uniform(1, stretch), power)
        mark = stamp(side, centre, radii * np.float32(min(radius, side / 3)), 2)
        if mark is None:
            continue
        value = np.float32(level + rng.normal(0, spread)) + np.float32(relief) * _shade(mark, kind, tones, rng)
        value += np.float32(rim) * np.exp(-np.abs(mark.depth) * np.float32(1 / narrow)) + skin[mark.box]
        under = image[mark.box]
        if through:
            value = under + (value - back) * np.float32(0.7)
        under += mark.alpha(1.2) * (value - under)
        labels[mark.box][mark.inside] = label
    low, high = np.percentile(image[::2, ::2], [0.5, 99.5]).astype(np.float32)
    low, high = np.minimum(low, 0), np.maximum(high, 1)
    image = lit((image - low) / (high - low), rng, 0.2)  # overlapping objects must not all be clipped to white
    if rng.random() < 0.4:
        _caption(image, labels, rng)
    coloured = image if rng.random() < 0.9 else image[..., None] * tint(rng, 1.0) ** np.float32(0.5)
    return camera(coloured, rng, 1.2, 0.11, 0.25), tidy(labels)


def _axons(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of myelinated axons: thick rings, packed or among small bare fibres; masks are their inside."""
    size = log_uniform(rng, side / 36, side / 6)
    polarity = rng.random() < 0.7  # dark myelin
    myelin, axon, back = rng.uniform(0.0, 0.25), rng.uniform(0.55, 0.95), rng.uniform(0.3, 0.9)
    if rng.random() < 0.5 and not polarity:
        back = rng.uniform(0.6, 0.95)
    image = np.full((side, side), back, np.float32)
    if rng.random() < 0.7:  # bare fibres: membranes only, not labelled
        ids, gap = mosaic(side, max(6.0, size * rng.uniform(0.5, 1.2)), rng, 0.35, 0.15)
        image = image + rng.normal(0, 0.06, int(ids.max()) + 1).astype(np.float32)[ids]
        image -= np.float32(rng.uniform(0.1, 0.5)) * np.exp(-np.square(gap / np.float32(rng.uniform(0.8, 2.0))))
    labels = np.zeros((side, side), np.int32)
    taken = np.zeros((side, side), bool)
    sheath, rough, stretch = rng.uniform(0.12, 0.45), rng.uniform(0.05, 0.4), rng.uniform(1, 1.8)
    count = int(np.clip(rng.uniform(0.3, 1.0) * (side / (2 * size)) ** 2, 2, 80))
    grain = cloud(side, max(1.5, size / 4), rng, 0.9) * np.float32(rng.uniform(0, 0.12))
    for label, centre in enumerate(scatter(side, count, size * rng.uniform(1.0, 1.8), rng), 1):
        radius = min(size * float(np.exp(rng.normal(0, 0.4))), side / 4)
        mark = stamp(side, centre, blob(rng, rough, rng.uniform(1, stretch)) * np.float32(radius), 2)
        if mark is None or np.count_nonzero(taken[mark.box][mark.inside]) > 0.2 * np.count_nonzero(mark.inside):
            continue
        wall = max(1.5, radius * sheath * rng.uniform(0.6, 1.4))
        under = image[mark.box]
        under += mark.alpha(1.5) * (np.float32(myelin) + grain[mark.box] * np.float32(0.4) - under)
        hole = mark.depth - np.float32(wall)
        value = np.float32(axon + rng.normal(0, 0.06)) + grain[mark.box]
        for _ in range(int(rng.integers(0, 3))):  # mitochondria
            y, x = rng.normal(0, 0.3 * radius, 2)
            value = value - np.float32(rng.uniform(0.1, 0.5)) * np.minimum(2 * mark.spot(y, x, 0.09 * radius), 1)
        under += np.clip(hole * np.float32(0.8) + np.float32(0.5), 0, 1) * (value - under)
        taken[mark.box][mark.inside] = True
        labels[mark.box][mark.inside] = 0
        labels[mark.box][hole > 0] = label
    if not polarity:
        image = np.float32(rng.uniform(0.8, 1.05)) - image
    return camera(lit(image, rng, 0.2), rng, 1.3, 0.12, 0.2), tidy(labels)
