"""The protocol of object finders: three stages, so that reading, network and post-processing run side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box


BRANCHES = ("auto", "both", "dense")
"""Whether dense mode prompts the mask decoder with what the dense decoder suggests; auto does for the default model."""


def uses_both_branches(branches: str, trained_with_objects: bool) -> bool:
    """Return whether to prompt the mask decoder, too: one of `BRANCHES`, and how the model was trained."""
    return branches == "both" or (branches == "auto" and trained_with_objects)


@dataclass(frozen=True)
class TileObjects:
    """All objects of a region.

    Attributes
    ----------
    labels : ndarray of int32
        (h, w), 0 is background, objects from 1 to n without gaps. A pixel spans `factor` level-0 pixels.
    predicted_iou : ndarray of float32
        (n,) quality of each object as estimated by the network, from 0 to 1.
    stability_score : ndarray of float32
        (n,) IoU of each object's outlines at a stricter and a looser threshold.
    """

    labels: NDArray[np.int32]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]


class ObjectFinder(Protocol):
    """A method to find all objects of a region; `GridFinder` and `DenseFinder` implement it."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def side(self) -> int:
        """Level-0 pixels that one window of the network shows at factor 1."""

    def settings(self) -> dict[str, Any]:
        """Return everything the result depends on besides the pixels, as JSON holds it."""

    def read(self, region: Box, factor: int) -> Any:
        """Read the pixels; runs in a thread of its own, ahead of `compute`."""

    def is_blank(self, read: Any) -> bool:
        """Return whether the pixels have no structure, so that the other stages can be skipped."""

    def compute(self, region: Box, factor: int, read: Any, cancelled: Callable[[], bool] | None = None) -> Any:
        """Run the network; one region at a time."""

    def finish(self, region: Box, factor: int, computed: Any) -> TileObjects:
        """Make objects of the network's output; several regions may be finished at once, in threads.

        Parameters
        ----------
        region : (int, int, int, int)
            (y0, x0, y1, x1), level-0 pixels, half-open.
        factor : int
            Level-0 pixels per label pixel along each axis: labels are (ceil(h / factor), ceil(w / factor)).
        computed
            The result of `compute` for the same region and factor.
        """


def is_uniform(pixels: NDArray[np.uint8]) -> bool:
    """Return whether all pixels (h, w, c) are equal.

    >>> import numpy as np
    >>> is_uniform(np.full((4, 4, 3), 7, np.uint8)), is_uniform(np.eye(4, dtype=np.uint8)[..., None])
    (True, False)
    """
    return bool((pixels == pixels[:1, :1]).all())
