"""How alike objects are: a few measures for each pair of objects, and what they say about being of one kind.

Embeddings are compared as directions. That of the difference between an object and its surroundings says most: it
leaves out what both have in common, such as the stain of a slide. "relative" is the direction of the embedding as seen
from the mean direction of the objects around, which leaves out what all objects of an image have in common. The other
groups are compared in units of the spread of each feature over the objects of many images (`SPREAD`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    from collections.abc import Mapping

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
MEASURES = (*DIRECTIONS, "relative", "maps", "shape", "larger", "smaller", "colour", "texture")
"""Measures of a pair: cosine distances of `DIRECTIONS` and "relative", and distances of the other groups."""

_NONE = slice(0, 0)
_EPSILON = 1e-6


@dataclass(frozen=True)
class Direction:
    """Vectors of objects that are compared by their directions.

    Attributes
    ----------
    vectors : ndarray of float32
        (n, c); c is 0 for a network without them.
    norms : ndarray of float32
        (n,) their lengths, not 0.
    """

    vectors: NDArray[np.float32]
    norms: NDArray[np.float32]

    @classmethod
    def of(cls, name: str, rows: NDArray[np.float32], layout: FeatureLayout) -> Direction:
        """Return one of `DIRECTIONS` of objects with features (n, d)."""
        slices = layout.slices
        if name == "contrast":
            vectors = rows[:, slices["embedding"]] - rows[:, slices["surroundings"]]
        else:
            vectors = rows[:, slices.get(name, _NONE)]
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        return cls(vectors, np.maximum(norms, np.float32(_EPSILON)))

    def seen_from(self, centre: NDArray[np.floating]) -> Direction:
        """Return the directions of the unit vectors from a point (c,) inside the unit sphere."""
        vectors = self.unit - centre.astype(np.float32)
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        return Direction(vectors, np.maximum(norms, np.float32(_EPSILON)))

    @property
    def unit(self) -> NDArray[np.float32]:
        """Vectors of length 1."""
        unit: NDArray[np.float32] = self.vectors / self.norms[:, None]
        return unit

    def dot(self, others: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the inner products of the unit vectors with others, (c,) or (c, m)."""
        products = self.vectors @ others.astype(np.float32)
        norms = self.norms if products.ndim == 1 else self.norms[:, None]
        scaled: NDArray[np.float32] = products / norms
        return scaled


def weighted_distances(
    rows: NDArray[np.float32],
    examples: NDArray[np.float32],
    layout: FeatureLayout,
    weights: Mapping[str, float],
    centre: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Compare objects with examples.

    Parameters
    ----------
    rows : ndarray of float32
        (n, d) features of objects.
    examples : ndarray of float32
        (m, d) features of examples.
    layout : FeatureLayout
        What the features mean.
    weights : mapping of str to float
        Weight of each of `MEASURES`; those without one do not count.
    centre : ndarray of float, optional
        (c,) mean direction of the embeddings of the objects around; without it, "relative" does not count.

    Returns
    -------
    ndarray of float64
        (n, m) weighted sums of the measures, 0 for equal objects.
    """
    slices = layout.slices
    distances = np.zeros((len(rows), len(examples)))
    for name in DIRECTIONS:
        others = Direction.of(name, examples, layout)
        if weights.get(name) and others.vectors.shape[1]:
            distances += weights[name] * (1 - Direction.of(name, rows, layout).dot(others.unit.T))
    if centre is not None and weights.get("relative"):
        one, other = (Direction.of("embedding", table, layout).seen_from(centre) for table in (rows, examples))
        distances += weights["relative"] * (1 - one.dot(other.unit.T))
    for name in ("maps", "shape", "colour", "texture"):
        if weights.get(name):
            scaled = [table[:, slices[name]] / np.array(SPREAD[name]) for table in (rows, examples)]
            distances += weights[name] / scaled[0].shape[1] * cdist(*scaled, "cityblock")
    diameter = slices["size"].start
    octaves = (rows[:, diameter, None] - examples[None, :, diameter]).astype(np.float64)
    larger, smaller = weights.get("larger", 0.0), weights.get("smaller", 0.0)
    return distances + np.where(octaves > 0, larger, -smaller) * octaves
