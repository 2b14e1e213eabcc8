"""Parts of synthetic images: noise, outlines, positions of objects, mosaics of cells, and the camera.

An outline is a table of radii by angle. An object is painted from two numbers for each pixel of its box: the distance
from its centre as a share of the radius, and the depth inside its outline.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ANGLES = 256  # entries of a table of radii
_THETA = np.arange(ANGLES) * (2 * np.pi / ANGLES)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_noise(side: int, scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw noise of a single spatial scale, (side, side), with zero mean and unit variance.

    Parameters
    ----------
    side : int
        Side of the image, in pixels.
    scale : float
        Size of the grains, in pixels.
    rng : numpy.random.Generator
        Source of the noise.
    """
    small = max(2, int(side / max(scale, 1.0)) + 2)
    grain = rng.standard_normal((small, small), dtype=np.float32)
    noise = np.asarray(Image.fromarray(grain).resize((side, side), Image.Resampling.BICUBIC))
    out: NDArray[np.float32] = (noise - noise.mean()) / (noise.std() + 1e-6)
    return out


def cloud(side: int, scale: float, rng: np.random.Generator, fall: float = 0.5) -> NDArray[np.float32]:
    """Draw noise of three octaves down to a quarter of `scale`, each `fall` times as strong as the previous."""
    out = smooth_noise(side, scale, rng)
    for k in (1, 2):
        out = out + np.float32(fall**k) * smooth_noise(side, scale / 2**k, rng)
    return out


