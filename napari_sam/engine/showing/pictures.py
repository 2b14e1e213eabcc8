"""Small pictures: of an image, of masks and labels on it, and as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PillowImage

from napari_sam.engine.geometry import Box
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.normalisation import Normalisation

PICTURE_PX = 256
"""Longer side of the pictures in notebooks."""
PLOT_PX = 1024
"""Longer side of the pictures that are plotted."""
MASK_COLOUR = (0, 229, 255)
_TINT = 0.25
_BRIGHT, _BRIGHTEST_PERCENT, _LARGEST_GAIN = 230.0, 99.8, 4.0
_HUE_STEP = 0.618033988749895  # golden ratio: neighbouring labels get hues that lie far apart


def picture_of(
    image: ImageSource,
    box: tuple[int, int, int, int] | None = None,
    side: int = PICTURE_PX,
    normalisation: Normalisation | None = None,
) -> NDArray[np.uint8]:
    """Return a small picture of an image or of a part of it.

    Parameters
    ----------
    image : ImageSource
        It is read from the coarsest scale level that has enough pixels.
    box : (int, int, int, int), optional
        Part (y0, x0, y1, x1) in level-0 pixels, inside the image; the whole image by default.
    side : int
        Longer side of the picture, in pixels.
    normalisation : Normalisation, optional
        Values that become black and white; chosen from a sample of the image by default.

    Returns
    -------
    ndarray of uint8
        (h, w, 3).
    """
    window = Window((0, 0, *image.shape) if box is None else box, side)
    return _brightened(read_window(image, normalisation or choose_normalisation(image), window))


def _brightened(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture whose brightest pixels are bright: 8-bit images are often dark, and the network gets them so."""
    brightest = float(np.percentile(picture, _BRIGHTEST_PERCENT))
    gain = min(_LARGEST_GAIN, _BRIGHT / max(1.0, brightest))
    return picture if gain <= 1 else np.minimum(picture * np.float32(gain) + 0.5, 255).astype(np.uint8)


def sample_positions(box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[NDArray[np.intp], ...]:
    """Return the rows and columns of level 0 that stand for those of a picture of a box.

    >>> [positions.tolist() for positions in sample_positions((10, 0, 18, 2), (4, 4))]
    [[11, 13, 15, 17], [0, 0, 1, 1]]
    """
    starts, sizes = box[:2], Box(*box).shape
    return tuple(
        (start + np.floor((np.arange(count) + 0.5) * (size / count))).astype(np.intp)
        for start, size, count in zip(starts, sizes, shape, strict=True)
    )


def with_mask(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a picture (h, w, 3) with a mask (h, w) tinted and outlined."""
    shown = picture.astype(np.float32)
    colour = np.array(MASK_COLOUR, np.float32)
    shown[mask] += _TINT * (colour - shown[mask])
    shown[edges_of(mask)] = colour
    return (shown + 0.5).astype(np.uint8)


def with_labels(picture: NDArray[np.uint8] | None, labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a label image (h, w) in colours, over a picture (h, w, 3) or on black."""
    colours = label_colours(labels)
    if picture is None:
        return colours
    shown = picture.astype(np.float32)
    inside = labels > 0
    shown[inside] += _TINT * (colours[inside] - shown[inside])
    edge = edges_of(labels)
    shown[edge] = colours[edge]
    return (shown + 0.5).astype(np.uint8)


def edges_of(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where an object (h, w) meets another one or background; the border of the array is no edge.

    >>> edges_of(np.array([[0, 1, 1, 1, 0]])).astype(int).tolist()
    [[0, 1, 0, 1, 0]]
    """
    edge = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    inside: NDArray[np.bool_] = edge & (labels != 0)
    return inside


def label_colours(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return a colour (..., 3) for each label, always the same one; 0 is black."""
    hue = (np.asarray(labels, np.float64) * _HUE_STEP) % 1.0
    offsets = np.array([0.0, 2 / 3, 1 / 3])  # of red, green and blue around the circle of hues
    ramps = np.abs(((hue[..., None] + offsets) % 1.0) * 6 - 3) - 1
    colours = 80 + 175 * np.clip(ramps, 0, 1)
    return np.where(np.asarray(labels)[..., None] > 0, colours, 0).astype(np.uint8)


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture (h, w, 3) as a PNG file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()
