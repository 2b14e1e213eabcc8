"""Objects by both branches: proposals of the dense maps prompt the mask decoder, and the better answers are kept."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from napari_sam.engine.automatic.grid_logits import MaskCandidate, MaskFrame, measure_candidate, render_candidate
from napari_sam.engine.geometry import Box
from src_models.networks.crop_decoder import CropPrompts
from src_models.networks.prompt_encoder import PAD_POINT, POSITIVE
from src_models.watershed import HYPOTHESIS_LOGIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.automatic.object_proposals import Proposal
    from src_models.runtime import Runner

MAX_OVERLAP = 0.15
"""Share of an object that better objects may cover before it is dropped (micro-sam's automatic prompt generation)."""

_CROPS = (16, 24, 32, 48)  # sides of crops, in cells of the embedding
_CONTEXT = 2.0  # side of a crop over the long side of its object
_BATCH_CPU, _BATCH_DEVICE = 8, 64
_MOST_PROMPTS = 128  # per window; the remaining objects are those of the watershed
_AGREEING = 0.8  # IoU of both branches from which the outline is that of the mask decoder

# IoU with the true object: a constant, and the weights of the predicted IoU by the dense maps and by the mask decoder
# and of the IoU of both masks. Least-squares fit on the train splits of 13 data sets of equal weight; correlation 0.76.
_QUALITY = (-0.28, 0.74, 0.44, 0.17)
_DOUBT = 0.1  # less for candidates, most of which are parts of objects


@dataclass(frozen=True)
class EncodedWindow:
    """A window whose embedding can be prompted.

    Attributes
    ----------
    box : (int, int, int, int)
        (y0, x0, y1, x1), label pixels of the region; may reach beyond it.
    network_shape : (int, int)
        The part of the network's input that shows the image.
    embedding : Tensor
        (1, 256, h, w).
    """

    box: Box
    network_shape: tuple[int, int]
    embedding: Tensor

    @property
    def pitch(self) -> NDArray[np.float64]:
        """Pixels of the network's input per label pixel, along y and x."""
        pitch: NDArray[np.float64] = np.array(self.network_shape, np.float64) / np.array(self.box.shape)
        return pitch


@dataclass(frozen=True)
class RegionObject:
    """An object with its scores.

    Attributes
    ----------
    box : (int, int, int, int)
        (y0, x0, y1, x1), label pixels of the region, half-open.
    mask : ndarray of bool
        (h, w) in its box.
    predicted_iou, stability_score : float
        Scores, from 0 to 1.
    """

    box: Box
    mask: NDArray[np.bool_]
    predicted_iou: float
    stability_score: float


@dataclass(frozen=True)
class _Placed:
    """A proposal with its crop and prompt, in the network's frame of its window."""

    index: int
    proposal: Proposal
    side: int
    origin: tuple[int, int]
    point: tuple[float, float]


def prompt_objects(
    runner: Runner,
    windows: Sequence[EncodedWindow],
    proposals: Sequence[Proposal],
    *,
    with_masks: bool,
    device_turn: Callable[[], AbstractContextManager[None]],
) -> list[RegionObject]:
    """Prompt the mask decoder with every proposal, and score the objects by both branches.

    Parameters
    ----------
    runner : Runner
        The network.
    windows : sequence of EncodedWindow
        Windows that cover the proposals; each is prompted in the one in which it is farthest from a border.
    proposals : sequence of Proposal
        Objects and candidates.
    with_masks : bool
        Give the mask of a proposal to the decoder besides its deepest point, as the default model was trained.
    device_turn : callable
        Returns the context in which the device is used, batch by batch.

    Returns
    -------
    list of RegionObject
        In the order of `proposals`. Candidates that were not decoded, or to no mask, are missing.
    """
    by_window: dict[int, list[int]] = defaultdict(list)
    for index, proposal in enumerate(proposals):
        number = best_window(proposal.box, windows)
        if not proposal.is_candidate or windows[number].box.contains(proposal.box):  # others are cut
            by_window[number].append(index)
    masks: dict[int, RegionObject] = {}
    for number, indices in by_window.items():
        window = windows[number]
        cells = int(window.embedding.shape[-1])
        ranked = sorted(indices, key=lambda i: -proposals[i].predicted_iou)[:_MOST_PROMPTS]
        placed = [_place(i, proposals[i], window, cells, runner.img_size) for i in sorted(ranked)]
        for batch in _batches(placed, _BATCH_CPU if runner.device.type == "cpu" else _BATCH_DEVICE):
            masks.update(_decode(runner, window, batch, with_masks, device_turn))
    objects = [_judged(proposal, masks.get(index)) for index, proposal in enumerate(proposals)]
    return [found for found in objects if found is not None]


def merge_objects(
    shape: tuple[int, int], objects: Sequence[RegionObject], max_overlap: float = MAX_OVERLAP
) -> tuple[NDArray[np.int32], list[int]]:
    """Draw objects, best first; each keeps the pixels that are still free.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the labels.
    objects : sequence of RegionObject
        Objects that may overlap each other and the border of the labels.
    max_overlap : float
        Objects of which better ones cover more than this share are dropped.

    Returns
    -------
    labels : ndarray of int32
        0 is background, objects from 1 to n without gaps.
    kept : list of int
        Index of each object.

    Examples
    --------
    >>> good = RegionObject(Box(0, 0, 1, 3), np.ones((1, 3), bool), 0.9, 1.0)
    >>> worse = RegionObject(Box(0, 1, 1, 4), np.ones((1, 3), bool), 0.8, 1.0)
    >>> merge_objects((1, 4), [worse, good], 0.7)[0].tolist(), merge_objects((1, 4), [worse, good])[1]
    ([[1, 1, 1, 2]], [1])
    """
    labels = np.zeros(shape, np.int32)
    kept: list[int] = []
    for index in sorted(range(len(objects)), key=lambda i: -objects[i].predicted_iou):
        found = objects[index]
        box = found.box.clip(shape)
        if box.is_empty:
            continue
        mask, visible = found.mask[box.shift(-found.box.y0, -found.box.x0).slices], labels[box.slices]
        free = mask & (visible == 0)
        count = int(np.count_nonzero(free))
        if count and count >= (1 - max_overlap) * np.count_nonzero(mask):
            kept.append(index)
            visible[free] = len(kept)
    return labels, kept


def best_window(box: Box, windows: Sequence[EncodedWindow]) -> int:
    """Return the index of the window in which a box is farthest from a border."""

    def margin(index: int) -> int:
        frame = windows[index].box
        return min(box.y0 - frame.y0, box.x0 - frame.x0, frame.y1 - box.y1, frame.x1 - box.x1)

    return max(range(len(windows)), key=margin)


def _place(index: int, proposal: Proposal, window: EncodedWindow, cells: int, img_size: int) -> _Placed:
    """Lay a crop around a proposal, and find its deepest point."""
    pitch, stride = window.pitch, img_size / cells
    corners = (np.array(proposal.box).reshape(2, 2) - window.box[:2]) * pitch  # pixels of the network's input
    extent = float((corners[1] - corners[0]).max()) * _CONTEXT / stride
    side = next((side for side in _CROPS if extent <= side < cells), cells)
    origin = np.clip(np.round(corners.mean(0) / stride - side / 2), 0, cells - side).astype(int)
    depth = ndimage.distance_transform_edt(np.pad(proposal.mask, 1))[1:-1, 1:-1]
    deepest = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
    y, x = (deepest + proposal.box[:2] - window.box[:2] + 0.5) * pitch - 0.5
    return _Placed(index, proposal, side, (int(origin[0]), int(origin[1])), (float(y), float(x)))


def _batches(placed: Sequence[_Placed], size: int) -> Iterable[list[_Placed]]:
    """Yield proposals whose crops are of one size, at most `size` together."""
    by_side: dict[int, list[_Placed]] = defaultdict(list)
    for one in placed:
        by_side[one.side].append(one)
    for group in by_side.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _decode(
    runner: Runner,
    window: EncodedWindow,
    batch: list[_Placed],
    with_masks: bool,
    device_turn: Callable[[], AbstractContextManager[None]],
) -> dict[int, RegionObject]:
    """Decode prompts of one window; return the best mask of each, by the index of its proposal."""
    side, cells = batch[0].side, int(window.embedding.shape[-1])
    coords = torch.tensor([[[one.point[1], one.point[0]], [0.0, 0.0]] for one in batch])
    labels = torch.tensor([[POSITIVE, PAD_POINT]]).expand(len(batch), -1)
    origins = torch.tensor([one.origin for one in batch])
    masks = None
    if with_masks:
        stride = runner.img_size / cells
        masks = torch.from_numpy(np.stack([_mask_prompt(one, window, stride) for one in batch]))[:, None]
    with device_turn():
        decoded = runner.decode_crops(window.embedding, CropPrompts(origins, side, coords, labels, masks))
    scores, best = decoded.predicted_iou.max(1)
    logits = decoded.logits[torch.arange(len(batch)), best]
    frame = MaskFrame(window.box.shape, window.network_shape, runner.img_size, 4 * cells)
    found = {}
    for one, values, score in zip(batch, logits, scores, strict=True):
        corner = (4 * one.origin[0], 4 * one.origin[1])
        candidate = MaskCandidate(values, corner, min(1.0, max(0.0, float(score))), one.index)
        mask = _rendered(candidate, frame, window.box)
        if mask is not None:
            found[one.index] = mask
    return found


def _mask_prompt(one: _Placed, window: EncodedWindow, stride: float) -> NDArray[np.float32]:
    """Return the mask of a proposal as logits (4 * side, 4 * side) of its crop."""
    proposal, axes = one.proposal, []
    for axis in (0, 1):
        centres = one.origin[axis] * stride + (np.arange(4 * one.side) + 0.5) * stride / 4
        pixels = np.floor(centres / window.pitch[axis]).astype(np.intp)
        axes.append(pixels + window.box[axis] - proposal.box[axis])
    inside = np.ix_(*((0 <= axis) & (axis < size) for axis, size in zip(axes, proposal.mask.shape, strict=True)))
    rows, cols = (axis[(0 <= axis) & (axis < size)] for axis, size in zip(axes, proposal.mask.shape, strict=True))
    logits = np.full((4 * one.side, 4 * one.side), -HYPOTHESIS_LOGIT, np.float32)
    logits[inside] = np.where(proposal.mask[np.ix_(rows, cols)], HYPOTHESIS_LOGIT, -HYPOTHESIS_LOGIT)
    return logits


def _rendered(candidate: MaskCandidate, frame: MaskFrame, window: Box) -> RegionObject | None:
    """Return the largest connected part of a mask in label pixels; None if it is empty."""
    if not bool((candidate.logits > 0).any()):
        return None
    measured = measure_candidate(candidate, frame, 1.0)
    if measured is None:
        return None
    mask, box = render_candidate(measured, frame), measured.box
    parts, count = ndimage.label(mask)
    if count > 1:
        largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        rows, cols = ndimage.find_objects(parts, largest)[largest - 1]
        mask = parts[rows, cols] == largest
        box = Box(rows.start, cols.start, rows.stop, cols.stop).shift(box.y0, box.x0)
    return RegionObject(box.shift(window.y0, window.x0), mask, candidate.predicted_iou, measured.stability_score)


def _judged(proposal: Proposal, decoded: RegionObject | None) -> RegionObject | None:
    """Return an object with its score by both branches and the outline of the better one."""
    dense = RegionObject(proposal.box, proposal.mask, proposal.predicted_iou, proposal.stability_score)
    if decoded is None:
        return None if proposal.is_candidate else dense
    agreement = object_iou(dense, decoded)
    features = (1.0, proposal.predicted_iou, decoded.predicted_iou, agreement)
    score = sum(w * f for w, f in zip(_QUALITY, features, strict=True)) - _DOUBT * proposal.is_candidate
    score = float(np.clip(score, 0, 1))
    outline = decoded if proposal.is_candidate or agreement >= _AGREEING else dense
    return RegionObject(outline.box, outline.mask, score, outline.stability_score)


def object_iou(a: RegionObject, b: RegionObject) -> float:
    """Return the IoU of two objects."""
    common = a.box.intersection(b.box)
    if common.is_empty:
        return 0.0
    parts = [found.mask[common.shift(-found.box.y0, -found.box.x0).slices] for found in (a, b)]
    both = int(np.count_nonzero(parts[0] & parts[1]))
    return both / (np.count_nonzero(a.mask) + np.count_nonzero(b.mask) - both)
