"""Low-res logits as fields over the image: sampled anywhere, never upsampled as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.windows import Window

    FloatArray = NDArray[np.float32] | NDArray[np.float64]

MASK_THRESHOLD = 0.0
_EDGE, _RAMP = 1 / 16, 1 / 8  # shares of a window's side: its weight is 0 up to the edge, and 1 after the ramp


class LogitField(Protocol):
    """Logits over a part of the image."""

    def span(self) -> Box | None:
        """Return the region outside of which all is background; None if all is background."""
        ...

    def uniform(self, region: Box) -> bool | None:
        """Return whether a region is all foreground or all background; None if that is not cheap to tell."""
        ...

    def sample(self, region: Box) -> Tensor:
        """Return the logits (h, w) of a region's pixels."""
        ...


@dataclass(frozen=True)
class LogitGrid:
    """The low-res logits of one mask, in the frame of their window.

    Attributes
    ----------
    values : ndarray of float32
        (side, side), padding included.
    window : Window
        Window of the logits.
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

    def indices(self, axis: int, positions: FloatArray) -> NDArray[np.float64]:
        """Return fractional indices along an axis of level-0 positions, in which integers are the pixels' edges."""
        indices = (positions - self.window.bbox[axis]) * (self.window.scale[axis] / self.cell) - 0.5
        return np.asarray(indices, np.float64)

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
        """Return whether no value in a region is below `level`."""
        return bool(self._around(region).min() >= level)

    def sample(self, region: Box) -> Tensor:
        """As `LogitField.sample`: bilinear, constant beyond the grid."""
        rows, cols = (self.indices(axis, np.arange(region[axis], region[axis + 2]) + 0.5) for axis in (0, 1))
        return self._interpolated(rows, cols)

    def cells_of(self, window: Window, side: int) -> NDArray[np.float32]:
        """Return these logits at the (side, side) cells of another window, constant beyond the grid."""
        middles = (np.arange(side) + 0.5) * (window.img_size / side)
        rows, cols = (self.indices(axis, middles / window.scale[axis] + window.bbox[axis]) for axis in (0, 1))
        values: NDArray[np.float32] = self._interpolated(rows, cols).numpy()
        return values

    def _interpolated(self, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> Tensor:
        import torch  # noqa: PLC0415 - label stores and exports, which import this module, need no torch

        return interpolate(interpolate(torch.from_numpy(self.values), cols, axis=1), rows, axis=0)

    def _around(self, region: Box) -> NDArray[np.float32]:
        """Return the logits that a region's pixels are interpolated from."""
        slices = []
        for axis in (0, 1):
            first, last = self.indices(axis, np.array([region[axis] + 0.5, region[axis + 2] - 0.5]))
            size = self.values.shape[axis]
            low = min(max(int(np.floor(first)), 0), size - 1)
            slices.append(slice(low, max(low + 1, int(np.ceil(last)) + 1)))
        return self.values[slices[0], slices[1]]


@dataclass(frozen=True)
class Detail:
    """The logits of a finer window along a part of an outline.

    Attributes
    ----------
    grid : LogitGrid
        The logits.
    inner : tuple of bool
        Whether the image continues beyond the window's top, left, bottom and right side.
    """

    grid: LogitGrid
    inner: tuple[bool, bool, bool, bool]

    def weights(self, axis: int, positions: FloatArray) -> NDArray[np.float64]:
        """Return weights at level-0 positions along an axis: 1 inside, falling to 0 towards the window's ends."""
        low, high = self.grid.window.bbox[axis], self.grid.window.bbox[axis + 2]
        side = max(self.grid.window.shape)
        weights = ((positions > low) & (positions < high)).astype(float)
        if self.inner[axis]:
            weights *= np.clip(((positions - low) / side - _EDGE) / _RAMP, 0, 1)
        if self.inner[axis + 2]:
            weights *= np.clip(((high - positions) / side - _EDGE) / _RAMP, 0, 1)
        return weights


@dataclass(frozen=True)
class RefinedField:
    """A coarse mask whose outline is blended with that of finer windows.

    Attributes
    ----------
    coarse : LogitGrid
        Logits of the coarse mask.
    trust : LogitGrid
        Weight of the coarse logits: 1 far from their outline, 0 at it.
    details : tuple of Detail
        The finer windows.
    grown_px : int
        Largest distance by which the outline may move outwards, level-0 pixels.
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
        """As `LogitField.sample`: windows are blended with each other, and with the coarse mask at their ends."""
        import torch  # noqa: PLC0415 - label stores and exports, which import this module, need no torch

        coarse = self.coarse.sample(region)
        ys, xs = (np.arange(region[axis], region[axis + 2]) + 0.5 for axis in (0, 1))
        total = torch.zeros_like(coarse)
        weight = torch.zeros_like(coarse)
        for detail in self.details:
            wy, wx = detail.weights(0, ys), detail.weights(1, xs)
            if not (wy.any() and wx.any()):
                continue
            weights = torch.from_numpy(np.outer(wy, wx).astype(np.float32))
            total += weights * detail.grid.sample(region)
            weight += weights
        fine = (total + (1 - weight).clamp(min=0) * coarse) / weight.clamp(min=1)
        return torch.lerp(fine, coarse, self.trust.sample(region).clamp(0, 1))


def span_of(logits: NDArray[np.float32], window: Window) -> Box | None:
    """Return the region in which masks may be foreground, from their low-res logits (M, H, W).

    Returns
    -------
    Box or None
        (y0, x0, y1, x1) in level-0 pixels, inside the window, up to two logits larger than the masks on each side;
        None if all masks are empty.
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


def interpolate(values: Tensor, indices: NDArray[np.float64], axis: int) -> Tensor:
    """Interpolate linearly along an axis at fractional indices, constant beyond the ends."""
    import torch  # noqa: PLC0415 - label stores and exports, which import this module, need no torch

    size = values.shape[axis]
    indices = np.clip(indices, 0, size - 1)
    low = np.minimum(indices.astype(np.int64), max(size - 2, 0))
    weight = torch.from_numpy((indices - low).astype(np.float32))
    weight = weight.view([-1 if i == axis else 1 for i in range(values.ndim)])
    a = values.index_select(axis, torch.from_numpy(low))
    b = values.index_select(axis, torch.from_numpy(np.minimum(low + 1, size - 1)))
    return torch.lerp(a, b, weight)
