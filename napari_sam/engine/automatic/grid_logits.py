"""Low-res logits of grid mode's masks, how a window's pixels lie on them, and what can be known of a mask by them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


STRIP_PX = 1 << 20
"""Enlarged logits are held for so many pixels at once."""


@dataclass(frozen=True)
class MaskFrame:
    """How the pixels of a window's masks lie on its low-res logits.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the masks, in pixels.
    network_shape : (float, float)
        The part of the network's input that those pixels show, in the network's pixels.
    img_size : int
        Side of the network's input.
    side : int
        Side of the low-res logits.
    """

    shape: tuple[int, int]
    network_shape: tuple[float, float]
    img_size: int
    side: int

    @property
    def used(self) -> tuple[int, int]:
        """Rows and columns of the logits that pixels are interpolated from."""
        rows, cols = (int(low[-1]) + 2 for low, _ in self.axes)
        return rows, cols

    @cached_property
    def axes(self) -> tuple[tuple[NDArray[np.intp], NDArray[np.float32]], ...]:
        """Per axis, for each pixel: the logit before its middle, and the share of the one after it."""
        out = []
        for size, network in zip(self.shape, self.network_shape, strict=True):
            pitch = network / size * self.side / self.img_size
            at = np.clip((np.arange(size) + 0.5) * pitch - 0.5, 0, self.side - 1)
            low = np.minimum(at.astype(np.intp), self.side - 2)
            out.append((low, (at - low).astype(np.float32)))
        return tuple(out)

    @cached_property
    def counts(self) -> tuple[Tensor, Tensor]:
        """Per axis: how many pixels lie between one logit and the next."""
        rows, cols = (torch.from_numpy(np.bincount(low).astype(np.float32)) for low, _ in self.axes)
        return rows, cols


@dataclass(frozen=True)
class MaskCandidate:
    """A mask that may pass, as the part of its low-res logits that matters.

    Attributes
    ----------
    logits : Tensor
        (h, w) on the CPU.
    corner : (int, int)
        Row and column of its first logit.
    predicted_iou : float
        As the decoder says.
    point : int
        Which point of the grid was asked.
    """

    logits: Tensor
    corner: tuple[int, int]
    predicted_iou: float
    point: int


@dataclass(frozen=True)
class MeasuredMask:
    """What is known of a candidate once it was enlarged.

    Attributes
    ----------
    candidate : MaskCandidate
        Which.
    box : (int, int, int, int)
        (y0, x0, y1, x1), pixels of the frame, half-open, tight.
    area : int
        In pixels.
    stability_score : float
        From the enlarged logits.
    """

    candidate: MaskCandidate
    box: Box
    area: int
    stability_score: float


def enlarge(
    candidate: MaskCandidate, frame: MaskFrame, region: tuple[int, int, int, int] | None = None
) -> tuple[Box, Tensor]:
    """Logits of a candidate at the frame's pixels.

    Parameters
    ----------
    candidate : MaskCandidate
        Which.
    frame : MaskFrame
        Where its pixels lie.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1), pixels of the frame; all that the candidate reaches by default.

    Returns
    -------
    region : (int, int, int, int)
        What was enlarged.
    logits : Tensor
        (y1 - y0, x1 - x0) float32, bilinear.
    """
    y0, x0, y1, x1 = region or _pixels(candidate, frame)
    values = candidate.logits.float()
    for axis, (start, stop) in ((1, (x0, x1)), (0, (y0, y1))):
        low, share = (one[start:stop] for one in frame.axes[axis])
        index = torch.from_numpy(low - candidate.corner[axis])
        last = values.shape[axis] - 1
        before, after = index.clamp(0, last), (index + 1).clamp(0, last)
        weight = torch.from_numpy(share)[:, None] if axis == 0 else torch.from_numpy(share)
        values = torch.lerp(values.index_select(axis, before), values.index_select(axis, after), weight)
    return Box(y0, x0, y1, x1), values


def _pixels(candidate: MaskCandidate, frame: MaskFrame) -> Box:
    """The pixels that lie between a candidate's logits."""
    spans = []
    for axis in (0, 1):
        low, first = frame.axes[axis][0], candidate.corner[axis]
        last = first + candidate.logits.shape[axis] - 2
        spans.append((int(np.searchsorted(low, first)), int(np.searchsorted(low, last, "right"))))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)


def measure(candidate: MaskCandidate, frame: MaskFrame, offset: float) -> MeasuredMask | None:
    """Box, area and stability score of the enlarged mask; None if it is empty."""
    y0, x0, y1, x1 = _pixels(candidate, frame)
    step = max(1, STRIP_PX // max(1, x1 - x0))
    area = strict = loose = 0
    rows, cols = [], np.zeros(x1 - x0, bool)
    for top in range(y0, y1, step):
        _, logits = enlarge(candidate, frame, (top, x0, min(top + step, y1), x1))
        inside = logits > 0
        area += int(inside.sum())
        strict += int((logits > offset).sum())
        loose += int((logits > -offset).sum())
        rows.append(inside.any(1).numpy())
        cols |= inside.any(0).numpy()
    if not area:
        return None
    at_y, at_x = np.flatnonzero(np.concatenate(rows)), np.flatnonzero(cols)
    box = Box(int(at_y[0]), int(at_x[0]), int(at_y[-1]) + 1, int(at_x[-1]) + 1).shift(y0, x0)
    return MeasuredMask(candidate, box, area, strict / loose)


def draw(one: MeasuredMask, frame: MaskFrame) -> NDArray[np.bool_]:
    """The enlarged mask in its box, (h, w)."""
    y0, x0, y1, x1 = one.box
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    step = max(1, STRIP_PX // (x1 - x0))
    for top in range(y0, y1, step):
        bottom = min(top + step, y1)
        mask[top - y0 : bottom - y0] = (enlarge(one.candidate, frame, (top, x0, bottom, x1))[1] > 0).numpy()
    return mask
