"""Stages of annotation of a project: by hand, confident objects filled in, and all found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.project.stages.stages import confident_settings
from napari_sam.project.stages.threshold import DEFAULT
from napari_sam.widgets.project.project_jobs import ProjectJobs
from napari_sam.widgets.project.project_text import threshold_text, time_text
from napari_sam.widgets.project.stages_reading import StagesReading

if TYPE_CHECKING:
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
    """

    run_wanted = Signal(object)

    def __init__(self, context: DockContext, panel: StagesPanel, opener: ImageOpener) -> None:
        super().__init__()
        self._context, self._panel, self._opener = context, panel, opener
        self.jobs = ProjectJobs(context.notifier)  # reading many stores must not delay the opening of an image
        self._project: Project | None = None
        self._reading = StagesReading()
        self._min_iou = DEFAULT
        panel.fill_in.clicked.connect(self.fill_in)
        panel.find_all.clicked.connect(self.find_all)

    def set_project(self, project: Project | None) -> None:
        """Show another project."""
        self._project, self._reading, self._min_iou = project, StagesReading(), DEFAULT
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
        self._run(EverythingSettings(border="whole"))

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
        self._min_iou = facts.threshold.value
