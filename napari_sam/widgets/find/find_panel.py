"""The page "Find": the examples, where to look, and the results by score."""

from __future__ import annotations

from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_sam.widgets.find.find_text import KEYS
from napari_sam.widgets.find.score_histogram import ScoreHistogram
from napari_sam.widgets.qt_helpers import button, combo_box, line_edit, primary_button, row, wrapped_label
from napari_sam.widgets.run_controls import RunControls

VIEW, DRAWN, WHOLE, FOLDER = "view", "drawn", "whole", "folder"
WHERE = (
    ("What is in view", VIEW),
    ("A rectangle I draw", DRAWN),
    ("The whole image", WHOLE),
    ("A folder of images…", FOLDER),
)
_ABOUT = "Mark one object, get all of its kind. More examples, and counter-examples, make it surer."


class FindPanel(QWidget):
    """Controls of the page, without behaviour; `FindController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.examples = wrapped_label()
        self.load = button("Load…", "Use a concept that was saved, from this or another image")
        self.save_concept = button("Save…", "Save the examples as a concept: one small file, for other images")
        self.clear = button("Clear", "Forget all examples and results")
        self.words = line_edit(
            "What to look for, in words",
            "or: nuclei larger than 5 µm",
            "What to look for in words, also with conditions: “larger than 5 µm”, “not touching the border” (Enter)",
        )
        self.detector = button(
            "…",
            "Choose the folder of an open-vocabulary model (OWLv2, Grounding DINO, CLIPSeg, SAM 3), for words that the "
            "vocabulary does not have; needs the extra “text”",
        )
        self.name = line_edit(
            "Name of the kind",
            "nucleus, crack, oak …",
            "Class of the objects when they are saved, and name of the concept",
        )
        self.where = combo_box("Where to look", WHERE)
        self.run = RunControls(
            "Find all like this",
            "Look for all objects like the examples (Enter)",
            kept="objects that are saved are kept",
            working="Looking…",
        )
        self.histogram = ScoreHistogram()
        self.results = wrapped_label()
        self.pick = button("Clicks  (P)", "Click: like this; Ctrl+click: not like this", checkable=True)
        self.lasso = button(
            "Lasso  (L)", "Draw around objects: like this; with Ctrl held: not like this", checkable=True
        )
        self.undo = button("Undo  (Z)", "Take the last click or lasso back (Ctrl+Z does the same)")
        self.save = primary_button("✓ Save  (C)", "Save all that is outlined as objects")
        self.found = QWidget()
        self._lay_out()

    @property
    def category(self) -> str | None:
        """Class of the objects when they are saved, and name of the concept."""
        return self.name.text().strip() or None

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Examples", self.examples)
        form.addRow(row((self.load, self.save_concept, self.clear)))
        form.addRow("Words", row((self.words, self.detector), stretch=0))
        form.addRow("Class", self.name)
        form.addRow("Where", self.where)
        below = QVBoxLayout(self.found)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.histogram)
        below.addWidget(self.results)
        below.addLayout(row((self.pick, self.lasso, self.undo)))
        below.addWidget(self.save)
        below.addWidget(wrapped_label(KEYS))
        layout = QVBoxLayout(self)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addLayout(form)
        layout.addWidget(self.run)
        layout.addWidget(self.found)
        layout.addStretch(1)
        self.found.hide()
