"""Normalisation of a whole image: the channels and values that become the network's red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.pixel_validity import invalid_pixels, without_fill_value

if TYPE_CHECKING:
    from collections.abc import Callable

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
        One per channel; empty if the values are 8-bit and stay unchanged. `low` exceeds `high` in an image whose
        smallest value is white.
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
                span = np.where(high == low, 1.0, high - low)
                values = np.nan_to_num((values - low) * (255.0 / span), nan=0.0, posinf=255.0, neginf=0.0)
            pixels = np.clip(values + 0.5, 0, 255).astype(np.uint8)
        rgb = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
        three: NDArray[np.uint8] = np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)), dtype=np.uint8)
        return three


def choose_normalisation(
    image: ImageSource, take_sample: Callable[[], NDArray[np.generic]] | None = None
) -> Normalisation:
    """Choose the normalisation of an image, from contrast limits or from a sample of its coarsest level.

    8-bit images without contrast limits stay unchanged, as in the reference SAM. Others, also those that use fewer
    than 8 bits, are stretched from the 0.1 to the 99.9 percentile of each channel; values without measurement do not
    count. The result is reversed if the image declares that its smallest value is white.

    Parameters
    ----------
    image : ImageSource
        At most about 1024 x 1024 pixels of its coarsest level are read, or those that its ``sample()`` returns.
    take_sample : callable, optional
        Returns pixels (n, channels) to use instead; called only where the result depends on pixels.

    Returns
    -------
    Normalisation
        If no sampled pixel is valid, black is 0 and white 1.
    """
    chosen = _limits(image, take_sample)
    if not getattr(image, "inverted", False):
        return chosen
    low, high = (chosen.low, chosen.high) if chosen.low else ((0.0,) * _used(image), (255.0,) * _used(image))
    return Normalisation(high, low)


def _limits(image: ImageSource, take_sample: Callable[[], NDArray[np.generic]] | None) -> Normalisation:
    """Return the values that are lowest and highest in display."""
    channels = _used(image)
    whole_bytes = image.dtype == np.uint8 and getattr(image, "bits", None) in (None, 8)
    if image.contrast_limits is not None:
        low, high = image.contrast_limits
        if image.dtype == np.uint8 and (low, high) == (0, 255):
            return Normalisation()
        return Normalisation((float(low),) * channels, (float(high),) * channels)
    if whole_bytes:
        return Normalisation()
    if image.dtype == np.bool_:
        return Normalisation((0.0,) * channels, (1.0,) * channels)
    sample = _sample(image) if take_sample is None else take_sample()
    pairs = [_percentiles(values, getattr(image, "nodata", None)) for values in sample[:, :channels].T]
    return Normalisation(tuple(low for low, _ in pairs), tuple(high for _, high in pairs))


def _used(image: ImageSource) -> int:
    """Return the number of channels that the network sees differently."""
    return 3 if image.channels >= 3 else 1


def _percentiles(values: NDArray[np.generic], nodata: float | None) -> tuple[float, float]:
    """Return the values that become black and white in one channel (n,)."""
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are left out
        single = values.astype(np.float32)
    valid = without_fill_value(single[np.isfinite(single) & ~invalid_pixels(values, nodata)])
    low, high = np.percentile(valid, [_LOW_PERCENT, _HIGH_PERCENT]) if len(valid) else (0.0, 1.0)
    return float(low), float(high)


def _sample(image: ImageSource) -> NDArray[np.generic]:
    """Return pixels from all over an image, (n, channels): its own sample, or pixels of its coarsest level."""
    take_sample = getattr(image, "sample", None)
    if take_sample is not None:
        sample: NDArray[np.generic] = take_sample()
        return sample
    level = len(image.levels) - 1
    h, w = image.levels[level]
    return image.read(level, 0, 0, h, w, max(1, max(h, w) // _SAMPLE_PX)).reshape(-1, image.channels)
