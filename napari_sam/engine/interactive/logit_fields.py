"""Low-res logits as fields over the image: sampled anywhere, rendered piece by piece, never dense as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.windows import Window

MASK_THRESHOLD = 0.0
_EDGE, _RAMP = 1 / 16, 1 / 8  # a window's answer counts from here on, and wholly after the ramp; shares of its side


class LogitField(Protocol):
    """Logits over a part of the image."""

    def span(self) -> Box | None:
        """Region (y0, x0, y1, x1) outside of which nothing is foreground; None if nothing is."""
        ...

    def uniform(self, region: Box) -> bool | None:
        """Whether a region is all foreground or all background, where that is cheap to tell; else None."""
        ...

    def sample(self, region: Box) -> Tensor:
        """Logits (h, w) of a region's pixels."""
        ...


@dataclass(frozen=True)
class LogitGrid:
    """The low-res logits of one mask, in the frame of their window.

    Attributes
    ----------
    values : ndarray of float32
        (side, side), padding included.
    window : Window
        Their place in the image.
    """

    values: NDArray[np.float32]
    window: Window

    @property
    def cell(self) -> float:
        """Pixels of the network's input per logit."""
        return self.window.img_size / int(self.values.shape[-1])

    @property
    def cell_px(self) -> float:
        """Level-0 pixels per logit."""
        return self.cell / min(self.window.scale)

    @property
    def used(self) -> tuple[int, int]:
        """Rows and columns that are not padding."""
        rows, cols = (min(len(self.values), -int(-n // self.cell)) for n in self.window.network_shape)
        return rows, cols

    def positions(self, axis: int, at: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Fractional index along an axis of level-0 positions; integers are the pixels' edges."""
        out = (at - self.window.bbox[axis]) * (self.window.scale[axis] / self.cell) - 0.5
        return np.asarray(out, np.float64)

    def span(self) -> Box | None:
        """As `LogitField.span`."""
        return span_of(self.values[None], self.window)

    def uniform(self, region: Box) -> bool | None:
        """As `LogitField.uniform`."""
        part = self._around(region)
        if part.min() > MASK_THRESHOLD:
            return True
        return False if part.max() <= MASK_THRESHOLD else None

    def at_least(self, region: Box, level: float) -> bool:
        """Whether no value in a region is below `level`."""
        return bool(self._around(region).min() >= level)

    def sample(self, region: Box) -> Tensor:
        """As `LogitField.sample`: bilinear, held constant beyond the grid."""
        rows, cols = (self.positions(axis, np.arange(region[axis], region[axis + 2]) + 0.5) for axis in (0, 1))
        return self._interpolated(rows, cols)

    def cells_of(self, window: Window, side: int) -> NDArray[np.float32]:
        """These logits at the (side, side) cells of another window; held constant beyond the grid."""
        middles = (np.arange(side) + 0.5) * (window.img_size / side)
        rows, cols = (self.positions(axis, middles / window.scale[axis] + window.bbox[axis]) for axis in (0, 1))
        out: NDArray[np.float32] = self._interpolated(rows, cols).numpy()
        return out

    def _interpolated(self, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> Tensor:
        return interpolate(interpolate(torch.from_numpy(self.values), cols, axis=1), rows, axis=0)

    def _around(self, region: Box) -> NDArray[np.float32]:
        """The logits that a region's pixels are interpolated from."""
        slices = []
        for axis in (0, 1):
            first, last = self.positions(axis, np.array([region[axis] + 0.5, region[axis + 2] - 0.5]))
            size = self.values.shape[axis]
            low = min(max(int(np.floor(first)), 0), size - 1)
            slices.append(slice(low, max(low + 1, int(np.ceil(last)) + 1)))
        return self.values[slices[0], slices[1]]


@dataclass(frozen=True)
class Detail:
    """What a finer window says of a part of an outline.

    Attributes
    ----------
    grid : LogitGrid
        Its logits.
    inner : tuple of bool
        Whether the image goes on beyond the window's top, left, bottom and right side.
    """

    grid: LogitGrid
    inner: tuple[bool, bool, bool, bool]

    def weights(self, axis: int, at: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """How much it counts at level-0 positions along an axis: 1 inside, falling to 0 where the window ends."""
        low, high = self.grid.window.bbox[axis], self.grid.window.bbox[axis + 2]
        side = max(self.grid.window.shape)
        out = ((at > low) & (at < high)).astype(float)
        if self.inner[axis]:
            out *= np.clip(((at - low) / side - _EDGE) / _RAMP, 0, 1)
        if self.inner[axis + 2]:
            out *= np.clip(((high - at) / side - _EDGE) / _RAMP, 0, 1)
        return out


@dataclass(frozen=True)
class RefinedField:
    """A coarse mask whose outline finer windows have improved, without a seam.

    Attributes
    ----------
    coarse : LogitGrid
        What the object is.
    trust : LogitGrid
        1 where only the coarse logits count, 0 at their outline, in the coarse grid's frame.
    details : tuple of Detail
        The finer windows.
    grown_px : int
        How far the outline may move outwards, level-0 pixels.
    """

    coarse: LogitGrid
    trust: LogitGrid
    details: tuple[Detail, ...]
    grown_px: int

    def span(self) -> Box | None:
        """As `LogitField.span`."""
        span = self.coarse.span()
        return None if span is None else span.grow(self.grown_px).intersection(self.coarse.window.bbox)

    def uniform(self, region: Box) -> bool | None:
        """As `LogitField.uniform`."""
        return self.coarse.uniform(region) if self.trust.at_least(region, 1.0) else None

    def sample(self, region: Box) -> Tensor:
        """As `LogitField.sample`: windows blend into each other, and into the coarse mask where they end."""
        coarse = self.coarse.sample(region)
        ys, xs = (np.arange(region[axis], region[axis + 2]) + 0.5 for axis in (0, 1))
        total = torch.zeros_like(coarse)
        weight = torch.zeros_like(coarse)
        for detail in self.details:
            wy, wx = detail.weights(0, ys), detail.weights(1, xs)
            if not (wy.any() and wx.any()):
                continue
            one = torch.from_numpy(np.outer(wy, wx).astype(np.float32))
            total += one * detail.grid.sample(region)
            weight += one
        fine = (total + (1 - weight).clamp(min=0) * coarse) / weight.clamp(min=1)
        return torch.lerp(fine, coarse, self.trust.sample(region).clamp(0, 1))


def span_of(logits: NDArray[np.float32], window: Window) -> Box | None:
    """The region in which masks may be foreground, from their low-res logits (M, H, W); None if all are empty.

    Returns
    -------
    (int, int, int, int) or None
        (y0, x0, y1, x1) in level-0 pixels, inside the window, up to two logits larger than the masks on each side.
    """
    side = logits.shape[-1]
    cell = window.img_size / side
    used = tuple(min(side, -(-n // max(1, round(cell))) + 1) for n in window.network_shape)
    inside: NDArray[np.bool_] = np.any(logits[:, : used[0], : used[1]] > MASK_THRESHOLD, axis=0)
    if not inside.any():
        return None
    spans = []
    for axis in (0, 1):
        low, high = window.bbox[axis], window.bbox[axis + 2]
        hits = np.flatnonzero(inside.any(1 - axis))
        pitch = window.scale[axis] / cell  # logits per level-0 pixel
        first = max(low, low + int(np.floor((hits[0] - 0.5) / pitch)) - 1)
        last = min(high, low + int(np.ceil((hits[-1] + 1.5) / pitch)) + 1)
        spans.append((min(first, high - 1), last))
    (top, bottom), (left, right) = spans
    return Box(top, left, bottom, right)


def interpolate(values: Tensor, at: NDArray[np.float64], axis: int) -> Tensor:
    """Linear interpolation along an axis at fractional positions, held constant beyond the ends."""
    size = values.shape[axis]
    at = np.clip(at, 0, size - 1)
    low = np.minimum(at.astype(np.int64), max(size - 2, 0))
    share = torch.from_numpy((at - low).astype(np.float32))
    share = share.view([-1 if i == axis else 1 for i in range(values.ndim)])
    a = values.index_select(axis, torch.from_numpy(low))
    b = values.index_select(axis, torch.from_numpy(np.minimum(low + 1, size - 1)))
    return torch.lerp(a, b, share)
