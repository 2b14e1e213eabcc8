"""Synthetic scenes of everyday things: bodies of several parts, shaded, with shadows, before pieces of photographs.

They teach a small network what makes a thing in any picture: a common outline whose parts may differ in colour and
pattern, light and shadow that are not outlines, and things that hide each other. The cut-and-paste of Dwibedi et al.,
2017, "Cut, Paste and Learn", with drawn things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from src_models.training.synthetic.parts import camera, lit, log_uniform, tidy
from src_models.training.synthetic.surfaces import cast_shadow, relief, surface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LEAST_SURFACE = 32  # side of the smallest surface, in pixels
_SCALE = 2  # parts are drawn at twice the size, for smooth outlines


def _part(kind: int, size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the outline (n, 2) of a part: 0 ellipse, 1 rounded box, 2 polygon, 3 bar, 4 wedge, 5 blob."""
    around = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    sine, cosine = np.sin(around), np.cos(around)
    stretch = rng.uniform(0.35, 1.0)
    if kind in (1, 3):
        power = rng.uniform(0.15, 0.6)
        stretch = rng.uniform(0.08, 0.25) if kind == 3 else stretch
        points = np.stack(
            [np.sign(sine) * np.abs(sine) ** power * stretch, np.sign(cosine) * np.abs(cosine) ** power], 1
        )
    elif kind == 2:
        corners = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        points = np.stack([np.sin(corners), np.cos(corners)], 1)
    elif kind == 4:
        top = rng.uniform(0.1, 0.9)
        points = np.array([[-1.0, -top], [-1.0, top], [1.0, 1.0], [1.0, -1.0]]) * [1.0, stretch]
    else:
        radius = np.ones(64)
        if kind == 5:
            for k in range(2, 6):
                radius += rng.normal(0, 0.35 / k) * np.cos(k * around + rng.uniform(0, 2 * np.pi))
        points = np.stack([sine * stretch, cosine], 1) * np.clip(radius, 0.3, 1.8)[:, None]
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    out: NDArray[np.float64] = points @ turn * size
    return out


def _thing(side: int, size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a thing of one to five parts, (side, side): 0 outside, else the number of the part on top."""
    canvas = Image.new("L", (side * _SCALE, side * _SCALE))
    draw = ImageDraw.Draw(canvas)

    def add(outline: NDArray[np.float64], value: int) -> None:
        draw.polygon([(float(x) * _SCALE, float(y) * _SCALE) for y, x in outline], fill=value)

    centre = rng.uniform(0, side, 2)
    body = _part(int(rng.choice([0, 1, 2, 4, 5])), size, rng) + centre
    add(body, 1)
    mirror = rng.random() < 0.5  # most things have an axis of symmetry
    for number in range(2, int(rng.choice([2, 2, 3, 4, 6]))):
        anchor = body[int(rng.integers(len(body)))]
        part = _part(int(rng.integers(6)), size * rng.uniform(0.15, 0.7), rng)
        add(part + anchor, number)
        if mirror:
            twin = part * [1, -1] + [anchor[0], 2 * centre[1] - anchor[1]]
            add(twin, number)
    if rng.random() < 0.12:  # a hole, as in a ring or a handle
        add(_part(int(rng.choice([0, 1])), size * rng.uniform(0.2, 0.45), rng) + centre, 0)
    return np.asarray(canvas)[_SCALE // 2 :: _SCALE, _SCALE // 2 :: _SCALE]


def _paint(
    parts: NDArray[np.uint8], textures: Sequence[NDArray[np.uint8]], light: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Colour and shade a thing, (h, w, 3)."""
    h, w = parts.shape
    side = max(h, w, _LEAST_SURFACE)
    alike = rng.random() < 0.4
    skin = surface(side, textures, rng, 0.25)[:h, :w].copy()
    for number in range(2, int(parts.max()) + 1):
        here = parts == number
        if alike or not here.any():
            continue
        skin[here] = surface(side, textures, rng, 0.25)[:h, :w][here]
    solid = np.pad(parts > 0, 1)
    depth = ndimage.distance_transform_edt(solid)[1:-1, 1:-1].astype(np.float32)
    deepest = max(float(depth.max()), 1.0)
    shade = relief(depth, deepest * float(rng.choice([0.15, 0.5, 1.0])), light, float(rng.uniform(0, 0.6)))
    if rng.random() < 0.4:  # dark where it bends away
        shade = shade * (1 - np.float32(rng.uniform(0, 0.5)) * np.exp(-depth / np.float32(0.2 * deepest + 1)))
    out = skin * shade[..., None]
    if rng.random() < 0.25:  # gloss
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        away = np.hypot(np.arange(h)[:, None] - y + 0.3 * deepest, np.arange(w) - x + 0.3 * deepest)
        out = out + np.float32(rng.uniform(0.2, 0.7)) * np.exp(-np.square(away / (0.3 * deepest)))[..., None]
    painted: NDArray[np.float32] = out.astype(np.float32)
    return painted


def scenes(
    side: int, rng: np.random.Generator, textures: Sequence[NDArray[np.uint8]] = ()
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Make a scene of one to fourteen things that may hide each other, before a piece of a photograph or a surface.

    Random: form, parts, size, colours and patterns of each, light, relief, gloss, shadows, focus of the background.
    """
    image = surface(side, textures, rng, 0.75).copy()
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, (s := float(rng.uniform(1, 4)), s, 0))
    labels = np.zeros((side, side), np.int32)
    size = log_uniform(rng, side / 16, side / 2.8)
    count = int(np.clip(rng.uniform(0.1, 0.8) * (side / (2 * size)) ** 2, 1, 14))
    vary, light = rng.uniform(0.1, 0.7), rng.uniform(0, 2 * np.pi)
    strength = float(rng.choice([0.0, 0.0, 0.3, 0.6]))
    for label in range(1, count + 1):
        parts = _thing(side, float(size * np.exp(rng.normal(0, vary))), rng)
        box = ndimage.find_objects((parts > 0).astype(np.uint8))
        if not box:
            continue
        mask = parts > 0
        if strength:
            reach = size * rng.uniform(0.1, 0.5)
            shift = (round(float(np.sin(light)) * reach), round(float(np.cos(light)) * reach))
            cast_shadow(image, mask, shift, size / 12, strength)
        painted = _paint(parts[box[0]], textures, light, rng)
        soft = np.clip(ndimage.gaussian_filter(mask[box[0]].astype(np.float32), 0.6), 0, 1)[..., None]
        soft[~mask[box[0]]] = 0
        under = image[box[0]]
        under += soft * (painted - under)
        labels[mask] = label
    image = lit(image, rng, 0.25)
    return camera(image, rng, 1.3, 0.06, 0.4), tidy(labels, 40)
