"""Buttons, progress and messages of a run over many objects, the same on every page that has one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_sam.widgets.qt_helpers import button, primary_button, row, wrapped_label

if TYPE_CHECKING:
    from collections.abc import Callable


class RunControls(QWidget):
    """Controls of a run, without behaviour.

    Parameters
    ----------
    text, tip : str
        Text and tooltip of the button that starts it.
    kept : str
        What a cancelled run keeps, as the start of a sentence.
    working : str
        What the run does, before the remaining time is known.
    """

    def __init__(self, text: str, tip: str, *, kept: str, working: str) -> None:
        super().__init__()
        self._text, self._tip, self._working = text, tip, working
        self.start = primary_button(text, tip)
        self.discard = button("Discard", "Forget the unfinished run, and choose again")
        self.cancel = button("Cancel", f"Stop; {kept}")
        self.progress = QProgressBar()
        self.remaining = wrapped_label()  # long texts must not widen the dock
        self.message = wrapped_label(selectable=True)
        self.review = button("Review them one by one  →", "Look at each object, the least certain first")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row((self.start, self.discard), stretch=0))
        layout.addWidget(self.progress)
        layout.addLayout(row((self.remaining, self.cancel), stretch=0))
        layout.addWidget(self.message)
        layout.addWidget(self.review)
        self.review.hide()
        self.show_idle()

    def show_idle(self, unfinished: bool = False) -> None:
        """Show that nothing runs; an unfinished run can be resumed or discarded."""
        for widget in (self.progress, self.remaining, self.cancel):
            widget.hide()
        self.start.show()
        self.start.setText("▶ Resume" if unfinished else self._text)
        self.start.setToolTip("Continue where the run stopped" if unfinished else self._tip)
        self.discard.setVisible(unfinished)

    def show_running(self) -> None:
        """Show that a run has begun, before its first progress."""
        for widget in (self.start, self.discard, self.review):
            widget.hide()
        self.progress.setRange(0, 0)
        self.progress.setFormat("")
        self.remaining.setText("Getting ready…")
        self.message.setText("")
        for widget in (self.progress, self.remaining, self.cancel):
            widget.show()

    def show_progress(self, done: int, total: int, text: str, remaining_s: float | None) -> None:
        """Show the progress in steps and in words."""
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        self.progress.setFormat(text)
        self.remaining.setText(self._working if remaining_s is None else f"about {duration(remaining_s)} left")

    def show_result(self, text: str, can_review: bool) -> None:
        """Show what a run found, and offer to review it."""
        self.message.setText(text)
        self.review.setVisible(can_review)


class RemainingTime:
    """Estimate the remaining time of a run from the pace since its first progress.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None  # time, and steps done

    @property
    def has_begun(self) -> bool:
        """Whether there was any progress."""
        return self._first is not None

    def begin(self) -> None:
        """Forget an earlier run."""
        self._first = None

    def seconds(self, done: int, total: int) -> float | None:
        """Return the remaining seconds; None as long as they cannot be known."""
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
        since, first = self._first
        return (now - since) / (done - first) * (total - done) if done > first else None


def duration(seconds: float) -> str:
    """Return a duration in words.

    >>> duration(8), duration(100), duration(4000)
    ('8 s', '2 min', '1 h 7 min')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
