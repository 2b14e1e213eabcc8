"""Predictions: masks in image pixels, with their scores and everything that decided them."""

from __future__ import annotations

import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.interactive.logit_fields import MASK_THRESHOLD, LogitField, LogitGrid
from napari_sam.engine.interactive.rendering import render
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.windows import Hints
from src_models.settings import setting, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.interactive.prompts import Prompt
    from napari_sam.engine.showing.mask_view import MaskView
    from napari_sam.engine.windows import Window

_STABILITY_OFFSET = 1.0
_NO_HINTS = Hints()


@dataclass(frozen=True)
class PredictionSettings:
    """How prompts are answered.

    Attributes
    ----------
    multimask : bool
        Three masks for an ambiguous prompt, or one.
    hints : Hints
        Knowledge about the object's size besides the prompts.
    refine : bool or None
        Whether the outline of a mask from a coarse window is improved with at most 16 windows at a finer level. None
        refines where the object was larger than the window first chosen for it; True refines every mask from a window
        coarser than full resolution.
    """

    multimask: bool = setting(True, "three masks for an ambiguous prompt, instead of one")
    hints: Hints = setting(_NO_HINTS, "knowledge about the object's size")
    refine: bool | None = setting(None, "improve the outlines of large objects with windows at a finer level")

    def __post_init__(self) -> None:
        """Check every value."""
        validate(self)


@dataclass(frozen=True)
class PredictionContext:
    """Everything besides the prompt and the model that decided a prediction: enough to repeat it.

    Attributes
    ----------
    hints : Hints
        Knowledge about the object's size.
    multimask : bool
        Three masks, or one.
    refine : bool or None
        As in `PredictionSettings`.
    normalisation : Normalisation
        Values that became black and white.
    image_shape : (int, int) or None
        Height and width of the image, level-0 pixels.
    plane, channels : tuple of int
        Plane of a stack and selected channels, where the image has them.
    """

    hints: Hints = field(default_factory=Hints)
    multimask: bool = True
    refine: bool | None = None
    normalisation: Normalisation = field(default_factory=Normalisation)
    image_shape: tuple[int, int] | None = None
    plane: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()


class Masks(Protocol):
    """Masks (M, h, w) of one region, wherever they come from."""

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return one of the masks, (h, w)."""
        ...

    def all(self) -> NDArray[np.bool_]:
        """Return all masks, (M, h, w)."""
        ...


@dataclass(frozen=True)
class ArrayMasks:
    """Masks in memory.

    Attributes
    ----------
    array : ndarray of bool
        (M, h, w).
    """

    array: NDArray[np.bool_]

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return one of the masks, (h, w)."""
        mask: NDArray[np.bool_] = self.array[index]
        return mask

    def all(self) -> NDArray[np.bool_]:
        """Return all masks, (M, h, w)."""
        return self.array


