"""Which object descends from which."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import ObjectRow


def parent_rows(
    journal: Journal, parents: Mapping[int, int | None]
) -> dict[int, tuple[ObjectRow | None, ObjectRow | None]]:
    """Return the rows of objects before and after they get parents, for a change.

    Parameters
    ----------
    journal : Journal
        The objects.
    parents : mapping of int to int or None
        Parent of each object, by the child's id; None for none.

    Raises
    ------
    LabelsError
        If an object does not exist, or would descend from itself.
    """
    children = {int(child): None if parent is None else int(parent) for child, parent in parents.items()}
    named = {parent for parent in children.values() if parent is not None}
    rows = journal.objects.rows(sorted({*children, *named}))
    missing = sorted({*children, *named} - rows.keys())
    if missing:
        raise LabelsError(f"there is no object {missing[0]}", remedy="{LabelStore.table} lists the objects that exist")
    for child in children:
        _check_stack(rows[child])
        _check_no_circle(journal, child, children)
    return {child: (rows[child], replace(rows[child], parent=parent)) for child, parent in children.items()}


def check_parent(journal: Journal, child: int, parent: int) -> None:
    """Check that an object, which need not exist yet, can descend from another one.

    Raises
    ------
    LabelsError
        If the other one does not exist, or descends from the first.
    """
    row = journal.objects.row(parent)
    if row is None:
        raise LabelsError(
            f"there is no object {parent}", parameter="parent", remedy="{LabelStore.table} lists the objects that exist"
        )
    _check_stack(row)
    _check_no_circle(journal, child, {child: int(parent)})


def _check_stack(row: ObjectRow) -> None:
    """Raise LabelsError if an object belongs to a single image."""
    if not row.plane:
        raise LabelsError(
            f"object {row.label} lies in a single image, where nothing descends from anything",
            parameter="parent",
            remedy="give categories instead; objects of stacks and movies have parents",
        )


def _check_no_circle(journal: Journal, child: int, parents: Mapping[int, int | None]) -> None:
    """Raise LabelsError if an object would descend from itself."""
    seen = {child}
    parent = parents[child]
    while parent is not None:
        if parent in seen:
            raise LabelsError(
                f"object {child} would descend from itself, through {parent}",
                parameter="parent",
                remedy="give an object that does not descend from it",
            )
        seen.add(parent)
        row = None if parent in parents else journal.objects.row(parent)
        parent = parents[parent] if parent in parents else None if row is None else row.parent
