"""The review of a store's objects, one after another, least confident first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError
from napari_sam.io.labels.review_queue import ReviewCounts, ReviewItem, ReviewQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.layers.label_store_layers import LabelStoreLayers

_AHEAD = 100  # objects of a given order that are looked up together


class ReviewSession:
    """Iterate over the objects of a store until all have a verdict.

    Parameters
    ----------
    writer : LabelStoreLayers
        Layers of the store under review.
    order : sequence of int, optional
        Ids of the objects to look at, in this order, with or without a verdict; by default those without a verdict,
        the least certain mask first.

    Attributes
    ----------
    current : ReviewItem or None
        Object under review; None when no object is left.
    counts : ReviewCounts
        Progress of the review.
    """

    def __init__(self, writer: LabelStoreLayers, order: Sequence[int] | None = None) -> None:
        self.writer = writer
        self._order = None if order is None else list(order)
        self._queue = ReviewQueue(writer.store)
        self._skipped: list[ReviewItem] = []  # since the last verdict
        self.current = self._following(None)
        self.counts = self._queue.counts()

    @property
    def can_undo(self) -> bool:
        """Whether there is a verdict to take back, or a skipped object to return to."""
        return bool(self._skipped) or self._queue.last_verdict() is not None

    def decide(self, verdict: str) -> None:
        """Accept or reject the current object, and move to the next.

        Raises
        ------
        LabelsError
            If the object no longer exists; the review moves to the next one.
        StoreError
            If the verdict cannot be written.
        """
        if self.current is None:
            return
        try:
            self.writer.review(self.current.label, verdict)
        except LabelsError:
            self.advance()
            raise
        self._skipped.clear()
        rejected = self.counts.rejected + (verdict == "rejected")
        # Counting all verdicts again would take longer with each of them.
        self.counts = ReviewCounts(self.counts.reviewed + 1, rejected, len(self.writer.store) + rejected)
        self.advance()

    def classify(self, name: str) -> None:
        """Give the current object a class; in a given order, which is one of doubtful classes, move to the next.

        Raises
        ------
        LabelsError
            If the object no longer exists.
        StoreError
            If the class cannot be written.
        """
        if self.current is not None:
            self.writer.set_category(self.current.label, name)
            if self._order is not None:
                self.advance()

    def skip(self) -> None:
        """Move to the next object without a verdict; the skipped one returns after all others."""
        if self.current is not None:
            self._skipped.append(self.current)
            self.advance()

    def return_to(self, candidate: ReviewItem) -> None:
        """Return to an object, or to the one after it if it has its verdict by now."""
        self.current = candidate
        if self._queue.waits(candidate.label):
            self.current = ReviewItem.of_object(self.writer.store, candidate.label)
        else:
            self.advance()

    def advance(self) -> None:
        """Move to the next object; after the last, to those that were skipped."""
        self.current = self._following(self.current) or (self._following(None) if self._order is None else None)

    def undo(self) -> bool:
        """Return to the object skipped last, or take back the last verdict; return False if there is neither.

        Other changes are not undone here, because one key would undo a whole run.
        """
        if self._skipped:
            self.current = self._skipped.pop()
            return True
        label = self._queue.last_verdict()
        if label is None:
            return False
        self.writer.undo()
        self._look_at(ReviewItem.of_object(self.writer.store, label))
        return True

    def redo(self) -> bool:
        """Repeat the verdict that was taken back last; return False if there is none."""
        label = self._queue.next_verdict()
        if label is None:
            return False
        candidate = ReviewItem.of_object(self.writer.store, label)  # a rejected object is gone afterwards
        self.writer.redo()
        self._look_at(candidate)
        if not self._queue.waits(label):
            self.advance()
        return True

    def _following(self, after: ReviewItem | None) -> ReviewItem | None:
        """Return the next object after one, or the first."""
        if self._order is None:
            return self._queue.following(after)
        start = 0 if after is None or after.label not in self._order else self._order.index(after.label) + 1
        rows = self.writer.store.journal.objects.rows(self._order[start : start + _AHEAD])
        while start < len(self._order) and not rows:  # all of these were erased
            start += _AHEAD
            rows = self.writer.store.journal.objects.rows(self._order[start : start + _AHEAD])
        label = next((label for label in self._order[start : start + _AHEAD] if label in rows), None)
        return None if label is None else ReviewItem.of_object(self.writer.store, label)

    def _look_at(self, candidate: ReviewItem) -> None:
        self.current = candidate
        self.counts = self._queue.counts()
