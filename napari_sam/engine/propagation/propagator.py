"""Pass the planes of a stack forward and backward, with several objects at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.propagation.carrier import CarriedMask
from napari_sam.engine.propagation.collisions import with_merges
from napari_sam.engine.propagation.plane_mask import PackedMask, PlaneMask, cropped, mask_iou
from napari_sam.errors import CancelledError, ImageError, PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.engine.propagation.carrier import Carrier
    from napari_sam.engine.propagation.plane_prompts import PlanePrompt
    from napari_sam.engine.propagation.plane_views import PlaneView, PlaneViews

CONVERGED_IOU = 0.99
"""Overlap of a new mask with the earlier one from which on a correction has no further effect."""

_FORWARD, _BACKWARD = "forward", "backward"
_FIRST_CHECK, _CHECK_EVERY = 8, 32  # planes after which the end of an object is looked for
_LEAST_PLANES = 4  # with fewer planes it is not


@dataclass
class ObjectRun:
    """An object while it is followed.

    Attributes
    ----------
    prompts : dict of int to PlanePrompt
        Prompts, by plane.
    starts : tuple of int
        Prompted planes from which the object is followed; those without it only limit the passes.
    records : dict of int to PackedMask
        Masks that are known; at first those of an earlier propagation.
    stopped, missing, events
        As in `Propagation`.
    """

    prompts: dict[int, PlanePrompt]
    starts: tuple[int, ...]
    records: dict[int, PackedMask] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    missing: dict[int, str] = field(default_factory=dict)
    events: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.earlier: dict[int, PackedMask] = dict(self.records)  # what this run has not looked at
        self.answers: dict[int, CarriedMask] = {}
        self.corrects = bool(self.records)
        self.known = frozenset(self.records)

    def next_prompt(self, plane: int, step: int) -> int | None:
        """Return the nearest prompted plane beyond a plane in a direction, +1 or -1; None without one."""
        beyond = [p for p in self.prompts if (p - plane) * step > 0]
        return min(beyond, key=lambda p: abs(p - plane)) if beyond else None


@dataclass(frozen=True)
class Callbacks:
    """What is called while objects are followed.

    Attributes
    ----------
    on_plane : callable or None
        Called with each `PlaneMask` as soon as it is found; again, with an empty mask, if the object turns out to have
        ended before that plane.
    progress : callable or None
        Called with the number of planes done and their total.
    cancelled : callable or None
        Called before each plane; returns True to stop.
    """

    on_plane: Callable[[PlaneMask], None] | None = None
    progress: Callable[[int, int], None] | None = None
    cancelled: Callable[[], bool] | None = None


@dataclass
class _Active:
    """An object in a pass: where it began for it, up to where its end was looked for, and since when it is missing."""

    start: int
    absent: list[int] = field(default_factory=list)
    reason: str = ""
    unchanged: int = 0

    def __post_init__(self) -> None:
        self.checked = self.start


class EndFinder(Protocol):
    """Finds where an object ends among planes on which it was found."""

    def last_plane(
        self, records: Mapping[int, PackedMask], planes: Sequence[int], anchor: int, step: int
    ) -> int | None:
        """Return the last plane in a direction, +1 or -1, from `anchor`, one of `planes`; None if it is not known."""
        ...


class Propagator:
    """Follow objects through the planes of a stack.

    Parameters
    ----------
    views : PlaneViews
        The planes.
    carrier : Carrier
        How objects go from one plane to the next.
    planes : sequence of int
        Planes to pass, in ascending order; prompted planes among them.
    callbacks : Callbacks, optional
        What to call on the way.
    ends : EndFinder, optional
        Looks on the way whether an object has ended. Planes beyond its end are given up, and reported with empty masks.

    Attributes
    ----------
    failed : dict of int to str
        Planes that cannot be read, with the reason.
    """

    def __init__(
        self,
        views: PlaneViews,
        carrier: Carrier,
        planes: Sequence[int],
        callbacks: Callbacks | None = None,
        ends: EndFinder | None = None,
    ) -> None:
        self._views, self._carrier, self._planes, self._ends = views, carrier, list(planes), ends
        self._calls = Callbacks() if callbacks is None else callbacks
        self.failed: dict[int, str] = {}
        self._done = 0

    def run(self, objects: Sequence[ObjectRun]) -> None:
        """Follow objects; the results are left in them.

        Raises
        ------
        ImageError
            If a prompted plane cannot be read. Others are left out and named in `failed`.
        PromptError
            If a prompt selects nothing.
        CancelledError
            If `cancelled()` returned True; finished planes have been passed to `on_plane`.
        """
        self._done = 0
        self._answer(objects)
        self._sweep(objects, 1)
        self._sweep(objects, -1)
        for i, run in enumerate(objects):
            for plane in sorted(set(run.earlier) - set(run.records)):  # seen from one side only
                run.records[plane] = run.earlier[plane]
                self._report(i, plane, run)
        total = self._total(objects)
        self._progress(total - self._done, total)

    def _answer(self, objects: Sequence[ObjectRun]) -> None:
        """Answer all prompts, plane by plane."""
        prompted = sorted({plane for run in objects for plane in run.prompts})
        for plane in prompted:
            self._stop_if_cancelled()
            asked = {i: run.prompts[plane] for i, run in enumerate(objects) if plane in run.prompts}
            answers = self._carrier.prompt(self._views.view(plane), asked)
            for i, answer in answers.items():
                if not answer.mask.any():
                    raise PromptError(
                        f"the prompt of object {i} on plane {plane} selects nothing",
                        remedy="move its points onto the object, or draw a {box}",
                    )
                objects[i].answers[plane] = answer
                if plane in objects[i].starts or plane not in objects[i].records:
                    self._accept(i, plane, objects[i], answer)

    def _sweep(self, objects: Sequence[ObjectRun], step: int) -> None:
        """Pass the planes in one direction."""
        starts = [self._starts(run, step) for run in objects]
        begun = [p for planes in starts for p in planes]
        if not begun:
            return
        first = min(begun) if step > 0 else max(begun)
        active: dict[int, _Active] = {}
        for plane in self._planes[::step]:
            if (plane - first) * step < 0:
                continue
            self._stop_if_cancelled()
            self._drop_bounded(objects, active, plane)
            waiting = any((p - plane) * step >= 0 for p in begun)
            if not active and not waiting:
                return
            self._pass_plane(objects, active, plane, step)
            self._end_objects(objects, active, plane, step)
            for i, planes in enumerate(starts):
                if plane in planes:
                    active[i] = _Active(plane)
            self._progress(1, self._total(objects))
        for i, state in active.items():  # at the end of the planes
            self._reach_end(i, objects[i], state, step)

    def _end_objects(self, objects: Sequence[ObjectRun], active: dict[int, _Active], plane: int, step: int) -> None:
        """End the pass of objects whose side views, looked at from time to time, show that they have ended."""
        for i in [i for i, state in active.items() if _is_due(abs(plane - state.start))]:
            if self._shorten(i, objects[i], active[i], plane, step):
                del active[i]

    def _reach_end(self, i: int, run: ObjectRun, state: _Active, step: int) -> None:
        """Note what an object that was followed to the last plane ends with."""
        if state.absent:
            self._stop(i, run, state, state.absent[-1])
        else:
            self._shorten(i, run, state, self._planes[::step][-1], step)

    def _starts(self, run: ObjectRun, step: int) -> tuple[int, ...]:
        """Return the planes at which a pass begins for an object."""
        if not self._carrier.uses_later_prompts or run.corrects:
            return run.starts
        return (min(run.starts),)

    def _drop_bounded(self, objects: Sequence[ObjectRun], active: dict[int, _Active], plane: int) -> None:
        """End the pass of objects that have a prompt on a plane, unless the carrier goes on through prompts."""
        for i in [i for i in active if plane in objects[i].prompts]:
            if not self._carrier.uses_later_prompts or objects[i].corrects:
                del active[i]
            else:
                active[i].absent.clear()

    def _pass_plane(self, objects: Sequence[ObjectRun], active: dict[int, _Active], plane: int, step: int) -> None:
        """Find the active objects on a plane, and begin those that are prompted there."""
        reverse = step < 0
        try:
            view = self._views.view(plane)
            begun = {i: r.answers[plane] for i, r in enumerate(objects) if plane in self._beginning(r, step)}
            carried_on = [i for i in active if plane not in objects[i].prompts]
            found = with_merges(self._carrier.carry(view, carried_on, reverse=reverse)) if carried_on else {}
            if begun:
                self._carrier.begin(view, begun, reverse=reverse)
        except ImageError as error:
            if any(plane in run.starts for run in objects):
                raise
            self.failed[plane] = str(error)
            for i in active:
                objects[i].missing[plane] = f"the plane cannot be read: {error}"
            return
        for i, carried in found.items():
            if carried.absent:
                self._miss(objects[i], active, i, plane, carried.absent)
            else:
                self._found(objects[i], active, i, view, carried, step)

    def _beginning(self, run: ObjectRun, step: int) -> tuple[int, ...]:
        """Return the planes whose answers a carrier is told of in a pass."""
        if self._carrier.uses_later_prompts:
            return tuple(run.prompts)
        return self._starts(run, step)

    def _miss(self, run: ObjectRun, active: dict[int, _Active], i: int, plane: int, reason: str) -> None:
        state = active[i]
        state.reason = state.reason if state.absent else reason
        state.absent.append(plane)
        run.missing[plane] = reason
        patience = self._carrier.patience
        if patience is not None and len(state.absent) > patience:
            self._stop(i, run, state, plane)
            del active[i]

    def _stop(self, i: int, run: ObjectRun, state: _Active, plane: int) -> None:
        """Note that an object ends before a plane on which it is absent."""
        step = 1 if plane > state.start else -1
        if run.next_prompt(plane, step) is not None:
            return
        for absent in state.absent:
            run.missing.pop(absent, None)
        run.stopped[_FORWARD if step > 0 else _BACKWARD] = f"plane {state.absent[0]}: {state.reason}"
        if run.corrects:  # what was found there before is no longer the object
            beyond = [p for p in run.earlier if (p - state.absent[0]) * step >= 0 and p not in run.prompts]
            for p in beyond:
                run.earlier.pop(p)
                run.records.pop(p, None)
        self._shorten(i, run, state, state.absent[0] - step, step)

    def _shorten(self, i: int, run: ObjectRun, state: _Active, plane: int, step: int) -> bool:
        """Give up the planes beyond the end of an object that was followed up to a plane; return whether there are any.

        Planes between two prompts belong to the object in any case.
        """
        if self._ends is None or run.next_prompt(state.start, step) is not None:
            return False
        new = [p for p in run.records if (p - state.checked) * step > 0 and (p - plane) * step <= 0]
        if abs(plane - state.start) < _LEAST_PLANES or not set(new) - run.known:
            return False
        anchor = state.start if abs(plane - state.start) <= _CHECK_EVERY + _FIRST_CHECK else state.checked
        reach = abs(plane - anchor) + _FIRST_CHECK
        shown = [p for p in self._planes if abs(p - anchor) <= reach and p not in self.failed]
        last = self._ends.last_plane(run.records, shown, anchor, step)
        if last is None or (last - plane) * step >= 0:
            state.checked = max(new, key=lambda p: abs(p - state.start))
            return False
        for p in [p for p in run.records if (p - last) * step > 0 and p not in run.known]:
            for known in (run.records, run.events, run.earlier):
                known.pop(p, None)
            self._report(i, p, run)
        for p in [p for p in run.missing if (p - last) * step > 0]:
            del run.missing[p]
        run.stopped[_FORWARD if step > 0 else _BACKWARD] = f"plane {last + step}: it ends there in its side views"
        return True

    def _found(
        self, run: ObjectRun, active: dict[int, _Active], i: int, view: PlaneView, carried: CarriedMask, step: int
    ) -> None:
        """Keep what was found, combined with what is known from the other side."""
        state, plane = active[i], view.plane
        state.absent.clear()
        run.missing.pop(plane, None)
        known = run.earlier.pop(plane, None)
        bound = run.next_prompt(plane, step)
        if bound is None and known is None:  # it lives longer than was known
            run.stopped.pop(_FORWARD if step > 0 else _BACKWARD, None)
        if known is not None:
            overlap = mask_iou(carried.mask, carried.box, known.mask, known.box)
            state.unchanged = state.unchanged + 1 if overlap >= CONVERGED_IOU else 0
        if bound is not None and not self._carrier.uses_later_prompts:
            if known is None:
                run.earlier[plane] = _packed(carried)
                run.events[plane] = carried.events
                return
            weight = abs(plane - state.start) / abs(bound - state.start)
            earlier = CarriedMask(known.mask, known.box, known.score, events=run.events.get(plane, ()))
            carried = self._carrier.combine(view, i, carried, earlier, weight)
        self._accept(i, plane, run, carried)
        if run.corrects and state.unchanged >= 2:
            del active[i]

    def _accept(self, i: int, plane: int, run: ObjectRun, carried: CarriedMask) -> None:
        """Make a mask final."""
        run.records[plane] = _packed(carried, plane in run.prompts)
        run.events.pop(plane, None)
        if carried.events:
            run.events[plane] = carried.events
        run.earlier.pop(plane, None)
        self._report(i, plane, run)

    def _report(self, i: int, plane: int, run: ObjectRun) -> None:
        if self._calls.on_plane is not None:
            record = run.records.get(plane, _NOTHING)
            self._calls.on_plane(PlaneMask(plane, record.mask, record.box, record.score, plane in run.prompts, index=i))

    def _total(self, objects: Sequence[ObjectRun]) -> int:
        """Return the largest number of steps."""
        starts = [p for run in objects for p in run.starts]
        return sum(p >= min(starts) for p in self._planes) + sum(p <= max(starts) for p in self._planes)

    def _progress(self, steps: int, total: int) -> None:
        self._done += steps
        if self._calls.progress is not None:
            self._calls.progress(min(self._done, total), total)

    def _stop_if_cancelled(self) -> None:
        if self._calls.cancelled is not None and self._calls.cancelled():
            raise CancelledError("following the objects was cancelled")


def _is_due(count: int) -> bool:
    """Return whether the end of an object is looked for after a number of planes."""
    return count == _FIRST_CHECK or (count > 0 and count % _CHECK_EVERY == 0)


def _packed(carried: CarriedMask, prompted: bool = False) -> PackedMask:
    mask, box = cropped(np.asarray(carried.mask, bool), carried.box)
    return PackedMask.of(PlaneMask(0, mask, box, float(carried.score), prompted))


_NOTHING = _packed(CarriedMask(np.zeros((1, 1), bool), Box(0, 0, 1, 1), 0.0))
