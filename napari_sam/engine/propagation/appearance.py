"""How an object looks: its grey values, and those around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 16
_SMOOTHING = 1.0  # of the histograms, in bins
_RING = 0.5  # width of the ring around an object over the radius of a disc of its area


@dataclass(frozen=True)
class Appearance:
    """Grey values of an object and of the ring around it.

    Attributes
    ----------
    inside, ring : ndarray of float
        (16,) histograms, each of sum 1.
    contrast : float
        Difference of the mean grey values inside and in the ring, over their mean standard deviation; positive for a
        bright object.
    """

    inside: NDArray[np.float64]
    ring: NDArray[np.float64]
    contrast: float

    def similarity(self, reference: Appearance) -> float:
        """Return how much more this looks like a reference object than like the reference's surroundings.

        Returns
        -------
        float
            In [0, 1]; about 0.5 where object and surroundings have the same grey values. The larger of two measures:
            the share of the Bhattacharyya coefficient with the object in the sum of those with object and
            surroundings, and the contrast over that of the reference.
        """
        own, other = (float(np.sqrt(self.inside * h).sum()) for h in (reference.inside, reference.ring))
        histogram = own / max(own + other, 1e-9)
        kept = self.contrast / reference.contrast if abs(reference.contrast) > 1e-6 else 0.0
        return float(np.clip(max(histogram, kept / 2), 0.0, 1.0))


def appearance_of(grey: NDArray[np.float32], mask: NDArray[np.bool_]) -> Appearance:
    """Measure the appearance of a mask.

    Parameters
    ----------
    grey : ndarray of float32
        (h, w) in 0...255.
    mask : ndarray of bool
        (h, w).
    """
    radius = np.sqrt(max(int(mask.sum()), 1) / np.pi)
    distance = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)
    ring = (distance > 1) & (distance <= 1 + max(2.0, _RING * radius))
    inside, around = grey[mask], grey[ring]
    if not len(inside) or not len(around):
        inside = around = grey.ravel()
    spread = (float(inside.std()) + float(around.std())) / 2
    contrast = (float(inside.mean()) - float(around.mean())) / max(spread, 1.0)
    return Appearance(_histogram(inside), _histogram(around), contrast)


def _histogram(values: NDArray[np.float32]) -> NDArray[np.float64]:
    counts = np.bincount(np.clip(values * (_BINS / 256), 0, _BINS - 1).astype(int), minlength=_BINS).astype(float)
    smooth: NDArray[np.float64] = ndimage.gaussian_filter1d(counts, _SMOOTHING, mode="nearest")
    smooth /= smooth.sum()
    return smooth
