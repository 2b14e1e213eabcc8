"""The result of following an object."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.plane_mask import PlaneMask, in_frame
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.plane_mask import PackedMask
    from napari_sam.engine.propagation.plane_prompts import PlanePrompt

_REMOVED = "removed by hand"


@dataclass(frozen=True)
class StackPosition:
    """The planes that an object was followed through.

    Attributes
    ----------
    axis : str
        Name of the axis.
    count : int
        Number of planes along it.
    shape : (int, int)
        Height and width of a plane, level-0 pixels.
    leading : tuple of int
        Index along all leading axes of the image; that along `axis` stands for all planes.
    position : int
        Position of `axis` among the leading axes.
    """

    axis: str
    count: int
    shape: tuple[int, int]
    leading: tuple[int, ...]
    position: int

    def index(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along all leading axes.

        >>> StackPosition("z", 9, (4, 4), (2, 0), 1).index(5)
        (2, 5)
        """
        return (*self.leading[: self.position], plane, *self.leading[self.position + 1 :])


@dataclass(frozen=True, repr=False)
class Propagation:
    """An object on the planes of a stack.

    Attributes
    ----------
    stack : StackPosition
        The planes.
    prompts : mapping of int to PlanePrompt
        Prompts, by plane.
    records : mapping of int to PackedMask
        Masks, by plane.
    stopped : mapping of str to str
        Why the object is not followed beyond its last plane "forward" and its first one "backward"; without an entry
        where it reaches the end of the planes.
    missing : mapping of int to str
        Planes between the first and the last without the object, with the reason.
    events : mapping of int to tuple of str
        Planes where the object has several parts ("split") or ran together with another one ("merge").
    model : str
        Name of the model.
    removed : frozenset of int
        Planes that it was removed from by hand (`without`); corrections are not carried beyond them.
    """

    stack: StackPosition
    prompts: Mapping[int, PlanePrompt]
    records: Mapping[int, PackedMask]
    stopped: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[int, str] = field(default_factory=dict)
    events: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    model: str = ""
    removed: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        span = f"{self.planes[0]} to {self.planes[-1]}" if self.planes else "none"
        return f"<Propagation through {len(self.planes)} planes along {self.axis}, {span}, by {self.model}>"

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[PlaneMask]:
        return (self.plane_mask(plane) for plane in self.planes)

    @property
    def axis(self) -> str:
        """Name of the axis that was followed, such as "z" or "t"."""
        return self.stack.axis

    @property
    def planes(self) -> tuple[int, ...]:
        """Planes with the object, in order."""
        return tuple(sorted(self.records))

    @property
    def prompted(self) -> tuple[int, ...]:
        """Planes with prompts, in order."""
        return tuple(sorted(self.prompts))

    @property
    def scores(self) -> dict[int, float]:
        """Confidence in [0, 1] on each plane."""
        return {plane: self.records[plane].score for plane in self.planes}

    @property
    def weakest(self) -> int:
        """The plane of the lowest confidence, of those without a prompt if there are any."""
        free = [plane for plane in self.planes if plane not in self.prompts]
        return min(free or self.planes, key=lambda plane: self.records[plane].score)

    @property
    def bbox(self) -> tuple[int, int, int, int, int, int]:
        """(first plane, y0, x0, last plane + 1, y1, x1), half-open."""
        boxes = [self.records[plane].box for plane in self.planes]
        frame = boxes[0]
        for box in boxes[1:]:
            frame = frame.union(box)
        return self.planes[0], frame.y0, frame.x0, self.planes[-1] + 1, frame.y1, frame.x1

    def mask(self, plane: int) -> tuple[NDArray[np.bool_], Box]:
        """Return the mask (h, w) on a plane and its box (y0, x0, y1, x1), level-0 pixels.

        Raises
        ------
        PromptError
            If the object is not on that plane.
        """
        record = self._record(plane)
        return record.mask, record.box

    def plane_mask(self, plane: int) -> PlaneMask:
        """Return mask, box and score on a plane; errors as in `mask`."""
        record = self._record(plane)
        return PlaneMask(plane, record.mask, record.box, record.score, plane in self.prompts)

    def index(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along all leading axes of the image, as a label store names it."""
        return self.stack.index(plane)

    def without(self, plane: int) -> Propagation:
        """Return the object without a plane on which it is not.

        Beyond the first or last prompted plane (of an object without prompts, its middle plane), the object ends
        there: the planes further away are left out, too. Between prompts, only this plane is.

        Parameters
        ----------
        plane : int
            A plane with the object.

        Raises
        ------
        PromptError
            If the object is not there, or it is its only plane, or the only one with a prompt.
        """
        self._record(plane)
        prompts = {p: prompt for p, prompt in self.prompts.items() if p != plane}
        others = [p for p in self.planes if p != plane]
        anchors = sorted(prompts) if self.prompts else others[len(others) // 2 :][:1]
        if not anchors:
            raise PromptError(
                f"plane {plane} is the only one with {'a prompt' if self.prompts else 'the object'}",
                parameter="plane",
                remedy="prompt the object on another plane first, or give it up",
            )
        step = 1 if plane > anchors[-1] else -1 if plane < anchors[0] else 0
        kept = {p: record for p, record in self.records.items() if p != plane and (p - plane) * step <= 0}
        stopped, missing = dict(self.stopped), dict(self.missing)
        if step:
            stopped["forward" if step > 0 else "backward"] = f"plane {plane}: {_REMOVED}"
            missing = {p: reason for p, reason in missing.items() if (p - plane) * step < 0}
        else:
            missing[plane] = _REMOVED
        events = {p: names for p, names in self.events.items() if p in kept}
        left = replace(self, prompts=prompts, records=kept, stopped=stopped, missing=missing, events=events)
        return replace(left, removed=self.removed | {plane})

    def allows(self, plane: int, corrected: int) -> bool:
        """Return whether the correction of a plane may be carried to another one: no removed plane lies between."""
        low, high = sorted((plane, corrected))
        return not any(low <= p <= high for p in self.removed - {corrected})

    def volume(self, shape: tuple[int, int, int] | None = None) -> NDArray[np.bool_]:
        """Return the object as one array.

        Parameters
        ----------
        shape : (int, int, int), optional
            Planes, height and width of the whole stack; by default only `bbox` is returned.

        Returns
        -------
        ndarray of bool
            (planes, h, w). Planes without the object are empty.
        """
        z0, y0, x0, z1, y1, x1 = self.bbox if shape is None else (0, 0, 0, *shape)
        volume = np.zeros((z1 - z0, y1 - y0, x1 - x0), bool)
        for plane in self.planes:
            if z0 <= plane < z1:
                volume[plane - z0] = in_frame(*self.mask(plane), Box(y0, x0, y1, x1))
        return volume

    def _record(self, plane: int) -> PackedMask:
        if plane not in self.records:
            raise PromptError(
                f"plane {plane}: the object is not there",
                parameter="plane",
                remedy=f"choose one of its planes, {self.planes[0]} to {self.planes[-1]}"
                if self.planes
                else "propagate it first",
            )
        return self.records[plane]
