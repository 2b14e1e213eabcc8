"""Synthetic aerial images: parcels of farmland, and roofs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from src_models.training.synthetic.parts import (
    blob,
    camera,
    cloud,
    lit,
    log_uniform,
    mosaic,
    smooth_noise,
    stamp,
    tidy,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SOILS = np.array(
    [[0.28, 0.42, 0.22], [0.38, 0.50, 0.26], [0.20, 0.30, 0.16], [0.58, 0.50, 0.36], [0.66, 0.60, 0.44],
     [0.47, 0.36, 0.26], [0.72, 0.68, 0.42], [0.36, 0.40, 0.30], [0.50, 0.52, 0.50]], np.float32,
)  # fmt: skip
_ROOFS = np.array(
    [[0.72, 0.36, 0.26], [0.62, 0.24, 0.28], [0.42, 0.40, 0.40], [0.28, 0.28, 0.30], [0.92, 0.92, 0.92],
     [0.75, 0.74, 0.70], [0.45, 0.33, 0.26], [0.40, 0.48, 0.58], [0.80, 0.62, 0.42]], np.float32,
)  # fmt: skip


def _soils(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw ground colours (count, 3): of farmland, or arbitrary."""
    if rng.random() < 0.1:
        return rng.random((count, 3), dtype=np.float32)
    kinds = rng.choice(len(_SOILS), int(rng.integers(1, 6)))
    spread = rng.uniform(0.02, 0.08)
    shift = rng.normal(0, spread, (count, 1)) + rng.normal(0, 0.02, (count, 3))
    out: NDArray[np.float32] = (_SOILS[rng.choice(kinds, count)] + shift).astype(np.float32)
    return out


