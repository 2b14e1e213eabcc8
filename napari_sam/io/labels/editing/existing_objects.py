"""Objects of a journal that must exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.labels.editing.label_values import checked_id
from napari_sam.io.labels.journal.run_length import REMEDY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import ObjectPlane, ObjectRow, Plane


def existing_row(journal: Journal, label: int) -> ObjectRow:
    """Return the row of an object.

    Raises
    ------
    LabelsError
        If it does not exist.
    """
    row = journal.objects.row(label)
    if row is None:
        raise LabelsError(f"there is no object {label}", remedy="{LabelStore.table} lists the objects that exist")
    return row


def existing_parts(journal: Journal, label: int) -> list[ObjectPlane]:
    """Return what lies on each plane of an object, in the order of the planes.

    Raises
    ------
    LabelsError
        If the object does not exist.
    StoreError
        If the journal names no plane or another number of planes.
    """
    row, parts = existing_row(journal, label), journal.objects.planes_of(label)
    _check_count(journal, row, parts)
    return parts


def _check_count(journal: Journal, row: ObjectRow, parts: list[ObjectPlane]) -> None:
    if len(parts) != row.n_planes:
        raise StoreError(
            f"{journal.path}: object {row.label} lies on {row.n_planes} planes, of which {len(parts)} are listed",
            remedy=REMEDY,
        )


def existing_rows(journal: Journal, labels: Iterable[int]) -> dict[int, ObjectRow]:
    """Return the rows of several objects, by label.

    Raises
    ------
    LabelsError
        If one does not exist, or none is given.
    """
    chosen = sorted({checked_id(label) for label in labels})
    if not chosen:
        raise LabelsError("no object is given", parameter="labels", remedy="give the ids of one or more objects")
    rows = journal.objects.rows(chosen)
    missing = [label for label in chosen if label not in rows]
    if missing:
        raise LabelsError(
            f"there is no object {missing[0]}" + (f", and {len(missing) - 1} more" if len(missing) > 1 else ""),
            remedy="{LabelStore.table} lists the objects that exist",
        )
    return rows


def existing_parts_of(journal: Journal, rows: Mapping[int, ObjectRow]) -> dict[int, list[ObjectPlane]]:
    """Return what lies on each plane of several objects, by label, planes in order; errors as `existing_parts`."""
    parts = journal.objects.planes_of_many(list(rows))
    for label, row in rows.items():
        _check_count(journal, row, parts.get(label, []))
    return parts


def existing_part(journal: Journal, label: int, plane: Plane | None) -> ObjectPlane:
    """Return what lies on one plane of an object.

    Parameters
    ----------
    journal : Journal
        The objects.
    label : int
        Id of the object.
    plane : tuple of int or None
        Index along the leading axes; None for the only plane of an object.

    Raises
    ------
    LabelsError
        If the object does not exist or does not lie on the plane, or if it lies on several and none is given.
    """
    row = existing_row(journal, label)
    if plane is None and row.n_planes > 1:
        raise LabelsError(
            f"object {label} lies on {row.n_planes} planes",
            parameter="plane",
            remedy=f"give one of them as {{plane}}, such as {row.plane}",
        )
    where = row.plane if plane is None else tuple(plane)
    part = journal.objects.parts([label], where).get(int(label))
    if part is None:
        raise LabelsError(
            f"object {label} does not lie on plane {where}",
            parameter="plane",
            remedy=f"LabelStore.planes({label}) lists the planes on which it lies",
        )
    return part
