"""Prompts for many objects of one image, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.io.class_styles import ClassStyle


@dataclass(frozen=True, repr=False)
class PromptTable:
    """Prompts that are valid for one image, as arrays: a million take about 100 MB.

    Attributes
    ----------
    boxes : ndarray of float
        (n, 4) as (y0, x0, y1, x1), level-0 pixels, inside the image; NaN for a prompt without a box.
    points : ndarray of float
        (p, 2) as (y, x), the points of one prompt next to each other.
    point_labels : ndarray of int
        (p,) 1 on the object, 0 beside it.
    first : ndarray of int
        (n + 1,) index of each prompt's first point.
    category : list of str or None
        (n,) category of the object.
    score : ndarray of float
        (n,) score that the source gives; NaN without one.
    number : ndarray of int
        (n,) number of the row in the source.
    word : str
        Name of a row of the source, such as "line".
    skipped : dict of str to int
        Number of prompts left out, by reason.
    mask : callable or None
        From the index of a prompt to its `MaskPrompt`, or None if the object has no pixel.
    classes : tuple of ClassStyle
        Colours and parents of the categories, as far as the source has them.
    track, parent : list of str or None
        (n,) name of the object of a stack that a prompt shows on its plane, and of the object that this one descends
        from; empty lists if the source has none.
    """

    boxes: NDArray[np.float64]
    points: NDArray[np.float64]
    point_labels: NDArray[np.int64]
    first: NDArray[np.int64]
    category: list[str | None]
    score: NDArray[np.float64]
    number: NDArray[np.int64]
    word: str = "row"
    skipped: dict[str, int] = field(default_factory=dict)
    mask: Callable[[int], MaskPrompt | None] | None = None
    classes: tuple[ClassStyle, ...] = ()
    track: list[str | None] = field(default_factory=list)
    parent: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.boxes)

    def __repr__(self) -> str:
        return f"<PromptTable of {len(self)} prompts, {sum(self.skipped.values())} left out>"

    def points_of(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return points (P, 2) and point labels (P,) of a prompt."""
        part = slice(int(self.first[i]), int(self.first[i + 1]))
        return self.points[part], self.point_labels[part]

    def box_of(self, i: int) -> tuple[float, float, float, float] | None:
        """Return (y0, x0, y1, x1) of a prompt; None if it has no box."""
        y0, x0, y1, x1 = self.boxes[i].tolist()
        return None if y0 != y0 else (y0, x0, y1, x1)

    def keywords(self, i: int) -> dict[str, Any]:
        """Return the arguments of `Predictor.predict` for a prompt; reads its mask, if it has one."""
        points, labels = self.points_of(i)
        keywords: dict[str, Any] = {"points": points, "point_labels": labels} if len(points) else {}
        box = self.box_of(i)
        if box is not None:
            keywords["box"] = box
        mask = None if self.mask is None else self.mask(i)
        if mask is not None:
            keywords["mask"] = mask
        return keywords