def _halves(
    corners: NDArray[np.float64], point: NDArray[np.float64], normal: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Cut a convex polygon by the line through `point`; return the parts that have an area."""
    side = (corners - point) @ normal
    parts = []
    for sign in (1, -1):
        kept = []
        for i in range(len(corners)):
            j = (i + 1) % len(corners)
            if sign * side[i] >= 0:
                kept.append(corners[i])
            if side[i] * side[j] < 0:
                kept.append(corners[i] + (corners[j] - corners[i]) * side[i] / (side[i] - side[j]))
        if len(kept) > 2:
            parts.append(np.array(kept))
    return parts


def _parcels(side: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], float]:
    """Cut the plane repeatedly by lines of about two directions; return a label image and the direction."""
    angle, skew = rng.uniform(0, np.pi), rng.choice([0.03, 0.25])
    done: list[NDArray[np.float64]] = []
    target = side * side / log_uniform(rng, 3, 60)
    todo = [np.array([[-0.3, -0.3], [-0.3, 1.3], [1.3, 1.3], [1.3, -0.3]]) * side]
    while todo and len(done) < 90:
        cell = todo.pop()
        span = np.ptp(cell @ np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]]).T, axis=0)
        if span.prod() < target * rng.uniform(0.5, 2.5):
            done.append(cell)
            continue
        along = angle + (0 if span[0] > span[1] * rng.uniform(0.5, 2) else np.pi / 2) + rng.normal(0, skew)
        point = cell.mean(0) + rng.uniform(-0.2, 0.2, 2) * span.min()
        todo += _halves(cell, point, np.array([np.sin(along), np.cos(along)]))
    canvas = Image.new("I", (side, side))
    draw = ImageDraw.Draw(canvas)
    for label, cell in enumerate(done, 1):
        draw.polygon([(float(x), float(y)) for y, x in cell], fill=label)
    return np.asarray(canvas, dtype=np.int32), float(angle)


def _bend(labels: NDArray[np.int32], amount: float, scale: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """Displace labels by smooth noise of `amount` pixels, so that straight borders become curves."""
    side = len(labels)
    line = np.arange(side, dtype=np.float32)
    y = line[:, None] + np.float32(amount) * smooth_noise(side, scale, rng)
    x = line[None] + np.float32(amount) * smooth_noise(side, scale, rng)
    return labels[np.clip(y, 0, side - 1).astype(np.int32), np.clip(x, 0, side - 1).astype(np.int32)]


def _borders(labels: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Return the pixels within about `width` / 2 of another label."""
    out = np.zeros(labels.shape, bool)
    low, high = width - width // 2, width // 2
    for axis in (0, 1):
        a = np.moveaxis(labels, axis, 0)
        step = a[width:] != a[:-width]
        np.moveaxis(out, axis, 0)[high : len(a) - low] |= step
    return out


def fields(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an aerial image of farmland.

    Random: parcels (cut by straight lines, curved, or cells), size, pivots, direction of rows and tramlines, colours
    (often similar in neighbours), mottling, hedges, roads and tree belts between, forest, parcels without label.
    """
    if rng.random() < 0.78:
        labels, turn = _parcels(side, rng)
        if rng.random() < 0.4:
            labels = _bend(labels, rng.uniform(0.004, 0.03) * side, side / rng.uniform(2, 5), rng)
    else:
        labels, _ = mosaic(side, side / rng.uniform(1.6, 7), rng, rng.uniform(0.2, 0.4), rng.uniform(0, 0.15))
        turn = rng.uniform(0, np.pi)
    labels = _pivots(labels, rng)
    n = int(labels.max()) + 1
    row = turn + rng.choice([0.0, np.pi / 2], n) + rng.normal(0, rng.choice([0.02, 0.6]), n)
    pitch = np.exp(rng.uniform(np.log(2.2), np.log(max(3.0, side / 14)), n))
    depth = np.where(rng.random(n) < rng.uniform(0.1, 0.8), rng.uniform(0.0, 0.12, n), 0)
    line = np.arange(side, dtype=np.float32)
    ky, kx = (f(row).astype(np.float32) * (2 * np.pi / pitch).astype(np.float32) for f in (np.sin, np.cos))
    rows = np.sin(ky[labels] * line[:, None] + kx[labels] * line)
    rows *= depth.astype(np.float32)[labels]
    mottle = cloud(side, side / rng.uniform(3, 20), rng, 0.7) * rng.uniform(0, 0.07, n).astype(np.float32)[labels]
    grain = smooth_noise(side, rng.uniform(1, 2.5), rng) * rng.uniform(0, 0.06, n).astype(np.float32)[labels]
    image = _soils(n, rng)[labels] * (1 + rows + mottle + grain)[..., None]
    wild = rng.random(n) < rng.choice([0.0, 0.15, 0.4])
    wild[0] = True
    if rng.random() < 0.5:  # forest on some of the wild ground
        woods = np.where(rng.random(n) < 0.7, wild, False)[labels]
        image[woods] = _forest(side, rng)[woods]
    visible = np.where(wild[labels], 0, labels).astype(np.int32)
    between = _borders(labels, int(rng.integers(1, max(2, side // 50))))
    kind = rng.random()
    if kind < 0.75:  # hedge, path or ditch; else the parcels touch
        if rng.random() < 0.3:
            between &= smooth_noise(side, side / 12, rng) > -0.6  # with openings
        visible[between] = 0
        strip = _forest(side, rng) if kind < 0.3 else _soils(1, rng)[0] + grain[..., None]
        image[between] = np.broadcast_to(strip, image.shape)[between]
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        _road(image, visible, turn + rng.choice([0, np.pi / 2, rng.uniform(0, 3)]), rng)
    haze = np.float32(rng.choice([0, 0, 0.25]))
    image = lit(image * (1 - haze) + haze * np.float32(0.7), rng, 0.15) * np.float32(rng.uniform(0.6, 1.25))
    return camera(image, rng, 1.4, 0.04, 0.3), tidy(visible, 30, split=True)


def _pivots(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Add irrigated circles, some of them cut into wedges."""
    if rng.random() > 0.3:
        return labels
    side, n = len(labels), int(labels.max())
    radius = rng.uniform(0.08, 0.3) * side
    labels = labels.copy()
    for _ in range(int(rng.integers(1, 8))):
        mark = stamp(side, rng.uniform(0, side, 2), np.full(256, radius * rng.uniform(0.7, 1), np.float32))
        if mark is not None:
            parts = int(rng.choice([1, 1, 2, 3]))
            ids = n + 1 + mark.turn * parts // 256
            labels[mark.box][mark.inside] = ids[mark.inside]
            n += parts
    return labels


def _forest(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw tree tops, (side, side, 3)."""
    lumps = smooth_noise(side, rng.uniform(2.5, 7), rng) + np.float32(0.6) * smooth_noise(side, 2, rng)
    green = np.array([0.17, 0.25, 0.13], np.float32) * np.float32(rng.uniform(0.6, 1.6))
    out: NDArray[np.float32] = green * (1 + np.float32(0.25) * np.clip(lumps, -2, 2))[..., None]
    return out


def _road(image: NDArray[np.float32], labels: NDArray[np.int32], along: float, rng: np.random.Generator) -> None:
    """Draw a straight or slightly bent road over image and labels; it is not an object."""
    side = len(labels)
    line = np.arange(side, dtype=np.float32) - np.float32(side / 2)
    s, c = np.float32(np.sin(along)), np.float32(np.cos(along))
    v = line[:, None] * s + line * c + np.float32(rng.uniform(-0.5, 0.5) * side)
    if rng.random() < 0.3:
        bow = np.square(line[:, None] * c - line * s) * np.float32(rng.normal(0, 0.5) / side)
        v = v + bow.astype(np.float32)
    v = np.abs(v)
    half = rng.uniform(0.006, 0.03) * side
    on = v < half
    grey = np.float32(rng.uniform(0.3, 0.85)) + rng.normal(0, 0.04, 3).astype(np.float32)
    image[on] = grey
    if rng.random() < 0.3:
        image[v < 0.7] = 0.9
    labels[on] = 0


class _Roof(NamedTuple):
    """Roof of one to three rectangles."""

    box: tuple[slice, slice]
    inside: NDArray[np.bool_]
    tone: NDArray[np.float32]  # brightness of the faces
    depth: NDArray[np.float32]  # distance to the edge


def _roof(side: int, centre: NDArray[np.float64], angle: float, size: float, rng: np.random.Generator) -> _Roof | None:
    """Make a roof at `centre`; None if it lies outside the image."""
    long, short = size, size * rng.uniform(0.4, 1.0)
    reach = 1.5 * size + 2
    low = [max(0, int(c - reach)) for c in centre]
    high = [min(side, int(c + reach) + 1) for c in centre]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    dy, dx = (np.arange(a, b, dtype=np.float32) - np.float32(c) for a, b, c in zip(low, high, centre, strict=True))
    s, c = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    u, v = dy[:, None] * s + dx * c, dy[:, None] * c - dx * s
    depth = np.full(u.shape, -99, np.float32)
    tone = np.zeros(u.shape, np.float32)
    style, steep, ribs = rng.random(), np.float32(rng.uniform(0.03, 0.25)), rng.random() < 0.3
    for part in range(int(rng.choice([1, 1, 2, 3]))):
        a, b = (long, short) if part == 0 else (short * rng.uniform(0.4, 0.9), long * rng.uniform(0.3, 0.8))
        shift = (0.0, 0.0) if part == 0 else (rng.choice([-1, 1]) * (long - a), rng.choice([-1, 1]) * short * 0.6)
        p, q = u - np.float32(shift[0]), v - np.float32(shift[1])
        along, across = np.float32(a) - np.abs(p), np.float32(b) - np.abs(q)
        inner = np.minimum(along, across)
        face = _face(style, (p, q), (along, across), a >= b, rng)
        if ribs:
            face = face + np.float32(0.4) * np.sin((p if a >= b else q) * np.float32(rng.uniform(1.2, 2.2)))
        tone = np.where(inner > np.maximum(depth, 0), face * steep, tone)
        depth = np.maximum(depth, inner)
    if style > 0.7 and rng.random() < 0.6:
        _add_roof_boxes(tone, (u, v), (long, short), rng)
    return _Roof((slice(low[0], high[0]), slice(low[1], high[1])), depth > 0, tone, depth)


def _face(
    style: float,
    axes: tuple[NDArray[np.float32], NDArray[np.float32]],
    depths: tuple[NDArray[np.float32], NDArray[np.float32]],
    lengthwise: bool,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the direction of the faces of a gabled, hipped or flat roof, given coordinates and depths along them."""
    (p, q), (along, across) = axes, depths
    if style < 0.45:  # gable
        face: NDArray[np.float32] = np.sign(q) if lengthwise else np.sign(p)
        return face
    if style < 0.7:  # hipped
        return np.where(across < along, np.sign(q), np.float32(0.4) * np.sign(p))
    return np.full(p.shape, rng.normal(0, 0.3), np.float32)


def _add_roof_boxes(
    tone: NDArray[np.float32],
    axes: tuple[NDArray[np.float32], NDArray[np.float32]],
    size: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Put boxes on a flat roof of half-lengths `size`, whose coordinates are `axes`."""
    (u, v), (long, short) = axes, size
    for _ in range(int(rng.integers(1, 5))):
        y, x = rng.uniform(-0.7, 0.7) * short, rng.uniform(-0.7, 0.7) * long
        box = np.maximum(np.abs(u - np.float32(x)), np.abs(v - np.float32(y))) < long * 0.1
        tone[box] = rng.normal(0, 0.3)


def _sites(side: int, size: float, turn: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw positions of houses, (n, 2): along streets, or anywhere."""
    if rng.random() < 0.7:
        pitch = size * np.array([rng.uniform(1.8, 4.5), rng.uniform(1.8, 3.5)])
        a, b = (np.arange(-side, side, p) + rng.uniform(0, p) for p in pitch)
        grid = np.stack(np.meshgrid(a, b), -1).reshape(-1, 2) + rng.normal(0, 0.12 * size, (len(a) * len(b), 2))
        sites = grid @ np.array([[np.sin(turn), np.cos(turn)], [np.cos(turn), -np.sin(turn)]]) + side / 2
        sites = sites[((sites > -size) & (sites < side + size)).all(1)]
        chosen: NDArray[np.float64] = sites[rng.random(len(sites)) < rng.uniform(0.4, 1.0)][:50]
        return chosen
    return rng.uniform(0, side, (int(np.clip(rng.uniform(0.1, 0.5) * (side / (2 * size)) ** 2, 1, 50)), 2))


def buildings(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an aerial image of roofs, some of them hidden by trees.

    Random: size, layout, direction (mostly shared), wings, kind and colour of roofs, relief, ribs, direction and length
    of shadows, ground, streets, cars, trees.
    """
    size, turn = log_uniform(rng, side / 36, side / 4.5), rng.uniform(0, np.pi)
    ground = _soils(2, rng)
    mix = np.clip(0.5 + np.float32(rng.uniform(0.2, 1.5)) * cloud(side, side / rng.uniform(1.5, 6), rng), 0, 1)[
        ..., None
    ]
    image = ground[0] * mix + ground[1] * (1 - mix)
    image *= (1 + np.float32(rng.uniform(0.02, 0.15)) * cloud(side, rng.uniform(3, max(4, side / 6)), rng, 0.8))[
        ..., None
    ]
    labels = np.zeros((side, side), np.int32)
    for _ in range(int(rng.integers(0, 3))):
        _road(image, labels, turn + rng.choice([0, np.pi / 2]), rng)
    colours = _ROOFS[rng.choice(len(_ROOFS), int(rng.integers(1, 5)))]
    paint, loose, vary = image.copy(), rng.choice([0.01, 0.04, 0.5]), rng.uniform(0.05, 0.4)
    skin = cloud(side, rng.uniform(1.5, 12), rng, 0.8) * np.float32(rng.uniform(0, 0.08))
    eaves = rng.normal(0, 0.15)
    for label, centre in enumerate(_sites(side, size, turn, rng), 1):
        length = size * float(np.exp(rng.normal(0, vary)))
        angle = turn + rng.normal(0, loose) + rng.choice([0, np.pi / 2])
        roof = _roof(side, centre, angle, min(length, side / 3), rng)
        if roof is None or np.count_nonzero(labels[roof.box][roof.inside]) > 0.1 * np.count_nonzero(roof.inside):
            continue
        colour = colours[int(rng.integers(len(colours)))] + rng.normal(0, 0.05, 3).astype(np.float32)
        light = 1 + roof.tone + skin[roof.box] + np.float32(eaves) * (roof.depth < 1.5)
        paint[roof.box][roof.inside] = (colour * light[..., None])[roof.inside]
        labels[roof.box][roof.inside] = label
    away = rng.uniform(0, 2 * np.pi)
    image = _shadows(image, labels, size * rng.choice([0.0, 0.2, 0.5]), away, rng)
    image = np.where(labels[..., None] > 0, paint, image)
    _clutter(image, labels, size, away, rng)
    image = lit(image, rng, 0.12) * np.float32(rng.uniform(0.65, 1.25))
    return camera(image, rng, 1.3, 0.04, 0.35), tidy(labels, 30)


def _shadows(
    image: NDArray[np.float32], labels: NDArray[np.int32], length: float, away: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Darken the ground beside labelled objects."""
    side = len(labels)
    solid = np.pad(labels > 0, int(length) + 1)
    shade = np.zeros(labels.shape, bool)
    for step in np.arange(1, length, max(1.0, length / 6)):
        y, x = (int(length) + 1 - round(step * float(f(away))) for f in (np.sin, np.cos))
        shade |= solid[y : y + side, x : x + side]
    return np.where(shade[..., None], image * np.float32(rng.uniform(0.25, 0.6)), image)


def _clutter(
    image: NDArray[np.float32], labels: NDArray[np.int32], size: float, away: float, rng: np.random.Generator
) -> None:
    """Add cars on the ground and trees over everything, with shadows; neither are objects."""
    side = len(labels)
    for _ in range(int(rng.integers(0, 15))):
        y, x = (int(n) for n in rng.integers(0, side, 2))
        car = (slice(y, y + int(rng.integers(2, 6))), slice(x, x + int(rng.integers(2, 6))))
        if not labels[car].any():
            image[car] = rng.choice([0.1, 0.5, 0.9], 3) if rng.random() < 0.3 else rng.random()
    lumps = smooth_noise(side, 3, rng) * np.float32(0.25)
    for _ in range(int(rng.choice([0, 6, 25]))):
        centre, radius = rng.uniform(0, side, 2), rng.uniform(0.15, 0.8) * min(size, side / 10)
        tree = blob(rng, 0.5, 1.2) * np.float32(max(radius, 1.5))
        shadow = stamp(side, centre + 0.5 * radius * np.array([np.sin(away), np.cos(away)]), tree)
        mark = stamp(side, centre, tree)
        if mark is not None and np.count_nonzero(labels[mark.box]) < 0.5 * labels[mark.box].size:
            if shadow is not None:
                image[shadow.box][shadow.inside] *= 0.6
            green = np.array([0.2, 0.3, 0.14], np.float32) * np.float32(rng.uniform(0.6, 1.5))
            image[mark.box][mark.inside] = (green * (1 + lumps[mark.box] - mark.share * np.float32(0.3))[..., None])[
                mark.inside
            ]
            labels[mark.box][mark.inside] = 0
