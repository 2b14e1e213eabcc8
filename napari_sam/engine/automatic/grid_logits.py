"""Low-res logits of the masks of grid mode, and the masks at full resolution."""

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
"""Upsampled logits are held for this many pixels at once."""


@dataclass(frozen=True)
class MaskFrame:
    """The grid of a window's mask pixels, relative to its low-res logits.

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
        """Rows and columns of the logits that mask pixels are interpolated from."""
        rows, cols = (int(low[-1]) + 2 for low, _ in self.axes)
        return rows, cols

    @cached_property
    def axes(self) -> tuple[tuple[NDArray[np.intp], NDArray[np.float32]], ...]:
        """Per axis, for each pixel: index of the logit before its centre, and weight of the next one."""
        axes = []
        for size, network in zip(self.shape, self.network_shape, strict=True):
            pitch = network / size * self.side / self.img_size
            centres = np.clip((np.arange(size) + 0.5) * pitch - 0.5, 0, self.side - 1)
            low = np.minimum(centres.astype(np.intp), self.side - 2)
            axes.append((low, (centres - low).astype(np.float32)))
        return tuple(axes)

    @cached_property
    def counts(self) -> tuple[Tensor, Tensor]:
        """Per axis: number of pixels between one logit and the next."""
        rows, cols = (torch.from_numpy(np.bincount(low).astype(np.float32)) for low, _ in self.axes)
        return rows, cols


@dataclass(frozen=True)
class MaskCandidate:
    """A mask that may pass the filters, as the relevant part of its low-res logits.

    Attributes
    ----------
    logits : Tensor
        (h, w) on the CPU.
    corner : (int, int)
        Row and column of its first logit.
    predicted_iou : float
        Score by the decoder.
    point : int
        Index of its grid point.
    """

    logits: Tensor
    corner: tuple[int, int]
    predicted_iou: float
    point: int


@dataclass(frozen=True)
class MeasuredMask:
    """Measurements of a candidate at full resolution.

    Attributes
    ----------
    candidate : MaskCandidate
        The candidate.
    box : (int, int, int, int)
        (y0, x0, y1, x1), pixels of the frame, half-open, tight.
    area : int
        In pixels.
    stability_score : float
        From the upsampled logits.
    """

    candidate: MaskCandidate
    box: Box
    area: int
    stability_score: float


def upsample_candidate(
    candidate: MaskCandidate, frame: MaskFrame, region: tuple[int, int, int, int] | None = None
) -> tuple[Box, Tensor]:
    """Interpolate the logits of a candidate at the frame's pixels.

    Parameters
    ----------
    candidate : MaskCandidate
        The candidate.
    frame : MaskFrame
        The grid of its pixels.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1), pixels of the frame; everything between its logits by default.

    Returns
    -------
    region : (int, int, int, int)
        The interpolated region.
    logits : Tensor
        (y1 - y0, x1 - x0) float32, bilinear.
    """
    y0, x0, y1, x1 = region or _pixel_span(candidate, frame)
    values = candidate.logits.float()
    for axis, (start, stop) in ((1, (x0, x1)), (0, (y0, y1))):
        low, share = (values_of_axis[start:stop] for values_of_axis in frame.axes[axis])
        index = torch.from_numpy(low - candidate.corner[axis])
        last = values.shape[axis] - 1
        before, after = index.clamp(0, last), (index + 1).clamp(0, last)
        weight = torch.from_numpy(share)[:, None] if axis == 0 else torch.from_numpy(share)
        values = torch.lerp(values.index_select(axis, before), values.index_select(axis, after), weight)
    return Box(y0, x0, y1, x1), values


def _pixel_span(candidate: MaskCandidate, frame: MaskFrame) -> Box:
    """Return the region of pixels between a candidate's logits."""
    spans = []
    for axis in (0, 1):
        low, first = frame.axes[axis][0], candidate.corner[axis]
        last = first + candidate.logits.shape[axis] - 2
        spans.append((int(np.searchsorted(low, first)), int(np.searchsorted(low, last, "right"))))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)


def measure_candidate(candidate: MaskCandidate, frame: MaskFrame, offset: float) -> MeasuredMask | None:
    """Measure box, area and stability score of a mask at full resolution; None if it is empty."""
    y0, x0, y1, x1 = _pixel_span(candidate, frame)
    step = max(1, STRIP_PX // max(1, x1 - x0))
    area = strict = loose = 0
    rows, cols = [], np.zeros(x1 - x0, bool)
    for top in range(y0, y1, step):
        _, logits = upsample_candidate(candidate, frame, (top, x0, min(top + step, y1), x1))
        inside = logits > 0
        area += int(inside.sum())
        strict += int((logits > offset).sum())
        loose += int((logits > -offset).sum())
        rows.append(inside.any(1).numpy())
        cols |= inside.any(0).numpy()
    if not area:
        return None
    ys, xs = np.flatnonzero(np.concatenate(rows)), np.flatnonzero(cols)
    box = Box(int(ys[0]), int(xs[0]), int(ys[-1]) + 1, int(xs[-1]) + 1).shift(y0, x0)
    return MeasuredMask(candidate, box, area, strict / loose)


def render_candidate(measured: MeasuredMask, frame: MaskFrame) -> NDArray[np.bool_]:
    """Return the mask at full resolution in its box, (h, w)."""
    y0, x0, y1, x1 = measured.box
    mask = np.zeros(measured.box.shape, bool)
    step = max(1, STRIP_PX // (x1 - x0))
    for top in range(y0, y1, step):
        bottom = min(top + step, y1)
        mask[top - y0 : bottom - y0] = (
            upsample_candidate(measured.candidate, frame, (top, x0, bottom, x1))[1] > 0
        ).numpy()
    return mask
