"""Write the objects of a whole-image run, tile by tile, as changes that are undone in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import CancelledError, LabelsError, StoreError
from napari_sam.io.labels.classes.new_classes import new_class_pairs
from napari_sam.io.labels.editing.label_values import box_at, checked_labels
from napari_sam.io.labels.editing.lineage import parent_rows
from napari_sam.io.labels.journal.row_values import whole
from napari_sam.io.labels.journal.rows import LARGEST_LABEL, Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.labels.changes.change_writer import ChangeWriter
    from napari_sam.io.labels.changes.edit import Details, Edit
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import JournaledChange, Plane, Record

_KIND = "everything"


@dataclass(frozen=True)
class RunBegin:
    """First change of a run: its number, the first id and the number of objects."""

    op: int
    first_label: int
    count: int


class RunWriter:
    """Write one run of everything-mode; `LabelStore.run_writer` makes it.

    Parameters
    ----------
    writer : ChangeWriter
        Writes the changes.
    journal : Journal
        Knows what the run has written.
    run_id : str
        Key of the run.
    overlap : {"keep", "replace"}
        Whether objects that the store has already keep their pixels.
    plane : tuple of int
        Index along the leading axes, unless `write` is given another one; () in a stack if it always is.
    """

    def __init__(self, writer: ChangeWriter, journal: Journal, run_id: str, overlap: str, plane: Plane) -> None:
        self._writer, self._journal = writer, journal
        self.run_id, self._overlap, self._plane = run_id, overlap, plane

    def begun(self) -> RunBegin | None:
        """Return the change with which this run began, unless it has not begun or was undone."""
        for change in self._changes():
            if "first_label" in change.record:
                try:
                    return RunBegin(change.op, whole(change.record["first_label"]), whole(change.record["count"]))
                except (KeyError, ValueError) as error:
                    raise StoreError(
                        f"the record of the run {self.run_id} is damaged ({error!r})",
                        remedy="undo the run, and begin it again",
                    ) from error
        return None

    def written_tiles(self) -> set[str]:
        """Return the names of the tiles that are written; tiles without objects are not among them."""
        return {str(change.record["tile"]) for change in self._changes() if "tile" in change.record}

    def vanished_objects(self) -> set[int]:
        """Return the ids of objects of this run that were drawn, and erased or renamed since."""
        return self._journal.changes.vanished_objects_of_run(self.run_id)

    def begin(self, record: Record, count: int, classes: Sequence[ClassStyle] = ()) -> RunBegin:
        """Reserve ids for the objects, which several calls of `write` then write.

        Parameters
        ----------
        record : dict
            Settings of the run, as JSON.
        count : int
            Number of objects.
        classes : sequence of ClassStyle
            Classes that the run brings; those that the store has stay as they are.

        Raises
        ------
        LabelsError
            If not enough consecutive ids are free.
        """
        with self._writer.writing():
            first = self._journal.next_label()
            last = first + count - 1
            if last > LARGEST_LABEL or self._journal.objects.any_between(first, last):
                raise LabelsError(
                    f"{count} objects need consecutive ids, and from {first} to the highest, {LARGEST_LABEL}, not "
                    "enough are free",
                    remedy="write them into a new store",
                )
            described = {"run": self.run_id, **record, "first_label": first, "count": count}
            change = Change(_KIND, described, first, min(first + count, LARGEST_LABEL), run_id=self.run_id)
            change.classes = new_class_pairs(self._journal, classes)
            return RunBegin(self._writer.write_record(change), first, count)

    def write(
        self,
        labels: NDArray[np.integer],
        origin: tuple[int, int],
        *,
        tile: str,
        begin: RunBegin,
        details: Details,
        plane: Plane | None = None,
    ) -> int:
        """Write the objects of one tile; an object may get pixels on many tiles and planes.

        Parameters
        ----------
        labels : ndarray of int
            (h, w) ids; where it is 0 nothing changes.
        origin : (int, int)
            (y, x) of its first pixel.
        tile : str
            Name of the tile.
        begin : RunBegin
            As `begin` or `begun` returned it.
        details : mapping of int to mapping
            Category, predicted_iou, stability_score, model and parent of each id. On several planes the object's
            predicted_iou is the lowest of them.
        plane : tuple of int, optional
            Index along the leading axes, if it is not that of the run.

        Returns
        -------
        int
            Number of pixels that changed.

        Raises
        ------
        CancelledError
            If the run was undone meanwhile.
        """
        values = checked_labels(labels)
        box = box_at(origin, values.shape)
        with self._writer.writing():
            edit = self._edit(tile, begin, self._plane if plane is None else plane)

            def paint(present: NDArray[np.uint32], part: Box) -> NDArray[np.uint32]:
                new = values[part.slices_in(box)]
                return np.where((new == 0) | ((present != 0) & (self._overlap == "keep")), present, new)

            changed = edit.paint(box, paint)
            change = edit.finish({label: details[label] for label in edit.gained if label in details})
            if change.patches:
                self._writer.write(change)
            else:
                self._writer.write_record(change)  # the tile is done even without a free pixel
            return changed

    def set_parents(self, parents: Mapping[int, int | None], *, tile: str, begin: RunBegin) -> None:
        """Set the objects that objects descend from, as a part of the run.

        Parameters
        ----------
        parents : mapping of int to int or None
            Parent of each object, by the child's id. Objects that do not exist are left out: they had no free pixel,
            or were erased.
        tile : str
            Name of this part of the run, as for `write`.
        begin : RunBegin
            As `begin` or `begun` returned it.

        Raises
        ------
        CancelledError
            If the run was undone meanwhile.
        LabelsError
            If an object would descend from itself, or the store is no stack.
        """
        with self._writer.writing():
            named = {*parents, *(parent for parent in parents.values() if parent is not None)}
            there = self._journal.objects.rows(sorted(named)).keys()
            kept = {child: parent for child, parent in parents.items() if {child, parent} - {None} <= there}
            edit = self._edit(tile, begin, None)
            edit.change.rows |= parent_rows(self._journal, kept)
            self._writer.write_record(edit.change)

    def write_note(self, note: Record, *, tile: str, begin: RunBegin) -> None:
        """Record facts about the objects, as a part of the run.

        Parameters
        ----------
        note : dict
            What to record, as JSON.
        tile, begin
            As for `set_parents`.

        Raises
        ------
        CancelledError
            If the run was undone meanwhile.
        """
        with self._writer.writing():
            edit = self._edit(tile, begin, None)
            edit.change.record |= note
            self._writer.write_record(edit.change)

    def _edit(self, tile: str, begin: RunBegin, plane: Plane | None) -> Edit:
        """Return a new change of the run, on the first plane if none is given."""
        if not self._journal.changes.is_in_effect(begin.op):
            raise CancelledError(
                "the run was undone while it was being written", remedy="write it again with {resume=True}"
            )
        edit = self._writer.edit(_KIND, {"run": self.run_id, "tile": tile, "begin": begin.op}, plane)
        edit.change.run_id = self.run_id
        return edit

    def _changes(self) -> list[JournaledChange]:
        return self._journal.changes.of_run(self.run_id, _KIND)
