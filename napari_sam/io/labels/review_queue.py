"""Going through a label store's objects one by one: which are still to be judged, least confident first.

A verdict is a change of the journal like any other: it can be undone and survives a restart. An object counts as
reviewed once a person has accepted it (`LabelStore.review`) or given it a mask (`LabelStore.commit`, as clicks do).
Drawing on an object is no verdict: one that was reviewed stays so, one that was not is still asked about. What
`merge` keeps keeps its verdict; parts that `split` cuts off and objects with another id are asked about again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.io.labels.edits import box_of, plane_of

if TYPE_CHECKING:
    from napari_sam.io.labels.journal import Row
    from napari_sam.io.labels.label_pyramid import Box
    from napari_sam.io.labels.label_store import LabelStore

VERDICTS = ("accepted", "rejected")
_OF = "CAST(json_extract(v.record, '$.label') AS INTEGER)"  # as whole as objects.label, or no index is used
_IS_VERDICT = "v.state = 'done' AND v.kind IN ('review', 'commit')"
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS objects_by_confidence ON objects (predicted_iou, label)",
    "CREATE INDEX IF NOT EXISTS verdicts ON ops (CAST(json_extract(record, '$.label') AS INTEGER), id) "
    "WHERE state = 'done' AND kind IN ('review', 'commit')",
)  # older versions read and write stores that have them as before


@dataclass(frozen=True)
class Candidate:
    """An object that waits for a verdict.

    Attributes
    ----------
    label : int
        Its id.
    plane : tuple of int
        Where it lies along the leading axes.
    box : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    area_px : int
        Number of pixels.
    predicted_iou : float or None
        How sure the network was; None for what was drawn by hand or came from elsewhere.
    """

    label: int
    plane: tuple[int, ...]
    box: Box
    area_px: int
    predicted_iou: float | None

    @classmethod
    def of(cls, row: Row) -> Candidate:
        """From an object's row of the table."""
        return cls(int(row["label"]), plane_of(row), box_of(row), int(row["area_px"]), row["predicted_iou"])


@dataclass(frozen=True)
class Counts:
    """How far the review is.

    Attributes
    ----------
    reviewed : int
        Objects with a verdict, the rejected among them.
    rejected : int
        Objects that were taken out.
    total : int
        Objects there are, and those that were taken out.
    """

    reviewed: int
    rejected: int
    total: int


class ReviewQueue:
    """The objects of a store that nobody has judged yet, least confident first, those without a score last.

    Every answer is one short query, however many objects there are.

    Parameters
    ----------
    store : LabelStore
        Open; where it is open for writing an index is added to the journal, once (2 s for a million objects).

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from napari_sam.io.labels.label_store import LabelStore
    >>> with LabelStore.create(f"{tempfile.mkdtemp()}/cells.ome.zarr", shape=(9, 9)) as labels:
    ...     changed = labels.paint(np.array([[1, 0, 2]]), (4, 4))
    ...     queue = ReviewQueue(labels)
    ...     first = queue.following()
    ...     labels.review(first.label, "rejected")
    ...     first.label, queue.following().label, queue.counts()
    (1, 2, Counts(reviewed=1, rejected=1, total=2))
    """

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self._hint = ""
        if store.writable:
            store.add_indexes(_INDEXES)
            self._hint = "INDEXED BY verdicts"  # without it SQLite reads all changes that stand

    def following(self, after: Candidate | None = None) -> Candidate | None:
        """The next object, or the first; None at the end, though earlier ones may have been passed over.

        Parameters
        ----------
        after : Candidate, optional
            Where to go on; it need not exist any more.
        """
        score, label = (-1.0, 0) if after is None else (after.predicted_iou, after.label)
        if score is not None:
            found = self._first("predicted_iou IS NOT NULL AND (predicted_iou, label) > (?, ?)", (score, label))
            if found is not None:
                return found
            label = 0
        return self._first("predicted_iou IS NULL AND label > ?", (label,))

    def waits(self, label: int) -> bool:
        """Whether an object is there and nobody has judged it yet."""
        return self._first("label = ?", (label,)) is not None

    def counts(self) -> Counts:
        """How many objects were reviewed, and how many there are; takes 10 us for each verdict so far."""
        sql = (
            f"SELECT count(DISTINCT {_OF}) FROM ops AS v {self._hint} JOIN objects ON label = {_OF} "  # noqa: S608
            f"WHERE {_IS_VERDICT} AND v.id >= objects.op"
        )
        ((kept,),) = self._store.rows_of(sql)
        sql = (
            f"SELECT count(*) FROM ops AS v {self._hint} "  # noqa: S608
            f"WHERE {_IS_VERDICT} AND json_extract(v.record, '$.verdict') = 'rejected'"
        )
        ((rejected,),) = self._store.rows_of(sql)
        return Counts(int(kept) + int(rejected), int(rejected), len(self._store) + int(rejected))

    def last_verdict(self) -> int | None:
        """The object whose verdict an undo would take back; None if the last change was something else."""
        return self._end("done", "DESC")

    def next_verdict(self) -> int | None:
        """The object whose verdict a redo would give again; None if that change was something else."""
        return self._end("undone", "ASC")

    def _first(self, condition: str, values: tuple[Any, ...]) -> Candidate | None:
        judged = f"SELECT 1 FROM ops AS v {self._hint} WHERE {_IS_VERDICT} AND {_OF} = label AND v.id >= objects.op"  # noqa: S608
        sql = f"SELECT label FROM objects WHERE {condition} AND NOT EXISTS ({judged}) ORDER BY predicted_iou, label LIMIT 1"  # noqa: E501, S608
        found = self._store.rows_of(sql, values)
        return Candidate.of(self._store.object(int(found[0][0]))) if found else None

    def _end(self, state: str, order: str) -> int | None:
        """Whom the last change that stands, or the first that does not, gave a verdict; new objects have none."""
        existed = (
            "SELECT before IS NOT NULL AND after IS NOT NULL OR kind = 'review' FROM rows "
            "WHERE op = ops.id AND label = json_extract(record, '$.label')"
        )
        sql = f"SELECT kind, json_extract(record, '$.label'), ({existed}) FROM ops WHERE state = ? ORDER BY id {order} LIMIT 1"  # noqa: E501, S608
        found = self._store.rows_of(sql, (state,))
        if not found or found[0][0] not in ("review", "commit") or not found[0][2]:
            return None
        return int(found[0][1])


def reviewed_labels(store: LabelStore) -> set[int]:
    """Ids of the objects that a person has judged and kept."""
    sql = (
        f"SELECT DISTINCT label FROM ops AS v JOIN objects ON label = {_OF} WHERE {_IS_VERDICT} AND v.id >= objects.op"  # noqa: S608
    )
    return {int(label) for (label,) in store.rows_of(sql)}
