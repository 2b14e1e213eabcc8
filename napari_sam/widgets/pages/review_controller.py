"""The page "Review": keys and buttons give verdicts, and the camera moves from object to object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import NapariSamError
from napari_sam.io.labels.review_queue import ReviewQueue
from napari_sam.layers.review_outline import ReviewOutline
from napari_sam.layers.review_session import ReviewSession
from napari_sam.widgets.pages.guide import IN_MEMORY, review_step
from napari_sam.widgets.pages.review_panel import CLASSES, SAMPLE
from napari_sam.widgets.viewer.canvas_view import focus_canvas, zoom_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari.layers import Image as ImageLayer

    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.layers.label_store_layers import LabelStoreLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.pages.review_panel import ReviewPanel

ACCEPTED, REJECTED = "accepted", "rejected"


class ReviewController(QObject):
    """Behaviour of the page "Review".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ReviewPanel
        The page.

    Attributes
    ----------
    session : ReviewSession or None
        The review; None while the page is hidden, or without a label store.

    Signals
    -------
    changed
        A verdict was given or taken back.
    fix_requested : ReviewItem
        The user wants to correct this object.
    sample_done
        All objects of the sample have a verdict.
    """

    changed = Signal()
    fix_requested = Signal(object)
    sample_done = Signal()

    def __init__(self, context: DockContext, panel: ReviewPanel) -> None:
        super().__init__()
        self._context, self._panel = context, panel
        self.session: ReviewSession | None = None
        self._outline: ReviewOutline | None = None
        self._sample: list[int] = []  # objects of an audit
        self._sample_store: Path | None = None  # to which they belong
        self._is_sample_new = False
        panel.accept.clicked.connect(self.accept)
        panel.reject.clicked.connect(self.reject)
        panel.fix.clicked.connect(self.fix)
        panel.skip.clicked.connect(self.skip)
        panel.undo.clicked.connect(self.undo)
        panel.order.activated.connect(lambda _: self.begin())
        context.classes.changed.connect(self._on_classes_changed)

    @property
    def is_active(self) -> bool:
        """Whether the page reviews a label store."""
        return self._outline is not None

    @property
    def has_object(self) -> bool:
        """Whether an object waits for its verdict."""
        return self.session is not None and self.session.current is not None

    # ---- the page -----------------------------------------------------------------------------------------

    def begin(self, corrected: ReviewItem | None = None) -> None:
        """Take the keys, and show the least certain object.

        Parameters
        ----------
        corrected : ReviewItem, optional
            Object that the user has just corrected; the review continues there.
        """
        self._context.keys.use(self._bindings())
        focus_canvas()
        self._remove_outline()
        self.session = None
        self._panel.show_object(None)
        self._panel.show_counts(None)
        store_layers = self._context.labels.store_layers
        if store_layers is None:
            return
        try:
            store_layers.prepare_change()
            self.session = ReviewSession(store_layers, self._order(store_layers))
            if corrected is not None:
                self.session.return_to(corrected)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return
        self._outline = self._new_outline(store_layers.image)
        self._show()
        if corrected is not None:
            self._end_sample()

    def choose_sample(self, labels: Sequence[int]) -> None:
        """Review these objects of the store in use when the page is shown the next time."""
        self._sample, self._sample_store, self._is_sample_new = list(labels), self._context.labels.store_path, True

    def end(self) -> None:
        """Leave the page; the caller uses other keys."""
        self._remove_outline()
        self.session = None

    def refresh(self) -> None:
        """Do nothing: the panel is updated with every object."""

    def guide(self) -> str:
        """Return what the user can do next."""
        if self._context.labels.labels_layer is not None:
            return IN_MEMORY
        session = self.session
        all_done = session is not None and session.current is None and session.counts.total > 0
        return review_step(self.has_object, all_done)

    def close(self) -> None:
        """Remove the outline."""
        self.end()

    # ---- the user's actions --------------------------------------------------------------------------------

    def accept(self) -> None:
        """Accept the object, and show the next one."""
        self._do(lambda session: session.decide(ACCEPTED))

    def reject(self) -> None:
        """Erase the object, and show the next one."""
        self._do(lambda session: session.decide(REJECTED))

    def skip(self) -> None:
        """Show the next object without a verdict."""
        self._do(lambda session: session.skip())

    def undo(self) -> None:
        """Return to the last object, and take its verdict back."""
        self._do(lambda session: self._inform_unless(session.undo(), "There is no verdict to take back."))

    def redo(self) -> None:
        """Repeat the verdict that was taken back."""
        self._do(lambda session: self._inform_unless(session.redo(), "There is no verdict to repeat."))

    def fix(self) -> None:
        """Correct the object with prompts."""
        if self.session is not None and self.session.current is not None:
            self.fix_requested.emit(self.session.current)

    def classify(self, name: str) -> None:
        """Give the object a class."""
        if self.session is not None and self.session.current is not None:
            self._context.classes.confirm([self.session.current.label])
        self._do(lambda session: session.classify(name))

    def _order(self, store_layers: LabelStoreLayers) -> list[int] | None:
        """Return the objects with doubtful classes, or those of a sample, if the user has chosen to look at these."""
        doubtful = list(self._context.classes.suggested)
        self._panel.offer_classes(bool(doubtful))
        if store_layers.store.path != self._sample_store:
            self._sample = []
        queue = ReviewQueue(store_layers.store)
        waiting = [label for label in self._sample if queue.waits(label)]
        self._panel.offer_sample(len(waiting), chosen=self._is_sample_new)
        self._is_sample_new = False
        return {CLASSES: doubtful, SAMPLE: waiting}.get(self._panel.order.currentData())

    def _end_sample(self) -> None:
        """Tell that the sample is done, after its last verdict."""
        if self.session is not None and self._sample:
            queue = ReviewQueue(self.session.writer.store)
            if not any(queue.waits(label) for label in self._sample):
                self._sample = []
                self.sample_done.emit()

    def _do(self, action: Callable[[ReviewSession], None]) -> None:
        if self.session is None:
            return
        try:
            action(self.session)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
        self._show()
        self.changed.emit()
        self._end_sample()

    def _inform_unless(self, done: bool, message: str) -> None:
        if not done:
            self._context.notifier.info(message)

    def _bindings(self) -> dict[str, Callable[[], None]]:
        return {
            "A": self.accept,
            "R": self.reject,
            "Delete": self.reject,
            "F": self.fix,
            "S": self.skip,
            "Z": self.undo,
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
            **{str(key): partial(self.classify, name) for key, name in self._context.classes.keys.items()},
        }

    def _on_classes_changed(self) -> None:
        if self.is_active:
            self._context.keys.use(self._bindings())

    def _show(self) -> None:
        """Outline the current object, and move the camera there."""
        session, outline = self.session, self._outline
        if session is None or outline is None:
            return
        viewer = self._context.viewer
        self._panel.show_counts(session.counts)
        candidate = session.current
        category = None if candidate is None else self._class_of(session, candidate)
        self._panel.show_object(candidate, session.can_undo, category)
        outline.layer.visible = candidate is not None
        if candidate is None:
            return
        if outline.layer not in viewer.layers:  # the user removed it
            self._outline = outline = self._new_outline(outline.image)
        outline.show(session.writer.store, candidate)
        zoom_to(viewer, outline.image, candidate.plane, candidate.box)
        viewer.layers.selection.active = outline.layer

    def _class_of(self, session: ReviewSession, candidate: ReviewItem) -> str | None:
        row = session.writer.store.journal.objects.row(candidate.label)
        return None if row is None else row.category

    def _new_outline(self, image: ImageLayer) -> ReviewOutline:
        with self._context.layer_list.own_change():
            outline = ReviewOutline.create(self._context.viewer, image)
        self._context.keys.add_layer(outline.layer)
        return outline

    def _remove_outline(self) -> None:
        outline, self._outline = self._outline, None
        if outline is not None:
            self._context.layer_list.remove([outline.layer])
