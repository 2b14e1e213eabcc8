"""Read the pixels of a window as the network sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_sam.engine.pixel_validity import invalid_pixels
from napari_sam.engine.windows import source_region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.normalisation import Normalisation
    from napari_sam.engine.windows import Window


def scale_rgb(rgb: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale (h, w, 3) pixels to a shape (height, width), bilinearly as SAM does."""
    if rgb.shape[:2] == shape:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR))


def network_rgb(
    pixels: NDArray[np.generic], normalisation: Normalisation, nodata: float | None = None
) -> NDArray[np.uint8]:
    """Return pixels (h, w, c) as the network sees them, (h, w, 3).

    Parameters
    ----------
    pixels : ndarray
        Values of an image.
    normalisation : Normalisation
        Values that become black and white.
    nodata : float, optional
        Value of pixels without measurement; they become black if all of their channels have it.
    """
    rgb = normalisation.apply(pixels)
    if nodata is None:
        return rgb
    return np.where(invalid_pixels(pixels, nodata).all(axis=-1, keepdims=True), np.uint8(0), rgb)


def read_window(
    image: ImageSource, normalisation: Normalisation, window: Window, shape: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Return (h, w, 3) RGB pixels of a window, scaled for the network and not yet padded.

    Parameters
    ----------
    image : ImageSource
        The image; pixels that have its ``nodata`` value in all channels become black.
    normalisation : Normalisation
        Values that become black and white.
    window : Window
        The window.
    shape : (int, int), optional
        Height and width of the result; the window's `network_shape` by default.
    """
    level, region, step = source_region(image.levels, window)
    rgb = network_rgb(image.read(level, *region, step), normalisation, getattr(image, "nodata", None))
    return scale_rgb(rgb, shape or window.network_shape)
