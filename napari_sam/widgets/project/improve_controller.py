"""Training of a project's model beside the user: start, stop, what was gained, and which version is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam.widgets.project.improve_run import Improved, ImproveRun, improve_command
from napari_sam.widgets.project.project_text import comparison_text, version_text, version_tip
from napari_sam.widgets.qt_helpers import refill
from napari_sam.widgets.run_controls import RemainingTime

if TYPE_CHECKING:
    from napari_sam.project.project import Project
    from napari_sam.project.training.model_versions import ModelVersion
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import Outcome
    from napari_sam.widgets.project.improve_panel import ImprovePanel
    from napari_sam.widgets.project.project_jobs import ProjectJobs

_PARTS = {"training": "step {done} of {total}", "comparing": "comparing, {done} of {total}"}


@dataclass(frozen=True)
class _Models:
    """The versions of a project's model.

    Attributes
    ----------
    versions : list of ModelVersion
        Oldest first.
    current : int
        Number of the version in use; 0 for the first model.
    model : str
        Name or checkpoint of the model in use.
    is_unfinished : bool
        Whether a training was stopped.
    """

    versions: list[ModelVersion]
    current: int
    model: str
    is_unfinished: bool

    @classmethod
    def of(cls, project: Project) -> _Models:
        """Read the versions of a project."""
        return cls(
            project.versions.all(), project.versions.current(), project.model, project.versions.has_unfinished_training
        )


class ImproveController(QObject):
    """Behaviour of the part that trains the model.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    panel : ImprovePanel
        The controls.
    jobs : ProjectJobs
        Thread for the files of the project.

    Attributes
    ----------
    run : ImproveRun
        The training.
    command : callable
        Returns the command line for a project's folder, a device, and the address of a cluster or "".

    Signals
    -------
    changed
        A training began or ended, or another version is in use.
    model_wanted : str, str
        The dock is to use this model: name or checkpoint, and a text for it.
    """

    changed = Signal()
    model_wanted = Signal(str, str)

    def __init__(self, context: DockContext, panel: ImprovePanel, jobs: ProjectJobs) -> None:
        super().__init__()
        self._context, self._panel, self._jobs = context, panel, jobs
        self.command = improve_command
        self.run = ImproveRun()
        self._project: Project | None = None
        self._models = _Models([], 0, "default", False)
        self._given = "default"  # model that the dock got last from a project
        self._offered: int | None = None  # version that was trained last
        self._remaining = RemainingTime()
        self._part = ""
        panel.run.start.clicked.connect(self.start)
        panel.run.cancel.clicked.connect(self.cancel)
        panel.use.clicked.connect(self.use_offered)
        panel.use_version.clicked.connect(self.use_chosen)
        panel.versions.currentIndexChanged.connect(self._enable)
        self.run.part_progressed.connect(self._on_progressed)
        self.run.loss_measured.connect(panel.curve.add)
        self.run.finished.connect(self._on_finished)

    # ---- the user's actions --------------------------------------------------------------------------------

    def start(self) -> None:
        """Train a copy of the model in use, or continue a training that was stopped."""
        if self._project is None or self.run.is_running:
            return
        self._remaining.begin()
        self._part, self._offered = "", None
        self._panel.show_running()
        device = self._context.session.device
        self.run.begin(self.command(self._project.path, device, self._panel.scheduler.text().strip()))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop the training; what was trained is kept."""
        if self.run.is_running:
            self._panel.run.remaining.setText("Saving and stopping…")
            self.run.stop()

    def use_offered(self) -> None:
        """Use the version that was trained last."""
        if self._offered is not None:
            self.use(self._offered)

    def use_chosen(self) -> None:
        """Use the version that is chosen in the list."""
        number = self._panel.versions.currentData()
        if number is not None:
            self.use(number)

    def use(self, number: int) -> None:
        """Put a version in use, in the project and in the dock."""
        project = self._project
        if project is None:
            return

        def job(_: object) -> _Models:
            project.use_model(number)
            return _Models.of(project)

        self._jobs.queue(job, self._on_used)

    # ---- the project --------------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Show the versions of another project."""
        self._project, self._offered = project, None
        self._panel.run.message.setText("")
        self._panel.curve.hide()
        self._panel.use.hide()
        self.read()

    def read(self) -> None:
        """Read the versions again: somebody else may have trained one."""
        project = self._project
        if project is not None:
            self._jobs.replace("versions", lambda _: _Models.of(project), self._show)

    def give_model(self) -> None:
        """Let the dock use the project's model, unless it was given that before."""
        if self._models.model != self._given:
            self._give()

    def close(self) -> None:
        """Stop the training; what was trained is kept."""
        self.run.close()

    def _give(self) -> None:
        if self._project is not None:
            self._given = self._models.model
            name = "first model" if self._models.current == 0 else f"version {self._models.current}"
            self.model_wanted.emit(self._given, f"{self._project.name}, {name}")

    def _show(self, models: _Models) -> None:
        self._models = models
        combo, current = self._panel.versions, models.current
        versions: list[ModelVersion | None] = [None, *models.versions]
        refill(combo, [(version_text(v, current), 0 if v is None else v.number) for v in reversed(versions)])
        for index, version in enumerate(reversed(versions)):
            tip = "The model that the project began with" if version is None else version_tip(version)
            combo.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
        if not self.run.is_running:
            self._panel.show_idle(models.is_unfinished)
        self._enable()

    def _on_used(self, models: _Models) -> None:
        self._offered = None
        self._panel.use.hide()
        self._show(models)
        self._panel.versions.setCurrentIndex(self._panel.versions.findData(models.current))
        self._give()
        self._context.notifier.info(f"The dock and the project use {self._panel.versions.currentText()} from now on.")
        self.changed.emit()

    def _enable(self) -> None:
        self._panel.use_version.setEnabled(self._panel.versions.currentData() not in (None, self._models.current))

    # ---- the run ------------------------------------------------------------------------------------------

    def _on_progressed(self, part: str, done: int, total: int) -> None:
        if not self.run.is_running:
            return
        if part != self._part:
            self._part = part
            self._remaining.begin()
        if part == "training":
            self._panel.curve.set_steps(total)
        text = _PARTS.get(part, part + " {done} of {total}").format(done=done, total=total)
        self._panel.run.show_progress(done, total, text, self._remaining.seconds(done, total))

    def _on_finished(self, outcome: Outcome) -> None:
        project, result = self._project, outcome.value
        self._panel.show_idle()
        if isinstance(result, Improved) and result.version is not None and project is not None:
            number = result.version
            self._jobs.queue(lambda _: _Models.of(project), lambda models: self._offer(models, number))
        else:
            text = f"The training stopped: {outcome.error}" if outcome.error is not None else ""
            self._panel.run.message.setText(text or getattr(result, "message", ""))
            if outcome.error is not None:
                self._context.notifier.failure(outcome.error)
            self.read()
        self.changed.emit()

    def _offer(self, models: _Models, number: int) -> None:
        """Show what the new version gained, and offer it if it is better."""
        self._show(models)
        version = next((version for version in models.versions if version.number == number), None)
        if version is None:
            return
        self._offered = number
        self._panel.run.message.setText(comparison_text(version))
        self._panel.use.setVisible(version.better and number != models.current)
        self._context.notifier.info(
            f"The model of the project was trained: version {number} is {'better' if version.better else 'not better'}."
        )
        self.changed.emit()
