"""From a window's embedding to the masks of its grid of points: filtered as low-res logits, enlarged one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam.engine.automatic.grid_filters import EDGE_PX, box_nms, cut_by_crop, without_small_regions
from napari_sam.engine.automatic.grid_logits import MaskCandidate, MaskFrame, MeasuredMask, draw, measure
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
_ALL_CPU = 4  # where every mask of a batch is made: four and their tokens fit the cache
_COVERS = 0.5  # a mask with more of the window than this may have parts worth a point: it covers none


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
        Which point of the grid was asked.
    """

    mask: NDArray[np.bool_]
    box: Box
    predicted_iou: float
    stability_score: float
    point: int


def ask_points(
    runner: Runner,
    embedding: Tensor,
    points: NDArray[np.float64],
    frame: MaskFrame,
    settings: GridSettings,
    turn: Callable[[], AbstractContextManager[None]],
    cancelled: Callable[[], bool] | None = None,
) -> list[MaskCandidate]:
    """Decode all points of a window, and keep what may pass the filters.

    Parameters
    ----------
    runner : Runner
        The network.
    embedding : Tensor
        (1, 256, h, w) of the window.
    points : ndarray of float
        (P, 2) as (y, x), pixels of the network's input.
    frame : MaskFrame
        Of the masks.
    settings : GridSettings
        What the filters ask.
    turn : callable
        Gives the context in which the device is used, batch by batch.
    cancelled : callable, optional
        Asked between batches.

    Returns
    -------
    list of MaskCandidate
        In the order of `points`. Their predicted IoU passes; the stability of those left out cannot.

    Raises
    ------
    CancelledError
        If `cancelled` said so.
    """
    decoder = PointDecoder(runner.net, runner.dtype, embedding)
    xy = torch.from_numpy(np.ascontiguousarray(points[:, ::-1], np.float32))
    covered = _Cover(frame, points) if settings.skip_covered else None
    size = settings.points_per_batch or (_BATCH_CPU if runner.device.type == "cpu" else _BATCH_DEVICE)
    waiting = np.arange(len(points)) if covered is None else _spread_out(points)
    found: list[MaskCandidate] = []
    while len(waiting):
        if cancelled is not None and cancelled():
            raise CancelledError("the search for objects was cancelled")
        asked, waiting = waiting[:size], waiting[size:]
        with turn(), torch.inference_mode():
            state = decoder.decode_tokens(xy[asked])
            some = _promising(decoder, state, asked, frame, settings)
        found += some
        if covered is not None:
            waiting = covered.without(waiting, some, settings)
    return sorted(found, key=lambda one: one.point)  # stable: the three masks of a point stay in order


def _promising(
    decoder: PointDecoder, state: PointTokens, asked: NDArray[np.intp], frame: MaskFrame, settings: GridSettings
) -> list[MaskCandidate]:
    """Masks of a batch whose predicted IoU passes and whose stability may."""
    passes = state.predicted_iou[:, 1:]
    passes = passes > settings.pred_iou_thresh if settings.pred_iou_thresh > 0 else torch.ones_like(passes) > 0
    chosen = passes.any(1).nonzero()[:, 0]
    if not len(chosen):
        return []
    height, width = frame.used
    prompts, slots = passes[chosen].nonzero().unbind(1)
    logits = decoder.masks(state, chosen)[prompts, slots, :height, :width]
    judged = state.predicted_iou[chosen[prompts], 1 + slots]
    may = _may_be_stable(logits, frame, settings)
    points = asked[chosen[prompts[may]].cpu().numpy()]
    logits, judged = logits[may].cpu(), judged[may].cpu()
    return _candidates(logits, judged, points, settings.stability_score_offset)


