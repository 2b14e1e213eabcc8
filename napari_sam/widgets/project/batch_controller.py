"""Jobs over all images of a project, in the background: find objects, all or of a concept, track and measure them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from napari_sam.jobs.batch.batch import RESUME
from napari_sam.project.batch.batch_options import BatchOptions
from napari_sam.project.batch.project_batch import ProjectBatch
from napari_sam.widgets.background_run import BackgroundRun
from napari_sam.widgets.find.concept_files import CONCEPT_FILES
from napari_sam.widgets.project.project_text import batch_text
from napari_sam.widgets.run_controls import RemainingTime

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from napari_sam.project.batch.project_batch import BatchReport
    from napari_sam.project.project import Project
    from napari_sam.project.project_image import ProjectImage
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled, Outcome
    from napari_sam.widgets.project.batch_panel import BatchPanel
    from napari_sam.widgets.project.image_opener import ImageOpener

_ALL_DONE = "Nothing to do: all images are done or have objects."


class BatchController(QObject):
    """Behaviour of the part that runs a job over all images.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : BatchPanel
        The controls.
    opener : ImageOpener
        The image of the project that is open, which the job passes over.

    Attributes
    ----------
    run : BackgroundRun
        The job.

    Signals
    -------
    changed
        A job began or ended.
    """

    changed = Signal()

    def __init__(self, context: DockContext, panel: BatchPanel, opener: ImageOpener) -> None:
        super().__init__()
        self._context, self._panel, self._opener = context, panel, opener
        self._project: Project | None = None
        self._remaining = RemainingTime()
        self._passed_over = ""  # name of the image that was open when the job began
        self._nothing = ""  # what to tell if there was no image to work on
        self.run = BackgroundRun()
        panel.run.start.clicked.connect(self.find_all)
        panel.run.cancel.clicked.connect(self.cancel)
        panel.find.clicked.connect(self.ask_concept)
        panel.track.clicked.connect(self.track)
        panel.measure.clicked.connect(self.measure)
        self.run.progressed.connect(self._on_progressed)
        self.run.finished.connect(self._on_finished)

    def set_project(self, project: Project | None) -> None:
        """Work on another project."""
        self._project = project
        self._panel.show_idle()
        self._panel.run.message.setText("")

    def find_all(self) -> None:
        """Find all objects of the images that are not done and have none."""
        self._nothing = _ALL_DONE
        self._begin(lambda batch, options: batch.everything(options=options), pass_over=True)

    def ask_concept(self) -> None:
        """Ask for the file of a concept, and find its objects in the images that are not done and have none."""
        memory = self._context.memory
        path, _ = QFileDialog.getOpenFileName(self._panel, "Find a concept", str(memory.start_folder), CONCEPT_FILES)
        if path:
            memory.folder = str(Path(path).parent)
            memory.save()
            self.find(path)

    def find(self, concept: str) -> None:
        """Find the objects of a concept, by its file, in the images that are not done and have none."""
        self._nothing = _ALL_DONE
        self._begin(lambda batch, options: batch.find(concept, options=options), pass_over=True)

    def track(self) -> None:
        """Follow all objects of the movies that are not done and have none."""
        self._nothing = _ALL_DONE
        self._begin(lambda batch, options: batch.track(options=options), pass_over=True)

    def measure(self) -> None:
        """Measure the objects of all images."""
        self._nothing = "No image has objects to measure: find some first, with the button above."
        self._begin(lambda batch, options: batch.measure(options=options), pass_over=False)

    def cancel(self) -> None:
        """Stop; what was found is kept."""
        if self.run.is_running:
            self._panel.run.remaining.setText("Stopping…")
            self.run.cancel()

    def close(self) -> None:
        """Stop for good; the next run continues."""
        self.run.close()

    def _begin(self, work: Callable[[ProjectBatch, BatchOptions], BatchReport], *, pass_over: bool) -> None:
        project, session, progressed = self._project, self._context.session, self.run.progressed.emit
        if project is None or self.run.is_running:
            return
        opened = self._opener.opened if pass_over else None
        passed_over = None if opened is None else opened.image.image_id
        self._passed_over = "" if opened is None else opened.image.name

        def choose(states: str | Collection[str] | None, groups: Mapping[str, str] | None) -> list[ProjectImage]:
            return [image for image in project.images(states, groups) if image.image_id != passed_over]

        def job(cancelled: IsCancelled) -> BatchReport:
            batch = ProjectBatch(project.path, choose, project.model, lambda model, _: session.load(model))
            options = BatchOptions(existing=RESUME, progress=progressed, cancelled=cancelled)
            return work(batch, options)

        self._remaining.begin()
        self._panel.show_running()
        self.run.submit(job)
        self.changed.emit()

    def _on_progressed(self, done: int, total: int) -> None:
        if self.run.is_running:
            text = f"{done} of {total} images"
            self._panel.run.show_progress(done, total, text, self._remaining.seconds(done, total))

    def _on_finished(self, outcome: Outcome) -> None:
        report: BatchReport | None = outcome.value  # type: ignore[assignment]
        was_stopped = self.run.was_cancelled(outcome)
        self._panel.show_idle(unfinished=was_stopped)
        if report is not None:
            self._panel.run.message.setText(batch_text(report, self._passed_over, self._nothing))
        elif was_stopped:
            self._panel.run.message.setText("Stopped; what was found is kept.")
        elif outcome.error is not None:
            self._panel.run.message.setText(str(outcome.error))
            self._context.notifier.failure(outcome.error)
        self.changed.emit()
