"""The page "Review": what is looked at, which keys decide, how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_sam.io.labels.review_queue import Candidate, Counts

_ABOUT = "Each object in turn, the least certain first. Verdicts are saved at once."


class ReviewPanel(QWidget):
    """What the user sees; `ReviewControl` gives it behaviour."""

    def __init__(self) -> None:
        super().__init__()
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.object = QLabel()
        self.object.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.object.setStyleSheet("QLabel { font-weight: bold; padding: 6px; }")
        self.object.setWordWrap(True)
        self.accept = _button("✓ Accept", "A", "The object is right")
        self.reject = _button("✕ Reject", "R", "It is no object: erase it (Delete does the same)")
        self.fix = _button("✎ Fix", "F", "Correct its mask by clicks and boxes; C then replaces it")
        self.skip = _button("⇥ Skip", "S", "Decide later: it comes again after all others")
        self.undo = _button("↶ Undo", "Z", "Take the last verdict back (Ctrl+Z does the same)")
        self.progress = QProgressBar()
        self.counts = QLabel()
        self.counts.setAlignment(Qt.AlignmentFlag.AlignCenter)
        grid = QGridLayout()
        grid.addWidget(self.accept, 0, 0)
        grid.addWidget(self.reject, 0, 1)
        grid.addWidget(self.fix, 1, 0)
        grid.addWidget(self.skip, 1, 1)
        grid.addWidget(self.undo, 2, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addWidget(self.object)
        layout.addLayout(grid)
        layout.addWidget(self.progress)
        layout.addWidget(self.counts)
        layout.addStretch(1)
        self.progress.setTextVisible(False)
        self.show_object(None)
        self.show_counts(None)

    def show_object(self, candidate: Candidate | None, can_undo: bool = False) -> None:
        """Say what is outlined; where nothing is, the line on top of the dock says why."""
        for button in (self.accept, self.reject, self.fix, self.skip):
            button.setEnabled(candidate is not None)
        self.undo.setEnabled(can_undo)
        self.object.setVisible(candidate is not None)
        if candidate is None:
            self.object.setText("")
            return
        score = "no score" if candidate.predicted_iou is None else f"score {candidate.predicted_iou:.2f}"
        self.object.setText(f"Object {candidate.label}  ·  {score}  ·  {candidate.area_px} px")

    def show_counts(self, counts: Counts | None) -> None:
        """How far the review is; nothing where there is none."""
        self.progress.setVisible(counts is not None and counts.total > 0)
        if counts is None or counts.total == 0:
            self.counts.setText("")
            return
        self.progress.setRange(0, max(counts.total, 1))
        self.progress.setValue(counts.reviewed)
        self.counts.setText(f"{counts.reviewed} of {counts.total} reviewed, {counts.rejected} rejected")


def _button(text: str, key: str, tip: str) -> QPushButton:
    button = QPushButton(f"{text}  ({key})")
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys must keep going to the canvas
    return button
