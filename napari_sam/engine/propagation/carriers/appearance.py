"""How an object looks: how much it differs from what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RING = 0.5  # width of the ring around an object over the radius of a disc of its area
_DISTINCT = 1.0  # contrast from which on an object stands out from its surroundings
_CLEAR = 3.0  # contrast beyond which more says nothing: without noise, one wrong pixel changes it many times


@dataclass(frozen=True)
class Appearance:
    """Contrast of an object.

    Attributes
    ----------
    contrast : float
        Difference of the mean grey values inside and in the ring around the object, over their mean standard deviation;
        positive for a bright object.
    """

    contrast: float

    def similarity(self, reference: Appearance) -> float:
        """Return how much of a reference's contrast is left.

        Returns
        -------
        float
            In [0, 1]: the share of the contrast that is left, drawn towards 1 where both hardly stand out from their
            surroundings, as a cell among its neighbours.
        """
        seen, wanted = (float(np.clip(x.contrast, -_CLEAR, _CLEAR)) for x in (self, reference))
        distinct = min(1.0, max(abs(wanted), abs(seen)) / _DISTINCT)
        left = seen / wanted if wanted else 1.0
        return 1 - distinct * (1 - float(np.clip(left, 0.0, 1.0)))


def appearance_of(grey: NDArray[np.float32], mask: NDArray[np.bool_]) -> Appearance:
    """Measure the appearance of a mask.

    Parameters
    ----------
    grey : ndarray of float32
        (h, w) in 0...255.
    mask : ndarray of bool
        (h, w).
    """
    if not mask.any():
        return Appearance(0.0)
    radius = float(np.sqrt(int(mask.sum()) / np.pi))
    distance = ndimage.distance_transform_edt(~mask)
    ring = (distance > 1) & (distance <= 1 + max(2.0, _RING * radius))
    inside, around = grey[mask], grey[ring]
    if not len(around):
        return Appearance(0.0)
    spread = (float(inside.std()) + float(around.std())) / 2
    return Appearance((float(inside.mean()) - float(around.mean())) / max(spread, 1.0))
