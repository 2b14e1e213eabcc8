"""The SAM dock widget: prompts in, live preview, accept into labels. Signals in, workers out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_sam.engine.windows import Hints
from napari_sam.errors import ImageError, LabelsError, NapariSamError, StoreError
from napari_sam.io.images.open_image import image_from_layer
from napari_sam.layers.label_store_layers import StoreWriter
from napari_sam.layers.prompt_layers import (
    BACKGROUND,
    FOREGROUND,
    PromptLayers,
    current_plane,
    masks_of,
)
from napari_sam.widgets.canvas_view import camera, under_mouse, visible_box
from napari_sam.widgets.engine_session import Answer, EngineSession
from napari_sam.widgets.engine_thread import EngineThread, Outcome
from napari_sam.widgets.key_bindings import KeySet
from napari_sam.widgets.label_target import LabelTarget
from napari_sam.widgets.model_choice import ModelChoice
from napari_sam.widgets.pages.click_panel import CLICK, EVERYTHING, REVIEW, Controls
from napari_sam.widgets.pages.correction import Fix
from napari_sam.widgets.pages.everything_controller import EverythingRun
from napari_sam.widgets.pages.everything_panel import DRAWN
from napari_sam.widgets.pages.guide import candidate_text, everything_step, fix_step, next_step, review_step
from napari_sam.widgets.pages.review_controller import ReviewControl
from napari_sam.widgets.prompt_set import PromptSet
from napari_sam.widgets.qt_helpers import refill, single_shot

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QCloseEvent

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.labels.review_queue import Candidate

_DEBOUNCE_MS = 40  # drags and multi-point changes come as bursts of events
_VIEW_MS = 60  # a pan or zoom comes as a burst of events, too
_STROKE_MS, _TABLE_MS = 300, 800
_DOING = {"prepare": "Loading the model and looking at the image", "export": "Exporting"}
_DOING |= {"undo": "Taking the run back", "redo": "Writing the run again"}
_EXPORTS = (
    "GeoJSON (*.geojson);;COCO (*.json);;Label image (*.tif);;Table (*.csv);;ImageJ ROIs (*.zip);;"
    "OME-Zarr (*.ome.zarr);;Python script (*.py)"
)


class PromptWidget(QWidget):
    """Segment the objects of an image layer by points and boxes.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The window it belongs to; napari passes it by this name.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        self._docked = self._ended = False  # asked for by the events of construction
        super().__init__()
        self.viewer = viewer = napari_viewer
        self.controls = Controls()
        QVBoxLayout(self).addWidget(self.controls)
        self.session = EngineSession()
        self.thread = EngineThread(self)
        self.keys = KeySet(viewer)
        self.prompts = PromptSet(viewer, self._on_prompt, self._on_contrast, self._on_new_pixels, self.keys.add)
        self.answer: Answer | None = None
        self._candidate = 0
        self._outdated = False  # something was drawn that the preview does not show yet
        self._last_px: float | None = None
        self._activity: Any = None
        self._milliseconds: float | None = None
        self._timer = single_shot(self, _DEBOUNCE_MS, self._ask)
        self._select_soon = single_shot(self, 0, lambda: self._use_tool(FOREGROUND))
        self.target = LabelTarget(
            viewer, self.controls, lambda text: show_error(text), self.prompts.own_change, self.keys.add
        )
        self._page_soon = single_shot(self, 0, lambda: self._on_page(self.controls.tabs.currentIndex()))
        self._view_timer = single_shot(self, _VIEW_MS, self._on_view_moved)
        self._stroke_timer = single_shot(self, _STROKE_MS, self._on_stroke)
        self._table_timer = single_shot(self, _TABLE_MS, self.target.describe)
        self.target.on_edited, self.target.on_shown = self._stroke_timer.start, self._on_view_moved
        self.target.on_drop = self._on_store_dropped
        shared = (self.target, self.keys, self.prompts.own_change)
        self.everything = EverythingRun(viewer, self.controls, self.session, *shared)
        self.review = ReviewControl(viewer, self.controls.review, *shared)
        self.fix: Fix | None = None
        self._handed: StoreWriter | None = None  # whose store the worker changes alone
        self._connect_controls()
        self._connect_pages()
        self.keys.use(self._keys())
        # The layer list must not be changed while napari takes several layers out of it: ours follow a moment later.
        self._reconcile = single_shot(self, 0, self._on_layers_changed)
        viewer.layers.events.inserted.connect(self._on_layers_changed)
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.current_step.connect(self._on_plane_changed)
        camera(viewer).events.connect(self._on_camera)
        self._models = ModelChoice(self.controls.model, self.session, lambda model: self.set_model(model))
        self._on_layers_changed()
        self._use_tool(FOREGROUND)

    @property
    def layers(self) -> PromptLayers | None:
        """The layers on which prompts are drawn; None without an image."""
        return self.prompts.layers

    @property
    def writer(self) -> Any:
        """What accepted objects are written with; None before the first."""
        return self.target.writer

    # ---- what the user does -------------------------------------------------------------------------------

    def accept(self) -> None:
        """Write what is previewed into the labels layer and get ready for the next object."""
        if self.answer is None or self.layers is None:
            show_info("Nothing to accept yet: click an object first.")
            return
        if self._outdated:
            show_info("Still segmenting your last change: accept it in a moment.")
            return
        predictions = self.answer.predictions
        failed = self._commit(predictions, self.answer.plane, None if len(predictions) > 1 else self._candidate)
        if failed:
            show_error("; ".join(failed))
        if len(failed) == len(predictions):
            self._refresh()
            return
        y0, x0, y1, x1 = predictions[-1].bbox
        self._last_px = float(max(y1 - y0, x1 - x0))
        if self.fix is not None:
            self._back_to_review()
            return
        self.clear()
        self._view_timer.start()  # the next object is looked for at this size

    def _commit(self, predictions: list[Prediction], plane: tuple[int, ...], candidate: int | None) -> list[str]:
        """Write objects; returns what was wrong with those that could not be written."""
        failed = []
        as_label = {} if self.fix is None else {"label": self.fix.candidate.label}
        for number, prediction in enumerate(predictions, start=1):
            try:
                overlap = self.controls.overlap.currentData()
                self.target.ready().commit(prediction, plane, overlap, candidate, **as_label)
            except (LabelsError, StoreError) as error:
                failed.append(str(error) if len(predictions) == 1 else f"object {number}: {error}")
        return failed

    def clear(self) -> None:
        """Remove all prompts and the preview."""
        self.thread.cancel("predict")
        self._timer.stop()
        self._end_progress()
        self.answer, self._outdated = None, False
        if self.fix is not None:
            self.fix.prompt = {}  # begin from nothing
        if self.layers is not None:
            self.layers.clear()
        self._refresh()

    def undo(self) -> None:
        """Take the last accepted object back."""
        self._step("undo")

    def redo(self) -> None:
        """Write the object that was taken back."""
        self._step("redo")

    def _step(self, name: str) -> None:
        writer = self.writer
        try:
            if isinstance(writer, StoreWriter) and writer.is_long(name):
                writer.hand_over()
                self._handed = writer
                self.thread.submit(name, lambda _: getattr(writer.store, name)())
            elif writer is None or getattr(writer, name)() is None:
                show_info(f"Nothing to {name}.")
        except NapariSamError as error:
            show_error(str(error))
        self._refresh()

    def _end_step(self, outcome: Outcome) -> None:
        """The worker has taken a whole run back, or written it again."""
        writer, self._handed = self._handed, None
        if writer is None:
            return
        writer.take_over()
        if outcome.value is not None:
            self.everything.stepped(outcome.kind)
        self._begin_empty_review()

    def _begin_empty_review(self) -> None:
        """Objects came or went while the page "Review" had none: begin anew."""
        self._refresh()
        going_on = self.review.review is not None and self.review.review.current is not None
        if self.controls.tabs.currentIndex() == REVIEW and not going_on and not self.everything.running:
            self._page_soon.start()

    def next_candidate(self, step: int = 1) -> None:
        """Show another of the masks of an ambiguous prompt."""
        if self.answer is None or len(self.answer.predictions) != 1:
            return
        self._candidate = (self._candidate + step) % self.answer.predictions[0].count
        self._show()

    def segment_all(self) -> None:
        """Ask for every box as an object of its own."""
        self.controls.batch.setChecked(True)
        self._ask()

    def export(self) -> None:
        """Ask for a file and write all objects into it."""
        path, _ = QFileDialog.getSaveFileName(self, "Export all objects", "objects.geojson", _EXPORTS)
        if path:
            self.export_to(path)

    def export_to(self, path: str) -> None:
        """Write all objects into a file; its ending says the format."""
        if not isinstance(self.writer, StoreWriter):
            show_info("Accept an object first: there is no label store to export yet.")
            return
        self.target.flush()
        store = self.writer.store

        def job(cancelled: Callable[[], bool]) -> str:
            return f"Exported {len(store)} objects to {store.export(path, cancelled=cancelled)}"

        self.thread.submit("export", job)

    def cancel(self) -> None:
        """Stop what the engine is doing."""
        self._timer.stop()
        self.thread.cancel()
        self._outdated = False
        self._end_progress()
        self._refresh()

    # ---- pages --------------------------------------------------------------------------------------------

    def start_fix(self, candidate: Candidate) -> None:
        """Correct an object with prompts; `accept` gives it the new mask."""
        try:
            fix = Fix.of(self.writer.store, candidate)
        except NapariSamError as error:
            show_error(str(error))
            return
        self.clear()
        self.fix = fix  # before the page changes, which would end another one
        self.controls.tabs.setCurrentIndex(CLICK)
        self.keys.use({**self._keys(), "Escape": self._back_to_review})
        self._use_tool(FOREGROUND)
        self.writer.edit.selected_label = candidate.label  # for the brush
        self._ask()

    def _back_to_review(self) -> None:
        self.controls.tabs.setCurrentIndex(REVIEW)

    def _on_page(self, page: int) -> None:
        """Another page has come up: it takes the keys."""
        fixed, self.fix = self.fix, self.fix if page == CLICK else None
        if fixed is not self.fix and isinstance(self.writer, StoreWriter):
            self.writer.new_label()  # the brush had the object's id
        if page == REVIEW:
            self.clear()
            self.review.begin(fixed.candidate if fixed else None)
        else:
            self.review.end()
            self.keys.use(self._keys())
            self._use_tool(FOREGROUND)
            if page == EVERYTHING:
                self.everything.look()
        self._refresh()

    def _source(self) -> Any:
        """Image layer, plane and image as the engine reads it; None, with a notification, if they cannot be had."""
        plane = self._plane()
        if self.layers is None or plane is None:
            return None
        try:
            return self.layers.image, plane, image_from_layer(self.layers.image, plane)
        except NapariSamError as error:
            show_error(str(error))
            return None

    def _on_store_dropped(self) -> None:
        """A store is about to be closed."""
        for kind in ("export", "undo", "redo"):
            self.thread.cancel(kind)
        self.everything.let_go()
        self.fix = None
        if self.review.active:
            self.review.end()
            self._page_soon.start()

    # ---- wiring -------------------------------------------------------------------------------------------

    def _connect_controls(self) -> None:
        c = self.controls
        c.image.currentIndexChanged.connect(self._on_image_chosen)
        c.labels.currentIndexChanged.connect(self._on_labels_chosen)
        c.foreground.clicked.connect(lambda: self._use_tool(FOREGROUND))
        c.background.clicked.connect(lambda: self._use_tool(BACKGROUND))
        c.box.clicked.connect(lambda: self._use_tool("box"))
        c.brush.clicked.connect(lambda: self._use_tool("brush"))
        c.export.clicked.connect(self.export)
        c.batch.toggled.connect(lambda: self._timer.start())
        c.diameter.valueChanged.connect(lambda: self._timer.start())
        c.segment.clicked.connect(self.segment_all)
        c.previous.clicked.connect(lambda: self.next_candidate(-1))
        c.following.clicked.connect(lambda: self.next_candidate())
        c.accept.clicked.connect(self.accept)
        c.clear.clicked.connect(self.clear)
        c.undo.clicked.connect(self.undo)
        c.redo.clicked.connect(self.redo)
        c.cancel.clicked.connect(self.cancel)
        self.thread.started.connect(self._on_started)
        self.thread.finished.connect(self._on_finished)

    def _connect_pages(self) -> None:
        self.everything.layer = lambda: None if self.layers is None else self.layers.image
        self.everything.source = self._source
        self.everything.on_changed = self._begin_empty_review
        self.review.on_changed = self._refresh
        self.review.on_fix = self.start_fix
        for page in (self.everything, self.review):
            page.report, page.inform = lambda text: show_error(text), lambda text: show_info(text)
        self.controls.everything.review.clicked.connect(lambda: self.controls.tabs.setCurrentIndex(REVIEW))
        self.controls.tabs.currentChanged.connect(self._on_page)

    def _keys(self) -> dict[str, Callable[[], None]]:
        return {
            "F": lambda: self._use_tool(FOREGROUND),
            "B": lambda: self._use_tool(BACKGROUND),
            "T": self._toggle_kind,
            "R": lambda: self._use_tool("box"),
            "D": lambda: self._use_tool("brush"),
            "N": self.next_candidate,
            "Shift-N": lambda: self.next_candidate(-1),
            "C": self.accept,
            "Shift-C": self.clear,
            "Shift-S": self.segment_all,
            "Control-Z": self.undo,
            "Control-Shift-Z": self.redo,
        }

    def _on_layers_changed(self, event: Any = None) -> None:
        """Offer the image and labels layers there are; react to the loss of ours."""
        if self.prompts.changing:
            return
        layers = list(self.viewer.layers)
        if self.layers is not None and self.layers.image not in layers:
            self._drop_layers()
            self.target.set_image(None)
        if self.prompts.broken:
            self._drop_layers()
        self.target.layers_changed()
        images = [x for x in layers if isinstance(x, ImageLayer)]
        refill(self.controls.image, [(x.name, x) for x in images])
        self.target.fill(layers)
        if self.layers is None:
            self._on_image_chosen()
        self._refresh()

    def _on_layer_removed(self, event: Any = None) -> None:
        if not self.prompts.changing:
            self._reconcile.start()

    def _on_image_chosen(self) -> None:
        """Put prompt layers on the chosen image and start looking at it."""
        image = self.controls.image.currentData()
        if image is None or (self.layers is not None and self.layers.image is image):
            self._refresh()
            return
        self._drop_layers()
        try:
            self.prompts.make(image)
        except ImageError as error:
            show_error(str(error))
            return
        self._last_px = None
        self.target.set_image(image)
        self._advise(image)
        self._view_timer.start()
        # napari selects a layer it has just added only after telling us of it, so ours is selected a moment later.
        self._select_soon.start()
        self._prefetch()

    def _advise(self, image: ImageLayer) -> None:
        """Say once if the image's file is too slow to work with."""
        with suppress(ImageError):  # said when the image is asked
            advice = image_from_layer(image).advice
            if advice:
                show_info(f"{image.name}: {advice}")

    def _drop_layers(self) -> None:
        """Forget the prompt layers, and what was asked with them."""
        self.answer = None
        self.thread.cancel("predict")
        self.prompts.drop()

    def _on_labels_chosen(self) -> None:
        """Write to another store or labels layer from now on."""
        self.target.choose()
        self._view_timer.start()
        self._refresh()

    def _on_camera(self) -> None:
        self._view_timer.start()

    def _on_view_moved(self) -> None:
        """Another part of the image is in view: make it editable, and look at it before somebody clicks."""
        plane = self._plane() if self.layers is not None else None
        if self.layers is None or plane is None:
            return
        image = self.layers.image
        view = visible_box(image)
        self.target.follow(view, plane)
        self.everything.name_view()
        with suppress(ImageError):  # said when the image is asked
            source = image_from_layer(image, plane)
            self.session.look_at(source, view, under_mouse(self.viewer, image), self._hints(image))

    def _on_stroke(self) -> None:
        """Something was drawn by hand."""
        self.target.flush()
        self._refresh()

    def set_model(self, model: str) -> None:
        """Use another model, by name or path."""
        self.thread.cancel()
        self.answer = None
        if self.layers is not None:
            self.layers.clear_preview()
        self.session.model = model
        self._prefetch()
        self._timer.start()
        self._refresh()

    # ---- prompts to the engine ----------------------------------------------------------------------------

    def _on_prompt(self, event: Any) -> None:
        if str(getattr(event, "action", "")).endswith(("ing", "ING")):
            return  # napari tells about every change twice: before and after
        self._outdated = True
        self._timer.start()

    def _on_contrast(self) -> None:
        if self.layers is not None and self.layers.prompts(self._plane() or (), False):
            self._timer.start()

    def _on_new_pixels(self) -> None:
        """Other data in the image layer: what was found no longer counts."""
        self.target.set_image(None if self.layers is None else self.layers.image)
        self.clear()
        self._prefetch()

    def _on_plane_changed(self) -> None:
        """Another time point or depth: prompts belong to their plane."""
        if self.layers is None or self.layers.image.ndim == 2:
            return
        self.answer = None
        self.layers.clear_preview()
        self._timer.start()
        self._view_timer.start()

    def _plane(self) -> tuple[int, ...] | None:
        """The plane that is shown; None, with a notification, if it is no plane of the image."""
        if self.layers is None:
            return None
        try:
            return current_plane(self.viewer, self.layers.image)
        except ImageError as error:
            show_error(str(error))
            return None

    def _hints(self, image: ImageLayer) -> Hints:
        """What the user and the view say about the object's size."""
        y0, x0, y1, x1 = visible_box(image)
        view = float(max(y1 - y0, x1 - x0))
        return Hints(float(self.controls.diameter.value()) or None, view or None, self._last_px)

    def _ask(self) -> None:
        """Send what is drawn to the engine, or drop the preview when nothing is."""
        plane = self._plane()
        if self.layers is None or plane is None:
            return
        if self.fix is None:
            asks = self.layers.prompts(plane, self.controls.batch.isChecked())
        else:
            asks = self.fix.asks(self.layers.prompts(plane, False, only_background=self.fix.mask is not None))
        if not asks:
            self.thread.cancel("predict")
            self._end_progress()
            self.answer, self._outdated = None, False
            self.layers.clear_preview()
            if self.fix is not None and self.fix.mask is not None:
                self.layers.show([(self.fix.mask.mask, self.fix.mask.bbox)], plane, outline=True)
            self._refresh()
            return
        try:
            source = image_from_layer(self.layers.image, plane)
        except NapariSamError as error:
            self._outdated = False
            show_error(str(error))
            return
        job = self.session.predict_job(source, plane, asks, self._hints(self.layers.image))
        self.thread.submit("predict", job)

    def _prefetch(self) -> None:
        """Load the model and embed what is in view before the first click."""
        plane = self._plane()
        if self.layers is None or plane is None:
            return
        try:
            job = self.session.prefetch_job(image_from_layer(self.layers.image, plane), self._hints(self.layers.image))
        except NapariSamError as error:
            show_error(str(error))
            return
        self.thread.submit("prepare", job)

    def _on_started(self, kind: str) -> None:
        text = _DOING.get(kind, "Segmenting")
        if self._activity is None:
            self._activity = napari.utils.progress(total=0, desc=f"SAM: {text}")
        self.controls.show_progress(text)
        self._refresh()

    def _end_progress(self) -> None:
        if self._activity is not None:
            self._activity.close()
            self._activity = None
        self.controls.show_progress(None)

    def _on_finished(self, outcome: Outcome) -> None:
        if not self.thread.busy:
            self._end_progress()
        if outcome.kind in ("undo", "redo"):
            self._end_step(outcome)
        if not self.thread.is_current(outcome):
            self._refresh()
            return
        if outcome.kind == "prepare":
            self._view_timer.start()
        if outcome.kind == "predict":
            self._outdated = self._timer.isActive()
        if isinstance(outcome.error, NapariSamError):
            show_error(str(outcome.error))
        elif outcome.error is not None:
            self._refresh()
            raise outcome.error
        elif outcome.kind == "export" and outcome.value is not None:
            show_info(str(outcome.value))
        elif isinstance(outcome.value, Answer) and self.layers is not None:
            self.answer, self._milliseconds = outcome.value, outcome.milliseconds
            self._candidate = self.answer.predictions[0].best
            self._show()
        self._refresh()

    def _show(self) -> None:
        """Show the answer, or the chosen candidate of it, on the preview layer."""
        if self.answer is None or self.layers is None:
            return
        one = self._candidate if len(self.answer.predictions) == 1 else None
        masks = masks_of(self.answer.predictions, one)
        self.layers.show(masks, self.answer.plane, outline=self.fix is not None)
        self._refresh()

    # ---- tools and what the dock says -----------------------------------------------------------------------

    def _use_tool(self, tool: str) -> None:
        """Make the canvas take foreground points, background points or boxes."""
        c = self.controls
        {FOREGROUND: c.foreground, BACKGROUND: c.background, "brush": c.brush}.get(tool, c.box).setChecked(True)
        if self.layers is None:
            return
        if tool == "box":
            self.viewer.layers.selection.active = self.layers.shapes
            self.layers.shapes.mode = "add_rectangle"
        elif tool == "brush":
            self._take_brush()
        else:
            self.viewer.layers.selection.active = self.layers.points
            self.layers.points.mode = "add"
            self.layers.set_kind(tool)
        self._refresh()

    def _take_brush(self) -> None:
        """Make the canvas draw on the accepted objects."""
        try:
            layer = self.target.ready().layer
        except NapariSamError as error:
            show_error(str(error))
            return
        if not layer.editable:
            show_info("Zoom in to draw: what you see is too large to edit at once.")
            return
        self.viewer.layers.selection.active = layer
        layer.mode = "paint"

    def _toggle_kind(self) -> None:
        if self.layers is not None:
            self._use_tool(BACKGROUND if self.layers.kind == FOREGROUND else FOREGROUND)

    def _refresh(self) -> None:
        """Say what to do next and how the engine stands; enable what can be done."""
        c = self.controls
        tool = "brush" if c.brush.isChecked() else "box" if c.box.isChecked() else "point"
        c.next_step.setText(self._step_text(tool))
        single = self.answer is not None and len(self.answer.predictions) == 1
        for button in (c.previous, c.following):
            button.setEnabled(single)
        c.candidate.setText(candidate_text(self.answer, self._candidate))
        c.accept.setEnabled(self.answer is not None)
        c.clear.setEnabled(self.layers is not None)
        c.undo.setEnabled(self.writer is not None and self.writer.can_undo)
        c.redo.setEnabled(self.writer is not None and self.writer.can_redo)
        c.segment.setEnabled(self.layers is not None)
        c.brush.setEnabled(self.layers is not None)
        c.export.setEnabled(self.target.store_path is not None)
        self.target.count()
        self._table_timer.start()
        saved = self.target.store_path
        said = self.session.describe(self.answer, self._milliseconds)
        c.status.setText(said if saved is None else f"{said} · objects saved in {saved}")

    def _step_text(self, tool: str) -> str:
        page = self.controls.tabs.currentIndex()
        if page == EVERYTHING:
            drawing = self.controls.everything.where.currentData() == DRAWN
            self.everything.look()
            run = self.everything
            return everything_step(self.layers is not None, run.running, run.stopped, run.finished, drawing)
        if page == REVIEW:
            reviewing = self.review.review is not None and self.review.review.current is not None
            return review_step(reviewing, self.review.all_done)
        if self.fix is not None:
            return fix_step(self.fix.candidate.label, self.answer is not None)
        return next_step(self.layers is not None, self.answer, tool, self._hint(tool))

    def _hint(self, tool: str) -> str:
        """What stands in the way of the next step."""
        if tool == "brush":
            return "" if self.writer is None or self.writer.layer.editable else "far"
        if self.fix is not None:
            return ""
        points = np.asarray([] if self.layers is None else self.layers.points.features["kind"])
        return "background" if len(points) and not (points == FOREGROUND).any() else ""

    def event(self, event: QEvent) -> bool:
        """Shut down when napari takes the widget out of its dock, which is how it closes one."""
        if event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self.shutdown()
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Let go of the window's events and the worker."""
        self.shutdown()
        super().closeEvent(event)

    def shutdown(self) -> None:
        """Stop the worker, unbind everything and take the prompt layers away; labels stay."""
        if self._ended:
            return
        self._ended = True
        self.thread.close()
        self.everything.close()
        self.review.end()
        self.session.close()
        self._timer.stop()
        self._page_soon.stop()
        self._select_soon.stop()
        self._end_progress()
        self.viewer.layers.events.inserted.disconnect(self._on_layers_changed)
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        self._reconcile.stop()
        self._view_timer.stop()
        self._stroke_timer.stop()
        self._table_timer.stop()
        camera(self.viewer).events.disconnect(self._on_camera)
        self.target.drop(keep_layers=True)
        self._drop_layers()
        self.viewer.dims.events.current_step.disconnect(self._on_plane_changed)
        self.keys.use({})