@dataclass(frozen=True)
class LazyMasks:
    """Masks of a large object, rendered when they are first used.

    Attributes
    ----------
    fields : sequence of LogitField
        One for each mask.
    bbox : Box
        Region to render: up to two low-res logits larger than the masks, and at least as large as the best one.
    best : int
        Index of the mask that is kept once it is rendered; the others are rendered again.

    Notes
    -----
    A mask takes one byte for each pixel of `bbox`, at most 256 MiB.
    """

    fields: Sequence[LogitField]
    bbox: Box
    best: int

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return one of the masks, (h, w)."""
        return self._best_mask if index == self.best else render(self.fields[index], self.bbox)

    def all(self) -> NDArray[np.bool_]:
        """Return all masks, (M, h, w)."""
        return self._all_masks

    @cached_property
    def _best_mask(self) -> NDArray[np.bool_]:
        return render(self.fields[self.best], self.bbox)

    @cached_property
    def _all_masks(self) -> NDArray[np.bool_]:
        return np.stack([self.mask(i) for i in range(len(self.fields))])


class _MasksField:
    """The field `Prediction.masks`: set with an array or with `Masks`, read as an array."""

    def __set_name__(self, owner: type[Prediction], name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, prediction: Prediction | None, owner: type[Prediction]) -> NDArray[np.bool_]:
        if prediction is None:
            raise AttributeError("masks has no default")  # dataclasses read the class attribute as the default
        return self.source(prediction).all()

    def __set__(self, prediction: Prediction, masks: NDArray[np.bool_] | Masks) -> None:
        prediction.__dict__[self._slot] = ArrayMasks(masks) if isinstance(masks, np.ndarray) else masks

    def source(self, prediction: Prediction) -> Masks:
        """Return the masks without rendering them."""
        masks: Masks = prediction.__dict__[self._slot]
        return masks


@dataclass(frozen=True, repr=False)
class Prediction:
    """The result of one prompt.

    Attributes
    ----------
    masks : ndarray of bool
        (M, h, w), a crop of the image. Those of an object of more than 16 million pixels are rendered when they are
        first used.
    bbox : (int, int, int, int)
        (y0, x0, y1, x1) of that crop in level-0 pixels, half-open.
    predicted_iou : ndarray of float32
        (M,) quality of each mask as estimated by the network.
    stability_score : ndarray of float32
        (M,) IoU of the mask with itself at thresholds one logit apart.
    low_res_logits : ndarray of float32
        (M, H, W) in the window's frame; a mask prompt for the next round.
    best : int
        Index of the mask with the highest predicted IoU.
    window : Window
        Window of the low-res logits.
    levels : tuple of int
        Sides of the windows that were decoded, in level-0 pixels, in this order. The last one gave the outline: it is
        smaller than `window` where the outline was refined.
    model : str
        Name of the model.
    prompt : Prompt
        The prompt.
    context : PredictionContext
        Everything else that decided the result.
    """

    if TYPE_CHECKING:
        masks: NDArray[np.bool_]
    else:
        masks: _MasksField = _MasksField()
    bbox: tuple[int, int, int, int]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    best: int
    window: Window
    levels: tuple[int, ...]
    model: str
    prompt: Prompt
    context: PredictionContext = field(default_factory=PredictionContext)

    def __repr__(self) -> str:
        scores = ", ".join(f"{v:.2f}" for v in self.predicted_iou)
        return f"<Prediction of {self.count} masks in {self.bbox}, predicted IoU {scores}, by {self.model}>"

    @property
    def count(self) -> int:
        """Number of masks, without rendering them."""
        return len(self.predicted_iou)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The best mask, (h, w)."""
        return self.mask_at(self.best)

    def mask_at(self, index: int) -> NDArray[np.bool_]:
        """Return one of the masks, (h, w), without rendering the others."""
        return _masks.source(self).mask(index)

    def full_mask(self, shape: tuple[int, int], index: int | None = None) -> NDArray[np.bool_]:
        """Return a mask in an array of the image's shape; for small images only."""
        full = np.zeros(shape, bool)
        y0, x0, y1, x1 = self.bbox
        full[y0:y1, x0:x1] = self.mask_at(self.best if index is None else index)
        return full

    def show_on(self, image: ImageSource) -> None:
        """Set the image that `plot` and notebooks show around the mask; the prediction does not keep it alive."""
        with suppress(TypeError):  # an image that cannot be referred to weakly
            self.__dict__["_image"] = weakref.ref(image)

    def plot(self, ax: Axes | None = None, index: int | None = None, image: ImageSource | None = None) -> Axes:
        """Draw a mask with its prompt over the part of the image around it, with matplotlib (extra "plot").

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; those of a new figure by default.
        index : int, optional
            Index of the mask; the best by default.
        image : ImageSource, optional
            The image; the one that was predicted on by default, as long as its predictor has it.

        Returns
        -------
        matplotlib.axes.Axes
            In coordinates of level-0 pixels.

        Raises
        ------
        NapariSamError
            If matplotlib is not installed.
        """
        chosen = self.best if index is None else range(self.count)[index]
        title = f"mask {chosen + 1} of {self.count}, predicted IoU {self.predicted_iou[chosen]:.2f}"
        return self._view(chosen, image).plot(ax, title)

    def _repr_html_(self) -> str:
        from napari_sam.engine.showing.html import as_html  # noqa: PLC0415 - imports Pillow

        facts = {
            "box (y0, x0, y1, x1)": self.bbox,
            "predicted IoU": ", ".join(f"{v:.2f}" for v in self.predicted_iou),
            "stability score": ", ".join(f"{v:.2f}" for v in self.stability_score),
            "window": f"{max(self.window.shape)} px",
            "model": self.model,
        }
        title = f"Prediction: {self.count} mask{'s' if self.count > 1 else ''}, the best is shown"
        return as_html(title, facts, self._view(self.best).picture())

    def _view(self, index: int, image: ImageSource | None = None) -> MaskView:
        """Return what is shown of a mask."""
        from napari_sam.engine.showing.mask_view import DrawnPrompt, MaskView  # noqa: PLC0415 - imports Pillow

        known: weakref.ref[ImageSource] | None = self.__dict__.get("_image")
        image = image or (known() if known is not None else None)
        prompt = DrawnPrompt(self.prompt.points, self.prompt.point_labels, self.prompt.box)
        sample = partial(self._covers, index)
        return MaskView(Box(*self.bbox), sample, prompt, image, self.context.normalisation if image else None)

    def _covers(self, index: int, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether a mask covers rows (h,) and columns (w,); a large one is not rendered for that."""
        source = _masks.source(self)
        if isinstance(source, LazyMasks):
            grid = LogitGrid(self.low_res_logits[index], self.window)
            last = np.array(grid.used) - 1
            y, x = (
                np.rint(grid.indices(axis, at + 0.5)).clip(0, last[axis]).astype(np.intp)
                for axis, at in enumerate((rows, cols))
            )
            return grid.values[np.ix_(y, x)] > MASK_THRESHOLD
        y0, x0, y1, x1 = self.bbox
        covered = np.zeros((len(rows), len(cols)), bool)
        down, across = (rows >= y0) & (rows < y1), (cols >= x0) & (cols < x1)
        covered[np.ix_(down, across)] = source.mask(index)[np.ix_(rows[down] - y0, cols[across] - x0)]
        return covered

    def __getstate__(self) -> dict[str, object]:
        """Leave out the image when the prediction is pickled or copied."""
        return {name: value for name, value in self.__dict__.items() if name != "_image"}


_masks: _MasksField = vars(Prediction)["masks"]


def stability_scores(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how little each mask changes between thresholds one logit above and below zero.

    Parameters
    ----------
    logits : ndarray of float32
        (M, H, W).

    Returns
    -------
    ndarray of float32
        (M,) in [0, 1]; 0 for an empty mask, where the reference implementation divides zero by zero.

    Examples
    --------
    >>> stability_scores(np.array([[[2.0, 2.0, 0.5, -3.0]], [[-9.0, -9.0, -9.0, -9.0]]], np.float32)).tolist()
    [0.6666666865348816, 0.0]
    """
    strict = np.count_nonzero(logits > MASK_THRESHOLD + _STABILITY_OFFSET, axis=(1, 2))
    loose = np.count_nonzero(logits > MASK_THRESHOLD - _STABILITY_OFFSET, axis=(1, 2))
    return np.asarray(strict / np.maximum(loose, 1), dtype=np.float32)
