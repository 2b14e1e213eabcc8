"""A carrier that keeps a record of its answers, so that following objects can be continued after an interruption.

On the way to where it was interrupted, answers come from the record and the network is not run; there the carrier gets
back its state and continues. The result is the same as without an interruption.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carrier import CarriedMask
from napari_sam.errors import ImageError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.propagation.carrier import Carrier
    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.engine.propagation.plane_views import PlaneView
    from src_models.run_record import JsonValue

    Arrays = dict[str, NDArray[np.generic]]

_PROMPT, _FORWARD, _BACKWARD = 0, 1, -1


class StatefulCarrier(Protocol):
    """What a carrier needs besides `Carrier` to be continued."""

    def state(self) -> Arrays:
        """Return everything that later answers depend on, besides the planes."""
        ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Take the state that `state` returned in another process."""
        ...


class StepStore(Protocol):
    """Keeps the steps of a propagation; `napari_sam.io.propagation_folder` implements it.

    Attributes
    ----------
    interval_s : float
        Time between two records of a carrier's state, in seconds; as much work may have to be done again.
    """

    interval_s: float

    def open(self, request: Mapping[str, JsonValue]) -> int:
        """Return the number of the step to continue with; 0 if nothing is kept.

        Raises
        ------
        StoreError
            If steps of another request are kept.
        """
        ...

    def read_step(self, number: int) -> Arrays:
        """Return a step."""
        ...

    def write_step(self, number: int, step: Arrays) -> None:
        """Keep a step."""
        ...

    def read_state(self) -> Arrays:
        """Return the state before the step to continue with."""
        ...

    def write_state(self, number: int, state: Arrays) -> None:
        """Keep the state before a step, in place of an earlier one."""
        ...

    def close(self) -> None:
        """Delete everything: the propagation is complete."""
        ...


class ResumableCarrier:
    """Records the answers of a carrier, and continues where an earlier process ended.

    Parameters
    ----------
    carrier : Carrier
        The carrier, which is a `StatefulCarrier` too.
    store : StepStore
        Keeps the record.
    request : mapping
        Everything that the result depends on, as JSON.
    clock : callable
        Returns the time, in seconds.

    Raises
    ------
    StoreError
        If the record is that of another request.
    """

    def __init__(
        self,
        carrier: Carrier,
        store: StepStore,
        request: Mapping[str, JsonValue],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._carrier, self._store = carrier, store
        self._clock = clock
        self._resume_at = store.open(request)
        self._replays = self._resume_at > 0
        self._number = 0
        self._saved_at = clock()

    @property
    def uses_later_prompts(self) -> bool:
        """As `Carrier.uses_later_prompts`."""
        return self._carrier.uses_later_prompts

    @property
    def patience(self) -> int | None:
        """As `Carrier.patience`."""
        return self._carrier.patience

    def prompt(self, view: PlaneView, prompts: Mapping[int, PlanePrompt]) -> dict[int, CarriedMask]:
        """As `Carrier.prompt`."""
        return self._step(view, _PROMPT, list(prompts), lambda: self._carrier.prompt(view, prompts))

    def begin(self, view: PlaneView, answers: Mapping[int, CarriedMask], *, reverse: bool) -> None:
        """As `Carrier.begin`."""
        if not self._replays:  # else the state will tell
            self._carrier.begin(view, answers, reverse=reverse)

    def carry(self, view: PlaneView, objects: Sequence[int], *, reverse: bool) -> dict[int, CarriedMask]:
        """As `Carrier.carry`."""
        kind = _BACKWARD if reverse else _FORWARD
        return self._step(view, kind, objects, lambda: self._carrier.carry(view, objects, reverse=reverse))

    def combine(
        self, view: PlaneView, object_: int, found: CarriedMask, earlier: CarriedMask, weight: float
    ) -> CarriedMask:
        """As `Carrier.combine`."""
        return self._carrier.combine(view, object_, found, earlier, weight)

    def close(self) -> None:
        """Delete the record of a complete propagation."""
        self._store.close()

    def _step(
        self, view: PlaneView, kind: int, objects: Sequence[int], answer: Callable[[], dict[int, CarriedMask]]
    ) -> dict[int, CarriedMask]:
        """Return the recorded answers of a step, or compute and record them."""
        number = self._number
        self._number += 1
        asked = np.array([kind, view.plane, *objects])
        if number < self._resume_at:
            return _recorded(self._store.read_step(number), asked, number)
        if self._replays:
            self._stateful.restore(self._store.read_state())
            self._replays = False
        elif self._clock() - self._saved_at >= self._store.interval_s:
            self._store.write_state(number, self._stateful.state())
            self._saved_at = self._clock()
        try:
            found = answer()
        except ImageError as error:
            self._store.write_step(number, {"asked": asked, "unreadable": np.array(str(error))})
            raise
        self._store.write_step(number, {"asked": asked, **_packed(found)})
        return found

    @property
    def _stateful(self) -> StatefulCarrier:
        return self._carrier  # type: ignore[return-value]


def by_object(state: Mapping[str, NDArray[np.generic]]) -> dict[int, Arrays]:
    """Sort arrays that are named object/name by object.

    >>> by_object({"0/a": np.zeros(1), "3/a": np.ones(1)})
    {0: {'a': array([0.])}, 3: {'a': array([1.])}}
    """
    objects: dict[int, Arrays] = {}
    for key, values in state.items():
        i, name = key.split("/", 1)
        objects.setdefault(int(i), {})[name] = values
    return objects


def _packed(found: Mapping[int, CarriedMask]) -> Arrays:
    arrays: Arrays = {}
    for i, carried in found.items():
        arrays[f"{i}/mask"] = np.packbits(carried.mask, axis=1)
        arrays[f"{i}/box"] = np.array([*carried.box])
        arrays[f"{i}/score"] = np.array(carried.score)
        arrays[f"{i}/words"] = np.array([carried.absent, *carried.events])
    return arrays


def _recorded(step: Arrays, asked: NDArray[np.int_], number: int) -> dict[int, CarriedMask]:
    if not np.array_equal(step["asked"], asked):
        raise StoreError(f"step {number} of the record is {step['asked'].tolist()}, not {asked.tolist()}")
    if "unreadable" in step:
        raise ImageError(str(step["unreadable"]))
    found = {}
    for i in asked[2:].tolist():
        box = Box(*(int(n) for n in step[f"{i}/box"]))
        mask = np.unpackbits(step[f"{i}/mask"].astype(np.uint8), axis=1, count=box.width).astype(bool)
        absent, *events = (str(word) for word in step[f"{i}/words"])
        found[i] = CarriedMask(mask, box, float(step[f"{i}/score"]), absent, tuple(events))
    return found
