"""Watershed from dense maps to objects, and the object that a prompt selects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from src_models.networks.dense_decoder import BOUNDARY, CENTRE, FOREGROUND
from src_models.watershed_settings import WatershedSettings  # noqa: TC001 - the doctests need it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HYPOTHESIS_LOGIT = 8.0
"""Size of the logits of a mask prompt that is a drawing, or an object of the dense decoder."""

_BOX_IOU = 0.5  # least IoU of a box prompt and the bounding box of the object it selects
_STEP = 0.25  # offset of the two thresholds of a stability score from the threshold of the foreground

# Predicted IoU: a constant, and the weights of the soft IoU, the smallest boundary distance and the smallest centre
# distance inside. Least-squares fit to the best IoU of 9 090 objects of the shipped model, on the train splits of 15
# data sets of equal weight, at 1 to 4 magnifications. It separates objects above and below IoU 0.5 with an AUC of 0.82.
_QUALITY = (0.32, 0.75, -0.87, -0.99)


def seeded_watershed(maps: NDArray[np.float32], settings: WatershedSettings, scale: float = 1.0) -> NDArray[np.int32]:
    """Find the objects of dense maps.

    Parameters
    ----------
    maps : ndarray of float32
        (3, H, W) foreground, distance to the centre, distance to the boundary, each in [0, 1].
    settings : WatershedSettings
        Thresholds and smoothing.
    scale : float
        Pixels of `maps` per pixel of the network's input, in which the settings give sizes.

    Returns
    -------
    ndarray of int32
        (H, W), 0 is background, objects from 1 without gaps.

    Examples
    --------
    >>> maps = np.ones((3, 5, 9), np.float32)
    >>> maps[0, :, 4] = 0
    >>> maps[1:, 2, [2, 6]] = 0
    >>> seeded_watershed(maps, WatershedSettings(sigma_px=0.0))[2].tolist()
    [1, 1, 1, 1, 0, 2, 2, 2, 2]
    """
    basins, _ = _flooded(maps, settings, scale, settings.foreground)
    return _renumbered(basins, _large_enough(basins, settings, scale))[0]


@dataclass(frozen=True)
class ScoredObjects:
    """Objects of dense maps with their scores.

    Attributes
    ----------
    labels : ndarray of int32
        (H, W), 0 is background, objects from 1 to n without gaps.
    predicted_iou : ndarray of float32
        (n,) expected IoU with the true object, from 0 to 1, predicted from the IoU of the object and the foreground
        around it, and from the smallest distances inside, which are zero in every complete object.
    stability_score : ndarray of float32
        (n,) area where the foreground exceeds its threshold by 0.25, divided by the area where it is at most 0.25 below
        the threshold.
    """

    labels: NDArray[np.int32]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]


def scored_objects(maps: NDArray[np.float32], settings: WatershedSettings, scale: float = 1.0) -> ScoredObjects:
    """Find the objects of dense maps, with their scores; parameters as in `seeded_watershed`.

    Notes
    -----
    The watershed continues beyond the objects to where the foreground is 0.25 below its threshold, which gives every
    object surroundings for its scores.

    Examples
    --------
    >>> maps = np.ones((3, 5, 9), np.float32)
    >>> maps[0, :, 4], maps[1:, 2, [2, 6]] = 0, 0
    >>> scored_objects(maps, WatershedSettings(sigma_px=0.0)).predicted_iou.tolist()
    [1.0, 1.0]
    """
    loose = max(settings.foreground - _STEP, settings.foreground / 2)
    strict = min(settings.foreground + _STEP, (1 + settings.foreground) / 2)
    basins, inside = _flooded(maps, settings, scale, loose)
    labels = np.where(inside, basins, 0)
    count = int(basins.max(initial=0))
    foreground = np.asarray(maps[FOREGROUND], np.float32)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    around = np.bincount(basins.ravel(), minlength=count + 1)
    within = np.bincount(labels.ravel(), weights=foreground.ravel(), minlength=count + 1)
    total = np.bincount(basins.ravel(), weights=foreground.ravel(), minlength=count + 1)
    sure = np.bincount(labels.ravel(), weights=(foreground > strict).ravel(), minlength=count + 1)
    depth = [ndimage.minimum(maps[i], labels, np.arange(count + 1)) for i in (BOUNDARY, CENTRE)]
    features = (1.0, within / np.maximum(area + total - within, 1e-6), *depth)
    predicted = np.clip(sum(w * f for w, f in zip(_QUALITY, features, strict=True)), 0, 1)
    kept = _large_enough(labels, settings, scale)
    kept &= predicted[: len(kept)] >= settings.min_predicted_iou
    out, numbers = _renumbered(labels, kept)
    return ScoredObjects(
        out,
        predicted[numbers].astype(np.float32),
        (sure / np.maximum(around, 1))[numbers].astype(np.float32),
    )


def _flooded(
    maps: NDArray[np.float32], settings: WatershedSettings, scale: float, lowest: float
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the basins of the seeds where the foreground exceeds `lowest`, and where it exceeds its threshold."""
    from skimage.segmentation import watershed  # noqa: PLC0415 - slow to import

    foreground, centre, boundary = (np.asarray(maps[i], np.float32) for i in (FOREGROUND, CENTRE, BOUNDARY))
    if settings.foreground_sigma_px > 0:
        foreground = ndimage.gaussian_filter(foreground, settings.foreground_sigma_px * scale)
    if settings.sigma_px > 0:
        centre = ndimage.gaussian_filter(centre, settings.sigma_px * scale)
        boundary = ndimage.gaussian_filter(boundary, settings.sigma_px * scale)
    inside = foreground > settings.foreground
    seeds, count = ndimage.label(
        inside & (centre < settings.centre) & (boundary < settings.boundary), structure=np.ones((3, 3))
    )
    if not count:
        return np.zeros(inside.shape, np.int32), inside
    basins: NDArray[np.int32] = watershed(boundary, markers=seeds, mask=foreground > lowest).astype(np.int32)
    return basins, inside


