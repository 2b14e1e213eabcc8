"""The protocol of carriers: how objects go from one plane to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.engine.propagation.plane_views import PlaneView


@dataclass(frozen=True)
class CarriedMask:
    """What a carrier found on a plane for one object.

    Attributes
    ----------
    mask : ndarray of bool
        (h, w), a crop of the plane; of one background pixel if the object is absent.
    box : Box
        (y0, x0, y1, x1) of that crop in level-0 pixels, half-open.
    score : float
        Confidence in [0, 1].
    absent : str
        Why the object is not on this plane, as one phrase; empty if it is.
    events : tuple of str
        What else was seen: "split" if the object has several parts, "merge" if it ran together with another one.
    """

    mask: NDArray[np.bool_]
    box: Box
    score: float
    absent: str = ""
    events: tuple[str, ...] = ()


class Carrier(Protocol):
    """Carries objects from plane to plane, several objects at once.

    A carrier first answers all prompts (`prompt`). Then it passes the planes forward and backward. A pass visits every
    plane once; it begins for an object at its prompted plane (`begin`), and from there on `carry` finds the object on
    each plane. Objects are named by their position in the caller's list.

    Attributes
    ----------
    uses_later_prompts : bool
        Whether a pass is also guided by prompts on planes that it has not reached. If not, planes between two prompts
        are passed from both sides and the results combined (`combine`).
    patience : int or None
        Number of planes on end on which an object may be absent before it is no longer followed; None for any number.
    """

    @property
    def uses_later_prompts(self) -> bool: ...  # noqa: D102

    @property
    def patience(self) -> int | None: ...  # noqa: D102

    def prompt(self, view: PlaneView, prompts: Mapping[int, PlanePrompt]) -> dict[int, CarriedMask]:
        """Answer the prompts of some objects on a plane."""
        ...

    def begin(self, view: PlaneView, answers: Mapping[int, CarriedMask], *, reverse: bool) -> None:
        """Start to follow objects from a prompted plane, in one direction."""
        ...

    def carry(self, view: PlaneView, objects: Sequence[int], *, reverse: bool) -> dict[int, CarriedMask]:
        """Find objects on the next plane of a pass."""
        ...

    def combine(
        self, view: PlaneView, object_: int, found: CarriedMask, earlier: CarriedMask, weight: float
    ) -> CarriedMask:
        """Combine what the backward pass found with what the forward pass found, of the given weight in (0, 1)."""
        ...
