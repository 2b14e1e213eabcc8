"""The page "Project": the images of a folder, how far each is, and training of the model."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_sam.io.projects.image_entry import STATES
from napari_sam.widgets.project.batch_panel import BatchPanel
from napari_sam.widgets.project.image_list import ImageList
from napari_sam.widgets.project.improve_panel import ImprovePanel
from napari_sam.widgets.project.plate_view import PlateView
from napari_sam.widgets.project.stages_panel import StagesPanel
from napari_sam.widgets.qt_helpers import Fold, button, combo_box, primary_button, row, wrapped_label

_ABOUT = (
    "A project is a folder that names many images and keeps their objects, and how far each image is. The images stay "
    "where they are. On a shared drive several people can work in it: an image is open for one of them at a time."
)
_STATE_TIPS = {
    "unseen": "Nobody has opened the selected images yet",
    "in work": "The selected images were begun",
    "done": "All objects of the selected images are found; the model is trained on them",
    "checked": "Somebody has looked at the selected images again",
}


class ProjectPanel(QWidget):
    """Controls of the page, without behaviour; `ProjectController` operates them.

    Attributes
    ----------
    set_state : dict of str to QPushButton
        Buttons that set the state of the selected images.
    plates : PlateView
        The wells, if images are fields of a plate.
    stages : StagesPanel
        The stages of annotation.
    batch : BatchPanel
        The part that runs a job over all images.
    improve : ImprovePanel
        The part that trains the model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.about = wrapped_label(_ABOUT)
        self.name = QLabel()
        self.name.setStyleSheet("QLabel { font-weight: bold; }")
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # may be long
        self.open = button("Open…", "Open the folder of a project")
        self.new = button("New…", "Make a project in a new folder")
        self.add_files = button("Add files…", "Add images to the project; they stay where they are")
        self.add_folder = button("Add folder…", "Add all images of a folder, an OME-Zarr, or all fields of a plate")
        self.busy = QProgressBar()
        self.cancel = button("Cancel", "Stop adding images; those that were added stay")
        self.progress = QProgressBar()
        self.progress.setToolTip("How many images are done or checked")
        self.state = combo_box("Which images are listed")
        self.list = ImageList()
        self.plates = PlateView(self.list.rows)
        self.next = primary_button("Next  (PgDn)", "Open the next image that is not done and that nobody works on")
        self.done = primary_button("Done ▸  (⇧PgDn)", "Set this image to “done”, and open the next one")
        self.most_useful = QCheckBox("Most useful first")
        self.most_useful.setToolTip(
            "Next opens the unseen image that the model is least sure of and that is unlike those begun before it. "
            "Every image is looked at once for it, in the background"
        )
        self.set_state = {state: button(state.capitalize(), _STATE_TIPS[state]) for state in STATES}
        self.stages = StagesPanel()
        self.batch = BatchPanel()
        self.improve = ImprovePanel()
        self.content = QWidget()
        self._lay_out()
        self.show_counts(dict.fromkeys(STATES, 0))
        self.show_project(None)
        self.show_busy(None)

    def show_project(self, name: str | None, path: str = "") -> None:
        """Show the controls of a project; None without one."""
        self.about.setVisible(name is None)
        self.name.setVisible(name is not None)
        self.content.setVisible(name is not None)
        self.name.setText(name or "")
        self.name.setToolTip(path)

    def show_busy(self, text: str | None, done: int = 0, total: int = 0, *, can_cancel: bool = False) -> None:
        """Show what is done and how far it is; None hides it."""
        self.busy.setVisible(text is not None)
        self.cancel.setVisible(text is not None and can_cancel)
        self.busy.setRange(0, total)
        self.busy.setValue(done)
        self.busy.setFormat(text or "")

    def show_counts(self, counts: dict[str, int]) -> None:
        """Show how many images are in each state."""
        total = sum(counts.values())
        items = [(f"All images ({total})", None), *((f"{state} ({number})", state) for state, number in counts.items())]
        if not self.state.count():
            for text, state in items:
                self.state.addItem(text, state)
        for index, (text, _) in enumerate(items):
            self.state.setItemText(index, text)
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(counts["done"] + counts["checked"])

    def _lay_out(self) -> None:
        states = QGridLayout()
        for index, one in enumerate(self.set_state.values()):
            states.addWidget(one, index // 2, index % 2)
        inner = QVBoxLayout(self.content)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(row((self.add_files, self.add_folder)))
        inner.addWidget(self.progress)
        inner.addWidget(self.state)
        inner.addWidget(self.plates)
        inner.addWidget(self.list, 1)
        inner.addLayout(row((self.next, self.done)))
        inner.addWidget(self.most_useful)
        inner.addWidget(self.stages)
        heading = QLabel("Set the selected images to")
        heading.setAlignment(Qt.AlignmentFlag.AlignLeft)
        inner.addWidget(heading)
        inner.addLayout(states)
        inner.addWidget(Fold("All images", self.batch))
        inner.addWidget(Fold("Improve the model", self.improve))
        layout = QVBoxLayout(self)
        layout.addWidget(self.about)
        layout.addWidget(self.name)
        layout.addLayout(row((self.open, self.new)))
        layout.addLayout(row((self.busy, self.cancel), stretch=0))
        layout.addWidget(self.content)
        layout.addStretch(1)
