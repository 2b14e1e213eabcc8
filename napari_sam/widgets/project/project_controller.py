"""The page "Project": its list of images, opening them one after another, and their states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.errors import CancelledError, ProjectError, StoreLockedError
from napari_sam.io.projects.project_folder import PROJECT_FILE
from napari_sam.project.project import Project
from napari_sam.widgets.background_run import BackgroundRun
from napari_sam.widgets.project.batch_controller import BatchController
from napari_sam.widgets.project.image_opener import ImageOpener, LoadedImage, load_image
from napari_sam.widgets.project.improve_controller import ImproveController
from napari_sam.widgets.project.project_jobs import ProjectJobs
from napari_sam.widgets.project.project_listing import ProjectListing
from napari_sam.widgets.project.project_text import progress_text, project_step
from napari_sam.widgets.project.stages_controller import StagesController
from napari_sam.widgets.project.useful_order import UsefulOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.project.add_report import AddReport
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled, Job, Outcome
    from napari_sam.widgets.project.project_panel import ProjectPanel

_READ_MS = 15_000  # between two looks at what others do in the project
_NAMED = 3  # images that could not be added


class ProjectController(QObject):
    """Behaviour of the page "Project".

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ProjectPanel
        The page.

    Attributes
    ----------
    project : Project or None
        The project; None before one is opened.
    opener : ImageOpener
        The image in the viewer.
    improve : ImproveController
        Training of the model.
    stages : StagesController
        Annotation by hand, semi-automatically and automatically.
    batch : BatchController
        Jobs over all images.
    adding : BackgroundRun
        Adding of images.
    order : UsefulOrder
        Ranking of the images, if it is asked for.

    Signals
    -------
    changed
        Another project or image is open, or states have changed.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: ProjectPanel) -> None:
        super().__init__()
        self._context, self._panel = context, panel
        self.project: Project | None = None
        self._activity = ""  # what the jobs do, in words
        self._is_remembered = False  # whether the project of the last session was tried
        self.jobs = ProjectJobs(context.notifier)
        self.listing = ProjectListing(panel.list.rows, context.notifier)
        self.opener = ImageOpener(context)
        self.improve = ImproveController(context, panel.improve, self.jobs)
        self.stages = StagesController(context, panel.stages, self.opener)
        self.batch = BatchController(context, panel.batch, self.opener)
        self.adding = BackgroundRun()
        self.order = UsefulOrder(context.notifier)
        self._read_timer = QTimer(self)
        self._read_timer.setInterval(_READ_MS)
        self._read_timer.timeout.connect(self._on_time_passed)
        self._connect()

    def _connect(self) -> None:
        panel = self._panel
        panel.open.clicked.connect(self.choose_project)
        panel.new.clicked.connect(self.choose_new_project)
        panel.add_files.clicked.connect(self.choose_files)
        panel.add_folder.clicked.connect(self.choose_folder)
        panel.cancel.clicked.connect(self._cancel)
        panel.most_useful.toggled.connect(self._on_order_chosen)
        panel.state.currentIndexChanged.connect(self._on_filter_chosen)
        panel.list.opened.connect(self.open_image)
        panel.list.selection_changed.connect(self.refresh)
        panel.next.clicked.connect(self.open_next)
        panel.done.clicked.connect(self.finish_image)
        for state, chosen in panel.set_state.items():
            chosen.clicked.connect(lambda _=False, state=state: self.set_state(state))
        self.listing.changed.connect(self._on_listed)
        self.opener.changed.connect(self._on_opened)
        self.jobs.changed.connect(self.refresh)
        self.improve.changed.connect(self.changed)
        self.stages.image_wanted.connect(self.open_image)
        self.batch.changed.connect(self.read)
        self.adding.progressed.connect(self._on_adding)
        self.adding.finished.connect(self._on_added)
        self.order.run.progressed.connect(self._on_ranking)
        self.order.changed.connect(self._on_ranked)

    # ---- the page -----------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Enable the controls that can be used now, and open the project of the last session once."""
        if not self._is_remembered:
            self._is_remembered = True
            remembered = self._context.memory.project
            if remembered is not None and Path(remembered).is_dir():
                self.open_project(remembered)
        panel, is_adding = self._panel, self.adding.is_running
        if self.jobs.busy and not is_adding:
            panel.show_busy(self._activity)
        elif not is_adding and not self.order.run.is_running:
            panel.show_busy(None)
        for one in (panel.open, panel.new, panel.add_files, panel.add_folder):
            one.setEnabled(not is_adding)
        panel.done.setEnabled(bool(self.opener.image_id))
        selected = panel.list.selected
        for one in panel.set_state.values():
            one.setEnabled(bool(selected))
        panel.next.setEnabled(bool(len(panel.list.rows.ids) or sum(panel.list.rows.counts.values())))

    def guide(self) -> str:
        """Return what the user can do next."""
        return project_step(self.project is not None, self._panel.list.rows.counts, bool(self.opener.image_id))

    def set_visible(self, is_visible: bool) -> None:
        """Read the project again when the page comes into sight, and in between while it is."""
        if is_visible:
            self._read_timer.start()
            self.read()
        else:
            self._read_timer.stop()

    def close(self) -> None:
        """Stop all work and release the image; the dock has closed its label store."""
        self._read_timer.stop()
        self._context.keys.use_on_all_pages({})
        self.listing.close()
        self.jobs.close()
        self.adding.close()
        self.order.close()
        self.improve.close()
        self.stages.close()
        self.batch.close()
        self.opener.close()

    # ---- the project --------------------------------------------------------------------------------------

    def choose_project(self) -> None:
        """Ask for the folder of a project, and open it."""
        folder = QFileDialog.getExistingDirectory(self._panel, "Open a project", self._start_folder)
        if folder and not (Path(folder) / PROJECT_FILE).is_file():
            hint = "to make one of your images, press “New…”, then “Add folder…”"
            self._context.notifier.error(f"{folder} is no project: it has no {PROJECT_FILE}; {hint}")
        elif folder:
            self.open_project(folder)

    def choose_new_project(self) -> None:
        """Ask for a new folder, and make a project there."""
        start = str(Path(self._start_folder) / "project")
        folder, _ = QFileDialog.getSaveFileName(self._panel, "Make a project in a new folder", start)
        if folder:
            self._use_project(lambda _: Project.create(folder))

    def open_project(self, folder: str) -> None:
        """Open the project in a folder."""
        self._use_project(lambda _: Project(folder))

    def read(self) -> None:
        """Read images and versions again: others may have changed them."""
        if self.project is not None:
            self.listing.read(self.project)
            self.improve.read()
            self.stages.read()

    @property
    def _start_folder(self) -> str:
        memory = self._context.memory
        return str(Path(memory.project).parent) if memory.project else memory.start_folder

    def _use_project(self, make: Job) -> None:
        if self.improve.run.is_running:
            self._context.notifier.info("The model of this project is being trained: wait, or cancel the training.")
            return
        if self.batch.run.is_running:
            self._context.notifier.info("All images of this project are being worked on: wait, or cancel it.")
            return
        if not self.opener.is_blocked:
            self._activity = "Opening the project…"
            self.jobs.cancel("image")
            self.jobs.replace("project", make, self._on_project)
            self.refresh()

    def _on_project(self, project: Project) -> None:
        self.opener.leave()
        self.project = project
        self.order.clear()
        self._panel.most_useful.setChecked(False)
        self._context.memory.project = str(project.path)
        self._context.memory.save()
        self._context.keys.use_on_all_pages({"PageDown": self.open_next, "Shift-PageDown": self.finish_image})
        self._panel.show_project(project.name, str(project.path))
        self.listing.clear()
        self.improve.set_project(project)
        self.stages.set_project(project)
        self.batch.set_project(project)
        self.listing.read(project)
        self.changed.emit()

    def _on_listed(self) -> None:
        counts = self._panel.list.rows.counts
        self._panel.show_counts(counts)
        self._panel.plates.read()
        self._panel.progress.setFormat(progress_text(counts))
        self.changed.emit()

    def _on_filter_chosen(self) -> None:
        self._panel.list.rows.show_state(self._panel.state.currentData())

    def _on_time_passed(self) -> None:
        if self._panel.isVisible():
            self.read()

    # ---- images -------------------------------------------------------------------------------------------

    def open_image(self, image_id: str) -> None:
        """Open an image of the project."""
        project = self.project
        if project is None:
            return
        if image_id == self.opener.image_id:
            self.opener.select()
        else:
            self._open(lambda cancelled: load_image(project.image(image_id), cancelled))

    def open_next(self) -> None:
        """Open the next image that is not done and that nobody works on."""
        project, before, order = self.project, self.opener.image_id, tuple(self.order.image_ids)
        if project is not None:
            self._open(lambda cancelled: _load_next(project, before, order, cancelled))

    def finish_image(self) -> None:
        """Set the image to "done", and open the next one."""
        project, opened = self.project, self.opener.opened
        if project is None or opened is None:
            self._context.notifier.info("No image of the project is open: press PageDown for the next one.")
            return
        if not self.opener.is_blocked:
            self._set(project, [opened.image.image_id], "done")
            self.open_next()

    def set_state(self, state: str) -> None:
        """Set the state of the selected images."""
        if self.project is not None:
            self._set(self.project, self._panel.list.selected, state)

    def _open(self, job: Job) -> None:
        if not self.opener.is_blocked:
            self._activity = "Opening the image…"
            self.jobs.replace("image", job, self._show, LoadedImage.release)
            self.refresh()

    def _show(self, loaded: LoadedImage) -> None:
        self.opener.show(loaded)
        self.improve.give_model()

    def _set(self, project: Project, image_ids: Sequence[str], state: str) -> None:
        def job(_: IsCancelled) -> bool:
            for image_id in image_ids:
                project.image(image_id).state = state
            return True

        self.jobs.queue(job, lambda _: self.listing.read(project))

    def _on_opened(self) -> None:
        panel, opened = self._panel, self.opener.image_id
        panel.list.rows.mark_opened(opened)
        if opened:
            panel.list.select([opened])
        if self.project is not None:
            self.listing.read(self.project)  # it may be in work now
            self.stages.read()
        self.changed.emit()

    # ---- the most useful first ----------------------------------------------------------------------------

    def _on_order_chosen(self, is_ranked: bool) -> None:
        if self.project is None or not is_ranked:
            self.order.clear()
            self.refresh()
        elif not self.adding.is_running:  # else they are ranked once all are added
            self._panel.show_busy("Looking at the images…", can_cancel=True)
            self.order.rank(self.project)

    def _on_ranking(self, done: int, total: int) -> None:
        if self.order.run.is_running and not self.adding.is_running:
            self._panel.show_busy(f"Looking at the images: {done} of {total}", done, total, can_cancel=True)

    def _on_ranked(self) -> None:
        if not self.order.image_ids:  # cancelled, failed, or none is unseen
            self._panel.most_useful.setChecked(False)
        self.refresh()

    def _cancel(self) -> None:
        self.adding.cancel()
        self.order.run.cancel()

    # ---- adding -------------------------------------------------------------------------------------------

    def choose_files(self) -> None:
        """Ask for images, and add them."""
        paths, _ = QFileDialog.getOpenFileNames(self._panel, "Add images", self._context.memory.start_folder)
        if paths:
            self.add(paths)

    def choose_folder(self) -> None:
        """Ask for a folder of images, an OME-Zarr or a plate, and add it."""
        folder = QFileDialog.getExistingDirectory(self._panel, "Add images", self._context.memory.start_folder)
        if folder:
            self.add([folder])

    def add(self, paths: Sequence[str]) -> None:
        """Add images, in the background."""
        project = self.project
        if project is None or self.adding.is_running:
            return
        self._context.memory.folder = str(Path(paths[0]).parent)
        self._context.memory.save()
        progressed = self.adding.progressed.emit

        def job(cancelled: IsCancelled) -> AddReport:
            return project.add(*paths, progress=_stoppable(progressed, cancelled))

        self._panel.show_busy("Adding images…", can_cancel=True)
        self.adding.submit(job)
        self.refresh()

    def _on_adding(self, done: int, total: int) -> None:
        if self.adding.is_running:
            self._panel.show_busy(f"Adding images: {done} of {total}", done, total, can_cancel=True)

    def _on_added(self, outcome: Outcome) -> None:
        report: AddReport | None = outcome.value  # type: ignore[assignment]
        if outcome.error is not None:
            self._context.notifier.failure(outcome.error)
        elif report is not None:
            self._tell(report)
        self.refresh()
        self.read()
        self._on_order_chosen(self._panel.most_useful.isChecked())

    def _tell(self, report: AddReport) -> None:
        """Tell what was added, what the project had, and what could not be opened."""
        known = f", {len(report.known)} were in the project already" if report.known else ""
        text = " ".join((f"{len(report.added)} images added{known}.", *report.notes))
        if not report.failed:
            self._context.notifier.info(text)
            return
        reasons = list(report.failed.values())
        more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        self._context.notifier.error(f"{text} {len(reasons)} could not be opened: {'; '.join(reasons[:_NAMED])}{more}")


def _load_next(project: Project, before: str, order: Sequence[str], cancelled: IsCancelled) -> LoadedImage:
    """Load the next image that is not done, passing over those that somebody takes at the same moment.

    Unseen images in an order come before all others.
    """
    passed: set[str] = set()
    unseen = {image.image_id: image for image in project.images("unseen")} if order else {}
    ranked = [unseen[image_id] for image_id in order if image_id in unseen and unseen[image_id].locked_by is None]
    while True:
        image = ranked.pop(0) if ranked else project.next_image(before or None)
        if image is None or image.image_id in passed:
            raise ProjectError(
                "there is no image left that is not done and that nobody works on",
                remedy="add images, or open one of those that are done",
            )
        try:
            return load_image(image, cancelled)
        except StoreLockedError:
            passed.add(image.image_id)
            before = image.image_id


def _stoppable(progressed: Callable[[int, int], None], cancelled: IsCancelled) -> Callable[[int, int], None]:
    """Return a progress function that ends the work once it is cancelled."""

    def report(done: int, total: int) -> None:
        progressed(done, total)
        if cancelled():
            raise CancelledError("stopped; the images that were added stay")

    return report
