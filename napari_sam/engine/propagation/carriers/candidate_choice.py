"""Choose among the network's masks for an object that is expected at a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.interactive.logit_fields import LogitGrid
from napari_sam.engine.interactive.mask_cleanup import extend_padding
from napari_sam.engine.interactive.prompts import Prompt
from napari_sam.engine.propagation.carriers.blending import signed_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.engine.propagation.carriers.plane_decoder import Candidates

OVERLAP_WEIGHT = 1.0
"""Weight of the overlap with the expected mask, against a predicted IoU of the same size."""

TRUSTED_OVERLAP, UNTRUSTED_OVERLAP = 0.8, 0.4
"""Overlap with the expected mask from which on a mask is taken as it is, and below which the expected one counts."""

TRUSTED_SCORE = 0.6
"""Score from which on a mask is taken as it is."""

PRIOR_WEIGHT = 6.0
"""Weight of the expected shape for a mask that is not trusted at all, against logits of the mask's mean size."""

_PRIOR_WIDTH = 0.5  # distance from the expected outline at which the prior is full, over the radius of a disc
_PART = 0.15  # share of an object's area from which on a part is no speck


@dataclass(frozen=True)
class KeptMask:
    """The mask that was chosen.

    Attributes
    ----------
    logits : ndarray of float32
        (H, W) low-res logits, without the parts that do not belong to the object.
    score : float
        Predicted IoU in [0, 1].
    agreement : float
        IoU of the network's mask with the expected one.
    evidence : float
        Largest product of predicted IoU and overlap with the expected mask among the answers to the first prompt, which
        does not know the expected mask.
    events : tuple of str
        As in `CarriedMask`.
    """

    logits: NDArray[np.float32]
    score: float
    agreement: float
    evidence: float
    events: tuple[str, ...]


class CandidateChoice:
    """Choose the candidate of an object.

    Parameters
    ----------
    expected : MaskPrompt
        The object where it is expected.
    change : float
        Share by which masks may differ more than on planes close to each other, from `expected_change`.
    """

    def __init__(self, expected: MaskPrompt, change: float = 0.0) -> None:
        self._prompt, self._change = Prompt(mask=expected), change

    def best(self, candidates: Candidates) -> int:
        """Return the index of the best candidate."""
        return int(self.values(candidates).argmax())

    def values(self, candidates: Candidates) -> NDArray[np.float64]:
        """Return the value (N,) of each candidate: its score plus its weighted overlap with the expected mask."""
        values: NDArray[np.float64] = candidates.scores + OVERLAP_WEIGHT * self.overlaps(candidates)
        return values

    def overlaps(self, candidates: Candidates) -> NDArray[np.float64]:
        """Return the IoU (N,) of each candidate with the expected mask."""
        expected = self._expected(candidates)
        masks = candidates.logits > 0
        shared = np.count_nonzero(masks & expected, axis=(1, 2))
        either = np.count_nonzero(masks | expected, axis=(1, 2))
        overlaps: NDArray[np.float64] = shared / np.maximum(either, 1)
        return overlaps

    def chosen(self, candidates: Candidates) -> KeptMask | None:
        """Return the best candidate, tidied; None if it is empty."""
        best = self.best(candidates)
        grid = LogitGrid(candidates.logits[best], candidates.window)
        rows, cols = grid.used
        if not (grid.values[:rows, :cols] > 0).any():
            return None
        expected = self._expected(candidates)[:rows, :cols]
        score = float(np.clip(candidates.scores[best], 0, 1))
        overlaps = self.overlaps(candidates)
        agreement = float(overlaps[best])
        unprimed = slice(candidates.masks_per_prompt)
        evidence = float((np.clip(candidates.scores[unprimed], 0, 1) * overlaps[unprimed]).max())
        doubt = 1 - trust(score, agreement / (1 - self._change))
        grid = LogitGrid(grid.values.copy(), grid.window)
        grid.values[:rows, :cols] = with_prior(grid.values[:rows, :cols], expected, PRIOR_WEIGHT * doubt)
        mask, parts = belonging_parts(grid.values[:rows, :cols] > 0, expected)
        if not mask.any():
            return None
        kept = extend_padding(grid, mask).values
        return KeptMask(kept, score, agreement, evidence, ("split",) if parts > 1 else ())

    def _expected(self, candidates: Candidates) -> NDArray[np.bool_]:
        logits = self._prompt.mask_logits(candidates.window, candidates.logits.shape[-1])
        inside: NDArray[np.bool_] = np.zeros(candidates.logits.shape[1:], bool) if logits is None else logits > 0
        return inside


