"""Features of objects that a user marked, measured in windows like those in which candidates are found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.automatic.dense_maps import dense_side
from napari_sam.engine.automatic.prompted_objects import RegionObject
from napari_sam.engine.concepts.candidate_finder import CandidateFinder, features_in_windows
from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.geometry import Box
from napari_sam.errors import ConceptError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout
    from napari_sam.engine.embeddings.embedder import EmbedderHolder

Mask = tuple["NDArray[np.bool_]", Box]
"""Pixels of an object (h, w) in its box (y0, x0, y1, x1), level-0 pixels."""

_SAME = 0.5  # IoU from which a candidate is the example itself
_USUAL_SCORES = (0.7, 0.8)
_CONTEXT = 1.25  # a region around an example is so many times as wide as the example, at least


def example_diameter(masks: Sequence[Mask]) -> float:
    """Return the median diameter of objects, level-0 pixels: that of a disc of the same area."""
    return float(np.median([2 * math.sqrt(np.count_nonzero(mask) / math.pi) for mask, _ in masks]))


def measure_examples(
    predictor: EmbedderHolder,
    masks: Sequence[Mask],
    diameter_px: float | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[NDArray[np.float32], Candidates]:
    """Compute the features of objects, and find the candidates around them.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image.
    masks : sequence of (ndarray of bool, Box)
        At least one object.
    diameter_px : float, optional
        Diameter that sets the magnification; that of the masks by default.
    cancelled : callable, optional
        Called between windows; return True to stop.

    Returns
    -------
    features : ndarray of float32
        (n, d), in the order of the masks.
    around : Candidates
        Candidates of the windows that were read, which may include the objects themselves.

    Raises
    ------
    ConceptError
        If an object is empty or reaches outside the image.
    PromptError
        If the model has no dense decoder.
    CancelledError
        If `cancelled()` returned True.
    """
    embedder = predictor.embedder
    shape = embedder.image.shape
    _check_masks(masks, shape)
    side = dense_side(diameter_px or example_diameter(masks), embedder.img_size, shape)
    finder = CandidateFinder(predictor, side=side, keep=True)
    layout: FeatureLayout | None = None
    rows: dict[int, NDArray[np.float32]] = {}
    around: list[Candidates] = []
    for region, numbers in regions_of([box for _, box in masks], side, shape).items():
        computed = finder.compute(region, 1, finder.read(region, 1), cancelled)
        around.append(finder.candidates(region, 1, computed))
        objects = [
            RegionObject(masks[i][1].shift(-region.y0, -region.x0), masks[i][0], *_scores(masks[i], around[-1]))
            for i in numbers
        ]
        features, layout = features_in_windows(embedder, region, 1, computed, objects)
        rows.update(zip(numbers, features, strict=True))
    assert layout is not None  # noqa: S101 - there is a region for every mask
    return np.stack([rows[i] for i in range(len(masks))]), Candidates.concatenate(around)


def regions_of(boxes: Sequence[Box], side: int, shape: tuple[int, int]) -> dict[Box, list[int]]:
    """Return regions of about a window that hold boxes, each with the indices of its boxes.

    Examples
    --------
    >>> regions_of([Box(10, 10, 20, 20), Box(60, 60, 80, 80), Box(900, 900, 920, 920)], 100, (1000, 1000))
    {(0, 0, 100, 100): [0, 1], (860, 860, 960, 960): [2]}
    """
    regions: dict[Box, list[int]] = {}
    for index, box in enumerate(boxes):
        for region, numbers in regions.items():
            if region.contains(box):
                numbers.append(index)
                break
        else:
            regions[_around(box, side, shape)] = [index]
    return regions


def _around(box: Box, side: int, shape: tuple[int, int]) -> Box:
    """Return a square around a box, moved into the image."""
    spans = []
    for axis in (0, 1):
        low, high = box[axis], box[axis + 2]
        length = max(side, math.ceil(_CONTEXT * (high - low)))
        start = max(0, min((low + high - length) // 2, shape[axis] - length))
        spans.append((start, min(start + length, shape[axis])))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)


def best_match(mask: Mask, candidates: Candidates) -> tuple[int, float]:
    """Return the index of the candidate most like a mask, and their IoU; (-1, 0.0) if none overlaps it."""
    pixels, box = mask
    area, best = int(np.count_nonzero(pixels)), (-1, 0.0)
    overlapping = (candidates.boxes[:, :2] < box[2:]).all(1) & (candidates.boxes[:, 2:] > box[:2]).all(1)
    for index in np.flatnonzero(overlapping).tolist():
        other, other_box = candidates.masks[index], Box(*candidates.boxes[index].tolist())
        common = box.intersection(other_box)
        both = int(np.count_nonzero(pixels[common.slices_in(box)] & other[common.slices_in(other_box)]))
        iou = both / (area + int(np.count_nonzero(other)) - both)
        if iou > best[1]:
            best = index, iou
    return best


def _scores(mask: Mask, candidates: Candidates) -> tuple[float, float]:
    """Return the scores that the network would give a mask: those of the same candidate, or usual ones."""
    index, iou = best_match(mask, candidates)
    if iou >= _SAME:
        return float(candidates.predicted_iou[index]), float(candidates.stability_score[index])
    if not len(candidates):
        return _USUAL_SCORES
    return float(np.median(candidates.predicted_iou)), float(np.median(candidates.stability_score))


def _check_masks(masks: Sequence[Mask], shape: tuple[int, int]) -> None:
    """Refuse objects without pixels, or not inside the image."""
    if not masks:
        raise ConceptError("no example was given", parameter="positive", remedy="give at least one object of the kind")
    for mask, box in masks:
        if mask.shape != box.shape or not mask.any():
            raise ConceptError(
                f"an example in {box} has no pixels, or a mask of another shape",
                parameter="positive",
                remedy="give masks (h, w) with at least one pixel",
            )
        if not Box(0, 0, *shape).contains(box):
            raise ConceptError(
                f"an example in {box} reaches outside the image of shape {shape}",
                parameter="positive",
                remedy="give examples of this image",
            )
