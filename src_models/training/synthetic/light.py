"""Synthetic light microscopy of nuclei and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from src_models.training.synthetic.parts import (
    blob,
    camera,
    cloud,
    lit,
    log_uniform,
    mosaic,
    scatter,
    smooth_noise,
    spindle,
    stamp,
    streaks,
    tidy,
    tint,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from src_models.training.synthetic.parts import Stamp


def _random_piece(noise: NDArray[np.float32], mark: Stamp, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a random piece of `noise` as large as the box of the stamp."""
    h, w = mark.share.shape
    y, x = (int(rng.integers(0, n - m + 1)) for n, m in zip(noise.shape, (h, w), strict=True))
    return noise[y : y + h, x : x + w]


def _add_object(
    labels: NDArray[np.int32], mark: Stamp, label: int, rng: np.random.Generator, overlap: float
) -> NDArray[np.bool_] | None:
    """Write an object into the labels unless it would cover too much of others; return its mask, or None."""
    inside = mark.inside
    under = labels[mark.box]
    area = np.count_nonzero(inside)
    if not area or np.count_nonzero(under[inside]) > overlap * area:
        return None
    under[inside] = label
    return inside


def _colour(rng: np.random.Generator, low: float, high: float) -> NDArray[np.float32]:
    """Draw a random colour, (3,)."""
    return rng.uniform(low, high, 3).astype(np.float32)


