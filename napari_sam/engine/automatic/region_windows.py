"""Cover a region of the image with windows that are aligned with its label pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Window
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.engine.embeddings.embedder import Embedder


def cover_region(
    region: tuple[int, int, int, int],
    image_shape: tuple[int, int],
    img_size: int,
    spans: Callable[[int, int, int], list[tuple[int, int]]],
) -> list[Window]:
    """Return windows that cover a region, row by row.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    image_shape : (int, int)
        Height and width of level 0.
    img_size : int
        Side of the network's input.
    spans : callable
        Called with start and end of the region and size of the image along an axis; returns start and end of the
        windows.

    Raises
    ------
    PromptError
        If the region is empty or not inside the image.
    """
    box = Box(*region)
    if box.is_empty or not Box(0, 0, *image_shape).contains(box):
        raise PromptError(
            f"region {region} is empty, or not inside the image of shape {image_shape}",
            parameter="region",
            remedy="give (y0, x0, y1, x1) inside the image, with y0 < y1 and x0 < x1",
        )
    rows, cols = (spans(box[axis], box[axis + 2], image_shape[axis]) for axis in (0, 1))
    return [Window((y0, x0, y1, x1), img_size) for y0, y1 in rows for x0, x1 in cols]


def even_starts(first: int, last: int, count: int, factor: int) -> list[int]:
    """Return `count` evenly spread starts of windows along an axis, from `first` on.

    Parameters
    ----------
    first : int
        First start, level-0 pixels.
    last : int
        Distance of the last start from the first, label pixels.
    count : int
        Number of starts, at least 2.
    factor : int
        Level-0 pixels per label pixel.

    Examples
    --------
    >>> even_starts(10, 5, 3, 4)
    [10, 18, 30]
    """
    return [first + round(last * i / (count - 1)) * factor for i in range(count)]


def label_shape(region: tuple[int, int, int, int], factor: int) -> tuple[int, int]:
    """Return height and width of a region in label pixels, rounded up.

    >>> label_shape((0, 10, 9, 20), 4)
    (3, 3)
    """
    height, width = Box(*region).shape
    return -(-height // factor), -(-width // factor)


def network_record(embedder: Embedder) -> dict[str, Any]:
    """Return what the result of a network depends on besides the pixels, as JSON holds it."""
    key = embedder.key(Window((0, 0, 1, 1), embedder.img_size))
    normalisation = [list(key.normalisation.low), list(key.normalisation.high)]
    return {"weights": key.weights, "precision": key.precision, "normalisation": normalisation}
