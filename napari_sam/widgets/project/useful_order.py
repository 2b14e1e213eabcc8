"""The order in which unseen images of a project are most useful for the model, found in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_sam.widgets.background_run import BackgroundRun

if TYPE_CHECKING:
    from napari_sam.project.project import Project
    from napari_sam.widgets.engine_thread import IsCancelled, Outcome
    from napari_sam.widgets.notifier import DockNotifier


class UsefulOrder(QObject):
    """Rank the images of a project, once for each model and whenever images come or go.

    Parameters
    ----------
    notifier : DockNotifier
        Receiver of errors.

    Attributes
    ----------
    image_ids : list of str
        Ids of unseen images, the most useful first; empty before they are ranked.
    run : BackgroundRun
        The ranking.

    Signals
    -------
    changed
        The images were ranked, or that has failed.
    """

    changed = Signal()

    def __init__(self, notifier: DockNotifier) -> None:
        super().__init__()
        self._notifier = notifier
        self.image_ids: list[str] = []
        self.run = BackgroundRun()
        self.run.finished.connect(self._on_finished)

    def rank(self, project: Project) -> None:
        """Rank the images; what an earlier ranking looked at is not looked at again."""
        progressed = self.run.progressed.emit

        def job(cancelled: IsCancelled) -> list[str]:
            return [image.image_id for image in project.rank_images(progress=progressed, cancelled=cancelled)]

        self.run.submit(job)

    def clear(self) -> None:
        """Stop the ranking, and forget the order."""
        self.run.cancel()
        self.image_ids = []

    def close(self) -> None:
        """Stop for good."""
        self.run.close()

    def _on_finished(self, outcome: Outcome) -> None:
        if not self.run.was_cancelled(outcome):
            if outcome.error is not None:
                self._notifier.failure(outcome.error)
            elif isinstance(outcome.value, list):
                self.image_ids = outcome.value
        self.changed.emit()