def streaks(side: int, width: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw noise elongated in a random direction, as in fibres and brushed surfaces; about unit variance."""
    wide = int(side * 1.5)
    grain = rng.standard_normal((max(3, int(wide / width)), max(3, int(wide / width / 6))), dtype=np.float32)
    big = Image.fromarray(grain).resize((wide, wide), Image.Resampling.BICUBIC)
    turned = np.asarray(big.rotate(rng.uniform(0, 180), Image.Resampling.BILINEAR))
    cut = (wide - side) // 2
    out: NDArray[np.float32] = turned[cut : cut + side, cut : cut + side] * np.float32(1.5)
    return out


def blob(rng: np.random.Generator, rough: float, stretch: float) -> NDArray[np.float32]:
    """Draw the radii of a smooth closed curve: an ellipse of aspect `stretch` with bumps of relative size `rough`."""
    radii = np.sqrt(stretch) / np.hypot(stretch * np.cos(_THETA), np.sin(_THETA))
    for k in range(2, 7):
        radii *= 1 + rng.normal(0, 2 * rough / k**2) * np.cos(k * _THETA + rng.uniform(0, 2 * np.pi))
    out: NDArray[np.float32] = np.roll(np.clip(radii, 0.3, 2.2), int(rng.integers(ANGLES))).astype(np.float32)
    return out


def superellipse(rng: np.random.Generator, stretch: float, power: float) -> NDArray[np.float32]:
    """Draw the radii of a rod, plate or ellipse: power 2 is an ellipse, large powers are rectangles."""
    a, b = 1 / np.sqrt(stretch), np.sqrt(stretch)
    radii = (np.abs(np.cos(_THETA) / a) ** power + np.abs(np.sin(_THETA) / b) ** power) ** (-1 / power)
    out: NDArray[np.float32] = np.roll(radii, int(rng.integers(ANGLES))).astype(np.float32)
    return out


def facetted(rng: np.random.Generator, corners: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw the radii of a convex polygon, and for each angle the tone of its facet, in [-1, 1]."""
    normals = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * (2 * np.pi / corners) + rng.uniform(0, 6)
    reach = np.cos(_THETA[:, None] - normals) / rng.uniform(0.75, 1.0, corners)
    tones = np.cos(normals - rng.uniform(0, 2 * np.pi))
    return (1 / reach.max(1)).clip(0.3, 2.2).astype(np.float32), tones[reach.argmax(1)].astype(np.float32)


def spindle(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the radii of a cell with one to five tapered arms, like an adherent cell or a neuron."""
    radii = rng.uniform(0.3, 0.6) * blob(rng, 0.3, rng.uniform(1, 1.5))
    arms = int(rng.choice([1, 2, 2, 2, 3, 3, 4, 5]))
    first = rng.uniform(0, 2 * np.pi)
    for k in range(arms):
        direction = first + (k + rng.uniform(-0.3, 0.3)) * 2 * np.pi / arms
        away = np.abs((_THETA - direction + np.pi) % (2 * np.pi) - np.pi)
        radii = np.maximum(radii, rng.uniform(0.7, 1.7) * np.exp(-away / rng.uniform(0.25, 0.8)))
    smooth: NDArray[np.float32] = ndimage.gaussian_filter1d(radii, 2.5, mode="wrap").astype(np.float32)
    return smooth


@dataclass(frozen=True)
class Stamp:
    """Outline at a position of the image, in its bounding box.

    Attributes
    ----------
    box : (slice, slice)
        Rows and columns, inside the image.
    dy, dx : ndarray of float32
        Offsets from the centre, in pixels; (h, 1) and (1, w).
    share : ndarray of float32
        (h, w), 0 at the centre, 1 on the outline.
    depth : ndarray of float32
        (h, w), distance to the outline along the ray, in pixels; positive inside.
    turn : ndarray of int64
        (h, w), index of the angle in tables.
    """

    box: tuple[slice, slice]
    dy: NDArray[np.float32]
    dx: NDArray[np.float32]
    share: NDArray[np.float32]
    depth: NDArray[np.float32]
    turn: NDArray[np.int64]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Exact mask, (h, w)."""
        out: NDArray[np.bool_] = self.depth > 0
        return out

    def alpha(self, soft: float = 1.0) -> NDArray[np.float32]:
        """Return the opacity: one half on the outline, from 0 to 1 within `soft` pixels."""
        out: NDArray[np.float32] = np.clip(self.depth * np.float32(1 / soft) + np.float32(0.5), 0, 1)
        return out

    def spot(self, y: float, x: float, sigma: float) -> NDArray[np.float32]:
        """Return a Gaussian spot of height 1, (y, x) pixels from the centre."""
        k = np.float32(-0.5 / sigma**2)
        out: NDArray[np.float32] = np.exp((self.dy - np.float32(y)) ** 2 * k) * np.exp(
            (self.dx - np.float32(x)) ** 2 * k
        )
        return out


def stamp(
    side: int, centre: Sequence[float] | NDArray[np.float64], radii: NDArray[np.float32], margin: float = 1.0
) -> Stamp | None:
    """Measure the pixels of an outline; None if it lies outside the image.

    Parameters
    ----------
    side : int
        Side of the image, in pixels.
    centre : (float, float)
        Centre (y, x).
    radii : ndarray of float32
        (ANGLES,), in pixels.
    margin : float
        Margin of the box around the outline, in pixels.
    """
    reach = float(radii.max()) + margin
    low = [max(0, int(c - reach)) for c in centre]
    high = [min(side, int(c + reach) + 2) for c in centre]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    dy = (np.arange(low[0], high[0], dtype=np.float32) - np.float32(centre[0]))[:, None]
    dx = (np.arange(low[1], high[1], dtype=np.float32) - np.float32(centre[1]))[None]
    away = np.sqrt(dy * dy + dx * dx)
    turn = (np.arctan2(dy, dx) * np.float32(ANGLES / (2 * np.pi)) + np.float32(ANGLES + 0.5)).astype(np.int64) % ANGLES
    edge = radii[turn]
    return Stamp((slice(low[0], high[0]), slice(low[1], high[1])), dy, dx, away / edge, edge - away, turn)


def scatter(side: int, count: int, apart: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw at most `count` centres (n, 2): anywhere, in clumps, or on a grid, mostly at least `apart` pixels apart."""
    kind = rng.random()
    if kind < 0.12:
        pitch = max(apart * rng.uniform(0.9, 1.6), side / 16)
        line = np.arange(rng.uniform(-pitch, 0), side + pitch, pitch)
        grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        return grid[rng.permutation(len(grid))[:count]] + rng.normal(0, 0.05 * pitch, (min(count, len(grid)), 2))
    tries = rng.uniform(-0.05 * side, 1.05 * side, (4 * count, 2))
    if kind < 0.45:  # clumps
        middles = rng.uniform(0, side, (int(rng.integers(1, 6)), 2))
        spread = rng.uniform(0.06, 0.2) * side
        tries = middles[rng.integers(len(middles), size=len(tries))] + rng.normal(0, spread, tries.shape)
    kept = np.empty((count, 2))
    n = 0
    for point in tries:
        if n == count:
            break
        if not n or (np.square(kept[:n] - point).sum(1).min() > apart * apart):
            kept[n] = point
            n += 1
    return kept[:n]


def mosaic(
    side: int, pitch: float, rng: np.random.Generator, jitter: float = 0.3, warp: float = 0.1
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Tile the image with the Voronoi cells of a disturbed grid.

    Parameters
    ----------
    side, pitch : int, float
        Side of the image and pitch of the grid, in pixels.
    rng : numpy.random.Generator
        Source of the disturbance.
    jitter, warp : float
        Displacement of the seeds and of the borders, in pitches; `jitter` at most 0.4.

    Returns
    -------
    labels : ndarray of int32
        (side, side), from 1.
    gap : ndarray of float32
        (side, side), approximate distance to the nearest border, in pixels.
    """
    n = int(side / pitch) + 4
    seeds = (np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij")) - 0.9).astype(np.float32)
    seeds[1, ::2] += 0.4  # every other row shifted: rounder cells
    seeds += rng.uniform(-jitter, jitter, seeds.shape).astype(np.float32)
    line = np.arange(side, dtype=np.float32) / np.float32(pitch)
    y = line[:, None] + np.float32(warp) * smooth_noise(side, pitch * 0.5, rng)
    x = line[None] + np.float32(warp) * smooth_noise(side, pitch * 0.5, rng)
    base = np.clip((y + np.float32(1.4)).astype(np.int32), 1, n - 2) * n + np.clip((x + 1.2).astype(np.int32), 1, n - 2)
    first = np.full((side, side), 99, np.float32)
    second = first.copy()
    labels = np.zeros((side, side), np.int32)
    for step in (0, -n, n, -1, 1, -n - 1, -n + 1, n - 1, n + 1):
        seed = base + step
        d = np.square(y - seeds[0].ravel()[seed]) + np.square(x - seeds[1].ravel()[seed])
        np.minimum(second, np.maximum(d, first), out=second)
        np.copyto(labels, seed, where=d < first)
        np.minimum(first, d, out=first)
    gap = (np.sqrt(second) - np.sqrt(first)) * np.float32(pitch / 2)
    return labels + 1, gap


def tidy(labels: NDArray[np.int32], min_px: int = 24, split: bool = False) -> NDArray[np.int32]:
    """Drop small parts (below `min_px` pixels, or a tenth of the object's largest part) and number objects from 1.

    The visible parts of a partly covered object stay one object; with `split` each part becomes an object, such as
    parcels on both sides of a road.
    """
    out = np.zeros_like(labels)
    n = 0
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        parts, count = ndimage.label(labels[box] == label)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        keep = sizes >= max(min_px, 0.1 * sizes.max())
        if count > 1 and split:
            for part in np.flatnonzero(keep):
                n += 1
                out[box][parts == part] = n
        elif keep.any():
            n += 1
            out[box][keep[parts]] = n
    return out


def tint(rng: np.random.Generator, colour: float = 0.4) -> NDArray[np.float32]:
    """Draw a colour (3,) whose largest channel is 1; white with probability 1 - `colour`."""
    if rng.random() > colour:
        return np.ones(3, np.float32)
    raw = rng.random(3) ** 2
    out: NDArray[np.float32] = (raw / raw.max()).astype(np.float32)
    return out


def lit(image: NDArray[np.float32], rng: np.random.Generator, amount: float = 0.25) -> NDArray[np.float32]:
    """Illuminate an image (S, S) or (S, S, 3) unevenly: a ramp or a broad stain."""
    side = image.shape[0]
    if rng.random() < 0.5:
        line = np.linspace(-1, 1, side, dtype=np.float32)
        slope = rng.normal(0, 1, 2).astype(np.float32)
        field = slope[0] * line[:, None] + slope[1] * line
    else:
        field = smooth_noise(side, side / 2, rng)
    gain = np.maximum(1 + np.float32(rng.uniform(0, amount)) * field, np.float32(0.2))
    out: NDArray[np.float32] = image * (gain if image.ndim == 2 else gain[..., None])
    return out


def camera(
    image: NDArray[np.float32], rng: np.random.Generator, blur: float = 1.2, noise: float = 0.06, jpeg: float = 0.1
) -> NDArray[np.uint8]:
    """Blur, add shot and read noise, and sometimes compress: (S, S) or (S, S, 3) in about [0, 1] to (S, S, 3) uint8.

    Parameters
    ----------
    image : ndarray of float32
        The scene.
    rng : numpy.random.Generator
        Source of randomness.
    blur, noise : float
        Largest sigma in pixels, largest standard deviation of the noise.
    jpeg : float
        Probability of compression.
    """
    picture = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    sigma = rng.uniform(0, blur)
    if sigma > 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(sigma))
    x = np.asarray(picture, dtype=np.float32)
    strength = 255 * noise * rng.random() ** 2
    if strength > 0.8:
        side = x.shape[0]
        grain = smooth_noise(side, 2.0, rng) if rng.random() < 0.2 else rng.standard_normal(x.shape, dtype=np.float32)
        grain = grain[..., None] if grain.ndim < x.ndim else grain
        if rng.random() < 0.5:  # shot noise grows with the signal
            grain = grain * np.sqrt(x * np.float32(1 / 128) + np.float32(0.1))
        x = x + grain * np.float32(strength)
    out = np.clip(x + np.float32(0.5), 0, 255).astype(np.uint8)
    if rng.random() < jpeg:
        stream = io.BytesIO()
        Image.fromarray(out).save(stream, "JPEG", quality=int(rng.integers(40, 92)))
        out = np.asarray(Image.open(stream))
    return np.ascontiguousarray(np.broadcast_to(out[..., None], (*out.shape, 3)) if out.ndim == 2 else out)
