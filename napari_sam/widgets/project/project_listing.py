"""Reading the list of a project's images, and of those in sight their pictures and numbers of objects."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.errors import ProjectError
from napari_sam.widgets.engine_thread import EngineThread
from napari_sam.widgets.project.image_rows import ImageDetails, ImageRow
from napari_sam.widgets.qt_helpers import single_shot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.project.project import Project
    from napari_sam.widgets.engine_thread import IsCancelled, Outcome
    from napari_sam.widgets.notifier import DockNotifier
    from napari_sam.widgets.project.image_rows import ImageRows

_ROWS, _DETAILS = "rows", "details"
_BATCH, _MOST_WANTED = 8, 100  # images read before the window is told; rows scrolled past that are still read


class ProjectListing(QObject):
    """Fill the rows of a project in a thread: first what the entries tell, then what is in sight.

    Parameters
    ----------
    rows : ImageRows
        Rows to fill.
    notifier : DockNotifier
        Receiver of errors.

    Signals
    -------
    changed
        The list was read.
    """

    changed = Signal()

    def __init__(self, rows: ImageRows, notifier: DockNotifier) -> None:
        super().__init__()
        self._rows, self._notifier = rows, notifier
        self._thread = EngineThread(self)
        self._project: Project | None = None
        self._wanted: list[str] = []
        self._is_reading = False
        self._error = ""
        self._read_soon = single_shot(self, 0, self._read_details)
        rows.needed.connect(self._want)
        self._thread.finished.connect(self._on_finished)

    @property
    def busy(self) -> bool:
        """Whether something is being read."""
        return self._thread.busy or self._read_soon.isActive()

    def read(self, project: Project) -> None:
        """Read the list."""
        self._project = project
        self._thread.submit(_ROWS, lambda _: [ImageRow.of(image) for image in project.images()])

    def clear(self) -> None:
        """Show no images."""
        self._thread.cancel()
        self._project = None
        self._wanted.clear()
        self._rows.clear()

    def close(self) -> None:
        """Read no more."""
        self._read_soon.stop()
        self._thread.close()

    def _want(self, image_id: str) -> None:
        if image_id not in self._wanted:
            self._wanted.append(image_id)
            del self._wanted[:-_MOST_WANTED]
        self._read_soon.start()

    def _read_details(self) -> None:
        project = self._project
        if self._is_reading or project is None or not self._wanted:
            return
        batch = [self._wanted.pop() for _ in range(min(_BATCH, len(self._wanted)))]
        self._is_reading = True
        self._thread.submit(_DETAILS, lambda cancelled: _details(project, batch, cancelled))

    def _on_finished(self, outcome: Outcome) -> None:
        if outcome.kind == _DETAILS:
            self._is_reading = False
            if isinstance(outcome.value, dict) and self._thread.is_current(outcome):
                for image_id, details in outcome.value.items():
                    self._rows.show_details(image_id, details)
            self._read_details()
        elif isinstance(outcome.value, list) and self._thread.is_current(outcome):
            self._error = ""
            self._rows.show_rows(outcome.value)
            self.changed.emit()
        if outcome.error is not None and str(outcome.error) != self._error:
            self._error = str(outcome.error)  # told once, though the list is read again and again
            self._notifier.failure(outcome.error)


def _details(project: Project, image_ids: Sequence[str], cancelled: IsCancelled) -> dict[str, ImageDetails]:
    """Read the details of images; those that were removed meanwhile are left out."""
    details = {}
    for image_id in image_ids:
        if cancelled():
            break
        with suppress(ProjectError):
            details[image_id] = ImageDetails.of(project.image(image_id))
    return details
