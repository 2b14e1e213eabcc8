"""From a window's embedding to the masks of its grid of points: filtered as low-res logits, upsampled one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam.engine.automatic.grid_filters import EDGE_PX, box_nms, cut_by_crop, without_small_regions
from napari_sam.engine.automatic.grid_logits import (
    MaskCandidate,
    MaskFrame,
    MeasuredMask,
    measure_candidate,
    render_candidate,
)
from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError
from src_models.networks.point_decoder import PointDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.automatic.grid_settings import GridSettings
    from src_models.networks.point_decoder import PointTokens
    from src_models.runtime import Runner

_BATCH_CPU, _BATCH_DEVICE = 16, 128
_BATCH_ALL_CPU = 4  # where every mask is computed: those of four points and their tokens fit the cache
_MAX_COVER = 0.5  # a mask of more than this share of the window covers no point: parts of it may be objects


@dataclass(frozen=True)
class WindowMask:
    """A mask of a window that passed all filters.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w) crop.
    box : (int, int, int, int)
        (y0, x0, y1, x1) of the crop, half-open and tight, pixels of the window.
    predicted_iou, stability_score : float
        Its scores.
    point : int
        Index of its grid point.
    """

    mask: NDArray[np.bool_]
    box: Box
    predicted_iou: float
    stability_score: float
    point: int


def decode_points(
    runner: Runner,
    embedding: Tensor,
    points: NDArray[np.float64],
    frame: MaskFrame,
    settings: GridSettings,
    device_turn: Callable[[], AbstractContextManager[None]],
    cancelled: Callable[[], bool] | None = None,
) -> list[MaskCandidate]:
    """Decode all points of a window, and keep the masks that may pass the filters.

    Parameters
    ----------
    runner : Runner
        The network.
    embedding : Tensor
        (1, 256, h, w) of the window.
    points : ndarray of float
        (P, 2) as (y, x), pixels of the network's input.
    frame : MaskFrame
        Pixel grid of the masks.
    settings : GridSettings
        Thresholds of the filters.
    device_turn : callable
        Returns the context in which the device is used, batch by batch.
    cancelled : callable, optional
        Called between batches; return True to stop.

    Returns
    -------
    list of MaskCandidate
        In the order of `points`. Their predicted IoU passes; the stability score of all others cannot.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True.
    """
    decoder = PointDecoder(runner.net, runner.dtype, embedding)
    xy = torch.from_numpy(np.ascontiguousarray(points[:, ::-1], np.float32))
    cover = _PointCover(frame, points) if settings.skip_covered else None
    size = settings.points_per_batch or (_BATCH_CPU if runner.device.type == "cpu" else _BATCH_DEVICE)
    waiting = np.arange(len(points)) if cover is None else _shuffled(points)
    candidates: list[MaskCandidate] = []
    while len(waiting):
        if cancelled is not None and cancelled():
            raise CancelledError("the search for objects was cancelled")
        batch, waiting = waiting[:size], waiting[size:]
        with device_turn(), torch.inference_mode():
            tokens = decoder.decode_tokens(xy[batch])
            promising = _promising(decoder, tokens, batch, frame, settings)
        candidates += promising
        if cover is not None:
            cover.add(promising, settings)
            waiting = cover.uncovered(waiting)
    return sorted(candidates, key=lambda candidate: candidate.point)  # stable: masks of a point stay in order


def _promising(
    decoder: PointDecoder, tokens: PointTokens, points: NDArray[np.intp], frame: MaskFrame, settings: GridSettings
) -> list[MaskCandidate]:
    """Return the masks of a batch whose predicted IoU passes and whose stability score may."""
    passes = tokens.predicted_iou[:, 1:]
    passes = passes > settings.pred_iou_thresh if settings.pred_iou_thresh > 0 else torch.ones_like(passes) > 0
    chosen = passes.any(1).nonzero()[:, 0]
    if not len(chosen):
        return []
    height, width = frame.used
    prompts, slots = passes[chosen].nonzero().unbind(1)
    logits = decoder.masks(tokens, chosen)[prompts, slots, :height, :width]
    scores = tokens.predicted_iou[chosen[prompts], 1 + slots]
    may = _may_be_stable(logits, frame, settings)
    numbers = points[chosen[prompts[may]].cpu().numpy()]
    logits, scores = logits[may].cpu(), scores[may].cpu()
    return _candidates(logits, scores, numbers, settings.stability_score_offset)


def _candidates(logits: Tensor, scores: Tensor, points: NDArray[np.intp], offset: float) -> list[MaskCandidate]:
    """Crop masks (m, H, W) to where they may exceed the lowest threshold; drop those that never do."""
    inside = logits > -offset
    candidates = []
    for values, rows, cols, iou, point in zip(logits, inside.any(2), inside.any(1), scores, points, strict=True):
        if not rows.any():
            continue
        (top, bottom), (left, right) = _extent(rows), _extent(cols)
        part = values[top:bottom, left:right].clone()  # a slice would keep the whole batch in memory
        candidates.append(MaskCandidate(part, (top, left), float(iou), int(point)))
    return candidates


def decode_all_masks(
    runner: Runner,
    embedding: Tensor,
    points: NDArray[np.float64],
    frame: MaskFrame,
    *,
    slots: slice = slice(1, 4),
    offset: float = 1.0,
) -> list[list[MaskCandidate]]:
    """Decode all points of a window and keep all masks, without any filter.

    Parameters
    ----------
    runner, embedding, points, frame
        As in `decode_points`.
    slots : slice
        Which of a point's four masks: the three of an ambiguous prompt by default, 0 is the single one.
    offset : float
        Logits above minus this are kept.

    Returns
    -------
    list of list of MaskCandidate
        For each slot, in the order of `points`; masks without such logits are missing.
    """
    decoder = PointDecoder(runner.net, runner.dtype, embedding)
    xy = torch.from_numpy(np.ascontiguousarray(points[:, ::-1], np.float32))
    size = _BATCH_ALL_CPU if runner.device.type == "cpu" else _BATCH_DEVICE
    height, width = frame.used
    by_slot: list[list[MaskCandidate]] = [[] for _ in range(*slots.indices(4))]
    for first in range(0, len(points), size):
        batch = np.arange(first, min(first + size, len(points)))
        with torch.inference_mode():
            tokens = decoder.decode_tokens(xy[batch])
            logits = decoder.masks(tokens, torch.arange(len(batch), device=embedding.device), slots)
            logits, scores = logits[..., :height, :width].float().cpu(), tokens.predicted_iou[:, slots].float().cpu()
        for slot, candidates in enumerate(by_slot):
            candidates += _candidates(logits[:, slot], scores[:, slot], batch, offset)
    return by_slot


def _may_be_stable(logits: Tensor, frame: MaskFrame, settings: GridSettings) -> Tensor:
    """Return which masks (m, H, W) are not empty and can reach the stability score: (m,) bool.

    An interpolated logit lies between the least and the greatest of the four around it. Four neighbours therefore
    bound the number of pixels above a threshold, without any interpolation.
    """
    over = torch.maximum(logits[:, 1:], logits[:, :-1])
    greatest = torch.maximum(over[..., 1:], over[..., :-1])
    may = (greatest > 0).flatten(1).any(1)
    if settings.stability_score_thresh <= 0:
        return may
    under = torch.minimum(logits[:, 1:], logits[:, :-1])
    least = torch.minimum(under[..., 1:], under[..., :-1])
    rows, cols = (count.to(logits.device) for count in frame.counts)
    strict = ((greatest > settings.stability_score_offset).float() @ cols) @ rows
    loose = ((least > -settings.stability_score_offset).float() @ cols) @ rows
    return may & (strict >= settings.stability_score_thresh * loose * (1 - 1e-6))


def _extent(hit: Tensor) -> tuple[int, int]:
    """Return (start, stop) of the True values, with one more on either side, within the length."""
    indices = hit.nonzero()
    return max(int(indices[0]) - 1, 0), min(int(indices[-1]) + 2, len(hit))


def filter_masks(
    candidates: Sequence[MaskCandidate],
    frame: MaskFrame,
    settings: GridSettings,
    crop: tuple[Box, Box] | None = None,
    edge_px: int = EDGE_PX,
) -> list[WindowMask]:
    """Apply the filters that need masks at full resolution, then drop duplicates.

    Parameters
    ----------
    candidates : sequence of MaskCandidate
        Of one window.
    frame : MaskFrame
        Pixel grid of its masks.
    settings : GridSettings
        Thresholds of the filters.
    crop : (Box, Box), optional
        The window and the whole that it is a crop of: masks near an edge of the window that is no edge of the whole
        are dropped. None keeps them.
    edge_px : int
        How near, in pixels of the frame.

    Returns
    -------
    list of WindowMask
        Best first.
    """
    passing = []
    largest = np.inf if settings.max_cover is None else settings.max_cover * frame.shape[0] * frame.shape[1]
    for candidate in candidates:
        mask = measure_candidate(candidate, frame, settings.stability_score_offset)
        if mask is not None and mask.stability_score >= settings.stability_score_thresh and mask.area < largest:
            passing.append(mask)
    if not passing:
        return []
    boxes = np.array([mask.box for mask in passing])
    if crop is not None:
        whole = ~cut_by_crop(boxes + np.tile(crop[0][:2], 2), *crop, edge_px)
        passing, boxes = [mask for mask, kept in zip(passing, whole, strict=True) if kept], boxes[whole]
    scores = np.array([mask.candidate.predicted_iou for mask in passing])
    return [_window_mask(passing[i], frame) for i in box_nms(boxes, scores, settings.box_nms_thresh)]


def _window_mask(measured: MeasuredMask, frame: MaskFrame) -> WindowMask:
    candidate = measured.candidate
    pixels = render_candidate(measured, frame)
    return WindowMask(pixels, measured.box, candidate.predicted_iou, measured.stability_score, candidate.point)


def clean_masks(
    masks: Sequence[WindowMask], boxes: NDArray[np.intp], bounds: Box | None, settings: GridSettings
) -> list[tuple[int, NDArray[np.bool_], Box]]:
    """Remove small parts and holes, then the duplicates that result from it.

    Parameters
    ----------
    masks : sequence of WindowMask
        The masks.
    boxes : ndarray of int
        (N, 4) their boxes, half-open.
    bounds : (int, int, int, int) or None
        (y0, x0, y1, x1) of the image in the same frame: no hole reaches beyond. None without such bounds.
    settings : GridSettings
        Smallest region, and thresholds for duplicates.

    Returns
    -------
    list of (int, ndarray of bool, Box)
        Index, mask and box of those that stay; unchanged masks come first.
    """
    if not settings.min_mask_region_area or not len(masks):
        return [(i, mask.mask, Box(*boxes[i].tolist())) for i, mask in enumerate(masks)]
    cleaned, unchanged = [], []
    for mask, box in zip(masks, boxes, strict=True):
        pixels, tight, changed = _without_specks(mask.mask, Box(*box.tolist()), bounds, settings.min_mask_region_area)
        cleaned.append((pixels, tight))
        unchanged.append(not changed)
    tight_boxes = np.array([tight for _, tight in cleaned])
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    return [(int(i), *cleaned[i]) for i in box_nms(tight_boxes, np.array(unchanged, np.float64), threshold)]


def _without_specks(
    mask: NDArray[np.bool_], box: Box, bounds: Box | None, least: int
) -> tuple[NDArray[np.bool_], Box, bool]:
    """Remove regions below `least` pixels: the mask, its tight box, and whether it has changed."""
    before, after = [least, least], [least, least]
    if bounds is not None:
        before = [min(least, box[axis] - bounds[axis]) for axis in (0, 1)]
        after = [min(least, bounds[axis + 2] - box[axis + 2]) for axis in (0, 1)]
    padded = np.pad(mask, list(zip(before, after, strict=True)))
    cleaned, changed = without_small_regions(padded, least)
    if not changed:
        return mask, box, False
    rows, cols = np.flatnonzero(cleaned.any(1)), np.flatnonzero(cleaned.any(0))
    crop = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    return cleaned[crop.slices], crop.shift(box.y0 - before[0], box.x0 - before[1]), True


class _PointCover:
    """Points that lie inside confident masks, on the grid of low-res logits."""

    def __init__(self, frame: MaskFrame, points: NDArray[np.float64]) -> None:
        self.covered = np.zeros(frame.used, bool)
        cells = (points * (frame.side / frame.img_size)).astype(np.intp)
        self.cells = np.minimum(cells, np.array(self.covered.shape) - 1)

    def add(self, candidates: Sequence[MaskCandidate], settings: GridSettings) -> None:
        """Mark the points inside stable masks as covered."""
        for candidate in candidates:
            inside = candidate.logits > 0
            strict = int((candidate.logits > settings.stability_score_offset).sum())
            loose = int((candidate.logits > -settings.stability_score_offset).sum())
            stable = strict >= settings.stability_score_thresh * loose
            if stable and int(inside.sum()) <= _MAX_COVER * self.covered.size:
                (y, x), (h, w) = candidate.corner, inside.shape
                self.covered[y : y + h, x : x + w] |= inside.numpy()

    def uncovered(self, points: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the points that are not covered, from their indices."""
        cells = self.cells[points]
        remaining: NDArray[np.intp] = points[~self.covered[cells[:, 0], cells[:, 1]]]
        return remaining


def _shuffled(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return an order of points in which every beginning is spread over the window; the same in every run."""
    order: NDArray[np.intp] = np.random.default_rng(0).permutation(len(points)).astype(np.intp)
    return order
