"""Objects that the dense maps suggest: those of the watershed, and further ones that only prompt the mask decoder.

The watershed needs seeds that are sure. Where the maps are less so, a faint object has no seed, and one seed covers two
objects that touch. Watersheds with a lower threshold of the foreground and with less smoothing find these; most of what
they add is wrong, so that the mask decoder has to confirm it (micro-sam's automatic prompt generation, Archit et al.,
2026, prompts with the seeds alone).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.geometry import Box
from src_models.watershed import ScoredObjects, scored_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from src_models.watershed_settings import WatershedSettings

_SAME = 0.8  # IoU from which two objects are one proposal
_MAPS_PER_NETWORK_PX = 0.5  # resolution of the decoder of the default model; finer maps add no seeds


@dataclass(frozen=True)
class Proposal:
    """An object that the dense maps suggest.

    Attributes
    ----------
    box : (int, int, int, int)
        (y0, x0, y1, x1), label pixels of the region, half-open and tight.
    mask : ndarray of bool
        (h, w) in its box.
    predicted_iou, stability_score : float
        Its scores by the dense maps alone.
    is_candidate : bool
        Below the thresholds of the watershed: an object only if the mask decoder confirms it.
    """

    box: Box
    mask: NDArray[np.bool_]
    predicted_iou: float
    stability_score: float
    is_candidate: bool = False


def propose_objects(maps: NDArray[np.float32], settings: WatershedSettings, scale: float) -> list[Proposal]:
    """Find the objects of dense maps, and candidates below the thresholds of the watershed.

    Parameters
    ----------
    maps : ndarray of float32
        (3, H, W) as in `src_models.watershed`.
    settings : WatershedSettings
        Thresholds and smoothing of the watershed; `min_predicted_iou` is left to the caller, who knows better scores.
    scale : float
        Pixels of `maps` per pixel of the network's input.

    Returns
    -------
    list of Proposal
        The objects of the watershed, then the candidates, each unlike all before it.
    """
    settings = replace(settings, min_predicted_iou=0.0)
    objects = scored_objects(maps, settings, scale)
    proposals = _proposals(objects, np.ones(len(objects.predicted_iou), bool))
    step = max(1, int(scale / _MAPS_PER_NETWORK_PX))
    coarse = np.ascontiguousarray(maps[:, step // 2 :: step, step // 2 :: step])
    earlier = [objects.labels[step // 2 :: step, step // 2 :: step]]
    for looser in _looser(settings):
        found = scored_objects(coarse, looser, scale / step)
        proposals += _proposals(found, _is_new(found.labels, earlier), step, maps.shape[1:])
        earlier.append(found.labels)
    return proposals


def _looser(settings: WatershedSettings) -> tuple[WatershedSettings, ...]:
    """Return settings that find faint objects, and objects that the given ones join."""
    return (
        replace(settings, foreground=0.6 * settings.foreground, boundary=min(0.95, 1.2 * settings.boundary)),
        replace(settings, sigma_px=0.5 * settings.sigma_px, centre=0.75 * settings.centre),
    )


def _proposals(
    objects: ScoredObjects, chosen: NDArray[np.bool_], step: int = 1, shape: tuple[int, ...] | None = None
) -> list[Proposal]:
    """Return the chosen objects; those of maps that were reduced `step` times are enlarged, to an array of `shape`."""
    proposals = []
    for index, slices in enumerate(ndimage.find_objects(objects.labels)):
        if slices is None or not chosen[index]:
            continue
        rows, cols = slices
        mask = objects.labels[rows, cols] == index + 1
        box = Box(rows.start, cols.start, rows.stop, cols.stop)
        if shape is not None:
            box = Box(*(value * step for value in box)).clip((shape[0], shape[1]))
            mask = mask.repeat(step, 0).repeat(step, 1)[: box.height, : box.width]
        scores = float(objects.predicted_iou[index]), float(objects.stability_score[index])
        proposals.append(Proposal(box, mask, *scores, is_candidate=shape is not None))
    return proposals


def _is_new(labels: NDArray[np.int32], earlier: list[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Return which objects, from the first on, are unlike all objects of the earlier label images.

    >>> old = np.array([[1, 1, 1, 1, 0, 2]], np.int32)
    >>> _is_new(np.array([[1, 1, 2, 2, 0, 3]], np.int32), [old]).tolist()
    [True, True, False]
    """
    count = int(labels.max(initial=0))
    area = np.bincount(labels.ravel(), minlength=count + 1)
    new = np.ones(count + 1, bool)
    for other in earlier:
        their_area = np.bincount(other.ravel())
        both = (labels > 0) & (other > 0)
        pairs, shared = np.unique(labels[both].astype(np.int64) * len(their_area) + other[both], return_counts=True)
        mine, theirs = np.divmod(pairs, len(their_area))
        new[mine[shared >= _SAME * (area[mine] + their_area[theirs] - shared)]] = False
    return new[1:]