def _large_enough(labels: NDArray[np.int32], settings: WatershedSettings, scale: float) -> NDArray[np.bool_]:
    """Return for each label from 0 whether it is an object."""
    kept: NDArray[np.bool_] = np.bincount(labels.ravel()) >= max(settings.min_area_px * scale**2, 1)
    kept[0] = False
    return kept


def _renumbered(labels: NDArray[np.int32], kept: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Renumber labels from 1 without gaps; return also the old labels."""
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[labels], np.flatnonzero(kept)


def hypothesis(
    labels: NDArray[np.int32],
    points: Sequence[tuple[float, float]] | NDArray[np.float64],
    point_labels: Sequence[int] | NDArray[np.int64],
    box: Sequence[float] | None = None,
) -> NDArray[np.bool_] | None:
    """Return the object of a label image that a prompt selects, as a mask prompt for the mask decoder.

    Parameters
    ----------
    labels : ndarray of int32
        (H, W) from `seeded_watershed`.
    points : array_like
        (P, 2) as (y, x), in its pixels.
    point_labels : array_like of int
        (P,) 1 for foreground, 0 for background.
    box : sequence of float, optional
        (y0, x0, y1, x1), in its pixels.

    Returns
    -------
    ndarray of bool or None
        (H, W), or None if prompt and objects do not agree: foreground points in no object or in several, a background
        point inside, or a box that fits no object (IoU of their boxes below 0.5).

    Examples
    --------
    >>> labels = np.array([[1, 1, 0, 2, 2, 2]], np.int32)
    >>> hypothesis(labels, [(0, 4)], [1]).astype(int).tolist()
    [[0, 0, 0, 1, 1, 1]]
    >>> hypothesis(labels, [(0, 4), (0, 0)], [1, 1]) is None, hypothesis(labels, [(0, 2)], [1]) is None
    (True, True)
    >>> hypothesis(labels, [], [], box=(0, 0, 1, 2)).astype(int).tolist()
    [[1, 1, 0, 0, 0, 0]]
    """
    h, w = labels.shape
    hits = [
        (int(labels[min(max(int(y), 0), h - 1), min(max(int(x), 0), w - 1)]), int(label))
        for (y, x), label in zip(points, point_labels, strict=True)
    ]
    wanted = {i for i, label in hits if label == 1}
    if box is not None:
        wanted |= _in_box(labels, box)
    if len(wanted) != 1 or 0 in wanted:
        return None
    (chosen,) = wanted
    if any(i == chosen and label == 0 for i, label in hits):
        return None
    out: NDArray[np.bool_] = labels == chosen
    return out


def _in_box(labels: NDArray[np.int32], box: Sequence[float]) -> set[int]:
    """Return the object with most pixels in a box, if its bounding box is similar; {0} if there is none."""
    y0, x0, y1, x1 = (max(0, round(v)) for v in box)
    counts = np.bincount(labels[y0:y1, x0:x1].ravel(), minlength=1)
    counts[0] = 0
    best = int(counts.argmax())
    if not counts[best]:
        return {0}
    rows, cols = (np.flatnonzero((labels == best).any(axis)) for axis in (1, 0))
    top, left, bottom, right = rows[0], cols[0], rows[-1] + 1, cols[-1] + 1
    both = max(0, min(bottom, y1) - max(top, y0)) * max(0, min(right, x1) - max(left, x0))
    either = (bottom - top) * (right - left) + (y1 - y0) * (x1 - x0) - both
    return {best} if both >= _BOX_IOU * either else {0}
