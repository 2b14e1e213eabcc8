"""Stages of annotation of a project: how long an object takes by hand."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_sam.errors import StoreError
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.project.stages.time_per_object import TimePerObject
from napari_sam.widgets.project.project_jobs import ProjectJobs
from napari_sam.widgets.project.project_text import time_text

if TYPE_CHECKING:
    from napari_sam.project.project import Project
    from napari_sam.project.project_image import ProjectImage
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.engine_thread import IsCancelled
    from napari_sam.widgets.project.image_opener import ImageOpener
    from napari_sam.widgets.project.stages_panel import StagesPanel

    Marks = tuple[tuple[int, int], ...]


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
    """

    def __init__(self, context: DockContext, panel: StagesPanel, opener: ImageOpener) -> None:
        super().__init__()
        self._panel, self._opener = panel, opener
        self.jobs = ProjectJobs(context.notifier)  # reading many stores must not delay the opening of an image
        self._project: Project | None = None
        self._seconds = _KnownSeconds()

    def set_project(self, project: Project | None) -> None:
        """Show another project."""
        self._project, self._seconds = project, _KnownSeconds()
        self._panel.time.setText("")
        self.read()

    def read(self) -> None:
        """Read the label stores that have changed."""
        project, known, opened = self._project, self._seconds, self._opener.image_id
        if project is not None:
            self.jobs.replace(
                "times", lambda cancelled: known.read(project, opened, cancelled), self._panel.time.setText
            )

    def close(self) -> None:
        """Read no more."""
        self.jobs.close()


class _KnownSeconds:
    """Seconds of the objects of a project, of which only stores that have changed are read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Marks, list[float]]] = {}

    def read(self, project: Project, opened: str, cancelled: IsCancelled) -> str | None:
        """Return the time per object in words; None if `cancelled()` returned True."""
        images = project.images()
        for image in images:
            if cancelled():
                return None
            marks = _marks(image)
            if marks and self._known.get(image.image_id, ((), []))[0] != marks:
                with suppress(StoreError):  # the list of images tells that it is damaged
                    self._known[image.image_id] = marks, list(image.seconds().values())
        per_image = {image.image_id: self._known.get(image.image_id, ((), []))[1] for image in images}
        here = TimePerObject.of(per_image.get(opened, []))
        return time_text(here, TimePerObject.of(one for seconds in per_image.values() for one in seconds))


def _marks(image: ProjectImage) -> Marks:
    """Return what changes with the journal of an image: time and size of its files."""
    found = []
    for name in (JOURNAL_FILE, f"{JOURNAL_FILE}-wal"):
        with suppress(OSError):
            status = (image.labels_path / name).stat()
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)
