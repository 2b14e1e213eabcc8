"""Review in the window: keys and buttons decide, the camera goes from object to object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import NapariSamError
from napari_sam.layers.label_store_layers import StoreWriter
from napari_sam.layers.review_outline import Outline, Review
from napari_sam.widgets.canvas_view import focus_canvas, look_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import napari

    from napari_sam.io.labels.review_queue import Candidate
    from napari_sam.widgets.key_bindings import KeySet
    from napari_sam.widgets.label_target import LabelTarget
    from napari_sam.widgets.pages.review_panel import ReviewPanel


class ReviewControl:
    """Behaviour of the page "Review".

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    panel : ReviewPanel
        The page.
    target : LabelTarget
        Whose store is reviewed.
    keys : KeySet
        Which has our keys while a review goes on.
    own_change : callable
        A context in which changes of the layer list are ours.

    Attributes
    ----------
    report, inform : callable
        Called with a message for the user.
    on_fix : callable
        Called with the object that is to be corrected with prompts.
    on_changed : callable
        Called when a verdict was given or taken back.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        panel: ReviewPanel,
        target: LabelTarget,
        keys: KeySet,
        own_change: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._viewer, self._panel, self._target, self._keys = viewer, panel, target, keys
        self._own_change = own_change
        self.review: Review | None = None
        self._outline: Outline | None = None
        self.report: Callable[[str], None] = lambda _: None
        self.inform: Callable[[str], None] = lambda _: None
        self.on_fix: Callable[[Candidate], None] = lambda _: None
        self.on_changed: Callable[[], None] = lambda: None
        panel.accept.clicked.connect(lambda: self.decide("accepted"))
        panel.reject.clicked.connect(lambda: self.decide("rejected"))
        panel.fix.clicked.connect(self.fix)
        panel.skip.clicked.connect(self.skip)
        panel.undo.clicked.connect(self.undo)

    @property
    def active(self) -> bool:
        """Whether the review has the keys."""
        return self._outline is not None

    @property
    def all_done(self) -> bool:
        """Whether there were objects, and all have their verdict."""
        review = self.review
        return review is not None and review.current is None and review.counts.total > 0

    def begin(self, at: Candidate | None = None) -> None:
        """Show the page: go to the object at hand, or to the least certain one.

        Parameters
        ----------
        at : Candidate, optional
            Which was just looked at; the review goes on there, or behind it if it has its verdict now.
        """
        self._keys.use(self._bindings())
        focus_canvas()
        self._end_outline()
        writer, self.review = self._target.writer, None
        self._panel.show_object(None)
        self._panel.show_counts(None)
        if not isinstance(writer, StoreWriter):
            return
        try:
            writer.check_free()
            writer.flush()
            self.review = Review(writer)
            if at is not None:
                self.review.return_to(at)
        except NapariSamError as error:
            self.report(str(error))
            return
        with self._own_change():
            self._outline = Outline.create(self._viewer, writer.image)
        self._keys.add(self._outline.layer)
        self._show()

    def end(self) -> None:
        """Leave the page; whoever calls this takes the keys."""
        self._end_outline()
        self.review = None

    def decide(self, verdict: str) -> None:
        """Accept or reject the object, and go to the next."""
        review = self.review
        if review is not None:
            self._do(lambda: review.decide(verdict))

    def skip(self) -> None:
        """Go to the next object without a verdict."""
        if self.review is not None:
            self._do(self.review.skip)

    def undo(self) -> None:
        """Go back to the last object; its verdict no longer counts."""
        review = self.review
        if review is not None:
            self._do(lambda: None if review.undo() else self.inform("There is no verdict to take back."))

    def redo(self) -> None:
        """Give the verdict that was taken back again."""
        review = self.review
        if review is not None:
            self._do(lambda: None if review.redo() else self.inform("There is no verdict to give again."))

    def fix(self) -> None:
        """Correct the object with prompts."""
        if self.review is not None and self.review.current is not None:
            self.on_fix(self.review.current)

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except NapariSamError as error:
            self.report(str(error))
        self._show()
        self.on_changed()

    def _bindings(self) -> dict[str, Callable[[], None]]:
        return {
            "A": lambda: self.decide("accepted"),
            "R": lambda: self.decide("rejected"),
            "Delete": lambda: self.decide("rejected"),
            "F": self.fix,
            "S": self.skip,
            "Z": self.undo,
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
        }

    def _show(self) -> None:
        """Outline the object at hand, and move the camera there."""
        review, outline = self.review, self._outline
        if review is None or outline is None:
            return
        self._panel.show_counts(review.counts)
        candidate = review.current
        self._panel.show_object(candidate, review.can_undo)
        outline.layer.visible = candidate is not None
        if candidate is None:
            return
        if outline.layer not in self._viewer.layers:  # the user took it away
            with self._own_change():
                self._outline = outline = Outline.create(self._viewer, outline.image)
            self._keys.add(outline.layer)
        outline.show(review.writer.store, candidate)
        look_at(self._viewer, outline.image, candidate.plane, candidate.box)
        self._viewer.layers.selection.active = outline.layer

    def _end_outline(self) -> None:
        outline, self._outline = self._outline, None
        if outline is not None and outline.layer in self._viewer.layers:
            with self._own_change():
                self._viewer.layers.remove(outline.layer)
