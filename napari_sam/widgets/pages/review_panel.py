"""The page "Review": the object under review, the verdicts, and the progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, combo_box, wrapped_label

if TYPE_CHECKING:
    from napari_sam.io.labels.review_queue import ReviewCounts, ReviewItem

MASKS, CLASSES, SAMPLE = "masks", "classes", "sample"
"""Orders of the review."""
_ABOUT = "Each object in turn, the least certain first. Verdicts are saved at once; the keys 1 to 9 set the class."


class ReviewPanel(QWidget):
    """Controls of the page, without behaviour; `ReviewController` operates them."""

    def __init__(self) -> None:
        super().__init__()
        self.order = combo_box("Which object comes next", [("Least certain masks first", MASKS)])
        self.object = wrapped_label()
        self.object.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.object.setStyleSheet("QLabel { font-weight: bold; padding: 6px; }")
        self.accept = button("✓ Accept  (A)", "The object is right")
        self.reject = button("✕ Reject  (R)", "This is no object: erase it (Delete does the same)")
        self.fix = button("✎ Fix  (F)", "Correct the mask by clicks and boxes; C then replaces it")
        self.skip = button("⇥ Skip  (S)", "Decide later: the object returns after all others")
        self.undo = button("↶ Undo  (Z)", "Take the last verdict back (Ctrl+Z does the same)")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.counts = QLabel()
        self.counts.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        self.offer_classes(False)
        self.show_object(None)
        self.show_counts(None)

    def offer_classes(self, offered: bool) -> None:
        """Offer the order by doubtful classes, or not; the one by masks is always there."""
        self._offer(CLASSES, "Most doubtful classes first", offered)

    def offer_sample(self, count: int, *, chosen: bool) -> None:
        """Offer the sample of an audit, of which `count` objects wait; with `chosen`, it is the one to review."""
        self._offer(SAMPLE, f"Random sample of an audit ({count} left)", bool(count))
        if count and chosen:
            self.order.setCurrentIndex(self.order.findData(SAMPLE))

    def _offer(self, order: str, text: str, offered: bool) -> None:
        index = self.order.findData(order)
        if offered and index < 0:
            self.order.addItem(text, order)
        elif offered:
            self.order.setItemText(index, text)
        elif index >= 0:
            self.order.removeItem(index)
        self.order.setVisible(self.order.count() > 1)

    def show_object(self, candidate: ReviewItem | None, can_undo: bool = False, category: str | None = None) -> None:
        """Describe the outlined object; without one, the line on top of the dock gives the reason."""
        for verdict in (self.accept, self.reject, self.fix, self.skip):
            verdict.setEnabled(candidate is not None)
        self.undo.setEnabled(can_undo)
        self.object.setVisible(candidate is not None)
        if candidate is None:
            self.object.setText("")
            return
        score = "no score" if candidate.predicted_iou is None else f"score {candidate.predicted_iou:.2f}"
        kind = f"  ·  {category}" if category else ""
        self.object.setText(f"Object {candidate.label}{kind}  ·  {score}  ·  {candidate.area_px} px")

    def show_counts(self, counts: ReviewCounts | None) -> None:
        """Show the progress of the review; None hides it."""
        self.progress.setVisible(counts is not None and counts.total > 0)
        if counts is None or counts.total == 0:
            self.counts.setText("")
            return
        self.progress.setRange(0, max(counts.total, 1))
        self.progress.setValue(counts.reviewed)
        self.counts.setText(f"{counts.reviewed} of {counts.total} reviewed, {counts.rejected} rejected")

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.addWidget(self.accept, 0, 0)
        grid.addWidget(self.reject, 0, 1)
        grid.addWidget(self.fix, 1, 0)
        grid.addWidget(self.skip, 1, 1)
        grid.addWidget(self.undo, 2, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.addWidget(wrapped_label(_ABOUT))
        layout.addWidget(self.order)
        layout.addWidget(self.object)
        layout.addLayout(grid)
        layout.addWidget(self.progress)
        layout.addWidget(self.counts)
        layout.addStretch(1)
