"""Follow objects through a stack: from checked prompts to propagations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.interactive.prompts import MaskPrompt
from napari_sam.engine.propagation.carriers.carrier_choice import make_carrier
from napari_sam.engine.propagation.plane_prompts import PlanePrompt, corrected_prompt, parse_plane_prompts
from napari_sam.engine.propagation.plane_views import PlaneViews
from napari_sam.engine.propagation.propagation import Propagation, StackPosition
from napari_sam.engine.propagation.propagation_settings import PropagationSettings
from napari_sam.engine.propagation.propagator import Callbacks, ObjectRun, Propagator
from napari_sam.engine.propagation.request import propagation_request
from napari_sam.engine.propagation.resumable_carrier import ResumableCarrier
from napari_sam.engine.propagation.side.end_finder import SideEndFinder
from napari_sam.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sam.engine.interactive.window_predictor import WindowPredictor
    from napari_sam.engine.normalisation import Normalisation
    from napari_sam.engine.propagation.plane_views import PlaneSource
    from napari_sam.engine.propagation.propagate_options import PropagateOptions
    from napari_sam.engine.propagation.resumable_carrier import StepStore


class ObjectFollower:
    """Follow objects through a stack.

    Parameters
    ----------
    source : PlaneSource
        The stack.
    engine : WindowPredictor
        Gives network and cache.
    normalisation : Normalisation
        Values that become black and white, on all planes.
    options : PropagateOptions
        As in `Predictor.propagate`.
    steps : StepStore, optional
        Keeps the progress, so that an interrupted run can be continued.

    Raises
    ------
    PromptError
        If the planes do not exist, or the model cannot carry objects in the wanted way.
    """

    def __init__(
        self,
        source: PlaneSource,
        engine: WindowPredictor,
        normalisation: Normalisation,
        options: PropagateOptions,
        steps: StepStore | None = None,
    ) -> None:
        self.source = source
        self.model = engine.embedder.model.name
        self._options, self._steps = options, steps
        self.planes = _check_planes(options.get("planes"), source.count)
        self._views = PlaneViews(source, engine, normalisation)
        self._carrier = make_carrier(
            options.get("carry", "auto"), self._views, self.planes, options.get("settings"), options.get("cancelled")
        )
        self._callbacks = Callbacks(options.get("on_plane"), options.get("progress"), options.get("cancelled"))

    def follow(self, prompts: Sequence[Mapping[str, Any]]) -> list[Propagation]:
        """Follow objects from their prompts; see `Predictor.propagate_many`."""
        runs = []
        for i, given in enumerate(prompts):
            try:
                parsed = parse_plane_prompts(self.source.shape, self.source.count, self.source.current, given)
                self._check_passed(parsed)
            except PromptError as error:
                if len(prompts) == 1:
                    raise
                message = f"prompt {i}: {error.message}"
                raise PromptError(message, parameter=error.parameter, remedy=error.remedy) from None
            runs.append(ObjectRun(parsed, tuple(parsed)))
        if runs:
            self._run(runs, self.planes)
        return [self._result(run) for run in runs]

    def correct(self, propagation: Propagation, plane: int, given: Mapping[str, Any]) -> Propagation:
        """Correct an object on a plane, and follow it again from there; see `Predictor.repropagate`."""
        record = propagation.records.get(plane)
        mask = None if record is None else MaskPrompt(record.mask, record.box)
        masks = {} if mask is None else {plane: mask}
        parsed = parse_plane_prompts(self.source.shape, self.source.count, plane, given, masks)
        if set(parsed) != {plane}:
            other = next(p for p in parsed if p != plane)
            raise PromptError(
                f"the correction of plane {plane} has a prompt on plane {other}", remedy="correct one plane at a time"
            )
        self._check_passed(parsed)
        prompt = corrected_prompt(propagation.prompts.get(plane), mask, parsed[plane])
        known = {
            p: PlanePrompt(mask=MaskPrompt(propagation.records[p].mask, propagation.records[p].box))
            for p in propagation.prompts
            if p != plane
        }
        run = ObjectRun(
            {**known, plane: prompt},
            (plane,),
            dict(propagation.records),
            dict(propagation.stopped),
            dict(propagation.missing),
            dict(propagation.events),
        )
        self._run([run], [p for p in self.planes if propagation.allows(p, plane)])
        prompts = {**propagation.prompts, plane: prompt}
        return replace(self._result(run), prompts=prompts, removed=propagation.removed - {plane})

    def _run(self, runs: Sequence[ObjectRun], planes: Sequence[int]) -> None:
        carrier = self._carrier
        ends = self._end_finder()
        if self._steps is None:
            Propagator(self._views, carrier, planes, self._callbacks, ends).run(runs)
            return
        request = propagation_request(self._views, planes, runs, self._options)
        recorded = ResumableCarrier(carrier, self._steps, request)
        try:
            Propagator(self._views, recorded, planes, self._callbacks, ends).run(runs)
        except PromptError:  # a repetition would end in the same way
            recorded.close()
            raise
        recorded.close()

    def _end_finder(self) -> SideEndFinder | None:
        """Return what looks for the ends of objects in side views: of volumes, where masks are prompts."""
        settings = self._options.get("settings") or PropagationSettings()
        if not settings.side_views or self.source.axis == "t" or self._carrier.uses_later_prompts:
            return None
        return SideEndFinder(self._views, self._options.get("cancelled"))

    def _check_passed(self, prompts: Mapping[int, PlanePrompt]) -> None:
        outside = [plane for plane in prompts if plane not in self.planes]
        if outside:
            raise PromptError(
                f"plane {outside[0]} has a prompt and is not one of the planes to pass",
                parameter="planes",
                remedy="include the prompted planes in {planes}",
            )

    def _result(self, run: ObjectRun) -> Propagation:
        source = self.source
        leading = source.leading(source.current)
        first, last = min(run.records), max(run.records)
        return Propagation(
            StackPosition(source.axis, source.count, source.shape, leading, source.position),
            dict(run.prompts),
            dict(sorted(run.records.items())),
            dict(run.stopped),
            {plane: reason for plane, reason in sorted(run.missing.items()) if first < plane < last},
            dict(sorted(run.events.items())),
            self.model,
        )


def _check_planes(planes: Sequence[int] | None, count: int) -> list[int]:
    """Return the planes to pass, in order."""
    if planes is None:
        return list(range(count))
    chosen = sorted({int(plane) for plane in np.asarray(planes).ravel().tolist()})
    outside = [plane for plane in chosen if not 0 <= plane < count]
    if outside or not chosen:
        raise PromptError(
            f"planes names plane {outside[0]}; the stack has planes 0 to {count - 1}" if outside else "planes is empty",
            parameter="planes",
            remedy="give a range of its planes",
        )
    return chosen
