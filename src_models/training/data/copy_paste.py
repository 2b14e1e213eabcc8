"""Paste objects of one labelled image into another, some of them so that they touch an object there.

Source of the method: Ghiasi et al., 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation". Cells and grains that touch are what a small model confuses most, and are rare in many data sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from src_models.training.data.augment import PADDING
from src_models.training.synthetic.parts import log_uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_PX, _MAX_SHARE = 60, 0.2  # pixels of an object to paste, and its largest share of the image
_MARGIN = 3  # pixels of its surroundings that come along, for soft edges
_TOUCHING = 0.6  # share of the objects placed against another one
_HIDDEN = 0.6  # largest share of an object that a pasted one may hide
_OUTSIDE = 0.2  # largest share of an object in the padding around a small image
_TRIES = 4  # positions tried for an object


class _Patch(NamedTuple):
    """Piece of an image with the mask and the opacity of its object."""

    image: NDArray[np.float32]  # (h, w, 3)
    mask: NDArray[np.bool_]  # (h, w)
    alpha: NDArray[np.float32]  # (h, w)


def paste_objects(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    donor: tuple[NDArray[np.uint8], NDArray[np.int32]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Paste one to eight objects of `donor`, turned, mirrored, scaled and with a soft edge.

    Objects that are small, very large or cut by the border of the donor are not pasted. A position that would hide
    most of an object is given up, so that every visible object keeps a label.

    Parameters
    ----------
    image : ndarray of uint8
        (S, S, 3).
    labels : ndarray of int32
        (S, S), 0 is background.
    donor : (ndarray of uint8, ndarray of int32)
        Image (H, W, 3) and labels (H, W) to copy from; may be the image itself.
    rng : numpy.random.Generator
        Draws objects, changes and positions.

    Returns
    -------
    image : ndarray of uint8
        (S, S, 3), a copy; the same array if `donor` has no suitable object.
    labels : ndarray of int32
        (S, S); pasted objects have the labels after the largest one.
    """
    whole = _whole_objects(donor[1], labels.size)
    if not whole:
        return image, labels
    canvas, out = image.copy(), labels.copy()
    outside = (image == np.array(PADDING, np.uint8)).all(-1)
    for _ in range(int(rng.integers(1, 9))):
        label, box = whole[int(rng.integers(len(whole)))]
        patch = _patch(donor, label, box, rng)
        if max(patch.mask.shape) < min(out.shape) and patch.mask.any():
            _place((canvas, out, outside), patch, rng)
    return canvas, out


def _whole_objects(labels: NDArray[np.int32], area: int) -> list[tuple[int, tuple[slice, slice]]]:
    """Return label and box of the objects of a suitable size that do not touch the border."""
    h, w = labels.shape
    sizes = np.bincount(labels.ravel())
    found = []
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None or not _MIN_PX <= sizes[label] <= _MAX_SHARE * area:
            continue
        rows, cols = box
        if rows.start > 0 and cols.start > 0 and rows.stop < h and cols.stop < w:
            found.append((label, box))
    return found


def _patch(
    donor: tuple[NDArray[np.uint8], NDArray[np.int32]],
    label: int,
    box: tuple[slice, slice],
    rng: np.random.Generator,
) -> _Patch:
    """Cut an object with a margin, and turn, mirror and scale it."""
    image, labels = donor
    rows, cols = (
        slice(max(s.start - _MARGIN, 0), min(s.stop + _MARGIN, n)) for s, n in zip(box, labels.shape, strict=True)
    )
    pixels, mask = image[rows, cols], labels[rows, cols] == label
    scale = log_uniform(rng, 0.7, 1.4) if rng.random() < 0.5 else 1.0
    scale = max(scale, float(np.sqrt(_MIN_PX / np.count_nonzero(mask))))
    angle = float(rng.uniform(0, 360))
    size = (max(3, round(mask.shape[1] * scale)), max(3, round(mask.shape[0] * scale)))
    turned = [
        np.asarray(
            picture.resize(size, Image.Resampling.BILINEAR).rotate(angle, Image.Resampling.BILINEAR, expand=True)
        )
        for picture in (Image.fromarray(pixels), Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))
    ]
    if rng.random() < 0.5:
        turned = [array[:, ::-1] for array in turned]
    inside = turned[1] > 127
    soft = ndimage.gaussian_filter(inside.astype(np.float32), float(rng.uniform(0.4, 1.2)))
    gain = np.float32(np.exp(rng.normal(0, 0.08)))
    return _Patch(turned[0].astype(np.float32) * gain, inside, np.clip(soft * np.float32(1.2), 0, 1))


def _place(
    scene: tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.bool_]], patch: _Patch, rng: np.random.Generator
) -> None:
    """Draw a patch into image and labels, if one of some positions hides no object too much.

    `scene` is the image (S, S, 3), its labels (S, S) and its padding (S, S).
    """
    canvas, labels, outside = scene
    h, w = patch.mask.shape
    for _ in range(_TRIES):
        touching = rng.random() < _TOUCHING and labels.any()
        corner = _beside(labels, patch.mask, rng) if touching else _anywhere(labels.shape, (h, w), rng)
        if corner is None:
            continue
        y, x = corner
        box = (slice(y, y + h), slice(x, x + w))
        if outside[box][patch.mask].mean() > _OUTSIDE:
            continue
        covered = np.bincount(labels[box][patch.mask], minlength=1)
        covered[0] = 0
        sizes = np.bincount(labels.ravel(), minlength=len(covered))[: len(covered)]
        if (covered > _HIDDEN * sizes).any():
            continue
        under = canvas[box].astype(np.float32)
        mixed = under + patch.alpha[..., None] * (patch.image - under)
        canvas[box] = (np.clip(mixed, 0, 255) + np.float32(0.5)).astype(np.uint8)
        labels[box][patch.mask] = labels.max() + 1
        return


def _anywhere(shape: tuple[int, ...], size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Draw the corner of a patch inside the image."""
    return int(rng.integers(0, shape[0] - size[0] + 1)), int(rng.integers(0, shape[1] - size[1] + 1))


def _beside(labels: NDArray[np.int32], mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int] | None:
    """Find the corner at which a mask just touches a random object, coming from a random direction.

    None if that is outside the image.
    """
    ids = np.unique(labels)
    host = labels == int(rng.choice(ids[ids > 0]))
    middle = np.argwhere(host).mean(0)
    angle = rng.uniform(0, 2 * np.pi)
    way = np.array([np.sin(angle), np.cos(angle)])
    half = np.array(mask.shape) / 2
    for distance in range(0, max(labels.shape), 2):
        y, x = (int(v) for v in np.round(middle + distance * way - half))
        if y < 0 or x < 0 or y + mask.shape[0] > labels.shape[0] or x + mask.shape[1] > labels.shape[1]:
            return None
        if not (host[y : y + mask.shape[0], x : x + mask.shape[1]] & mask).any():
            return y, x
    return None
