"""Normalisation of a whole image: the channels and values that become the network's red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.image_source import ImageSource

_SAMPLE_PX = 1024
_LOW_PERCENT, _HIGH_PERCENT = 0.1, 99.9


@dataclass(frozen=True)
class Normalisation:
    """Values that become 0 and 255, per channel.

    Attributes
    ----------
    low, high : tuple of float
        One per channel; empty if the values are 8-bit and stay unchanged.
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Convert (h, w, c) pixels to (h, w, 3) uint8 RGB; not-a-number becomes black.

        >>> Normalisation((0.0,), (10.0,)).apply(np.array([[[5.0], [np.nan]]]))[0, :, 0].tolist()
        [128, 0]
        """
        if self.low:
            low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
            with np.errstate(over="ignore", invalid="ignore"):  # huge values become infinite, which nan_to_num replaces
                values = pixels.astype(np.float32)
                span = np.where(high > low, high - low, 1.0)
                values = np.nan_to_num((values - low) * (255.0 / span), nan=0.0, posinf=255.0, neginf=0.0)
            pixels = np.clip(values + 0.5, 0, 255).astype(np.uint8)
        rgb = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
        three: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)), dtype=np.uint8)
        return three


def choose_normalisation(image: ImageSource) -> Normalisation:
    """Choose the normalisation of an image, from contrast limits or from a sample of its coarsest level.

    8-bit images without contrast limits stay unchanged, as in the reference SAM. Others are stretched from the 0.1 to
    the 99.9 percentile of each channel.

    Parameters
    ----------
    image : ImageSource
        At most about 1024 x 1024 pixels of its coarsest level are read, or those that its ``sample()`` returns.

    Returns
    -------
    Normalisation
        If no sampled pixel is finite, black is 0 and white 1.
    """
    channels = min(image.channels, 3) if image.channels >= 3 else 1
    if image.contrast_limits is not None:
        low, high = image.contrast_limits
        if image.dtype == np.uint8 and (low, high) == (0, 255):
            return Normalisation()
        return Normalisation((float(low),) * channels, (float(high),) * channels)
    if image.dtype == np.uint8:
        return Normalisation()
    if image.dtype == np.bool_:
        return Normalisation((0.0,) * channels, (1.0,) * channels)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are left out
        sample = _sample(image)[:, :channels].astype(np.float32)
    lows, highs = [], []
    for values in sample.T:
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, [_LOW_PERCENT, _HIGH_PERCENT]) if len(finite) else (0.0, 1.0)
        lows.append(float(low))
        highs.append(float(high))
    return Normalisation(tuple(lows), tuple(highs))


def _sample(image: ImageSource) -> NDArray[np.generic]:
    """Return pixels from all over an image, (n, channels): its own sample, or pixels of its coarsest level."""
    take_sample = getattr(image, "sample", None)
    if take_sample is not None:
        sample: NDArray[np.generic] = take_sample()
        return sample
    level = len(image.levels) - 1
    h, w = image.levels[level]
    return image.read(level, 0, 0, h, w, max(1, max(h, w) // _SAMPLE_PX)).reshape(-1, image.channels)
