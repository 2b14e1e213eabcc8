"""One mask over the part of the image around it, as a picture and as a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.showing.pictures import PICTURE_PX, PLOT_PX, picture_of, sample_positions, with_mask
from napari_sam.engine.showing.plotting import plot_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.image_source import ImageSource
    from napari_sam.engine.normalisation import Normalisation

_MARGIN, _LEAST_MARGIN_PX = 0.2, 8  # around the mask: a share of its longer side


class MaskSample(Protocol):
    """Tell which pixels of level 0 a mask covers."""

    def __call__(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether the mask covers each of the rows (h,) and columns (w,): (h, w)."""
        ...


@dataclass(frozen=True)
class DrawnPrompt:
    """Points (P, 2) as (y, x), their labels (P,), and a box (y0, x0, y1, x1), in level-0 pixels."""

    points: NDArray[np.float64]
    point_labels: NDArray[np.integer]
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class MaskView:
    """What is shown of a mask.

    Attributes
    ----------
    box : Box
        Where the mask lies, level-0 pixels.
    sample : MaskSample
        The mask.
    prompt : DrawnPrompt
        What it answers.
    image : ImageSource or None
        The image; None for a mask on black.
    normalisation : Normalisation or None
        Values of the image that become black and white.
    """

    box: Box
    sample: MaskSample
    prompt: DrawnPrompt
    image: ImageSource | None = None
    normalisation: Normalisation | None = None

    @property
    def region(self) -> Box:
        """The part of the image that is shown: the mask with a margin."""
        if self.image is None:
            return self.box
        margin = max(_LEAST_MARGIN_PX, round(_MARGIN * max(self.box.shape)))
        return self.box.grow(margin).clip(self.image.shape)

    def picture(self, side: int = PICTURE_PX) -> NDArray[np.uint8]:
        """Return the mask over the image, (h, w, 3), with `side` pixels along the longer side."""
        region = self.region
        if self.image is None:
            scale = side / max(1, *region.shape)
            height, width = (max(1, round(n * scale)) for n in region.shape)
            picture = np.zeros((height, width, 3), np.uint8)
        else:
            picture = picture_of(self.image, region, side, self.normalisation)
        return with_mask(picture, self.sample(*sample_positions(region, picture.shape[:2])))

    def plot(self, ax: Axes | None, title: str) -> Axes:
        """Draw the mask and its prompt with matplotlib, and return the axes."""
        region, prompt = self.region, self.prompt
        drawn = plot_picture(ax, self.picture(max(PICTURE_PX, min(PLOT_PX, max(region.shape)))), region, title)
        limits = drawn.axis()
        for kind, colour in ((1, "lime"), (0, "red")):
            y, x = prompt.points[prompt.point_labels == kind].T
            drawn.plot(x, y, "o", color=colour, markeredgecolor="black", linestyle="none")
        if prompt.box is not None:
            y0, x0, y1, x1 = prompt.box
            drawn.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="yellow")
        drawn.axis(limits)  # prompts outside the region must not widen it
        return drawn
