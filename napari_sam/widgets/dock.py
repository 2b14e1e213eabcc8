"""The SAM dock: pages over one image, one model and one label store."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.errors import ModelError
from napari_sam.layers.image_notes import image_notes
from napari_sam.widgets.activities import PREPARE
from napari_sam.widgets.class_choice import ClassChoice
from napari_sam.widgets.device_selection import DeviceSelection
from napari_sam.widgets.dock_context import DockContext
from napari_sam.widgets.dock_memory import DockMemory
from napari_sam.widgets.dock_panel import CLICK, EVERYTHING, FIND, OBJECTS, PROJECT, REFINE, REVIEW, DockPanel
from napari_sam.widgets.engine_session import EngineSession
from napari_sam.widgets.engine_thread import EngineThread
from napari_sam.widgets.find.find_controller import FindController
from napari_sam.widgets.find.find_engine import ConceptEngine
from napari_sam.widgets.keyboard_focus import KeyboardFocus
from napari_sam.widgets.model_selection import ModelSelection, is_at_hand
from napari_sam.widgets.more.first_start import FirstStart
from napari_sam.widgets.more.more_menu import MoreMenu
from napari_sam.widgets.notifier import DockNotifier, NapariNotifier
from napari_sam.widgets.objects.objects_controller import ObjectsController
from napari_sam.widgets.pages.click_controller import ClickController
from napari_sam.widgets.pages.everything_controller import EverythingController
from napari_sam.widgets.pages.everything_run import JobsEngine
from napari_sam.widgets.pages.review_controller import ReviewController
from napari_sam.widgets.project.project_controller import ProjectController
from napari_sam.widgets.qt_helpers import single_shot
from napari_sam.widgets.refine.refine_controller import RefineController
from napari_sam.widgets.shown_activity import ShownActivity
from napari_sam.widgets.stage_links import link_stages
from napari_sam.widgets.viewer.canvas_view import cursor_position
from napari_sam.widgets.viewer.image_selection import ImageSelection
from napari_sam.widgets.viewer.key_bindings import KeyBindings
from napari_sam.widgets.viewer.label_target import LabelTarget
from napari_sam.widgets.viewer.layer_list import LayerList
from napari_sam.widgets.viewer.window_watcher import WindowWatcher
from src_models.checkpoints.model_choice import checked_model

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QCloseEvent

    from napari_sam.io.labels.review_queue import ReviewItem
    from napari_sam.widgets.dock_context import CanvasPage, DockPage
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.find.find_engine import FindEngine
    from napari_sam.widgets.notifier import Notifier
    from napari_sam.widgets.pages.everything_run import EverythingEngine
    from napari_sam.widgets.stack.follow_run import FollowEngine


class SamDock(QWidget):
    """Segment the objects of an image layer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Viewer that the dock belongs to; napari passes it by this name.
    session : EngineSession, optional
        Model and predictor.
    engine : EverythingEngine, optional
        Engine that finds all objects.
    follow_engine : FollowEngine, optional
        Engine that follows objects through planes.
    find_engine : FindEngine, optional
        Engine that finds objects like the examples.
    notifier : Notifier, optional
        Receiver of messages to the user.

    Attributes
    ----------
    panel : DockPanel
        All controls.
    click, everything, find, refine, review, objects, project
        Controllers of the pages.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        *,
        session: EngineSession | None = None,
        engine: EverythingEngine | None = None,
        follow_engine: FollowEngine | None = None,
        find_engine: FindEngine | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._is_docked = self._is_closed = False  # read by events during construction
        super().__init__()
        self.viewer = napari_viewer
        self.panel = DockPanel()
        QVBoxLayout(self).addWidget(self.panel)
        self.notifier = DockNotifier(notifier or NapariNotifier(), self.panel.message)
        self.session = session or EngineSession()
        self.thread = EngineThread(self)
        self.keys = KeyBindings(napari_viewer)
        self.layer_list = LayerList(napari_viewer)
        self.images = ImageSelection(napari_viewer, self.panel.image, self.notifier)
        self.labels = LabelTarget(napari_viewer, self.panel.labels, self.layer_list, self.keys, self.notifier)
        self.memory = DockMemory.load()
        context = self._context()
        self._devices = DeviceSelection(context, self.panel.device)
        self.click = ClickController(context, self.panel.click, follow_engine)
        self.everything = EverythingController(context, self.panel.everything, engine or JobsEngine())
        self.find = FindController(context, self.panel.find, self.click.actions, find_engine or ConceptEngine())
        self.refine = RefineController(context, self.panel.refine)
        self.review = ReviewController(context, self.panel.review)
        self.objects = ObjectsController(context, self.panel.objects, self.click.actions)
        self.project = ProjectController(context, self.panel.project)
        self.first_start = FirstStart(context, self.panel.first_start)
        self.more = MoreMenu(context, self.panel.more, self.objects.jobs, self.first_start.show_models)
        self._pages: dict[int, DockPage] = {
            CLICK: self.click,
            EVERYTHING: self.everything,
            FIND: self.find,
            REFINE: self.refine,
            REVIEW: self.review,
            OBJECTS: self.objects,
            PROJECT: self.project,
        }
        self._canvas_pages: dict[int, CanvasPage] = {FIND: self.find, REVIEW: self.review, OBJECTS: self.objects}
        self._runs = (self.everything.run, self.find.everywhere.run, self.refine.run)
        self._models = ModelSelection(self.panel.model, self.session.model)
        self._working = (self.session.model, "auto")  # model and device that were loaded last
        self._window = WindowWatcher(self)
        self._keyboard = KeyboardFocus(self, self.panel.tabs)
        self._remember()
        self._activity = ShownActivity(self.panel, self.thread)
        self._page_soon = single_shot(self, 0, self._on_page_changed)
        self.images.is_held = lambda: self._is_running or self.click.stack.is_busy
        self._connect()
        self.click.take_keys()
        self._on_layers_changed()

    def _context(self) -> DockContext:
        """Return the parts of the dock that its pages share."""
        return DockContext(
            memory=self.memory,
            viewer=self.viewer,
            images=self.images,
            labels=self.labels,
            classes=ClassChoice(
                self.labels,
                self.panel.new_class,
                lambda shown: self.panel.object_form.show_row(self.panel.new_class, shown),
            ),
            object_form=self.panel.object_form,
            session=self.session,
            thread=self.thread,
            keys=self.keys,
            layer_list=self.layer_list,
            notifier=self.notifier,
        )

    def _connect(self) -> None:
        self.panel.tabs.currentChanged.connect(self._on_page_changed)
        self.panel.cancel.clicked.connect(self.cancel)
        for page in (self.panel.everything, self.panel.find, self.panel.refine):
            page.run.review.clicked.connect(self.show_review)
        self._models.model_chosen.connect(self.set_model)
        self._devices.device_chosen.connect(self.set_device)
        self.panel.object_form.changed.connect(self._keep_choices)
        self._window.closing.connect(self.shutdown)
        self.viewer.layers.events.removing.connect(self._window.make_canvas_current)
        self.thread.started.connect(self._on_job_started)
        self.thread.finished.connect(self._on_job_finished)
        self.layer_list.changed.connect(self._on_layers_changed)
        self.images.image_changed.connect(self._on_image_changed)
        self.images.pixels_changed.connect(self._on_pixels_changed)
        self.images.view_moved.connect(self._on_view_moved)
        self.images.visibility_changed.connect(self.refresh)
        self.labels.chosen.connect(self._on_labels_chosen)
        self.labels.store_opened.connect(self._on_view_moved)
        self.labels.store_closing.connect(self._on_store_closing)
        self.labels.edited.connect(self.refresh)
        self.click.changed.connect(self.refresh)
        self.click.idle.connect(self._activity.end)
        self.click.correction_ended.connect(self.show_review)
        self.click.actions.run_undone.connect(self.everything.run_undone)
        self.click.actions.run_redone.connect(self.everything.run_redone)
        self.click.actions.changed.connect(self._on_objects_changed)
        self.everything.changed.connect(self._on_objects_changed)
        self.refine.changed.connect(self._on_objects_changed)
        self.find.changed.connect(self._on_objects_changed)
        self.everything.tracked.connect(self.click.stack.show_tracks)
        self.review.changed.connect(self.refresh)
        self.review.fix_requested.connect(self._on_fix_requested)
        self.objects.changed.connect(self.refresh)
        self.objects.jobs.changed.connect(self._on_objects_changed)
        self.project.changed.connect(self.refresh)
        self.project.improve.model_wanted.connect(self.use_model)
        self.first_start.model_wanted.connect(self.use_model)
        link_stages(self.project.stages, self.panel.tabs, self.everything, self.review)

    # ---- the user's actions --------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop what the engine is doing."""
        self.click.cancel()
        self.thread.cancel()
        self._activity.end()
        self.refresh()

    def set_model(self, model: str) -> None:
        """Use another model, by name or path."""
        self._use(model, self._devices.device)

    def use_model(self, model: str, text: str = "") -> None:
        """Show a model, by name or path, as the one in use, and use it; `text` describes one that is not registered.

        Raises
        ------
        UnknownModelError
            If it is neither a registered name nor a file; the model in use stays.
        """
        chosen = checked_model(model)
        self._models.select(chosen, text)
        self.set_model(chosen)

    def set_device(self) -> None:
        """Run the model on the device that is chosen in the panel."""
        self._use(self.session.model, self._devices.device)

    def _use(self, model: str, device: str) -> None:
        self.thread.cancel()
        self.session.model, self.session.device = model, device
        self._prepare()
        self.click.forget_answer()
        self.refresh()

    @property
    def _is_running(self) -> bool:
        """Whether a run over many objects is under way."""
        return any(run.is_running for run in self._runs)

    def show_review(self) -> None:
        """Open the page "Review"."""
        self.panel.tabs.setCurrentIndex(REVIEW)

    # ---- pages --------------------------------------------------------------------------------------------

    def _on_page_changed(self) -> None:
        """Give the keys to the visible page."""
        page = self.panel.tabs.currentIndex()
        corrected = None if page == CLICK else self.click.end_correction()
        chosen = self._canvas_pages.get(page)
        self.click.stack.is_active = chosen is None and self.click.correction is None
        for other in self._canvas_pages.values():
            if other is not chosen:
                other.end()
        self.project.set_visible(page == PROJECT)
        if chosen is None:
            self.click.take_keys()
        else:
            self.click.redirect.is_enabled = False
            self.click.stack.put_aside()
            self.click.clear()
            chosen.begin(corrected)
        self.refresh()

    def _on_fix_requested(self, candidate: ReviewItem) -> None:
        if self.click.begin_correction(candidate):
            self.panel.tabs.setCurrentIndex(CLICK)

    def _on_objects_changed(self) -> None:
        """Restart an empty review if objects were added or removed."""
        self.refresh()
        is_waiting = self.panel.tabs.currentIndex() == REVIEW and not self.review.has_object
        if is_waiting and not self._is_running:
            self._page_soon.start()

    def _on_store_closing(self) -> None:
        if self.review.is_active:
            self.review.end()
            self._page_soon.start()

    # ---- image and view -------------------------------------------------------------------------------------

    def _on_layers_changed(self) -> None:
        """Offer the layers in the viewer, and react to the loss of those in use."""
        self.images.update_choices()
        self.click.update_layers()
        self.refine.update_choices()
        self.labels.update_choices()
        self.refresh()

    def _on_image_changed(self) -> None:
        image = self.images.layer
        self.labels.set_image(image)
        if image is None:
            return
        read = self.images.read_quietly()
        for note in image_notes(read[1]) if read is not None else ():
            self.notifier.info(f"{image.name}: {note}")
        self.images.announce_view()
        self._prepare()
        self.refresh()

    def _on_pixels_changed(self) -> None:
        self.labels.set_image(self.images.layer)
        self.click.clear()
        self._prepare()

    def _on_labels_chosen(self) -> None:
        self.images.announce_view()
        self.refresh()

    def _on_view_moved(self) -> None:
        """Make the visible part of the labels editable, and embed that of the image before the user clicks."""
        layer, view, read = self.images.layer, self.images.view, self.images.read_quietly()
        if not self.images.is_flat:
            self.labels.show_volume()
        if layer is None or view is None or read is None:
            return
        plane, image = read
        self.labels.follow(view, plane)
        self.everything.show_view_size()
        self.session.prefetch(image, view, cursor_position(self.viewer, layer), self.click.hints())

    # ---- engine -------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Load the model and embed what is in view before the first click."""
        read = self.images.read()
        if read is not None:
            self.thread.submit(PREPARE, self.session.prepare_job(read[1], self.click.hints()))

    def _on_job_started(self, kind: str) -> None:
        self._activity.begin(kind)
        self.refresh()

    def _on_job_finished(self, outcome: Outcome) -> None:
        if not self.thread.busy:
            self._activity.end()
        if outcome.error is not None and not self.thread.was_superseded(outcome):
            self.notifier.failure(outcome.error)
        if outcome.kind == PREPARE and self.thread.is_current(outcome):
            self._on_prepared(outcome.error)
        self.refresh()

    def _on_prepared(self, error: Exception | None) -> None:
        """Keep the model and device that were loaded, or return to those that worked last."""
        chosen = (self.session.model, self._devices.device)
        if isinstance(error, ModelError) and chosen != self._working:
            self.click.cancel()
            self._choose(*self._working)
            self._prepare()
        elif error is None:
            self._working = chosen
            self._keep_choices()
            self.layer_list.settle()
            self.images.announce_view()

    # ---- state --------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the next step and the state of the engine, and enable the controls that can be used now."""
        self.labels.drop_closed()
        page = self._pages[self.panel.tabs.currentIndex()]
        self.click.refresh()
        if page is not self.click:
            page.refresh()
        self.panel.next_step.setText(page.guide())
        self.labels.update_count()
        self.objects.update_soon()
        engine = self.session.describe(self.click.answer, self.click.milliseconds)
        self.panel.show_status(" · ".join(filter(None, (engine, self.labels.place_text))))

    # ---- what is kept for the next session -----------------------------------------------------------------

    def _remember(self) -> None:
        """Choose what the user chose in the last session, except a model that is no longer there."""
        memory, form = self.memory, self.panel.object_form
        is_known = memory.model is not None and is_at_hand(memory.model)
        model = memory.model if is_known and memory.model is not None else self.session.model
        self._choose(model, memory.device or "auto")
        for name in ("overlap", "diameter_px"):
            if getattr(memory, name) is not None:
                with suppress(ValueError):  # no longer among the choices
                    form.set_value(name, getattr(memory, name))

    def _choose(self, model: str, device: str) -> None:
        """Show a model and a device as those in use; a device that this machine lacks is left out."""
        self._devices.select(device)
        self._models.select(model)
        self.session.model, self.session.device = model, self._devices.device

    def _keep_choices(self) -> None:
        values = self.panel.object_form.values()
        self.memory.model, self.memory.device = self._working
        self.memory.overlap, self.memory.diameter_px = values["overlap"], values["diameter_px"]
        self.memory.save()

    # ---- lifetime -----------------------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        """Shut down when napari takes the widget out of its dock, which is how it closes one."""
        if event.type() == QEvent.Type.ParentChange:
            if self._is_docked and self.parent() is None:
                self.shutdown()
            self._is_docked = self.parent() is not None
        if event.type() == QEvent.Type.Show:
            self._window.update()
        return bool(super().event(event))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Shut down when the widget is closed."""
        self.shutdown()
        super().closeEvent(event)

    def shutdown(self) -> None:
        """Stop the engine, unbind all keys and remove the prompt layers; labels stay."""
        if self._is_closed:
            return
        self._is_closed = True
        self.layer_list.close()
        self.thread.close()
        for page in (self.everything, self.find, self.refine, self.review, self.objects):
            page.close()
        self.session.close()
        self._activity.end()
        self.labels.close()
        self.project.close()
        self._page_soon.stop()
        self.click.close()
        self.images.close()
        self.keys.use({})
        self.viewer.layers.events.removing.disconnect(self._window.make_canvas_current)
        self._keyboard.close()
        self._window.close()
