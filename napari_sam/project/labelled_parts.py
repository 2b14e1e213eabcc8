"""Parts of an image with their pixels and the labels of accepted objects, for training and data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.normalisation import choose_normalisation
from napari_sam.engine.window_pixels import network_rgb
from napari_sam.io.labels.label_store import LabelStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.project.project_image import ProjectImage


@dataclass(frozen=True)
class LabelledPart:
    """A part of a plane of an image.

    Attributes
    ----------
    plane : tuple of int
        Index along the leading axes; empty in a 2-D store.
    box : Box
        Its place, level-0 pixels.
    pixels : ndarray of uint8
        (h, w, 3), with the contrast that the network sees.
    labels : ndarray of int32
        (h, w), 0 is background.
    """

    plane: tuple[int, ...]
    box: Box
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]


def labelled_parts(image: ProjectImage, accepted: Collection[int], tile_px: int) -> Iterator[LabelledPart]:
    """Yield the parts of an image that have objects.

    Parameters
    ----------
    image : ProjectImage
        The image.
    accepted : collection of int
        Labels of the objects; others become background.
    tile_px : int
        Side of the parts that a large image is cut into, approximately.

    Raises
    ------
    ImageError
        If it has moved or cannot be read.
    """
    opened, kept = image.open(), np.array(sorted(accepted))
    with LabelStore.open(image.labels_path, "r") as store:
        for plane in store.journal.objects.planes() or [()]:
            at_plane = opened.with_plane(plane, opened.selected) if plane else opened
            normalisation = choose_normalisation(at_plane)
            for box in _boxes(opened, tile_px):
                labels = store.read(box, 0, plane).astype(np.int32)
                labels[~np.isin(labels, kept)] = 0
                if labels.any():
                    pixels = network_rgb(at_plane.read(0, *box), normalisation, at_plane.nodata)
                    yield LabelledPart(tuple(int(n) for n in plane), box, pixels, labels)


def _boxes(image: Image, tile_px: int) -> Iterator[Box]:
    """Return the parts of an image, of about the same size."""
    edges = []
    for length in image.shape:
        count = max(1, round(length / tile_px))
        edges.append([length * i // count for i in range(count + 1)])
    for y0, y1 in zip(edges[0], edges[0][1:], strict=False):
        for x0, x1 in zip(edges[1], edges[1][1:], strict=False):
            yield Box(y0, x0, y1, x1)
