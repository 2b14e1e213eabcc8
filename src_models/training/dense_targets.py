"""Targets and loss of the dense decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OBJECT_WEIGHT = 3.0  # weight of object pixels relative to background pixels in the loss of the distances


def dense_target(labels: NDArray[np.int32], pitch: int) -> NDArray[np.float32]:
    """Compute foreground, centre distance and boundary distance of a label image.

    Distances are relative to the largest distance in each object, so that objects of all sizes look similar: the
    centre distance is 0 at the pixel nearest to the centre of mass and 1 at the farthest pixel, the boundary distance 0
    at the deepest pixel and 1 outside. The border of the image is not a boundary. Source: Archit et al., 2025, section
    "Automatic instance segmentation".

    Parameters
    ----------
    labels : ndarray of int32
        (S, S), 0 is background.
    pitch : int
        Pixels per pixel of the target, in which distances are measured.

    Returns
    -------
    ndarray of float32
        (3, S / pitch, S / pitch) in [0, 1].

    Examples
    --------
    >>> print(dense_target(np.array([[0, 7, 7, 7, 7, 7, 0]], np.int32), 1)[:, 0].round(2))
    [[0.   1.   1.   1.   1.   1.   0.  ]
     [1.   1.   0.5  0.   0.5  1.   1.  ]
     [1.   0.67 0.33 0.   0.33 0.67 1.  ]]
    """
    small = labels[pitch // 2 :: pitch, pitch // 2 :: pitch]
    inside = (labels > 0).astype(np.float32)
    h, w = small.shape
    share = inside[: h * pitch, : w * pitch].reshape(h, pitch, w, pitch).mean((1, 3), dtype=np.float32)
    centre, boundary = np.ones((h, w), np.float32), np.ones((h, w), np.float32)
    for label, box in enumerate(ndimage.find_objects(small), start=1):
        if box is None:
            continue
        # One more pixel on each side, if there is one, for the outside of the object.
        grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        mask = small[grown] == label
        depth = ndimage.distance_transform_edt(mask) if not mask.all() else np.ones(mask.shape)
        rows, cols = np.nonzero(mask)
        away = np.hypot(rows - rows.mean(), cols - cols.mean())
        away -= away.min()
        boundary[grown][mask] = (1 - depth / depth.max())[mask]
        centre[grown][mask] = away / max(away.max(), 1e-6)
    return np.stack([share, centre, boundary])


def dense_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Compute cross-entropy and Dice loss of the foreground, and cross-entropy of the distances as soft targets.

    Parameters
    ----------
    logits : Tensor
        (B, 3, H, W).
    target : Tensor
        (B, 3, H, W) from `dense_target`.

    Returns
    -------
    Tensor
        Scalar, without the entropy of the targets: a perfect prediction has only the smoothing of the Dice loss.
    """
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    floor = F.binary_cross_entropy(target, target, reduction="none")
    each = each - floor
    inside = target[:, 0]
    weight = 1 + (_OBJECT_WEIGHT - 1) * (inside > 0).float()
    distances = (each[:, 1:] * weight[:, None]).sum() / (2 * weight.sum())
    p = torch.sigmoid(logits[:, 0])
    both = (p * inside).sum((-2, -1))
    dice = 1 - (2 * both + 1) / (p.sum((-2, -1)) + inside.sum((-2, -1)) + 1)
    return each[:, 0].mean() + 0.5 * dice.mean() + 2 * distances
