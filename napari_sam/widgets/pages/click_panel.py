"""The dock widget's buttons and boxes, without behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_sam.widgets.pages.everything_panel import EverythingPanel
from napari_sam.widgets.pages.review_panel import ReviewPanel

if TYPE_CHECKING:
    from collections.abc import Sequence

CLICK, EVERYTHING, REVIEW = 0, 1, 2
"""Pages of the dock."""
OVERLAP_CHOICES = (("Existing objects stay", "keep"), ("New object wins", "replace"))


class Controls(QWidget):
    """Everything the user sees in the dock, top to bottom in the order of use."""

    def __init__(self) -> None:
        super().__init__()
        self.next_step = QLabel()
        self.next_step.setWordWrap(True)
        self.next_step.setFrameShape(QFrame.Shape.StyledPanel)
        self.next_step.setStyleSheet("QLabel { padding: 6px; font-weight: bold; }")
        self.image = _combo("The image layer to segment")
        self.model = _combo("The network; 'default' comes with this plugin and needs no download")
        self.labels = _combo("Where accepted objects are written")
        self.overlap = _combo("What wins where a new object meets older ones")
        for text, value in OVERLAP_CHOICES:
            self.overlap.addItem(text, value)
        self.diameter = QSpinBox()
        self.diameter.setRange(0, 100_000)
        self.diameter.setSpecialValueText("automatic")
        self.diameter.setSuffix(" px")
        self.diameter.setToolTip("Typical diameter of an object, in image pixels: sets how closely the network looks")
        self.foreground = _button("● Object  (F)", "Click points that belong to the object", checkable=True)
        self.background = _button("✕ Background  (B)", "Click points that do not belong to it", checkable=True)
        self.box = _button("▭ Box  (R)", "Drag a box around the object", checkable=True)
        self.brush = _button(
            "✎ Brush  (D)", "Draw or erase on the accepted objects with napari's own tools", checkable=True
        )
        self.tools = QButtonGroup(self)
        self.tools.setExclusive(True)
        for tool in (self.foreground, self.background, self.box, self.brush):
            self.tools.addButton(tool)
        self.batch = QCheckBox("One object per box")
        self.batch.setToolTip("Draw many boxes, then segment and accept them all at once")
        self.segment = _button("Segment all boxes  (Shift+S)", "Ask for every box now")
        self.previous = _button("◀", "Previous candidate (Shift+N)")
        self.following = _button("▶", "Next candidate (N)")
        self.candidate = QLabel("no mask yet")
        self.candidate.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.accept = _button("✓ Accept  (C)", "Write the object into the labels layer and start the next")
        self.clear = _button("Clear  (Shift+C)", "Remove all points and boxes")
        self.undo = _button("Undo  (Ctrl+Z)", "Take the last accepted object back")
        self.redo = _button("Redo  (Ctrl+Shift+Z)", "Write it again")
        self.export = _button("Export…", "Write all objects as GeoJSON, COCO, TIFF, table, script …")
        self.everything = EverythingPanel()
        self.review = ReviewPanel()
        self.tabs = QTabWidget()
        self.tabs.tabBar().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.cancel = _button("Cancel", "Stop what the engine is doing")
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._lay_out()
        self.show_progress(None)

    def show_progress(self, text: str | None, done: int = 0, total: int = 0) -> None:
        """Show what runs, or hide the bar; without a total it moves to and fro."""
        for widget in (self.progress, self.cancel):
            widget.setVisible(text is not None)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(text or "")

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Image", self.image)
        form.addRow("Model", self.model)
        form.addRow("Write to", self.labels)
        form.addRow("Overlap", self.overlap)
        form.addRow("Object size", self.diameter)
        actions = QGridLayout()
        actions.addWidget(self.accept, 0, 0)
        actions.addWidget(self.clear, 0, 1)
        actions.addWidget(self.undo, 1, 0)
        actions.addWidget(self.redo, 1, 1)
        actions.addWidget(self.export, 2, 0, 1, 2)
        self.accept.setStyleSheet("QPushButton { font-weight: bold; padding: 6px; }")
        clicks = QWidget()
        page = QVBoxLayout(clicks)
        page.addLayout(_row((self.foreground, self.background)))
        page.addLayout(_row((self.box, self.brush)))
        page.addLayout(_row((self.batch, self.segment)))
        page.addLayout(_row((self.previous, self.candidate, self.following), stretch=1))
        page.addLayout(actions)
        page.addStretch(1)
        tips = ("Object by object, by points and boxes", "Find all objects at once", "Judge objects one by one")
        pages = ((clicks, "Click"), (self.everything, "Everything"), (self.review, "Review"))
        for index, (widget, text) in enumerate(pages):
            self.tabs.addTab(widget, text)
            self.tabs.setTabToolTip(index, tips[index])
        layout = QVBoxLayout(self)
        layout.addWidget(self.next_step)
        layout.addLayout(form)
        layout.addWidget(self.tabs)
        layout.addLayout(_row((self.progress, self.cancel), stretch=0))
        layout.addWidget(self.status)
        layout.addStretch(1)


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    return combo


def _button(text: str, tip: str, checkable: bool = False) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys must keep going to the canvas
    return button


def _row(widgets: Sequence[QWidget], stretch: int | None = None) -> QHBoxLayout:
    row = QHBoxLayout()
    for i, widget in enumerate(widgets):
        row.addWidget(widget, 1 if i == stretch else 0)
    return row
