"""Pixels of picture files that an alpha channel masks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import tifffile
from PIL import Image

from src_models.alpha_channel import alpha_sample, is_transparency
from src_models.picture_formats import picture_formats

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def masked_pixels(path: Path, array: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Return which pixels of a picture its alpha channel masks, (h, w); None if it has none, or masks nothing or all.

    Parameters
    ----------
    path : Path
        The file, which is readable.
    array : ndarray
        Its pixels (h, w, c).
    """
    alpha = _alpha_channel(path)
    if alpha is None or array.ndim != 3 or alpha >= array.shape[-1]:
        return None
    return array[..., alpha] == 0 if is_transparency(array[..., alpha]) else None


def _alpha_channel(path: Path) -> int | None:
    """Return the index of the alpha channel that a file declares; None without one."""
    with path.open("rb") as file:
        is_tiff = file.read(4) in _TIFF
    if is_tiff:
        with tifffile.TiffFile(path) as tiff:
            return alpha_sample(tiff.series[0].keyframe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size was checked before
        with Image.open(path, formats=picture_formats()) as picture:
            if picture.format == "JPEG2000":  # its fourth channel may be a band
                return None
            bands = picture.getbands()
            return bands.index("A") if "A" in bands else 3 if "transparency" in picture.info else None
