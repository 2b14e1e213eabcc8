"""One decision for the whole image: which channels and values become the network's red, green and blue."""

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
        One per channel, or empty: the values are 8 bit and stay as they are.
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Turn (h, w, c) pixels into (h, w, 3) uint8 RGB; not-a-number becomes black.

        >>> Normalisation((0.0,), (10.0,)).apply(np.array([[[5.0], [np.nan]]]))[0, :, 0].tolist()
        [128, 0]
        """
        if self.low:
            low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
            with np.errstate(over="ignore", invalid="ignore"):  # huge values become infinite, and those are mended
                x = pixels.astype(np.float32)
                span = np.where(high > low, high - low, 1.0)
                x = np.nan_to_num((x - low) * (255.0 / span), nan=0.0, posinf=255.0, neginf=0.0)
            pixels = np.clip(x + 0.5, 0, 255).astype(np.uint8)
        rgb = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
        out: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)), dtype=np.uint8)
        return out


def decide(image: ImageSource) -> Normalisation:
    """Choose the normalisation of an image, from contrast limits or from a sample of its coarsest level.

    8-bit images without contrast limits stay as they are, which is what the reference SAM is fed. Others are
    stretched from the 0.1 to the 99.9 percentile of each channel.

    Parameters
    ----------
    image : ImageSource
        At most about 1024 x 1024 of the pixels of its coarsest level are read, or what its ``sample()`` gives.

    Returns
    -------
    Normalisation
        Where no sampled pixel is finite, black is 0 and white 1.
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
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is left out
        sample = _sample(image)[:, :channels].astype(np.float32)
    lows, highs = [], []
    for values in sample.T:
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, [_LOW_PERCENT, _HIGH_PERCENT]) if len(finite) else (0.0, 1.0)
        lows.append(float(low))
        highs.append(float(high))
    return Normalisation(tuple(lows), tuple(highs))


def _sample(image: ImageSource) -> NDArray[np.generic]:
    """Pixels from all over an image, (n, channels): its own choice of them, or some of its coarsest level."""
    own = getattr(image, "sample", None)
    if own is not None:
        sample: NDArray[np.generic] = own()
        return sample
    level = len(image.levels) - 1
    h, w = image.levels[level]
    return image.read(level, 0, 0, h, w, max(1, max(h, w) // _SAMPLE_PX)).reshape(-1, image.channels)
