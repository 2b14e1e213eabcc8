"""Parts of a window that look like the examples of a concept where no candidate lies: proposals for new prompts.

Each cell of the embedding is compared with the examples' pooled embeddings, as PerSAM does (Zhang et al., 2023). How
similar the cells of an object are is taken from the candidates of the window, since it differs from image to image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.automatic.object_proposals import Proposal
from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.prompted_objects import EncodedWindow, RegionObject
    from napari_sam.engine.concepts.concept_model import ConceptModel
    from napari_sam.engine.concepts.window_view import WindowView

_MOST_REGIONS = 16  # of a window
_SIZE_RATIO = 4.0  # between the areas of a region and of the examples, at most
_COVERED = 0.4  # candidates of this predicted IoU leave nothing to look for
_SCORE = 0.5  # of a region, before the mask decoder has seen it
_LEAST_SIMILARITY = 0.3
_EPSILON = 1e-6


def similar_regions(
    view: WindowView, window: EncodedWindow, objects: Sequence[RegionObject], concept: ConceptModel, factor: int
) -> list[Proposal]:
    """Find regions of a window that are similar to accepted examples, and that no object covers.

    Parameters
    ----------
    view : WindowView
        The window.
    window : EncodedWindow
        Its place, in label pixels of the region that is searched.
    objects : sequence of RegionObject
        Objects that were found in that region.
    concept : ConceptModel
        The concept.
    factor : int
        Level-0 pixels per label pixel.

    Returns
    -------
    list of Proposal
        The most similar first, each with a mask.
    """
    similarity = similarity_map(view.embedding, concept)
    covered = _covered(similarity.shape, window, objects, view.stride)
    whole = covered >= 1 - _EPSILON
    if not whole.any():
        return []  # nothing tells how similar is similar enough
    least = max(_LEAST_SIMILARITY, float(np.median(similarity[whole])))
    labels, count = ndimage.label((similarity >= least) & (covered <= 0))
    cell = view.stride / window.pitch  # label pixels
    area = math.pi / 4 * ((concept.diameter_px or 0) / factor) ** 2
    proposals = []
    for index, slices in enumerate(ndimage.find_objects(labels, count), 1):
        if slices is None:
            continue
        part = labels[slices] == index
        size = np.count_nonzero(part) * cell[0] * cell[1]
        if not area / _SIZE_RATIO <= size <= area * _SIZE_RATIO:
            continue
        proposal = _proposal(part, (slices[0].start, slices[1].start), cell, window)
        if proposal is not None:
            proposals.append((float(similarity[slices][part].mean()), proposal))
    proposals.sort(key=lambda pair: -pair[0])
    return [proposal for _, proposal in proposals[:_MOST_REGIONS]]


def similarity_map(cells: NDArray[np.float32], concept: ConceptModel) -> NDArray[np.float32]:
    """Return the cosine similarity of cells (h, w, c) to the most similar accepted example, (h, w)."""
    examples = concept.features[concept.accepted][:, concept.layout.slices["embedding"]]
    norms = [np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _EPSILON) for vectors in (cells, examples)]
    similarity: NDArray[np.float32] = ((cells / norms[0]) @ (examples / norms[1]).T).max(-1)
    return similarity


def _covered(
    shape: tuple[int, ...], window: EncodedWindow, objects: Sequence[RegionObject], stride: float
) -> NDArray[np.float32]:
    """Return for each cell whether its middle is inside an object: 1 inside a good one, 0.5 inside another, else 0."""
    covered = np.zeros(shape, np.float32)
    rows, cols = (
        np.floor((np.arange(size) + 0.5) * stride / pitch).astype(np.intp) + start
        for size, pitch, start in zip(shape, window.pitch, window.box[:2], strict=True)
    )
    for found in objects:
        box = found.box
        chosen_rows = np.flatnonzero((rows >= box.y0) & (rows < box.y1))
        chosen_cols = np.flatnonzero((cols >= box.x0) & (cols < box.x1))
        inside = found.mask[np.ix_(rows[chosen_rows] - box.y0, cols[chosen_cols] - box.x0)]
        at = np.ix_(chosen_rows, chosen_cols)
        value = 1.0 if found.predicted_iou >= _COVERED else 0.5
        covered[at] = np.maximum(covered[at], np.where(inside, np.float32(value), 0))
    return covered


def _proposal(
    part: NDArray[np.bool_], corner: tuple[int, int], cell: NDArray[np.float64], window: EncodedWindow
) -> Proposal | None:
    """Return a region of cells as a proposal in label pixels; None if it is smaller than one."""
    edges = []
    for axis in (0, 1):
        start = round(window.box[axis] + corner[axis] * cell[axis])
        stop = round(window.box[axis] + (corner[axis] + part.shape[axis]) * cell[axis])
        edges.append((start, min(stop, window.box[axis + 2])))
    (y0, y1), (x0, x1) = edges
    box = Box(y0, x0, y1, x1)
    if box.is_empty:
        return None
    rows, cols = (
        np.minimum((np.arange(size) / step).astype(np.intp), count - 1)
        for size, step, count in zip(box.shape, cell, part.shape, strict=True)
    )
    mask = part[np.ix_(rows, cols)]
    return Proposal(box, mask, _SCORE, _SCORE, is_candidate=True) if mask.any() else None
