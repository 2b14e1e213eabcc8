"""The page "Everything": where and how to look for all objects, and how far that is."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

VIEW, DRAWN, WHOLE = "view", "drawn", "whole"
_WHERE = (("What is in view", VIEW), ("A rectangle I draw", DRAWN), ("The whole image", WHOLE))
_HOW = (
    ("Automatic: what suits the model", "auto"),
    ("Dense: many similar objects, fast", "dense"),
    ("Grid: objects of all kinds, slow", "grid"),
)
_ABOUT = "Finds all objects at once and saves them as labels. You can go on clicking meanwhile."


class EverythingPanel(QWidget):
    """What the user sees; `EverythingRun` gives it behaviour."""

    def __init__(self) -> None:
        super().__init__()
        about = QLabel(_ABOUT)
        about.setWordWrap(True)
        self.where = _combo("Which part of the image to segment", _WHERE)
        self.how = _combo("How objects are found", _HOW)
        self.coarser = QCheckBox("Also objects larger than a window")
        self.coarser.setToolTip(
            "Look at the image from farther away, too, for objects that do not fit into one window of the network. "
            "Untick it where there are none: then there are fewer tiles to look at."
        )
        self.coarser.setChecked(True)
        shared = QLabel("“Overlap” and “Object size” above count here, too.")
        shared.setWordWrap(True)
        self.start = _button("▶ Start", "Find all objects there")
        self.start.setStyleSheet("QPushButton { font-weight: bold; padding: 6px; }")
        self.anew = _button("Discard", "Forget the unfinished run, to choose anew")
        self.own_store = _button("Use the image's label store", "Write to the label store that belongs to the image")
        self.cancel = _button("Cancel", "Stop; what is done is kept, and can be resumed")
        self.progress = QProgressBar()
        self.left = QLabel()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.review = _button("Review them one by one  →", "Look at each object, the least certain first")
        self._lay_out(about, shared)
        self.show_idle()

    def name_view(self, view: tuple[int, int, int, int] | None) -> None:
        """Say how large the view is."""
        size = "" if view is None else f"  (y {view[2] - view[0]} × x {view[3] - view[1]} px)"
        self.where.setItemText(0, _WHERE[0][0] + size)

    def show_idle(self, unfinished: bool = False) -> None:
        """Nothing runs; an unfinished run may be gone on with."""
        for widget in (self.progress, self.left, self.cancel):
            widget.hide()
        self.start.show()
        self.start.setText("▶ Resume" if unfinished else "▶ Start")
        self.start.setToolTip("Go on where it stopped" if unfinished else "Find all objects there")
        self.anew.setVisible(unfinished)
        for choice in (self.where, self.how, self.coarser):
            choice.setEnabled(not unfinished)

    def show_running(self) -> None:
        """Something runs and has not said how far it is."""
        self.start.hide()
        self.anew.hide()
        self.review.hide()
        self.progress.setRange(0, 0)
        self.progress.setFormat("")
        self.left.setText("Getting ready…")
        self.message.setText("")
        for widget in (self.progress, self.left, self.cancel):
            widget.show()
        for choice in (self.where, self.how, self.coarser):
            choice.setEnabled(False)

    def show_progress(self, done: int, total: int, what: str, left_s: float | None) -> None:
        """How far it is, in steps and in words."""
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        self.progress.setFormat(what)
        self.left.setText("Finding objects…" if left_s is None else f"about {duration(left_s)} left")

    def _lay_out(self, about: QLabel, shared: QLabel) -> None:
        form = QFormLayout()
        form.addRow("Where", self.where)
        form.addRow("How", self.how)
        form.addRow("", self.coarser)
        row = QHBoxLayout()
        row.addWidget(self.start, 1)
        row.addWidget(self.anew)
        running = QHBoxLayout()
        running.addWidget(self.left, 1)
        running.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.addWidget(about)
        layout.addLayout(form)
        layout.addWidget(shared)
        layout.addWidget(self.own_store)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addLayout(running)
        layout.addWidget(self.message)
        layout.addWidget(self.review)
        layout.addStretch(1)
        self.review.hide()
        self.own_store.hide()


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(8), duration(100), duration(4000)
    ('8 s', '2 min', '1 h 7 min')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _combo(tip: str, choices: tuple[tuple[str, str], ...]) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    for text, value in choices:
        combo.addItem(text, value)
    return combo


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys must keep going to the canvas
    return button
