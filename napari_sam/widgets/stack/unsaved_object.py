"""An object that is followed through planes, before it is saved."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.layers.stacks.saved_propagation import PROPAGATED
from napari_sam.widgets.stack.plane_strip import StripContent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.propagation.plane_mask import PlaneMask
    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.predictor import Predictor

_serial = itertools.count(1)
_EVENTS = {
    "split": "in several parts",
    "merge": "touches another object",
    PROPAGATED: "not found here, but followed from its neighbours",
}
NOUNS = {"z": "plane", "t": "frame"}


@dataclass(frozen=True)
class FollowRequest:
    """What to follow, and where.

    Attributes
    ----------
    image : Image
        The stack, at the plane on which the object was clicked.
    axis : str
        "z" or "t".
    index : int
        Which leading axis of the layer that is.
    plane : tuple of int
        Index of the clicked plane along all leading axes of the layer.
    count : int
        Number of planes along the axis.
    prediction : Prediction or None
        The object on that plane; its best mask is followed. None for a saved object, which is only corrected.
    planes : range or None
        Planes to follow it through; None for all.
    """

    image: Image
    axis: str
    index: int
    plane: tuple[int, ...]
    count: int
    prediction: Prediction | None
    planes: range | None = None

    @property
    def origin(self) -> int:
        """Index of the clicked plane along the axis."""
        return self.plane[self.index]

    @property
    def noun(self) -> str:
        """What a plane is called."""
        return NOUNS[self.axis]

    def leading(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along all leading axes of the layer."""
        return (*self.plane[: self.index], plane, *self.plane[self.index + 1 :])

    def along(self, leading: tuple[int, ...]) -> int | None:
        """Return the index along the axis of a plane of the layer; None if another axis has another index."""
        return leading[self.index] if leading == self.leading(leading[self.index]) else None


class UnsavedObject:
    """Masks of an object as they are found, and the result once it is there.

    Parameters
    ----------
    request : FollowRequest
        What to follow.
    label : int, optional
        Saved object that is corrected.

    Attributes
    ----------
    number : int
        Tells objects apart.
    predictor : Predictor or None
        Predictor that follows it, and answers corrections; set by the thread.
    result : Propagation or None
        The object on all planes; None while it is being followed for the first time.
    is_running : bool
        Whether it is followed, or corrected, now.
    corrected : int or None
        Plane of the last correction.
    progress : (int, int)
        Planes done, and planes to do.
    """

    def __init__(self, request: FollowRequest, label: int | None = None) -> None:
        self.request, self.label, self.number = request, label, next(_serial)
        self.predictor: Predictor | None = None
        self.result: Propagation | None = None
        self.is_running = True
        self.corrected: int | None = None
        self.progress = (0, request.count if request.planes is None else len(request.planes))
        self._arrived: dict[int, PlaneMask] = {}  # since the last result
        self._earlier: list[Propagation] = []  # results before each correction

    @property
    def name(self) -> str:
        """What it is called."""
        return "Object" if self.label is None else f"Object {self.label}"

    @property
    def is_ready(self) -> bool:
        """Whether it can be corrected and saved."""
        return self.result is not None

    # ---- what is known of the planes --------------------------------------------------------------------------

    @property
    def scores(self) -> dict[int, float]:
        """Score of each plane on which the object exists."""
        scores = {} if self.result is None else dict(self.result.scores)
        for plane, found in self._arrived.items():
            if found.mask.any():
                scores[plane] = found.score
            else:
                scores.pop(plane, None)
        return scores

    @property
    def weakest(self) -> int | None:
        """Plane of the lowest score, of those without prompts if there are any; of several the first."""
        scores, prompted = self.scores, self.prompted
        free = [plane for plane in sorted(scores) if plane not in prompted]
        return min(free or sorted(scores), key=scores.__getitem__, default=None)

    @property
    def prompted(self) -> frozenset[int]:
        """Planes with prompts."""
        return frozenset((self.request.origin,) if self.result is None else self.result.prompted)

    @property
    def content(self) -> StripContent:
        """What a strip shows of it."""
        request = self.request
        notes: dict[int, str] = {}
        if self.result is not None:
            notes = {plane: _EVENTS.get(events[0], events[0]) for plane, events in self.result.events.items() if events}
            notes |= self.result.missing
        return StripContent(request.count, self.scores, self.prompted, self.weakest, request.noun, notes)

    def mask(self, plane: int) -> tuple[NDArray[np.bool_], Box] | None:
        """Return mask (h, w) and box of a plane; None if the object is not on it."""
        found = self._arrived.get(plane)
        if found is not None:
            return (found.mask, found.box) if found.mask.any() else None
        if self.result is not None and plane in self.result.scores:
            return self.result.mask(plane)
        return None

    @property
    def masks(self) -> dict[int, tuple[NDArray[np.bool_], Box]]:
        """Mask and box of each plane on which the object exists."""
        found = {plane: self.mask(plane) for plane in self.scores}
        return {plane: mask for plane, mask in found.items() if mask is not None}

    def nearest_box(self, plane: int) -> Box | None:
        """Return the box of the object on a plane, or on the nearest plane on which it exists."""
        planes = self.scores
        nearest = min(planes, key=lambda p: abs(p - plane), default=None)
        found = None if nearest is None else self.mask(nearest)
        return None if found is None else found[1]

    # ---- what the thread finds --------------------------------------------------------------------------------

    def add(self, found: PlaneMask) -> None:
        """Add the mask of a plane that has just been found."""
        self._arrived[found.plane] = found

    def finish(self) -> None:
        """Note that the thread has ended; `result` is what holds now."""
        self.is_running = False
        self._arrived.clear()

    def base_of(self, plane: int) -> Propagation | None:
        """Return the result that a correction of a plane starts from: several clicks on it are one correction."""
        if self.result is not None and plane != self.corrected:
            self._earlier.append(self.result)
            self.corrected = plane
        return self._earlier[-1] if self._earlier else self.result

    def remove_plane(self, plane: int) -> None:
        """Remove the object from a plane, and beyond it where it has no prompts; see `Propagation.without`."""
        if self.result is not None:
            shorter = self.result.without(plane)
            self._earlier.append(self.result)
            self.result, self.corrected = shorter, None

    def take_back(self) -> bool:
        """Return to the result before the last correction; return False without one."""
        if not self._earlier:
            return False
        self.result, self.corrected = self._earlier.pop(), None
        self._arrived.clear()
        return True
