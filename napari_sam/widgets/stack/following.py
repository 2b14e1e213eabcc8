"""The objects that are followed through planes and not saved yet, one of which is in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import CancelledError
from napari_sam.widgets.stack.follow_run import FollowRun
from napari_sam.widgets.stack.unsaved_object import UnsavedObject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.engine.propagation.plane_mask import PlaneMask
    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.layers.prompt_layers import PromptKeywords
    from napari_sam.widgets.engine_session import EngineSession
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.stack.follow_run import FollowEngine
    from napari_sam.widgets.stack.unsaved_object import FollowRequest


class Following(QObject):
    """Keep the objects that are followed.

    Parameters
    ----------
    session : EngineSession
        Session with the model.
    engine : FollowEngine
        Engine that follows objects.

    Attributes
    ----------
    objects : list of UnsavedObject
        Those that the user wants to follow, running or ready.
    in_hand : UnsavedObject or None
        The one that is shown, and that clicks correct.
    preview : UnsavedObject or None
        The object of the last click on the neighbouring planes.

    Signals
    -------
    updated : UnsavedObject
        Planes of an object arrived.
    ready : UnsavedObject
        An object was followed to the end, or corrected.
    failed : UnsavedObject, Exception
        An object could not be followed or corrected.
    """

    updated = Signal(object)
    ready = Signal(object)
    failed = Signal(object, object)

    def __init__(self, session: EngineSession, engine: FollowEngine) -> None:
        super().__init__()
        self._session = session
        self.run = FollowRun(engine)
        self.objects: list[UnsavedObject] = []
        self.in_hand: UnsavedObject | None = None
        self.preview: UnsavedObject | None = None
        self.run.plane_found.connect(self._on_plane_found)
        self.run.progressed.connect(self._on_progressed)
        self.run.finished.connect(self._on_finished)

    @property
    def running(self) -> list[UnsavedObject]:
        """Objects that are followed or wait for that."""
        return [x for x in self.objects if x.is_running]

    @property
    def waiting(self) -> list[UnsavedObject]:
        """Objects that are ready to be looked at, and not in hand."""
        return [x for x in self.objects if x.is_ready and x is not self.in_hand]

    def start(self, requests: Sequence[FollowRequest]) -> None:
        """Follow the objects of an answer through all planes, together."""
        followed = [UnsavedObject(request) for request in requests]
        self.objects += followed
        self.run.follow(followed, self._session.model)

    def open_saved(self, request: FollowRequest, label: int, read: Callable[[Callable[[], bool]], Propagation]) -> None:
        """Read a saved object, to correct it."""
        followed = UnsavedObject(request, label)
        self.objects.append(followed)
        self.run.load(followed, read)

    def look_ahead(self, request: FollowRequest) -> None:
        """Follow the object of the last click through few planes."""
        self.forget_preview()
        self.preview = UnsavedObject(request)
        self.run.preview(self.preview, self._session.model)

    def forget_preview(self) -> None:
        """Stop to look ahead."""
        if self.preview is not None:
            self.run.cancel(self.preview)
            self.preview = None

    def correct(self, plane: int, prompt: PromptKeywords) -> None:
        """Correct the object in hand on a plane."""
        if self.in_hand is not None:
            self.in_hand.is_running = True
            self.run.correct(self.in_hand, plane, prompt)

    def revert(self, plane: int) -> None:
        """Take the correction of a plane back, if it was the last one, whose prompts are gone."""
        if self.in_hand is not None and self.in_hand.corrected == plane:
            self.run.cancel(self.in_hand)
            self.in_hand.take_back()

    def take_next(self) -> None:
        """Take the next object that is ready in hand; after the last one, none."""
        ready = [x for x in self.objects if x.is_ready]
        following = ready.index(self.in_hand) + 1 if self.in_hand in ready else 0
        self.in_hand = ready[following] if following < len(ready) else None

    def drop(self, followed: UnsavedObject) -> None:
        """Forget an object."""
        self.run.cancel(followed)
        self.objects = [x for x in self.objects if x is not followed]
        if self.in_hand is followed:
            self.in_hand = None

    def drop_saved(self) -> None:
        """Forget the saved objects that are corrected, as when their store closes."""
        for followed in [x for x in self.objects if x.label is not None]:
            self.drop(followed)

    def drop_all(self) -> None:
        """Forget everything."""
        self.forget_preview()
        for followed in self.objects[:]:
            self.drop(followed)

    def _is_known(self, followed: UnsavedObject) -> bool:
        return followed is self.preview or followed in self.objects

    def _on_plane_found(self, followed: UnsavedObject, found: PlaneMask) -> None:
        if self._is_known(followed):
            followed.add(found)
            self.updated.emit(followed)

    def _on_progressed(self, followed: UnsavedObject, done: int, total: int) -> None:
        if self._is_known(followed):
            followed.progress = (done, total)
            self.updated.emit(followed)

    def _on_finished(self, followed: UnsavedObject, outcome: Outcome) -> None:
        if not self._is_known(followed):
            return
        followed.finish()
        if followed.result is None:
            self.objects = [x for x in self.objects if x is not followed]
        if outcome.error is None and followed.result is not None:
            self.ready.emit(followed)
        elif followed is not self.preview:
            self.failed.emit(followed, outcome.error or CancelledError("the object was not followed to the end"))
