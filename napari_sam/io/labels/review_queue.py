"""Queue of the objects of a label store that still have to be reviewed, least confident first.

A verdict is a change of the journal like any other: it can be undone and survives a restart. An object counts as
reviewed once a person has accepted it (`LabelStore.review`) or given it a mask (`LabelStore.commit`, as clicks do).
Drawing on an object is no verdict: a reviewed object stays reviewed, another stays in the queue. The object that
`merge` keeps keeps its verdict; parts that `split` cuts off and objects with another id join the queue again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.io.labels.editing.existing_objects import existing_row
from napari_sam.io.labels.journal.rows import ObjectPlane

if TYPE_CHECKING:
    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.journal.rows import ObjectRow, Plane
    from napari_sam.io.labels.reading.store_view import StoreView


@dataclass(frozen=True)
class ReviewItem:
    """An object to review; of an object on several planes, the plane where the network was least confident.

    Attributes
    ----------
    label : int
        Id of the object.
    plane : tuple of int
        Index along the leading axes.
    box : Box
        Bounding box on this plane, level-0 pixels.
    area_px : int
        Number of pixels on this plane.
    predicted_iou : float or None
        Confidence of the network; None for objects that were drawn by hand or imported.
    """

    label: int
    plane: Plane
    box: Box
    area_px: int
    predicted_iou: float | None

    @classmethod
    def of_object(cls, store: StoreView, label: int) -> ReviewItem:
        """Return the item for an object.

        Raises
        ------
        LabelsError
            If it does not exist.
        """
        return cls.from_row(store, existing_row(store.journal, label))

    @classmethod
    def from_row(cls, store: StoreView, row: ObjectRow) -> ReviewItem:
        """Return the item for a row of the object table of a store."""
        weakest = store.journal.objects.weakest_plane(row.label) if row.n_planes > 1 else None
        part = weakest or ObjectPlane.of(row)
        return cls(part.label, part.plane, part.box, part.area_px, part.predicted_iou)


@dataclass(frozen=True)
class ReviewCounts:
    """Progress of a review.

    Attributes
    ----------
    reviewed : int
        Objects with a verdict, including the rejected ones.
    rejected : int
        Objects that were rejected and thereby erased.
    total : int
        Existing and rejected objects.
    """

    reviewed: int
    rejected: int
    total: int


class ReviewQueue:
    """Objects of a store without a verdict, least confident first and those without a score last.

    Each method takes one or two short queries, regardless of the number of objects.

    Parameters
    ----------
    store : LabelStore
        An open store.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from napari_sam import LabelStore
    >>> with LabelStore.create(f"{tempfile.mkdtemp()}/cells.ome.zarr", shape=(9, 9)) as labels:
    ...     changed = labels.paint(np.array([[1, 0, 2]]), (4, 4))
    ...     queue = ReviewQueue(labels)
    ...     first = queue.following()
    ...     labels.review(first.label, "rejected")
    ...     first.label, queue.following().label, queue.counts()
    (1, 2, ReviewCounts(reviewed=1, rejected=1, total=2))
    """

    def __init__(self, store: StoreView) -> None:
        self._store, self._reviews = store, store.journal.reviews

    def following(self, after: ReviewItem | None = None) -> ReviewItem | None:
        """Return the next object in the queue, or None at its end, even if earlier objects were skipped.

        Parameters
        ----------
        after : ReviewItem, optional
            Item to continue after, which may have been erased; the queue starts from its beginning by default.
        """
        score, label = (-1.0, 0) if after is None else (after.predicted_iou, after.label)
        row = self._reviews.next_unreviewed(score, label)
        return None if row is None else ReviewItem.from_row(self._store, row)

    def waits(self, label: int) -> bool:
        """Whether an object exists and has no verdict yet."""
        return self._reviews.is_unreviewed(label)

    def counts(self) -> ReviewCounts:
        """Return the progress of the review; takes 10 us for each verdict."""
        kept, rejected = self._reviews.reviewed_count(), self._reviews.rejected_count()
        return ReviewCounts(kept + rejected, rejected, len(self._store) + rejected)

    def last_verdict(self) -> int | None:
        """Return the object whose verdict or class undo would take back; None if the last change was another one."""
        return self._reviews.next_verdict(undo=True)

    def next_verdict(self) -> int | None:
        """Return the object whose verdict or class redo would restore; None if that change was another one."""
        return self._reviews.next_verdict(undo=False)
