"""The protocol of open-vocabulary detectors, and what they find."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Detections:
    """Objects that fit a phrase.

    Attributes
    ----------
    boxes : ndarray of float64
        (n, 4) as (y0, x0, y1, x1), pixels of the picture or of level 0.
    scores : ndarray of float32
        (n,) from 0 to 1; comparable among the answers of one detector to one phrase.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)

    @classmethod
    def of(cls, boxes: ArrayLike, scores: ArrayLike) -> Detections:
        """Return detections from anything that is converted to arrays."""
        return cls(np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float32).reshape(-1))

    def subset(self, chosen: ArrayLike) -> Detections:
        """Return some of them, by index or by a mask (n,) of bool."""
        index = np.asarray(chosen)
        index = index if index.dtype == bool else index.astype(np.intp).reshape(-1)
        return replace(self, boxes=self.boxes[index], scores=self.scores[index])

    @staticmethod
    def concatenate(parts: Sequence[Detections]) -> Detections:
        """Return the detections of several parts of one image."""
        none = Detections.of(np.zeros((0, 4)), np.zeros(0))
        return Detections(
            np.concatenate([part.boxes for part in parts] or [none.boxes]),
            np.concatenate([part.scores for part in parts] or [none.scores]),
        )


class TextDetector(Protocol):
    """Finds the objects of a picture that a phrase describes."""

    @property
    def name(self) -> str:
        """Name of the model, for messages and records."""
        ...

    @property
    def side(self) -> int:
        """Side in pixels of the square picture that the model sees: larger ones are divided into tiles."""
        ...

    @property
    def threshold(self) -> float:
        """Score from which an object is accepted by default."""
        ...

    def detect(self, rgb: NDArray[np.uint8], text: str) -> Detections:
        """Find objects.

        Parameters
        ----------
        rgb : ndarray of uint8
            (h, w, 3).
        text : str
            A phrase, such as "solar panel".

        Returns
        -------
        Detections
            In pixels of the picture, not yet thresholded or freed of duplicates.
        """
        ...


class MaskRanker(Protocol):
    """Scores pictures of objects by how well they fit a phrase."""

    def rank(self, crops: Sequence[NDArray[np.uint8]], text: str) -> NDArray[np.float32]:
        """Return scores (n,) from 0 to 1 of pictures (h, w, 3) of single objects."""
        ...