def _stain(dye: NDArray[np.float32], counter: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Render two absorbing dyes on white, mostly haematoxylin and eosin: densities (S, S) to colours (S, S, 3)."""
    blue, pink = np.array([[0.62, 0.72, 0.30], [0.12, 0.95, 0.30]], np.float32) + rng.normal(0, 0.07, (2, 3))
    if rng.random() < 0.25:  # other stains: brown, blue, green, ...
        blue, pink = _colour(rng, 0.1, 1.0), _colour(rng, 0.05, 0.9)
    density = dye[..., None] * blue.astype(np.float32) + counter[..., None] * pink.astype(np.float32)
    white = np.float32(1) - _colour(rng, 0, 1) * np.float32(rng.choice([0.03, 0.15]))
    out: NDArray[np.float32] = white * np.exp(-np.maximum(density, 0))
    return out


def _stroma(side: int, size: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the density of the tissue between nuclei, (side, side): stains, fibres, foam and holes."""
    out = np.float32(rng.uniform(0.15, 0.7)) * (1 + np.float32(0.25) * cloud(side, 4 * size, rng))
    if rng.random() < 0.5:
        out = out * (1 + np.float32(rng.uniform(0.1, 0.4)) * streaks(side, max(2.0, size / 3), rng))
    if rng.random() < 0.6:  # foam or grain
        out = out * (1 + np.float32(rng.uniform(0.1, 0.4)) * smooth_noise(side, max(1.5, size / 4), rng))
    if rng.random() < 0.4:  # holes
        out = out * np.clip(1.2 - 2 * (smooth_noise(side, 2 * size, rng) - rng.uniform(0.8, 2.0)), 0.05, 1)
    density: NDArray[np.float32] = np.clip(out, 0, 1.6).astype(np.float32)
    return density


def _nucleus(
    mark: Stamp, grain: NDArray[np.float32], radius: float, speckle: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw the brightness inside a nucleus, about 1: chromatin, a darker or brighter edge, nucleoli."""
    value = 1 + np.float32(speckle) * _random_piece(grain, mark, rng)
    value += np.float32(rng.normal(-0.15, 0.25)) * mark.share**2
    if radius > 5:
        for _ in range(int(rng.integers(0, 4))):
            away, angle = rng.uniform(0, 0.6) * radius, rng.uniform(0, 6.3)
            size = radius * rng.uniform(0.07, 0.2)
            value += np.float32(rng.normal(0, 0.4)) * mark.spot(away * np.sin(angle), away * np.cos(angle), size)
    out: NDArray[np.float32] = np.maximum(value, 0.15)
    return out


def nuclei(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of nuclei: fluorescent (bright on dark), inverted, or stained in a section.

    Random: size, density, clumps, overlap, shape, brightness, chromatin, nucleoli, focus of each, haze, specks of
    dirt, illumination, exposure, stain and stroma.
    """
    size = log_uniform(rng, side / 48, side / 5)
    stained = rng.random() < 0.35
    count = int(np.clip(rng.uniform(0.1, 0.9) * (side / (2 * size)) ** 2, 2, 80))
    stretch, rough, vary = rng.uniform(1, 2.2), rng.uniform(0.03, 0.35), rng.uniform(0.05, 0.35)
    speckle, soft_share, overlap = rng.uniform(0, 0.35), rng.choice([0.0, 0.0, 0.3]), rng.uniform(0.0, 0.35)
    edge = rng.uniform(0.8, 1 + 0.15 * size)
    grain = cloud(side, max(1.5, size * rng.uniform(0.15, 0.5)), rng, 0.8)
    signal, labels = np.zeros((side, side), np.float32), np.zeros((side, side), np.int32)
    for label, centre in enumerate(scatter(side, count, size * rng.uniform(0.9, 2.2), rng), 1):
        radius = size * float(np.exp(rng.normal(0, vary)))
        soft = radius * rng.uniform(0.4, 0.9) if rng.random() < soft_share else edge
        mark = stamp(side, centre, blob(rng, rough, rng.uniform(1, stretch)) * np.float32(radius), soft)
        if mark is None or _add_object(labels, mark, label, rng, overlap) is None:
            continue
        level = float(np.exp(rng.normal(0, vary))) * (0.7 if soft > edge else 1.0)
        value = np.float32(level) * _nucleus(mark, grain, radius, speckle, rng)
        under = signal[mark.box]
        under += mark.alpha(soft) * (value - under)
    for _ in range(int(rng.integers(0, 12)) if rng.random() < 0.4 else 0):  # dirt, not labelled
        dirt = stamp(side, rng.uniform(0, side, 2), blob(rng, 0.3, 1.5) * np.float32(rng.uniform(0.7, 2.0)), 2)
        if dirt is not None:
            signal[dirt.box] += dirt.alpha(1.5) * np.float32(rng.uniform(0.3, 1.2)) * (labels[dirt.box] == 0)
    if stained:
        stroma = _stroma(side, size, rng)
        clipped = np.minimum(signal, 1)
        dye = signal * np.float32(rng.uniform(0.7, 2.2)) + np.float32(rng.uniform(0, 0.4)) * stroma
        image = _stain(dye, stroma * (1 - np.float32(rng.uniform(0, 0.7)) * clipped), rng)
        return camera(lit(image, rng, 0.15), rng, 1.2, 0.06, 0.3), tidy(labels)
    return _fluorescence(signal, size, rng), tidy(labels)


def _fluorescence(signal: NDArray[np.float32], size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Expose a fluorescent scene: haze, uneven light, colour, brightness, sometimes inverted."""
    side = len(signal)
    if rng.random() < 0.5:  # light from out of focus
        small = signal[::4, ::4]
        glow = ndimage.zoom(ndimage.gaussian_filter(small, max(1.0, size / 5)), 4, order=1)[:side, :side]
        glow = np.pad(glow, [(0, side - n) for n in glow.shape], mode="edge")
        signal = signal + np.float32(rng.uniform(0.05, 0.5)) * glow.astype(np.float32)
    back = np.float32(rng.choice([0.02, 0.1, 0.3]) * rng.random())
    signal = lit(signal + back * (1 + np.float32(0.3) * cloud(side, side / 4, rng)), rng, 0.35)
    exposure = rng.uniform(0.4, 1.0) if rng.random() < 0.7 else log_uniform(rng, 0.18, 0.5)
    signal = signal * np.float32(exposure / max(1.0, float(np.percentile(signal, 99))))
    if rng.random() < 0.15:
        signal = np.float32(rng.uniform(0.7, 1.0)) - signal * np.float32(0.7)
    image = signal if rng.random() < 0.6 else signal[..., None] * tint(rng, 0.9)
    return camera(image, rng, 1.5, 0.12 * exposure, 0.1)


def _tissue(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of adjacent cells with membranes, as in epithelia; membranes belong to no cell or are thin."""
    pitch = log_uniform(rng, side / 16, side / 2.6)
    labels, gap = mosaic(side, pitch, rng, rng.uniform(0.1, 0.4), rng.uniform(0.01, 0.1))
    n = int(labels.max()) + 1
    wide = rng.uniform(0.7, max(1.5, pitch * 0.08))
    labels = np.where((gap > wide / 2) & (rng.random(n) > rng.choice([0, 0, 0.3]))[labels], labels, 0).astype(np.int32)
    level = np.exp(rng.normal(0, rng.uniform(0.02, 0.35), n)).astype(np.float32) * np.float32(rng.uniform(0.15, 0.6))
    level[0] = rng.uniform(0, 0.5)
    body = level[labels] * (1 + np.float32(rng.uniform(0, 0.4)) * cloud(side, pitch * rng.uniform(0.1, 0.6), rng))
    membrane = np.exp(-np.square(gap / np.float32(wide)))
    rim = np.float32(rng.choice([-1, 1]) * rng.uniform(0.2, 0.8)) * membrane
    if rng.random() < 0.5:  # membranes are broken and uneven
        rim = rim * np.clip(0.7 + np.float32(0.5) * smooth_noise(side, pitch / 3, rng), 0, 1.5)
    core = np.clip((gap / np.float32(pitch) - np.float32(rng.uniform(0.15, 0.3))) * np.float32(pitch / 2), 0, 1)
    core = core * (labels > 0) if rng.random() < 0.5 else np.zeros_like(core)
    if rng.random() < 0.4:
        image = _stain(core * np.float32(1.2) + np.abs(rim), body, rng)
    elif rng.random() < 0.5:
        image = body + rim + core * np.float32(rng.normal(0, 0.3))
    else:
        image = (
            body[..., None] * tint(rng, 0.8) + rim[..., None] * tint(rng, 0.8) + core[..., None] * tint(rng, 0.9) / 2
        )
    return camera(lit(image, rng), rng, 1.3, 0.1), tidy(labels, split=True)


def _phase(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make a phase-contrast image: cells about as bright as the background, with halos, dark edges and granules."""
    size = log_uniform(rng, side / 28, side / 5)
    count = int(np.clip(rng.uniform(0.15, 0.9) * (side / (2 * size)) ** 2, 2, 60))
    arms, relief, rim = rng.random(), rng.uniform(0.2, 1.0), rng.choice([-1, 1]) * rng.uniform(0, 1.5)
    phase, labels = np.zeros((side, side), np.float32), np.zeros((side, side), np.int32)
    grain = cloud(side, max(1.5, size * rng.uniform(0.15, 0.4)), rng, 0.9)
    for label, centre in enumerate(scatter(side, count, size * rng.uniform(0.8, 2.0), rng), 1):
        radius = size * float(np.exp(rng.normal(0, 0.25)))
        form = spindle(rng) if rng.random() < arms else blob(rng, 0.3, rng.uniform(1, 3))
        mark = stamp(side, centre, form * np.float32(radius), 2)
        if mark is None or _add_object(labels, mark, label, rng, 0.25) is None:
            continue
        value = np.float32(rng.uniform(0.3, 1.0)) * (1 + np.float32(relief) * _random_piece(grain, mark, rng))
        value += np.float32(rng.uniform(0, 1.5)) * np.clip(1 - mark.share, 0, 1)
        value += np.float32(rim) * np.exp(-np.square(mark.depth * np.float32(0.6)))
        if rng.random() < 0.6:
            value += np.float32(rng.normal(0, 0.8)) * mark.spot(0, 0, radius * rng.uniform(0.15, 0.3))
        under = phase[mark.box]
        under += mark.alpha(1.5) * (value - under)
    for _ in range(int(rng.integers(0, 25))):  # debris
        dirt = stamp(side, rng.uniform(0, side, 2), np.full(256, rng.uniform(0.6, 1.8), np.float32), 2)
        if dirt is not None:
            phase[dirt.box] += dirt.alpha(1.5) * np.float32(rng.normal(0, 1.5)) * (labels[dirt.box] == 0)
    halo = phase - ndimage.gaussian_filter(phase, rng.uniform(1.5, 2 + size / 4)) * np.float32(rng.uniform(0.7, 1.1))
    if rng.random() < 0.3:  # differential interference: light from one side
        halo = np.gradient(ndimage.gaussian_filter(phase, 1.0))[int(rng.integers(2))] * 2 + np.float32(0.15) * halo
    halo = halo * np.float32(rng.choice([-1, -1, 1]) * rng.uniform(0.14, 0.4))
    back = np.float32(rng.uniform(0.3, 0.65)) + np.float32(0.04 * rng.random() ** 3) * cloud(side, side / 6, rng)
    image = lit(back + halo, rng, 0.12)
    return camera(image if rng.random() < 0.8 else image[..., None] * tint(rng, 1.0) ** 0.3, rng, 1.0, 0.08), tidy(
        labels
    )


def _spread(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of single or touching cells with nuclei: two fluorescent colours, or a stained smear."""
    size = log_uniform(rng, side / 20, side / 4)
    count = int(np.clip(rng.uniform(0.2, 0.9) * (side / (2 * size)) ** 2, 2, 50))
    smear, arms, bare = rng.random() < 0.45, rng.random() ** 2, rng.choice([0.0, 0.5])
    body, core = np.zeros((2, side, side), np.float32)
    labels = np.zeros((side, side), np.int32)
    grain = cloud(side, max(1.5, size * rng.uniform(0.1, 0.5)), rng, 0.8)
    rough, rim, dome = rng.uniform(0.05, 0.4), rng.normal(0, 0.4), rng.uniform(-0.5, 0.8)
    for label, centre in enumerate(scatter(side, count, size * rng.uniform(0.9, 2.2), rng), 1):
        radius = size * float(np.exp(rng.normal(0, 0.2)))
        form = spindle(rng) if rng.random() < arms else blob(rng, rough, rng.uniform(1, 1.8))
        mark = stamp(side, centre, form * np.float32(radius), 2)
        if mark is None or _add_object(labels, mark, label, rng, 0.3) is None:
            continue
        shape = np.clip(1 - mark.share**2, 0, 1)
        value = (
            1
            + np.float32(dome) * (shape - np.float32(0.5))
            + np.float32(rng.uniform(0, 0.3)) * _random_piece(grain, mark, rng)
        )
        value += np.float32(rim) * np.exp(-np.square(mark.depth * np.float32(0.5)))
        opaque = mark.alpha(1.2)
        under = body[mark.box]
        under += opaque * (np.maximum(value, 0.1) * np.float32(rng.uniform(0.5, 1.1)) - under)
        core[mark.box] *= 1 - opaque
        for _ in range(0 if rng.random() < bare else int(rng.choice([1, 1, 1, 2, 3]))):
            off = rng.normal(0, 0.15 * radius, 2)
            inner = blob(rng, 0.2, rng.uniform(1, 1.6)) * np.float32(
                radius * rng.uniform(0.2, 0.5) * min(1, form.min() * 2)
            )
            lobe = stamp(side, np.asarray(centre) + off, inner, 2)
            if lobe is not None:
                value = np.float32(rng.uniform(0.7, 1.1)) * (1 + np.float32(0.2) * _random_piece(grain, lobe, rng))
                over = core[lobe.box]
                over += lobe.alpha(1.5) * (labels[lobe.box] == label) * (value - over)
    if smear:
        dye, counter = core * np.float32(rng.uniform(0.6, 2)), body * np.float32(rng.uniform(0.15, 0.8))
        return camera(lit(_stain(dye, counter, rng), rng, 0.15), rng, 1.3, 0.05, 0.3), tidy(labels)
    glow = lit(body, rng)[..., None] * tint(rng, 0.7) * np.float32(rng.uniform(0.15, 0.8))
    image = (
        glow + core[..., None] * tint(rng, 0.9) * np.float32(rng.uniform(0.1, 0.9)) + np.float32(0.15 * rng.random())
    )
    return camera(image, rng, 1.5, 0.1), tidy(labels)


def cells(side: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make an image of whole cells: packed tissue, phase contrast, or spread cells with nuclei.

    Random: shape (round to many-armed), packing, membranes, nuclei, halos, relief, granules, debris, stains, colours.
    """
    kind = rng.random()
    if kind < 0.3:
        return _tissue(side, rng)
    return _phase(side, rng) if kind < 0.65 else _spread(side, rng)
