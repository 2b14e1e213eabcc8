"""The part of the page "Project" that runs a job over all images."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, row, wrapped_label
from napari_sam.widgets.run_controls import RunControls

_ABOUT = (
    "Works on all images that are not done, with the project's model; you can work meanwhile. It can be stopped at any "
    "time, also by closing napari, and continues; images that have objects keep them."
)


class BatchPanel(QWidget):
    """Controls without behaviour; `BatchController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.run = RunControls(
            "▶ Find all in all images",
            "Find all objects of all images that are unseen or in work and have none yet",
            kept="what was found is kept, and the next run continues",
            working="Working…",
        )
        self.find = button(
            "Find a concept…",
            "Find the objects of a saved concept (see the page Find) in all images that have no objects yet",
        )
        self.track = button(
            "Track all movies", "Follow all objects through time in all movies that have no objects yet, with lineages"
        )
        self.measure = button(
            "Measure all images", "Measure the objects of all images, into the folder “measurements” of the project"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addWidget(self.run)
        layout.addLayout(row((self.find, self.track)))
        layout.addWidget(self.measure)

    def show_idle(self, unfinished: bool = False) -> None:
        """Show that nothing runs; a run that was stopped can be continued."""
        self.run.show_idle(unfinished)
        self.run.discard.hide()  # nothing is half done that another run would not complete
        self._enable(True)

    def show_running(self) -> None:
        """Show that a job has begun."""
        self.run.show_running()
        self._enable(False)

    def _enable(self, enabled: bool) -> None:
        for control in (self.find, self.track, self.measure):
            control.setEnabled(enabled)
