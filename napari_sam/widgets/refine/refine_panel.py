"""The page "Refine": which objects of another program to draw anew, and the progress."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam.jobs.job_settings import PromptedSettings
from napari_sam.widgets.qt_helpers import button, combo_box, wrapped_label
from napari_sam.widgets.run_controls import RunControls
from napari_sam.widgets.settings_form import FieldText, SettingsForm

ALL, VIEW = "all", "view"
MASKS, BOXES = "masks", "boxes"
OPEN_FILE = "open a file"
_ABOUT = (
    "Improves objects of another program: the model draws each one anew from its mask, outline, box or point, and "
    "saves it. The originals stay as they are."
)
_WHICH = (("All of them", ALL), ("Those in view", VIEW))
_PROMPT = (("Mask and box", MASKS), ("Box alone", BOXES))
_FIELDS = ("category", "min_iou", "nms")
_TEXTS = {
    "category": FieldText("Class", "Class of the new objects, where the originals have none", none="none"),
    "min_iou": FieldText("Least score", "Save no mask that the model scores lower than this; 0 saves all"),
    "nms": FieldText(
        "Same object from",
        "Save only one of two new masks whose IoU is at least this",
        none="keep all",
    ),
}


class RefinePanel(QWidget):
    """Controls of the page, without behaviour; `RefineController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.source = combo_box("Labels, shapes or points layer, or file, with the objects to draw anew")
        self.which = combo_box("Which of the objects to draw anew", _WHICH)
        self.prompt = combo_box(
            "What the model gets of each object: its pixels as well, which it stays closer to, or its box alone. "
            "Rectangles give a box and points a point in any case",
            _PROMPT,
        )
        self.form = SettingsForm(PromptedSettings(), _FIELDS, _TEXTS)
        self.own_store = button("Use the image's label store", "Write to the label store that belongs to the image")
        self.run = RunControls(
            "▶ Refine",
            "Draw the objects anew and save them",
            kept="objects that are done are kept, and the run can be resumed",
            working="Drawing objects…",
        )
        for index, (label, combo) in enumerate(
            (("Objects of", self.source), ("Which", self.which), ("Prompt", self.prompt))
        ):
            self.form.insert_row(index, label, combo)
        layout = QVBoxLayout(self)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addWidget(self.form)
        layout.addWidget(self.own_store)
        layout.addWidget(self.run)
        layout.addStretch(1)
        self.own_store.hide()

    def show_idle(self, unfinished: bool = False) -> None:
        """Show that nothing runs; an unfinished run can be resumed or discarded."""
        self.run.show_idle(unfinished)
        self.form.setEnabled(True)

    def show_running(self) -> None:
        """Show that a run has begun, before its first progress."""
        self.run.show_running()
        self.form.setEnabled(False)
