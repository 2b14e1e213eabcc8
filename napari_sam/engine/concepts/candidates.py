"""Candidates: objects that may be of the kind one looks for, with everything that is needed to rank them again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.automatic.prompted_objects import RegionObject, merge_objects
from napari_sam.engine.automatic.region_windows import label_shape
from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout


@dataclass(frozen=True)
class Candidates:
    """Objects of a region, which may overlap, with scores and features.

    Attributes
    ----------
    boxes : ndarray of int64
        (n, 4) as (y0, x0, y1, x1), level-0 pixels of the image, half-open. With a `factor` above 1 the lower and right
        end may exceed the image by less than one mask pixel.
    masks : tuple of ndarray of bool
        The pixels of each box; one value spans `factor` x `factor` level-0 pixels.
    predicted_iou, stability_score : ndarray of float32
        (n,) scores of the masks, from 0 to 1, whatever they show.
    features : ndarray of float32
        (n, d) as `layout` describes them.
    layout : FeatureLayout
        What the features mean, and of which network they are.
    factor : int
        Level-0 pixels per mask pixel along each axis.
    """

    boxes: NDArray[np.int64]
    masks: tuple[NDArray[np.bool_], ...]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    features: NDArray[np.float32]
    layout: FeatureLayout
    factor: int = 1

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.masks)

    @classmethod
    def empty(cls, layout: FeatureLayout, factor: int = 1) -> Candidates:
        """Return no candidates."""
        none = np.zeros(0, np.float32)
        return cls(np.zeros((0, 4), np.int64), (), none, none, np.zeros((0, layout.width), np.float32), layout, factor)

    def subset(self, chosen: ArrayLike) -> Candidates:
        """Return some of the candidates, by index or by a mask (n,) of bool."""
        index = np.asarray(chosen)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp).reshape(-1)
        return replace(
            self,
            boxes=self.boxes[index],
            masks=tuple(self.masks[i] for i in index),
            predicted_iou=self.predicted_iou[index],
            stability_score=self.stability_score[index],
            features=self.features[index],
        )

    @staticmethod
    def concatenate(parts: Sequence[Candidates]) -> Candidates:
        """Return the candidates of several regions of one image, at the same factor, as one.

        Raises
        ------
        ConceptError
            If their features are not those of one model.
        ValueError
            If there is no part, or their factors differ.
        """
        if not parts or len({part.factor for part in parts}) > 1:
            raise ValueError("candidates of one factor are needed, and at least one part")
        first = parts[0]
        for part in parts[1:]:
            first.layout.check_same(part.layout, "candidates")
        return replace(
            first,
            boxes=np.concatenate([part.boxes for part in parts]),
            masks=tuple(mask for part in parts for mask in part.masks),
            predicted_iou=np.concatenate([part.predicted_iou for part in parts]),
            stability_score=np.concatenate([part.stability_score for part in parts]),
            features=np.concatenate([part.features for part in parts]),
        )

    def draw(self, region: tuple[int, int, int, int], scores: NDArray[np.float32]) -> tuple[TileObjects, list[int]]:
        """Draw the candidates into labels, best first; of candidates that overlap, the better one is kept.

        Parameters
        ----------
        region : (int, int, int, int)
            (y0, x0, y1, x1), level-0 pixels: where labels are drawn.
        scores : ndarray of float32
            (n,) order of the candidates.

        Returns
        -------
        objects : TileObjects
            Labels of the region, at the candidates' factor, with the scores in place of the predicted IoU.
        kept : list of int
            Index of the candidate of each object.
        """
        objects = [
            RegionObject(
                Box(*(int(v) // self.factor for v in box - np.array(region[:2] * 2))), mask, float(score), float(stable)
            )
            for box, mask, score, stable in zip(self.boxes, self.masks, scores, self.stability_score, strict=True)
        ]
        labels, kept = merge_objects(label_shape(region, self.factor), objects)
        return TileObjects(labels, np.asarray(scores, np.float32)[kept], self.stability_score[kept]), kept
