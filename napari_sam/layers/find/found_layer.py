"""The layer that outlines candidates: results by score, accepted and rejected ones in colours of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_sam.layers.find.outline_pixels import OutlinePixels
from napari_sam.layers.placement import TEMPORARY, crop_placement, placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_sam.layers.find.search import Example, Search

FOUND_NAME = "SAM found"
BY_SCORE = np.array(
    [
        (0.28, 0.45, 0.95, 1.0),
        (0.20, 0.62, 0.95, 1.0),
        (0.15, 0.78, 0.90, 1.0),
        (0.55, 0.85, 0.70, 1.0),
        (0.85, 0.87, 0.35, 1.0),
        (1.00, 0.85, 0.10, 1.0),
    ]
)
"""Colours (k, 4) of results by score, from the lowest to the highest: blue to yellow, distinct for the colour-blind."""
ACCEPTED_COLOUR, REJECTED_COLOUR = (1.0, 1.0, 1.0, 1.0), (1.0, 0.25, 0.2, 1.0)
_REJECTED, _FIRST, _ACCEPTED = 1, 2, 2 + len(BY_SCORE)
_MARGIN_PX = 2


class FoundLayer:
    """Layer with the outlines of candidates, or before a search of the examples.

    Parameters
    ----------
    image : napari.layers.Image
        Image that they lie on.

    Attributes
    ----------
    layer : napari.layers.Labels
        The layer; add it to the viewer.
    """

    def __init__(self, image: ImageLayer) -> None:
        self._image = image
        data = np.zeros((1,) * image.ndim, np.uint8)
        self.layer = Labels(data, name=FOUND_NAME, opacity=1.0, metadata={TEMPORARY: True}, **placement(image))
        colours = np.vstack([(0, 0, 0, 0), REJECTED_COLOUR, BY_SCORE, ACCEPTED_COLOUR])
        self.layer.colormap = CyclicLabelColormap(colors=colours, background_value=0)
        self._shown: OutlinePixels | None = None

    def show(self, search: Search, plane: tuple[int, ...]) -> None:
        """Outline the results of a search, accepted and rejected candidates."""
        ranking = search.ranking
        if ranking is None:
            return
        codes = score_codes(ranking.scores) * search.results()
        verdicts = search.verdicts()
        codes[verdicts > 0] = _ACCEPTED
        codes[verdicts < 0] = _REJECTED
        self._draw(ranking.pixels, codes.astype(np.uint8), plane)

    def show_examples(self, examples: Sequence[Example], plane: tuple[int, ...]) -> None:
        """Outline the examples of this image and plane."""
        if not examples:
            self.layer.visible = False
            return
        region = examples[0].box
        for example in examples[1:]:
            region = region.union(example.box)
        boxes = np.array([example.box for example in examples], np.int64).reshape(-1, 4)
        pixels = OutlinePixels.of(boxes, [example.mask for example in examples], region.grow(_MARGIN_PX))
        codes = np.array([_ACCEPTED if example.accepted else _REJECTED for example in examples], np.uint8)
        self._draw(pixels, codes, plane)

    def _draw(self, pixels: OutlinePixels, codes: NDArray[np.uint8], plane: tuple[int, ...]) -> None:
        drawn = pixels.draw(codes)[(None,) * len(plane)]
        layer, frame = self.layer, pixels.frame
        if pixels is self._shown and layer.data.shape == drawn.shape:
            layer.data[...] = drawn
            layer.refresh()
        else:
            placed = crop_placement(self._image, plane, (frame.region.y0, frame.region.x0), frame.factor)
            layer.data = drawn
            layer.scale, layer.translate = placed["scale"], placed["translate"]
            layer.editable = False  # napari makes a layer with new data editable
            self._shown = pixels
        layer.visible = True


def score_codes(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the number of the colour of each score (n,), as the layer uses it."""
    bins = np.clip((np.asarray(scores) * len(BY_SCORE)).astype(np.int64), 0, len(BY_SCORE) - 1)
    return bins + _FIRST
