"""The page "Click": prompts become masks, and accepted masks become objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.engine.windows import Hints
from napari_sam.errors import NapariSamError
from napari_sam.layers.prompt_layers import BACKGROUND
from napari_sam.widgets.engine_session import Answer
from napari_sam.widgets.pages.acceptance import Acceptance, can_save, overlap_text
from napari_sam.widgets.pages.click_redirect import ClickRedirect
from napari_sam.widgets.pages.drawn_prompts import DrawnPrompts
from napari_sam.widgets.pages.guide import correction_step, flat_step, hidden_step, next_step, overlap_step
from napari_sam.widgets.pages.label_actions import LabelActions
from napari_sam.widgets.pages.mask_correction import MaskCorrection
from napari_sam.widgets.pages.mask_preview import MaskPreview
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.stack.stack_controller import StackController
from napari_sam.widgets.toolbox import BRUSH, ToolBox

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.layers.prompt_layers import PromptLayers
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.pages.click_panel import ClickPanel
    from napari_sam.widgets.stack.follow_run import FollowEngine

PREDICT = "predict"
_DEBOUNCE_MS = 40  # drags and changes of many points are bursts of events


class ClickController(QObject):
    """Behaviour of the page "Click".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ClickPanel
        The page.
    follow_engine : FollowEngine, optional
        Engine that follows objects through planes.

    Attributes
    ----------
    stack : StackController
        What follows objects through planes.
    preview : MaskPreview
        The masks that are shown.
    milliseconds : float or None
        Time that the last answer took.
    redirect : ClickRedirect
        What makes clicks reach the prompts while an image is selected in the layer list.
    correction : MaskCorrection or None
        Object under correction; its mask is replaced when the user accepts.

    Signals
    -------
    changed
        Prompts, masks or objects changed.
    idle
        There is no prediction to wait for.
    correction_ended
        The user accepted a correction or left it.
    """

    changed = Signal()
    idle = Signal()
    correction_ended = Signal()

    def __init__(self, context: DockContext, panel: ClickPanel, follow_engine: FollowEngine | None = None) -> None:
        super().__init__()
        self._context, self._panel = context, panel
        self._images, self._labels, self._thread = context.images, context.labels, context.thread
        self.tools = ToolBox(context, panel)
        self.actions = LabelActions(context, panel)
        self.stack = StackController(context, panel.stack, self.tools, follow_engine)
        self._drawn = DrawnPrompts(context, self.tools)
        self._acceptance = Acceptance(context, self.stack.divisions.take_new)
        self.preview = MaskPreview(self._acceptance)
        self.milliseconds: float | None = None
        self.correction: MaskCorrection | None = None
        self._is_outdated = False  # the prompts changed since the preview
        self._last_px: float | None = None  # size of the last accepted object
        self._predict_soon = single_shot(self, _DEBOUNCE_MS, self.predict)
        self.redirect = ClickRedirect(context, self.tools)
        self._select_soon = single_shot(self, 0, self.redirect.select_points)  # napari selects a layer after its event
        self._connect()

    def _connect(self) -> None:
        panel = self._panel
        panel.batch.toggled.connect(self.predict_soon)
        panel.segment.clicked.connect(self.segment_all)
        panel.previous.clicked.connect(self.previous_candidate)
        panel.following.clicked.connect(self.next_candidate)
        panel.accept.clicked.connect(self.accept)
        panel.replace.clicked.connect(self.replace)
        panel.clear.clicked.connect(self.clear)
        panel.undo.clicked.connect(self.undo)
        panel.redo.clicked.connect(self.redo)
        self._context.object_form.widget("diameter_px").changed.connect(self.predict_soon)
        self._images.image_changed.connect(self._on_image_changed)
        self._images.contrast_changed.connect(self._on_contrast_changed)
        self._images.plane_changed.connect(self._on_plane_changed)
        self._images.ndisplay_changed.connect(self.redirect.resume)
        self._labels.store_closing.connect(self._on_store_closing)
        self._thread.finished.connect(self._on_finished)
        self._drawn.drawn.connect(self._on_drawn)
        self._drawn.drawn.connect(self._acceptance.timer.act)
        self._drawn.drawn.connect(self.stack.following.forget_preview)  # the new click must not wait for it
        self.stack.prompts_used.connect(self._remove_prompts)
        self.stack.changed.connect(self.changed)
        self.tools.changed.connect(self.changed)
        self.actions.changed.connect(self.changed)
        self._context.classes.changed.connect(self._on_classes_changed)

    # ---- the user's actions --------------------------------------------------------------------------------

    def accept(self) -> None:
        """Save the masks of the preview, and get ready for the next object."""
        self._accept(replacing=False)

    def replace(self) -> None:
        """Save the masks of the preview in place of the objects under them."""
        self._accept(replacing=True)

    def _accept(self, *, replacing: bool) -> None:
        if self._is_outdated:
            self._context.notifier.info("Your last change is still being segmented: accept it in a moment.")
            return
        if self._acceptance.timed(lambda: self.stack.accept(replacing=replacing)):
            return
        if self.answer is None or self.prompts is None:
            self._context.notifier.info("Nothing to accept yet: click an object first.")
            return
        if not self._acceptance.save(self.answer, self.preview.candidates, self._corrected(), replacing=replacing):
            self.changed.emit()
            return
        y0, x0, y1, x1 = self.answer.predictions[-1].bbox
        self._last_px = float(max(y1 - y0, x1 - x0))
        if self.correction is not None:
            self.correction_ended.emit()
            return
        self.clear()
        self._images.announce_view()  # the next object is expected to have this size

    def clear(self) -> None:
        """Remove all prompts and the preview."""
        self.stack.drop()
        if self.correction is not None:
            self.correction = self.correction.started_over()
        self._remove_prompts()
        if self.tools.current == BACKGROUND:  # the next object begins with a point on it
            self.tools.use_foreground()
        self.idle.emit()
        self.changed.emit()

    def _remove_prompts(self) -> None:
        self._drawn.clear()
        self._drop_answer()
        self.stack.withdraw()

    def next_candidate(self) -> None:
        """Show the next mask of an ambiguous prompt, or highlight the next of several objects."""
        self.preview.step(+1)
        self._show_answer()

    def previous_candidate(self) -> None:
        """Show the previous mask of an ambiguous prompt, or highlight the previous of several objects."""
        self.preview.step(-1)
        self._show_answer()

    def next_mask(self) -> None:
        """Show the next mask of the object that is highlighted among several."""
        self.preview.next_mask()
        self._show_answer()

    def segment_all(self) -> None:
        """Segment every box as an object of its own."""
        self._panel.batch.setChecked(True)
        self.predict()

    def undo(self) -> None:
        """Take the last prompt back; without one, undo the last change of the saved objects."""
        if not self.tools.take_back(self._images.quiet_plane) and not self.stack.take_back():
            self.actions.undo()

    def redo(self) -> None:
        """Draw the prompt that was taken back again; without one, repeat the undone change of the saved objects."""
        if self.tools.history is None or self.tools.history.redo() is None:
            self.actions.redo()

    def escape(self) -> None:
        """End the shape that is being drawn; otherwise leave the correction, or remove all prompts."""
        if self.prompts is None or self.prompts.end_shape():
            return
        if self.correction is not None:
            self.correction_ended.emit()
        else:
            self.clear()

    def cancel(self) -> None:
        """Wait for no prediction."""
        self._predict_soon.stop()
        self._is_outdated = False

    @property
    def answer(self) -> Answer | None:
        """Predictions for the prompts."""
        return self.preview.answer

    @answer.setter
    def answer(self, answer: Answer | None) -> None:
        if answer is None:
            self.preview.clear()
        else:
            self.preview.begin(answer)

    @property
    def candidate(self) -> int:
        """Index of the mask that is shown of the first object."""
        return self.preview.candidates[0] if self.preview.candidates else 0

    # ---- the page -----------------------------------------------------------------------------------------

    @property
    def prompts(self) -> PromptLayers | None:
        """Layers that prompts are drawn on; None without an image."""
        return self._drawn.layers

    def take_keys(self) -> None:
        """Use the keys of this page, with the tool for object points."""
        self.redirect.is_enabled = True
        self._context.keys.use(self._bindings())
        self.tools.use_foreground()

    def refresh(self) -> None:
        """Enable the controls that can be used now."""
        panel = self._panel
        for button in (panel.previous, panel.following):
            button.setEnabled(self.answer is not None)
        is_in_hand = self.stack.in_hand is not None
        panel.candidate.setText(self.stack.text or self.preview.text)
        panel.accept.setEnabled(self.answer is not None or is_in_hand)
        panel.replace.setEnabled(bool(overlap_text(self.preview.overlaps)) or is_in_hand)
        for button in (panel.clear, panel.segment, panel.brush):
            button.setEnabled(self.prompts is not None)
        self.actions.refresh()
        self.stack.refresh()
        self.tools.enable_undo(self._images.quiet_plane)

    def guide(self) -> str:
        """Return what the user can do next."""
        if self.correction is not None:
            return correction_step(self.correction.candidate.label, self.answer is not None)
        overlaps = self.preview.overlaps if self.tools.current != BRUSH else []
        return (
            flat_step(self._images.is_flat)
            or hidden_step(self.tools.image_name, self._images.cover())
            or self.stack.guide()
            or overlap_step(overlap_text(overlaps), can_save(overlaps))
            or next_step(
                self.prompts is not None, self.answer, self.tools.current, self.tools.obstacle, self.stack.hint
            )
        )

    def begin_correction(self, candidate: ReviewItem) -> bool:
        """Start to correct an object; return False, with a notification, if it no longer exists."""
        store_layers = self._labels.store_layers
        if store_layers is None:
            return False
        try:
            correction = MaskCorrection.of(store_layers.store, candidate)
        except NapariSamError as error:
            self._context.notifier.error(str(error))
            return False
        self.clear()
        self.correction = correction
        self.take_keys()
        store_layers.edit.selected_label = candidate.label  # for the brush
        self.predict()
        return True

    def end_correction(self) -> ReviewItem | None:
        """Stop correcting; return the object that was under correction."""
        ended, self.correction = self.correction, None
        if ended is None:
            return None
        if self._labels.store_layers is not None:
            self._labels.store_layers.new_label()  # the brush had the object's id
        return ended.candidate

    def update_layers(self) -> None:
        """Replace prompt layers that the user removed from the viewer."""
        if self._drawn.is_incomplete:
            self._replace_prompt_layers()

    def hints(self) -> Hints:
        """Return what the form, the view and the last object tell about the size of the next object."""
        view = self._images.view
        view_px = None if view is None else float(max(view.shape)) or None
        return Hints(self._context.object_form.values()["diameter_px"], view_px, self._last_px)

    def close(self) -> None:
        """Remove the prompt layers."""
        self._predict_soon.stop()
        self._select_soon.stop()
        self.redirect.close()
        self.stack.close()
        self._drop_answer()
        self.stack.withdraw()
        self._drawn.end()

    def _bindings(self) -> dict[str, Callable[[], None]]:
        return {
            "F": self.tools.use_foreground,
            "B": self.tools.use_background,
            "T": self.tools.toggle_points,
            "R": self.tools.use_box,
            "D": self.tools.use_brush,
            "N": self.next_candidate,
            "Shift-N": self.previous_candidate,
            "Alt-N": self.next_mask,
            "C": self.accept,
            "X": self.replace,
            "Shift-C": self.clear,
            "Shift-S": self.segment_all,
            "Escape": self.escape,
            **self.stack.bindings,
            **self._context.classes.bindings,
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
        }

    # ---- prompts to masks -----------------------------------------------------------------------------------

    def predict_soon(self) -> None:
        """Predict once the current burst of changes is over."""
        self._predict_soon.start()

    def predict(self) -> None:
        """Send the prompts to the engine, or remove the preview if there are none."""
        plane = self._images.plane if self._images.is_flat else None
        if self.prompts is None or plane is None:
            return
        self.prompts.deselect()
        correction = self.correction
        if correction is None and self.stack.correct(plane):
            self._is_outdated = False
            return
        if correction is None:
            prompts = self.prompts.prompts(plane, self._panel.batch.isChecked())
        else:
            drawn = self.prompts.prompts(plane, False, only_background=correction.mask is not None)
            prompts = correction.prompts(drawn)
        if not prompts:
            self._drop_answer()
            self.prompts.clear_preview()
            if correction is not None and correction.mask is not None:
                self.prompts.show([(correction.mask.mask, correction.mask.bbox)], plane, outline=True)
            self.stack.show_without_prompts(plane)
            self.idle.emit()
            self.changed.emit()
            return
        read = self._images.read()
        self._is_outdated &= read is not None
        if read is not None:
            self._thread.submit(PREDICT, self._context.session.predict_job(read[1], plane, prompts, self.hints()))

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind != PREDICT or not self._thread.is_current(outcome):
            return
        self._is_outdated = self._predict_soon.isActive()
        if isinstance(outcome.value, Answer) and self.prompts is not None:
            self.milliseconds = outcome.milliseconds
            self.preview.begin(outcome.value)
            self._show_answer()

    def _show_answer(self) -> None:
        if self.answer is None or self.prompts is None:
            return
        self.preview.show(self.prompts, self._corrected())
        if self.correction is None:
            self.stack.offer(self.answer, self.preview.candidates)
        self.changed.emit()

    def _corrected(self) -> int | None:
        return None if self.correction is None else self.correction.candidate.label

    def _drop_answer(self) -> None:
        self._thread.cancel(PREDICT)
        self._predict_soon.stop()
        self.preview.clear()
        self._is_outdated = False

    def forget_answer(self) -> None:
        """Remove the preview and predict again, as after a change of the model."""
        self.preview.clear()
        if self.prompts is not None:
            self.prompts.clear_preview()
        self.predict_soon()

    # ---- the image ----------------------------------------------------------------------------------------

    def _on_image_changed(self) -> None:
        self._last_px = None
        self._replace_prompt_layers()
        if self._images.was_selected:  # leave it selected, so that its contrast can be changed
            self._select_soon.stop()
            self.tools.use_foreground()
            self._context.viewer.layers.selection.active = self._images.layer

    def _replace_prompt_layers(self) -> None:
        self._drop_answer()
        self.stack.withdraw()
        if self._images.layer is None:
            self._drawn.end()
        else:
            self._drawn.begin(self._images.layer)
            self._select_soon.start()

    def _on_drawn(self) -> None:
        self._is_outdated = True
        self.predict_soon()

    def _on_contrast_changed(self) -> None:
        if self.prompts is not None and self.prompts.prompts(self._images.plane or (), False):
            self.predict_soon()

    def _on_plane_changed(self) -> None:
        plane, store_layers = self._images.quiet_plane, self._labels.store_layers
        if self.correction is not None and plane is not None and store_layers is not None:
            self.correction = self.correction.on_plane(store_layers.store, plane)
        if self.stack.in_hand is None:
            self.forget_answer()  # prompts belong to their plane

    def _on_classes_changed(self) -> None:
        if self.redirect.is_enabled:
            self._context.keys.use(self._bindings())

    def _on_store_closing(self) -> None:
        self.correction = None