def expected_change(mask: NDArray[np.bool_], spacing: float | None) -> float:
    """Return the share by which an object may change more because its planes lie far apart, in [0, 0.5].

    Parameters
    ----------
    mask : ndarray of bool
        (h, w) the object, level-0 pixels.
    spacing : float or None
        Distance of planes over the size of a pixel; None if it is not known.

    Examples
    --------
    >>> expected_change(np.ones((20, 20), bool), None), round(expected_change(np.ones((20, 20), bool), 5), 2)
    (0.0, 0.11)
    """
    if spacing is None:
        return 0.0
    radius = float(np.sqrt(max(1, int(np.count_nonzero(mask))) / np.pi))
    return float(np.clip(spacing / (4 * radius), 0.0, 0.5))


def trust(score: float, overlap: float) -> float:
    """Return how much a mask counts against the expected one, in [0, 1].

    Neighbouring planes show nearly the same: a mask that differs much from the expected one is more likely wrong than
    the object changed.

    Parameters
    ----------
    score : float
        Predicted IoU.
    overlap : float
        IoU with the expected mask.

    Examples
    --------
    >>> trust(0.9, 0.9), trust(0.9, 0.3), round(trust(0.3, 0.6), 2)
    (1.0, 0.0, 0.25)
    """
    gate = (overlap - UNTRUSTED_OVERLAP) / (TRUSTED_OVERLAP - UNTRUSTED_OVERLAP)
    return float(np.clip(gate, 0, 1) * np.clip(score / TRUSTED_SCORE, 0, 1))


def with_prior(logits: NDArray[np.float32], expected: NDArray[np.bool_], weight: float) -> NDArray[np.float32]:
    """Draw the outline of an uncertain mask towards the expected one.

    Parameters
    ----------
    logits : ndarray of float32
        (h, w).
    expected : ndarray of bool
        (h, w) the object where it is expected.
    weight : float
        Size of the prior over the mean size of the logits in and around both masks.

    Returns
    -------
    ndarray of float32
        (h, w) logits plus a prior that grows with the distance from the expected outline; negative outside of it.
    """
    either = expected | (logits > 0)
    if weight <= 0 or not expected.any():
        return logits
    rows, cols = np.flatnonzero(either.any(1)), np.flatnonzero(either.any(0))
    near = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    width = max(1.0, _PRIOR_WIDTH * float(np.sqrt(np.count_nonzero(expected) / np.pi)))
    prior = np.clip(signed_distance(expected[near]) / width, -1, 1)
    fused = logits.copy()
    fused[near] += (weight * float(np.abs(logits[near]).mean()) * prior).astype(np.float32)
    return fused


def belonging_parts(mask: NDArray[np.bool_], expected: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Return the parts of a mask that belong to an object, with their holes filled.

    Parameters
    ----------
    mask : ndarray of bool
        (h, w).
    expected : ndarray of bool
        (h, w) the object where it is expected.

    Returns
    -------
    mask : ndarray of bool
        (h, w) the parts that touch the expected object and are no specks; the largest part if none does.
    count : int
        Their number.
    """
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask, 0
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    touching = np.bincount(parts[expected], minlength=count + 1)[1:]
    kept = np.flatnonzero((touching > 0) & (areas >= _PART * areas[touching > 0].max(initial=0))) + 1
    if not len(kept):
        kept = np.array([areas.argmax() + 1])
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(np.isin(parts, kept))
    return filled, len(kept)


def inner_point(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the pixel (y, x) of a mask that is farthest from its outline."""
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.array(np.unravel_index(int(distance.argmax()), mask.shape), float)
