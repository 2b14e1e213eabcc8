"""Small pictures of images, for lists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PillowImage

from napari_sam.engine.normalisation import choose_normalisation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image


def thumbnail(image: Image, side: int = 128) -> NDArray[np.uint8]:
    """Return a small picture of an image.

    Parameters
    ----------
    image : Image
        Some rows and columns of its coarsest level in the file are read.
    side : int
        Longer side of the picture, in pixels.

    Returns
    -------
    ndarray of uint8
        (h, w, 3), with the contrast that the network sees.
    """
    level = image.file_levels - 1
    height, width = image.levels[level]
    step = max(1, max(height, width) // (2 * side))
    pixels = image.read(level, 0, 0, height, width, step)
    rgb = choose_normalisation(image).apply(pixels)
    scale = side / max(rgb.shape[:2])
    size = tuple(max(1, math.floor(scale * n + 0.5)) for n in (rgb.shape[1], rgb.shape[0]))
    small = PillowImage.fromarray(rgb).resize((size[0], size[1]), PillowImage.Resampling.BOX if scale < 1 else None)
    out: NDArray[np.uint8] = np.asarray(small)
    return out
