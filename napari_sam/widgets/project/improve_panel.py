"""The part of the page "Project" that trains the model on the accepted objects."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_sam.widgets.project.loss_curve import LossCurve
from napari_sam.widgets.qt_helpers import button, combo_box, line_edit, primary_button, row, wrapped_label
from napari_sam.widgets.run_controls import RunControls

_ABOUT = (
    "Trains the model in use on the objects of images that are done or checked, and on those of others that you drew "
    "or accepted; you can work meanwhile. A quarter of the images is kept to compare before and after."
)


class ImprovePanel(QWidget):
    """Controls without behaviour; `ImproveController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.run = RunControls(
            "▶ Improve the model",
            "Train a copy of the model in a process of its own, at low priority; minutes on a CPU for ten images",
            kept="what was trained is kept, and the next training continues",
            working="Training…",
        )
        self.scheduler = line_edit(
            "Address of a Dask cluster that trains",
            "on this machine, or tcp://host:8786",
            "Where the model is trained: empty for this machine, or the address of a Dask cluster, such as the machine "
            "with a GPU. Data and model travel there and back; the folder need not be shared",
        )
        self.curve = LossCurve()
        self.use = primary_button("✓ Use it", "Segment with the new model from now on; you can go back to any version")
        self.versions = combo_box("Versions of the project's model; 0 is the one that the project began with")
        self.use_version = button("Use", "Segment with the chosen version from now on, also with an earlier one")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addLayout(row((QLabel("Train"), self.scheduler), stretch=1))
        layout.addWidget(self.run)
        layout.addWidget(self.curve)
        layout.addWidget(self.use)
        layout.addLayout(row((self.versions, self.use_version), stretch=0))
        self.curve.hide()
        self.use.hide()

    def show_idle(self, unfinished: bool = False) -> None:
        """Show that no training runs; one that was stopped can be continued."""
        self.run.show_idle(unfinished)
        self.run.discard.hide()  # a training with other objects begins anew by itself

    def show_running(self) -> None:
        """Show that a training has begun."""
        self.run.show_running()
        self.curve.clear()
        self.curve.show()
        self.use.hide()
