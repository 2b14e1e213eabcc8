"""All that the user sees of the rating dock."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, wrapped_label

_ABOUT = (
    "<b>How good is the outlined mask?</b><br>"
    "10: as good as one drawn with care.<br>"
    "7 to 9: right object, small mistakes along its outline.<br>"
    "4 to 6: right object, large mistakes.<br>"
    "2 to 3: hardly the object.<br>"
    "1: no object, or nothing outlined.<br>"
    "The cross marks the prompt; any object or part of an object that it may mean is right."
)
_PER_ROW = 5


class RatingPanel(QWidget):
    """Controls of the rating dock, without behaviour.

    Parameters
    ----------
    best : int
        Highest rating.

    Signals
    -------
    rated : int
        The user pressed the button of a rating.
    """

    rated = Signal(int)

    def __init__(self, best: int) -> None:
        super().__init__()
        self.choose = QPushButton("Open study …")
        self.choose.setToolTip("The folder that 'napari-sam evaluate human prepare' made")
        self.rater = QLineEdit()
        self.rater.setPlaceholderText("Your name")
        self.rater.setToolTip("Ratings are saved under this name; the order of the masks differs between raters")
        self.next_step = wrapped_label()
        self.next_step.setStyleSheet("QLabel { font-weight: bold; padding: 6px; }")
        self.ratings: list[QPushButton] = []
        for rating in range(1, best + 1):
            made = button(str(rating), f"Key {rating % best}")
            made.clicked.connect(lambda _=False, rating=rating: self.rated.emit(rating))
            self.ratings.append(made)
        self.back = button("↶ Back (Backspace)", "Take the last rating back, and rate that mask again")
        self.hide_mask = button("Hide mask (M)", "Show the picture without the outline, and back")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.counts = QLabel()
        self.counts.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()

    def show_progress(self, done: int, total: int) -> None:
        """Show the number of rated masks; a total of 0 hides it."""
        self.progress.setVisible(total > 0)
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)
        self.counts.setText(f"{done} of {total} rated" if total else "")

    def _lay_out(self) -> None:
        grid = QGridLayout()
        for index, rating in enumerate(self.ratings):
            grid.addWidget(rating, index // _PER_ROW, index % _PER_ROW)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.next_step, self.choose, self.rater, wrapped_label(_ABOUT)):
            layout.addWidget(widget)
        layout.addLayout(grid)
        for widget in (self.back, self.hide_mask, self.progress, self.counts):
            layout.addWidget(widget)
        layout.addStretch(1)
