"""Candidates that stand for the same object: which of them gives way to which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.automatic.prompted_objects import MAX_OVERLAP
from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam.engine.concepts.candidates import Candidates


@dataclass(frozen=True)
class Overlaps:
    """Pairs of candidates of which the better one replaces the other; computed once, used for any scores.

    Attributes
    ----------
    covered_by : list of list of int
        For each candidate, the others that cover more than the allowed share of it.
    """

    covered_by: list[list[int]]

    @classmethod
    def of(cls, candidates: Candidates, max_overlap: float = MAX_OVERLAP) -> Overlaps:
        """Compare all candidates whose boxes overlap.

        Parameters
        ----------
        candidates : Candidates
            The candidates.
        max_overlap : float
            Share of an object that a better one may cover.
        """
        from shapely import STRtree, box  # noqa: PLC0415 - slow to import

        covered_by: list[list[int]] = [[] for _ in range(len(candidates))]
        y0, x0, y1, x1 = candidates.boxes.T
        shapes = box(x0, y0, x1, y1)
        pairs = STRtree(shapes).query(shapes).T if len(candidates) else np.zeros((0, 2), np.int64)
        areas = np.array([np.count_nonzero(mask) for mask in candidates.masks])
        for first, second in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
            shared = _shared(candidates, first, second)
            if shared > max_overlap * areas[first]:
                covered_by[first].append(second)
            if shared > max_overlap * areas[second]:
                covered_by[second].append(first)
        return cls(covered_by)

    def best(self, scores: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the candidates (n,) that no better one covers, given the scores (n,); the first of equals wins."""
        kept = np.zeros(len(scores), bool)
        for index in np.argsort(-np.asarray(scores), kind="stable").tolist():
            kept[index] = not any(kept[other] for other in self.covered_by[index])
        return kept


def _shared(candidates: Candidates, first: int, second: int) -> int:
    """Return the number of mask pixels that two candidates share."""
    factor = candidates.factor
    a, b = (Box(*(int(v) // factor for v in candidates.boxes[i])) for i in (first, second))
    common = a.intersection(b)
    if common.is_empty:
        return 0
    return int(
        np.count_nonzero(candidates.masks[first][common.slices_in(a)] & candidates.masks[second][common.slices_in(b)])
    )
