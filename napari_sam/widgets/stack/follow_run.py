"""Following objects in the background: one thread for long ways, one for what the user waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, Signal

from napari_sam.engine.propagation.plane_mask import PackedMask
from napari_sam.engine.propagation.plane_prompts import PlanePrompt, as_mask_prompt
from napari_sam.engine.propagation.propagation import Propagation, StackPosition
from napari_sam.errors import CancelledError
from napari_sam.widgets.engine_thread import EngineThread, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.engine.propagation.plane_mask import PlaneMask
    from napari_sam.layers.prompt_layers import PromptKeywords
    from napari_sam.predictor import Predictor
    from napari_sam.widgets.engine_session import EngineSession
    from napari_sam.widgets.stack.unsaved_object import FollowRequest, UnsavedObject


@dataclass(frozen=True)
class FollowHooks:
    """Functions that the engine calls in its thread.

    Attributes
    ----------
    on_plane : callable
        Called with the `PlaneMask` of each plane.
    progress : callable
        Called with the number of planes done and that of all planes.
    cancelled : callable
        Returns True once the work should stop.
    """

    on_plane: Callable[[PlaneMask], None]
    progress: Callable[[int, int], None]
    cancelled: Callable[[], bool]


class FollowEngine(Protocol):
    """Follows objects through planes."""

    def follow(
        self, objects: Sequence[UnsavedObject], model: str, hooks: Sequence[FollowHooks]
    ) -> list[Propagation | None]:
        """Follow objects of one plane through the planes that were asked for; None for those without any."""
        ...

    def correct(
        self, followed: UnsavedObject, base: Propagation, plane: int, prompt: PromptKeywords, hooks: FollowHooks
    ) -> Propagation:
        """Correct an object on a plane, and follow it again from there as far as that changes anything."""
        ...


class PredictorFollowEngine:
    """The engine behind `Predictor.propagate`.

    Parameters
    ----------
    session : EngineSession
        Session with the model.
    """

    def __init__(self, session: EngineSession) -> None:
        self._session = session

    def follow(
        self, objects: Sequence[UnsavedObject], model: str, hooks: Sequence[FollowHooks]
    ) -> list[Propagation | None]:
        """Follow objects of one plane through the planes that were asked for.

        The network sees each plane once for all of them. If the user stops, those of which nothing was found are None.
        """
        request = objects[0].request
        predictor = self._predictor(objects[0], model)
        found: list[dict[int, PlaneMask]] = [{} for _ in objects]

        def on_plane(mask: PlaneMask) -> None:
            found[mask.index][mask.plane] = mask
            hooks[mask.index].on_plane(mask)

        def progress(done: int, total: int) -> None:
            for hook in hooks:
                hook.progress(done, total)

        options: dict[str, Any] = {} if request.planes is None else {"planes": request.planes}
        try:
            return list(
                predictor.propagate_many(
                    [{"masks": {request.origin: x.request.prediction}} for x in objects],
                    axis=request.axis,
                    on_plane=on_plane,
                    progress=progress,
                    cancelled=hooks[0].cancelled,
                    **options,
                )
            )
        except CancelledError:
            if not any(found):
                raise
            return [
                _found_so_far(x.request, list(masks.values()), predictor.model) if masks else None
                for x, masks in zip(objects, found, strict=True)
            ]

    def correct(
        self, followed: UnsavedObject, base: Propagation, plane: int, prompt: PromptKeywords, hooks: FollowHooks
    ) -> Propagation:
        """Correct an object on a plane, and follow it again from there as far as that changes anything."""
        return self._predictor(followed, self._session.model).repropagate(
            base, plane, **prompt, on_plane=hooks.on_plane, progress=hooks.progress, cancelled=hooks.cancelled
        )

    def _predictor(self, followed: UnsavedObject, model: str) -> Predictor:
        """Return the predictor that follows an object; clicks have another one, with another image."""
        if followed.predictor is None:
            followed.predictor = self._session.load(model).sharing()
            followed.predictor.set_source(followed.request.image)
        return followed.predictor


def _found_so_far(request: FollowRequest, found: list[PlaneMask], model: str) -> Propagation:
    """Return the planes that were found before the user stopped."""
    position = StackPosition(request.axis, request.count, request.image.shape, request.image.plane, request.index)
    drawn = None if request.prediction is None else as_mask_prompt(request.prediction, request.image.shape)
    records = {mask.plane: PackedMask.of(mask) for mask in found if mask.mask.any()}
    stopped = dict.fromkeys(("forward", "backward"), "you stopped it")
    return Propagation(position, {request.origin: PlanePrompt(mask=drawn)}, records, stopped, model=model)


class FollowRun(QObject):
    """Follow objects, one group after another; previews and corrections do not wait for those.

    Parameters
    ----------
    engine : FollowEngine
        Engine that follows them.

    Signals
    -------
    plane_found : UnsavedObject, PlaneMask
        A plane of an object is done.
    progressed : UnsavedObject, int, int
        Planes done, and all planes.
    finished : UnsavedObject, Outcome
        The work on an object has ended; the value is a `Propagation`, or None if it was stopped or failed.
    """

    plane_found = Signal(object, object)
    progressed = Signal(object, int, int)
    finished = Signal(object, object)

    def __init__(self, engine: FollowEngine) -> None:
        super().__init__()
        self._engine = engine
        self._far, self._near = EngineThread(self), EngineThread(self)
        self._objects: dict[str, tuple[UnsavedObject, ...]] = {}  # by kind of job
        self._unwanted: set[int] = set()  # numbers of objects of groups that go on for others
        self._far.finished.connect(self._on_far_finished)
        self._near.finished.connect(self._on_near_finished)

    @property
    def busy(self) -> bool:
        """Whether work is under way or waits."""
        return self._far.busy or self._near.busy

    def follow(self, objects: Sequence[UnsavedObject], model: str) -> None:
        """Follow objects of one plane together through all their planes, after those that wait already."""
        self._submit(self._far, objects, model)

    def preview(self, followed: UnsavedObject, model: str) -> None:
        """Follow an object through few planes, at once."""
        self._submit(self._near, [followed], model)

    def load(self, followed: UnsavedObject, read: Callable[[Callable[[], bool]], Propagation]) -> None:
        """Read a saved object; `read` is called in the thread."""
        kind = f"load-{followed.number}"
        self._objects[kind] = (followed,)

        def job(cancelled: Callable[[], bool]) -> Propagation:
            followed.result = read(cancelled)
            return followed.result

        self._near.submit(kind, job)

    def correct(self, followed: UnsavedObject, plane: int, prompt: PromptKeywords) -> None:
        """Correct an object on a plane, in place of an earlier correction of this plane that is still under way."""
        kind = f"correct-{followed.number}-{plane}"
        self._objects[kind] = (followed,)
        hooks = self._hooks(followed)

        def job(cancelled: Callable[[], bool]) -> Propagation | None:
            base = followed.base_of(plane)
            if base is None:
                return None
            followed.result = self._engine.correct(followed, base, plane, prompt, hooks(cancelled))
            return followed.result

        self._near.submit(kind, job)

    def cancel(self, followed: UnsavedObject) -> None:
        """Stop following or correcting an object; one that is followed with others goes on until none is wanted."""
        for kind, objects in list(self._objects.items()):
            if followed in objects:
                self._unwanted.add(followed.number)
                if self._unwanted.issuperset(x.number for x in objects):
                    self._far.cancel(kind)
                    self._near.cancel(kind)

    def close(self) -> None:
        """Stop for good."""
        for thread in (self._far, self._near):
            thread.close()

    def _submit(self, thread: EngineThread, objects: Sequence[UnsavedObject], model: str) -> None:
        kind = f"follow-{objects[0].number}"
        self._objects[kind] = tuple(objects)
        hooks = [self._hooks(followed) for followed in objects]

        def job(cancelled: Callable[[], bool]) -> list[Propagation | None]:
            results = self._engine.follow(objects, model, [make(cancelled) for make in hooks])
            for followed, result in zip(objects, results, strict=True):
                followed.result = result
            return results

        thread.submit(kind, job)

    def _hooks(self, followed: UnsavedObject) -> Callable[[Callable[[], bool]], FollowHooks]:
        def make(cancelled: Callable[[], bool]) -> FollowHooks:
            return FollowHooks(
                lambda found: self.plane_found.emit(followed, found),
                lambda done, total: self.progressed.emit(followed, done, total),
                cancelled,
            )

        return make

    def _on_far_finished(self, outcome: Outcome) -> None:
        self._on_finished(self._far, outcome)

    def _on_near_finished(self, outcome: Outcome) -> None:
        self._on_finished(self._near, outcome)

    def _on_finished(self, thread: EngineThread, outcome: Outcome) -> None:
        objects = self._objects.get(outcome.kind)
        if objects is not None and not thread.was_superseded(outcome):
            del self._objects[outcome.kind]
            for followed in objects:
                self._unwanted.discard(followed.number)
                self.finished.emit(followed, outcome)
