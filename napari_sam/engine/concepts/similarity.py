"""How alike objects are: a few measures for each pair of objects, and what they say about being of one kind.

Embeddings are compared as directions. That of the difference between an object and its surroundings says most: it
leaves out what both have in common, such as the stain of a slide. The other groups are compared in units of the spread
of each feature over the objects of many images (`SPREAD`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout

SPREAD: dict[str, tuple[float, ...]] = {
    "maps": (0.12, 0.23, 0.06, 0.07, 0.09),
    "shape": (0.2, 0.13, 0.08, 0.17, 0.03),
    "size": (1.2, 1.3, 1.2),
    "colour": (0.18, 0.17, 0.17, 0.05, 0.05, 0.05, 0.14, 0.13, 0.14, 0.16, 0.18, 0.2),
    "texture": (1.1, 0.9, 0.9, 0.9, 0.9, 0.4, 0.3),
    "quality": (0.2, 0.2),
}
"""Standard deviation of each feature over the candidates of seven data sets (train splits)."""

DIRECTIONS = ("contrast", "embedding", "surroundings", "decoder")
MEASURES = (*DIRECTIONS, "maps", "shape", "larger", "smaller", "colour", "texture")
"""Measures of a pair: cosine distances of `DIRECTIONS`, and distances of the other groups."""

_NONE = slice(0, 0)
_EPSILON = 1e-6


def directions(rows: NDArray[np.float32], layout: FeatureLayout) -> tuple[NDArray[np.float32], ...]:
    """Return unit vectors (n, c) of the contrast to the surroundings, the object, its surroundings, and the decoder.

    Without features of a dense decoder the last has no columns.
    """
    slices = layout.slices
    inside, around = rows[:, slices["embedding"]], rows[:, slices["surroundings"]]
    return tuple(_unit(vectors) for vectors in (inside - around, inside, around, rows[:, slices.get("decoder", _NONE)]))


def measure_pairs(
    rows: NDArray[np.float32], examples: NDArray[np.float32], layout: FeatureLayout
) -> NDArray[np.float32]:
    """Compare objects with examples.

    Parameters
    ----------
    rows : ndarray of float32
        (n, d) features of objects.
    examples : ndarray of float32
        (m, d) features of examples.
    layout : FeatureLayout
        What the features mean.

    Returns
    -------
    ndarray of float32
        (n, m, 10) distances as in `MEASURES`, 0 for equal objects.
    """
    slices = layout.slices
    measures = np.empty((len(rows), len(examples), len(MEASURES)), np.float32)
    pairs = zip(directions(rows, layout), directions(examples, layout), strict=True)
    for column, (one, other) in enumerate(pairs):
        measures[..., column] = 1 - one @ other.T if one.shape[1] else 0
    for name in ("maps", "shape", "colour", "texture"):
        columns, spread = slices[name], np.array(SPREAD[name], np.float32)
        difference = np.abs(rows[:, None, columns] - examples[None, :, columns])
        measures[..., MEASURES.index(name)] = (difference / spread).mean(-1)
    diameter = slices["size"].start
    octaves = rows[:, diameter, None] - examples[None, :, diameter]
    measures[..., MEASURES.index("larger")] = np.maximum(octaves, 0)
    measures[..., MEASURES.index("smaller")] = np.maximum(-octaves, 0)
    return measures


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.maximum(np.sqrt((vectors * vectors).sum(1, keepdims=True)), np.float32(_EPSILON))
    unit: NDArray[np.float32] = (vectors / norms).astype(np.float32)
    return unit