def _candidates(logits: Tensor, judged: Tensor, points: NDArray[np.intp], offset: float) -> list[MaskCandidate]:
    """Masks (m, H, W) cut to where they may be above the lowest threshold; those that nowhere are, are left out."""
    inside = logits > -offset
    out = []
    for one, rows, cols, iou, point in zip(logits, inside.any(2), inside.any(1), judged, points, strict=True):
        if not rows.any():
            continue
        (top, bottom), (left, right) = _reach(rows), _reach(cols)
        part = one[top:bottom, left:right].clone()  # a slice would keep the whole batch in memory
        out.append(MaskCandidate(part, (top, left), float(iou), int(point)))
    return out


def every_mask(
    runner: Runner,
    embedding: Tensor,
    points: NDArray[np.float64],
    frame: MaskFrame,
    *,
    slots: slice = slice(1, 4),
    offset: float = 1.0,
) -> list[list[MaskCandidate]]:
    """Decode all points of a window and keep all masks, filtered by nothing.

    Parameters
    ----------
    runner, embedding, points, frame
        As in `ask_points`.
    slots : slice
        Which of a point's four masks: the three of an ambiguous prompt by default, 0 is the single one.
    offset : float
        Logits above minus this are kept.

    Returns
    -------
    list of list of MaskCandidate
        For each slot, in the order of `points`; a mask whose logits are nowhere so high is missing.
    """
    decoder = PointDecoder(runner.net, runner.dtype, embedding)
    xy = torch.from_numpy(np.ascontiguousarray(points[:, ::-1], np.float32))
    size = _ALL_CPU if runner.device.type == "cpu" else _BATCH_DEVICE
    height, width = frame.used
    out: list[list[MaskCandidate]] = [[] for _ in range(*slots.indices(4))]
    for first in range(0, len(points), size):
        asked = np.arange(first, min(first + size, len(points)))
        with torch.inference_mode():
            state = decoder.decode_tokens(xy[asked])
            logits = decoder.masks(state, torch.arange(len(asked), device=embedding.device), slots)
            logits, judged = logits[..., :height, :width].float().cpu(), state.predicted_iou[:, slots].float().cpu()
        for slot, found in enumerate(out):
            found += _candidates(logits[:, slot], judged[:, slot], asked, offset)
    return out


