"""Prompts in image pixels: checked once, and converted to the network's frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.windows import LARGEST_MASK_PX
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.windows import Window

_TOP_LEFT, _BOTTOM_RIGHT = 2, 3
_MASK_LOGIT = 8.0  # magnitude of the logits of a drawn region


@dataclass(frozen=True)
class MaskPrompt:
    """A rough region as a prompt, such as a lassoed area.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w).
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) of `mask` in level-0 pixels, half-open.
    """

    mask: NDArray[np.bool_]
    bbox: tuple[int, int, int, int]


@dataclass(frozen=True)
class Prompt:
    """The prompts of one object, valid for one image.

    Attributes
    ----------
    points : ndarray of float
        (P, 2) as (y, x), level-0 pixels; pixel centres are integers.
    point_labels : ndarray of int
        (P,) 1 foreground, 0 background.
    box : (float, float, float, float) or None
        (y0, x0, y1, x1), level-0 pixels.
    mask : MaskPrompt or None
        A rough region.
    logits : ndarray of float32 or None
        (H, W) low-res logits of an earlier prediction, in the frame of `window`.
    window : Window or None
        Window of `logits`.
    """

    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    point_labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    box: tuple[float, float, float, float] | None = None
    mask: MaskPrompt | None = None
    logits: NDArray[np.float32] | None = None
    window: Window | None = None

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(y0, x0, y1, x1) of all points, boxes and masks, level-0 pixels."""
        corners = [self.points]
        if self.box is not None:
            corners.append(np.array(self.box).reshape(2, 2))
        if self.mask is not None:
            corners.append(np.array(self.mask.bbox, dtype=float).reshape(2, 2))
        if self.window is not None and not any(len(c) for c in corners):
            corners.append(np.array(self.window.bbox, dtype=float).reshape(2, 2))
        positions = np.concatenate(corners)
        if not len(positions):
            raise PromptError(
                "low-res logits alone do not say where the object lies",
                parameter="mask",
                remedy="add a point or a box, or give the prediction that they belong to",
            )
        y0, x0 = positions.min(0)
        y1, x1 = positions.max(0)
        return float(y0), float(x0), float(y1), float(x1)

    @property
    def object_px(self) -> float:
        """Lower bound of the object's long side according to the prompts; 0 for a single point."""
        if self.box is not None:
            y0, x0, y1, x1 = self.box
            return max(y1 - y0, x1 - x0)
        if self.mask is not None:
            y0, x0, y1, x1 = self.mask.bbox
            return float(max(y1 - y0, x1 - x0))
        foreground = self.points[self.point_labels == 1]
        return float(np.ptp(foreground, axis=0).max()) if len(foreground) > 1 else 0.0

    def in_window(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Convert the points and the box to the network's frame.

        Returns
        -------
        coords : ndarray of float32
            (T, 2) as (x, y), pixels of the network's input.
        labels : ndarray of int64
            (T,) SAM's labels; a box is its two corners, in the end.
        """
        yx, labels = self.points, self.point_labels
        if self.box is not None:
            yx = np.concatenate([yx, np.array(self.box).reshape(2, 2)])
            labels = np.concatenate([labels, [_TOP_LEFT, _BOTTOM_RIGHT]])
        return window.to_network(yx)[:, ::-1].astype(np.float32), labels.astype(np.int64)

    def mask_logits(self, window: Window, side: int) -> NDArray[np.float32] | None:
        """Return the mask prompt as (side, side) low-res logits of `window`; None without one."""
        if self.logits is not None:
            return self.logits
        if self.mask is None:
            return None
        y0, x0, y1, x1 = self.mask.bbox
        centres = (np.arange(side) + 0.5) * (window.img_size / side) - 0.5
        rows = np.floor(window.from_network(np.stack([centres, centres], 1)) + 0.5).astype(np.int64)
        ys, xs = rows[:, 0] - y0, rows[:, 1] - x0
        in_y, in_x = (ys >= 0) & (ys < y1 - y0), (xs >= 0) & (xs < x1 - x0)
        logits = np.full((side, side), -_MASK_LOGIT, np.float32)
        inside = self.mask.mask[np.ix_(ys[in_y], xs[in_x])]
        logits[np.ix_(in_y, in_x)] = np.where(inside, _MASK_LOGIT, -_MASK_LOGIT)
        return logits


def parse_prompt(
    shape: tuple[int, int],
    points: ArrayLike | None = None,
    point_labels: ArrayLike | None = None,
    box: Sequence[float] | None = None,
    mask: Any = None,
) -> Prompt:
    """Check the arguments of a prediction and make a `Prompt` of them.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image, level-0 pixels.
    points : array_like, optional
        (P, 2) as (y, x).
    point_labels : array_like, optional
        (P,) of 1 and 0; all 1 by default.
    box : sequence of float, optional
        (y0, x0, y1, x1); clipped to the image.
    mask : MaskPrompt, Prediction, ndarray, optional
        A rough region, an earlier prediction, booleans or integers of the image's shape, not 0 in the region, or
        low-res logits (H, W) or (1, H, W) in the network's frame.

    Returns
    -------
    Prompt

    Raises
    ------
    PromptError
        If there is no prompt, or a value is not finite, outside the image, empty or of the wrong shape.

    Examples
    --------
    >>> parse_prompt((10, 10), points=[(3, 12)])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    napari_sam.errors.PromptError: point (3, 12) lies outside the image of shape (10, 10); give points ...
    """
    yx, labels = _points(shape, points, point_labels)
    parsed_box = None if box is None else _box(shape, box)
    region, logits, window = _mask(shape, mask)
    if not len(yx) and parsed_box is None and region is None and logits is None:
        raise PromptError("the prompt is empty", remedy="give at least one point, a box or a mask")
    if len(yx) and not labels.any() and parsed_box is None and mask is None:
        raise PromptError(
            "the prompt has only background points",
            parameter="point_labels",
            remedy="add a foreground point or a box",
        )
    return Prompt(yx, labels, parsed_box, region, logits, window)


def _points(
    shape: tuple[int, int], points: ArrayLike | None, point_labels: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        yx = np.asarray([] if points is None else points, dtype=float)
        labels = np.ones(len(yx), float) if point_labels is None else np.asarray(point_labels, dtype=float)
    except (TypeError, ValueError) as error:
        raise PromptError(
            f"points {points!r} with labels {point_labels!r} are not numbers",
            parameter="points",
            remedy="give a list of (y, x) and one label per point",
        ) from error
    if yx.size == 0:
        if labels.size:
            raise PromptError(
                f"there are {labels.size} point labels but no points",
                parameter="point_labels",
                remedy="give one label per point",
            )
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    _check_points(shape, yx, labels)
    return yx, labels.astype(np.int64)


def _check_points(shape: tuple[int, int], yx: NDArray[np.float64], labels: NDArray[np.float64]) -> None:
    """Refuse points and labels that are not valid in an image of `shape`."""
    if yx.ndim != 2 or yx.shape[1] != 2:
        raise PromptError(f"points have the shape {yx.shape}", parameter="points", remedy="give a list of (y, x)")
    if labels.shape != (len(yx),):
        raise PromptError(
            f"there are {len(yx)} points but point labels of shape {labels.shape}",
            parameter="point_labels",
            remedy="give one label per point",
        )
    for y, x in yx:
        if not (np.isfinite(y) and np.isfinite(x)):
            raise PromptError(
                f"point ({y:g}, {x:g}) is not finite",
                parameter="points",
                remedy="give finite coordinates, as (y, x) in pixels",
            )
        if not (-0.5 <= y <= shape[0] and -0.5 <= x <= shape[1]):
            raise PromptError(
                f"point ({y:g}, {x:g}) lies outside the image of shape {shape}",
                parameter="points",
                remedy="give points inside the image, as (y, x) in pixels",
            )
    for label in labels:
        if label not in (0, 1):
            raise PromptError(
                f"point label {label:g} is not known",
                parameter="point_labels",
                remedy="use 1 for foreground and 0 for background",
            )


def _box(shape: tuple[int, int], box: Sequence[float]) -> tuple[float, float, float, float]:
    try:
        values = np.asarray(box, dtype=float)
    except (TypeError, ValueError) as error:
        raise PromptError(
            f"box {box!r} is not four numbers (y0, x0, y1, x1)",
            parameter="box",
            remedy="give four finite numbers, in pixels",
        ) from error
    if values.shape != (4,) or not np.isfinite(values).all():
        raise PromptError(
            f"box {box!r} is not four finite numbers (y0, x0, y1, x1)",
            parameter="box",
            remedy="give finite numbers, in pixels",
        )
    y0, x0, y1, x1 = (float(v) for v in values)
    if y1 <= y0 or x1 <= x0:
        raise PromptError(
            f"box ({y0:g}, {x0:g}, {y1:g}, {x1:g}) is empty",
            parameter="box",
            remedy="give y1 greater than y0 and x1 greater than x0",
        )
    if y1 <= 0 or x1 <= 0 or y0 >= shape[0] or x0 >= shape[1]:
        raise PromptError(
            f"box ({y0:g}, {x0:g}, {y1:g}, {x1:g}) lies outside the image of shape {shape}",
            parameter="box",
            remedy="give a box that overlaps the image, as (y0, x0, y1, x1) in pixels",
        )
    box = max(y0, 0.0), max(x0, 0.0), min(y1, float(shape[0])), min(x1, float(shape[1]))
    if (box[2] - box[0]) * (box[3] - box[1]) > LARGEST_MASK_PX:
        raise PromptError(
            f"box {box} spans more than {LARGEST_MASK_PX} px (16384 x 16384), the largest possible mask",
            parameter="box",
            remedy="draw a smaller {box}, or open a coarser scale level of the image",
        )
    return box


def _mask(shape: tuple[int, int], mask: Any) -> tuple[MaskPrompt | None, NDArray[np.float32] | None, Window | None]:
    """Distinguish the kinds of mask prompts: a region, a mask of the image, an earlier prediction, low-res logits."""
    if mask is None:
        return None, None, None
    if not isinstance(mask, MaskPrompt) and not hasattr(mask, "low_res_logits"):
        pixels = np.asarray(mask)
        mask = _region(shape, pixels) if pixels.dtype.kind in "biu" else pixels
    if isinstance(mask, MaskPrompt):
        y0, x0, y1, x1 = mask.bbox
        if mask.mask.shape != (y1 - y0, x1 - x0):
            raise PromptError(
                f"mask of shape {mask.mask.shape} does not fill its bbox {mask.bbox}",
                parameter="mask",
                remedy="give a mask of the height and width of its bbox (y0, x0, y1, x1)",
            )
        if not mask.mask.any():
            raise PromptError(f"mask in {mask.bbox} is empty", parameter="mask", remedy="mark at least one pixel")
        return mask, None, None
    if hasattr(mask, "low_res_logits"):
        return None, np.asarray(mask.low_res_logits[mask.best], np.float32), mask.window
    logits = np.asarray(mask, dtype=np.float32)
    logits = logits[0] if logits.ndim == 3 and logits.shape[0] == 1 else logits
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1] or not np.isfinite(logits).all():
        raise PromptError(
            f"mask has the shape {logits.shape}, or values that are not finite",
            parameter="mask",
            remedy="give finite square low-res logits, a Prediction or a MaskPrompt",
        )
    return None, logits, None


def _region(shape: tuple[int, int], pixels: NDArray[np.generic]) -> MaskPrompt:
    """Return the pixels of a mask of a whole image that are not 0; logits are never booleans or integers."""
    if pixels.shape != tuple(shape):
        raise PromptError(
            f"mask of {pixels.dtype} has the shape {pixels.shape}, and the image {tuple(shape)}",
            parameter="mask",
            remedy="give a mask of the image's shape, or a MaskPrompt, which has a box",
        )
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise PromptError("the mask is empty", parameter="mask", remedy="mark at least one pixel")
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return MaskPrompt(pixels[box[0] : box[2], box[1] : box[3]] != 0, box)


def check_mask_size(span: Box, prompt: Prompt) -> None:
    """Refuse an object whose mask would not fit into memory.

    Parameters
    ----------
    span : Box
        Region of the mask, level-0 pixels.
    prompt : Prompt
        Prompt of the object, for the message.

    Raises
    ------
    PromptError
        If the region has more than `LARGEST_MASK_PX` pixels.
    """
    if span.area <= LARGEST_MASK_PX:
        return
    y, x = (f"{v:g}" for v in prompt.extent[:2])
    raise PromptError(
        f"the object at ({y}, {x}) spans {span.height} x {span.width} px or more, and a mask may span "
        f"{LARGEST_MASK_PX} px (16384 x 16384)",
        remedy="add a background point, draw a box around a part of it, or open a coarser scale level of the image",
    )
