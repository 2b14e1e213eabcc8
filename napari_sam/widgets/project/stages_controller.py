"""Stages of annotation of a project: by hand, confident objects filled in, and all found and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import StoreLockedError
from napari_sam.project.stages.stages import automatic_settings, confident_settings
from napari_sam.project.stages.threshold import DEFAULT, DEFAULT_EVEN
from napari_sam.widgets.project.project_jobs import ProjectJobs
from napari_sam.widgets.project.project_text import agreement_text, threshold_text, time_text
from napari_sam.widgets.project.stages_reading import StagesReading

if TYPE_CHECKING:
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.project.project import Project
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.project.image_opener import ImageOpener
    from napari_sam.widgets.project.stages_panel import StagesPanel
    from napari_sam.widgets.project.stages_reading import StagesFacts


class StagesController(QObject):
    """Behaviour of the stages.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : StagesPanel
        The controls.
    opener : ImageOpener
        The image of the project that is open.

    Attributes
    ----------
    jobs : ProjectJobs
        Thread that reads the label stores.

    Signals
    -------
    run_wanted : EverythingSettings
        Objects of the whole image are to be found.
    image_wanted : str
        The image with this id is to be opened.
    review_wanted : tuple of int
        These objects of the image that is open are to be reviewed; empty if the audit is finished.
    """

    run_wanted = Signal(object)
    image_wanted = Signal(str)
    review_wanted = Signal(object)

    def __init__(self, context: DockContext, panel: StagesPanel, opener: ImageOpener) -> None:
        super().__init__()
        self._context, self._panel, self._opener = context, panel, opener
        self.jobs = ProjectJobs(context.notifier)  # reading many stores must not delay the opening of an image
        self._project: Project | None = None
        self._reading = StagesReading()
        self._min_iou, self._even = DEFAULT, DEFAULT_EVEN
        self._sample: tuple[str, tuple[int, ...]] | None = None  # image that is being opened, and what to review there
        panel.audit.clicked.connect(self.audit)
        context.labels.store_opened.connect(self._review_sample)
        panel.fill_in.clicked.connect(self.fill_in)
        panel.find_all.clicked.connect(self.find_all)

    def set_project(self, project: Project | None) -> None:
        """Show another project."""
        self._project, self._reading, self._sample = project, StagesReading(), None
        self._min_iou, self._even = DEFAULT, DEFAULT_EVEN
        self._panel.agreement.setText("")
        self._panel.time.setText("")
        self._panel.threshold.setText("")
        self.read()

    def read(self) -> None:
        """Read the label stores that have changed."""
        project, reading, opened = self._project, self._reading, self._opener.image_id
        self.refresh()
        if project is not None:
            self.jobs.replace("facts", lambda cancelled: reading.read(project, opened, cancelled), self._show)

    def refresh(self) -> None:
        """Enable the controls that can be used now."""
        for one in (self._panel.fill_in, self._panel.find_all):
            one.setEnabled(bool(self._opener.image_id))

    def fill_in(self) -> None:
        """Find the objects of the image of which the model is confident."""
        self._run(confident_settings(self._min_iou))

    def find_all(self) -> None:
        """Find all objects of the image."""
        self._run(automatic_settings(self._even, self._context.session.kind))

    def audit(self) -> None:
        """Review what is left of the audit's sample, in the image that is open first; begin one if none is left."""
        if self._project is not None:
            project, opened = self._project, self._opener.image_id
            self.jobs.replace("audit", lambda _: _next_of_audit(project, opened, begin=True), self._open_sample)

    def continue_audit(self) -> None:
        """Go on with the next image of the sample, or show the result."""
        if self._project is not None:
            project, opened = self._project, self._opener.image_id
            self.jobs.replace("audit", lambda _: _next_of_audit(project, opened, begin=False), self._open_sample)
            self.read()

    def _open_sample(self, sample: tuple[str, tuple[int, ...]]) -> None:
        """Open the image with objects to review; without any, the audit is finished."""
        image_id, labels = sample
        self._sample = sample if labels else None
        if not labels:
            self.review_wanted.emit(())
            self.read()
        elif image_id == self._opener.image_id:
            self._opener.select()
            self._review_sample()
        else:
            self.image_wanted.emit(image_id)

    def _review_sample(self) -> None:
        """Review the sample once its image is open with its objects."""
        opened, sample = self._opener.opened, self._sample
        if sample is None or opened is None or opened.image.image_id != sample[0]:
            return
        if self._context.labels.store_path == opened.image.labels_path.absolute():
            self._sample = None
            self.review_wanted.emit(sample[1])

    def close(self) -> None:
        """Read no more."""
        self.jobs.close()

    def _run(self, settings: EverythingSettings) -> None:
        if not self._opener.is_blocked:
            self._opener.select()
            self.run_wanted.emit(settings)

    def _show(self, facts: StagesFacts) -> None:
        self._panel.time.setText(time_text(facts.here, facts.project))
        self._panel.threshold.setText(threshold_text(facts.threshold))
        self._panel.agreement.setText(agreement_text(facts.agreement))
        is_begun = facts.agreement is not None and facts.agreement.left > 0
        self._panel.audit.setText("Continue the audit" if is_begun else "Audit a sample")
        self._min_iou, self._even = facts.threshold.value, facts.threshold.even


def _next_of_audit(project: Project, opened: str, *, begin: bool) -> tuple[str, tuple[int, ...]]:
    """Return the next image with objects of the audit's sample that nobody else works on, and these objects.

    Raises
    ------
    ProjectError
        If the project has no automatic object.
    StoreLockedError
        If others work on all images that are left.
    """
    found = project.stages.agreement()
    if found is None or (begin and not found.left):
        project.stages.begin_audit()
        found = project.stages.agreement()
    waiting = {} if found is None else dict(found.waiting)
    if opened in waiting:
        return opened, waiting[opened]
    free = [image_id for image_id in waiting if project.image(image_id).locked_by is None]
    if free:
        return free[0], waiting[free[0]]
    if waiting:
        holder = project.image(next(iter(waiting))).locked_by
        raise StoreLockedError(f"the rest of the sample is open for {holder}", remedy="go on when that is over")
    return "", ()