def _may_be_stable(logits: Tensor, frame: MaskFrame, settings: GridSettings) -> Tensor:
    """Which masks (m, H, W) are not empty and can have the stability score that is asked for: (m,) bool.

    An enlarged logit lies between the least and the greatest of the four around it. So from four neighbours it
    follows how many pixels are above a level at least and at most, without enlarging anything.
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


def _reach(hit: Tensor) -> tuple[int, int]:
    """First and last place that is hit, and one more on either side, within the length: (start, stop)."""
    at = hit.nonzero()
    return max(int(at[0]) - 1, 0), min(int(at[-1]) + 2, len(hit))


def choose(
    candidates: Sequence[MaskCandidate],
    frame: MaskFrame,
    settings: GridSettings,
    place: tuple[Box, Box] | None = None,
    edge_px: int = EDGE_PX,
) -> list[WindowMask]:
    """Apply the filters that need enlarged masks, then drop duplicates.

    Parameters
    ----------
    candidates : sequence of MaskCandidate
        Of one window.
    frame : MaskFrame
        Of its masks.
    settings : GridSettings
        What the filters ask.
    place : (Box, Box), optional
        The window and what it is a part of: masks near an edge of the window that is no edge of the whole are
        dropped. None keeps them.
    edge_px : int
        How near, in pixels of the frame.

    Returns
    -------
    list of WindowMask
        Best first.
    """
    found = []
    largest = np.inf if settings.max_cover is None else settings.max_cover * frame.shape[0] * frame.shape[1]
    for candidate in candidates:
        one = measure(candidate, frame, settings.stability_score_offset)
        if one is not None and one.stability_score >= settings.stability_score_thresh and one.area < largest:
            found.append(one)
    if not found:
        return []
    boxes = np.array([one.box for one in found])
    if place is not None:
        whole = ~cut_by_crop(boxes + np.tile(place[0][:2], 2), *place, edge_px)
        found, boxes = [one for one, kept in zip(found, whole, strict=True) if kept], boxes[whole]
    scores = np.array([one.candidate.predicted_iou for one in found])
    return [_rendered(found[i], frame) for i in box_nms(boxes, scores, settings.box_nms_thresh)]


def _rendered(one: MeasuredMask, frame: MaskFrame) -> WindowMask:
    candidate = one.candidate
    mask = draw(one, frame)
    return WindowMask(mask, one.box, candidate.predicted_iou, one.stability_score, candidate.point)


def tidied(
    masks: Sequence[WindowMask], boxes: NDArray[np.intp], bounds: Box | None, settings: GridSettings
) -> list[tuple[int, NDArray[np.bool_], Box]]:
    """Remove small parts and holes, then the duplicates that this made.

    Parameters
    ----------
    masks : sequence of WindowMask
        Which.
    boxes : ndarray of int
        (N, 4) theirs, half-open.
    bounds : (int, int, int, int) or None
        (y0, x0, y1, x1) of the image in the same frame: no hole reaches beyond. None where it goes on for ever.
    settings : GridSettings
        What is small, and what a duplicate.

    Returns
    -------
    list of (int, ndarray of bool, Box)
        Index, mask and box of those that stay; masks that were left alone come first.
    """
    if not settings.min_mask_region_area or not len(masks):
        return [(i, one.mask, Box(*boxes[i].tolist())) for i, one in enumerate(masks)]
    found, unchanged = [], []
    for one, box in zip(masks, boxes, strict=True):
        mask, place, changed = _without_specks(one.mask, Box(*box.tolist()), bounds, settings.min_mask_region_area)
        found.append((mask, place))
        unchanged.append(not changed)
    again = np.array([place for _, place in found])
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    return [(int(i), *found[i]) for i in box_nms(again, np.array(unchanged, np.float64), threshold)]


def _without_specks(
    mask: NDArray[np.bool_], box: Box, bounds: Box | None, least: int
) -> tuple[NDArray[np.bool_], Box, bool]:
    before, after = [least, least], [least, least]
    if bounds is not None:
        before = [min(least, box[axis] - bounds[axis]) for axis in (0, 1)]
        after = [min(least, bounds[axis + 2] - box[axis + 2]) for axis in (0, 1)]
    padded = np.pad(mask, list(zip(before, after, strict=True)))
    tidy, changed = without_small_regions(padded, least)
    if not changed:
        return mask, box, False
    rows, cols = np.flatnonzero(tidy.any(1)), np.flatnonzero(tidy.any(0))
    y0, x0 = box[0] - before[0], box[1] - before[1]
    place = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1).shift(y0, x0)
    return tidy[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1], place, True


class _Cover:
    """Where confident masks lie, on the grid of low-res logits."""

    def __init__(self, frame: MaskFrame, points: NDArray[np.float64]) -> None:
        self.covered = np.zeros(frame.used, bool)
        cells = (points * (frame.side / frame.img_size)).astype(np.intp)
        self.cells = np.minimum(cells, np.array(self.covered.shape) - 1)

    def without(
        self, waiting: NDArray[np.intp], found: Sequence[MaskCandidate], settings: GridSettings
    ) -> NDArray[np.intp]:
        """The points that still wait and are not covered once `found` is drawn."""
        for one in found:
            inside = one.logits > 0
            strict = int((one.logits > settings.stability_score_offset).sum())
            loose = int((one.logits > -settings.stability_score_offset).sum())
            stable = strict >= settings.stability_score_thresh * loose
            if stable and int(inside.sum()) <= _COVERS * self.covered.size:
                (y, x), (h, w) = one.corner, inside.shape
                self.covered[y : y + h, x : x + w] |= inside.numpy()
        at = self.cells[waiting]
        left: NDArray[np.intp] = waiting[~self.covered[at[:, 0], at[:, 1]]]
        return left


def _spread_out(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """An order in which points that follow one another lie far apart, and every beginning of it covers the window."""
    order: NDArray[np.intp] = np.random.default_rng(0).permutation(len(points)).astype(np.intp)
    return order
