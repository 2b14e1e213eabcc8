"""Leaving out the objects of a whole image that the model is unsure of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.engine.tiling.merge_tiles import MergedTiles


def drop_low_scores(levels: Sequence[MergedTiles], min_iou: float, min_stability: float = 0.0) -> None:
    """Leave out objects of low scores, which are those of their parts weighted by pixels.

    Parameters
    ----------
    levels : sequence of MergedTiles
        Merged objects of each factor; their states and numbers change in place.
    min_iou : float
        Lowest predicted IoU that is kept.
    min_stability : float
        Lowest stability score that is kept.
    """
    for merged in levels:
        is_low = merged.mean_by_number(merged.predicted_iou) < min_iou
        is_low |= merged.mean_by_number(merged.stability_score) < min_stability
        is_low[0] = False
        merged.drop(is_low[merged.number])
        merged.renumber()
