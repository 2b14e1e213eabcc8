"""Changes of many objects in one step of undo: delete, give other ids, give classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import LabelsError
from napari_sam.io.labels.classes.class_values import optional_name
from napari_sam.io.labels.editing.existing_objects import existing_parts_of, existing_rows
from napari_sam.io.labels.editing.label_values import check_label, checked_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.io.labels.changes.change_writer import ChangeWriter
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Record

    Labels = int | Iterable[int]


class ManyObjects:
    """Change many objects of an open store at once; `LabelStore` documents the methods.

    Parameters
    ----------
    writer : ChangeWriter
        Writes the changes.
    journal : Journal
        The objects.
    """

    def __init__(self, writer: ChangeWriter, journal: Journal) -> None:
        self._writer, self._journal = writer, journal

    def delete(self, labels: Labels) -> int:
        """Remove objects; returns their number."""
        with self._writer.writing():
            rows = existing_rows(self._journal, _listed(labels))
            parts = existing_parts_of(self._journal, rows)
            first = next(iter(rows.values()))
            edit = self._writer.edit("erase", {"labels": list(rows)}, first.plane)
            edit.replace_labels(dict.fromkeys(rows, 0), [part for found in parts.values() for part in found])
            self._writer.write(edit.finish())
            return len(rows)

    def relabel(self, new_labels: Mapping[int, int]) -> None:
        """Give objects other ids."""
        chosen = {checked_id(old): new for old, new in new_labels.items() if old != new}
        for new in chosen.values():
            check_label(new)
        chosen = {old: int(new) for old, new in chosen.items()}
        with self._writer.writing():
            rows = existing_rows(self._journal, chosen)
            used = sorted(self._journal.objects.rows(sorted(chosen.values())))
            if used or len(set(chosen.values())) < len(chosen):
                twice = next((new for new in chosen.values() if list(chosen.values()).count(new) > 1), None)
                raise LabelsError(
                    f"object {used[0]} exists already" if used else f"several objects would get the id {twice}",
                    parameter="new",
                    remedy="merge objects, or choose ids that are unused",
                )
            parts = existing_parts_of(self._journal, rows)
            record: Record = {"labels": {str(old): new for old, new in chosen.items()}}
            edit = self._writer.edit("relabel", record, next(iter(rows.values())).plane)
            edit.replace_labels(chosen, [part for found in parts.values() for part in found])
            details = {
                chosen[old]: {**row.details(), "created": row.created, "parent": row.parent}
                for old, row in rows.items()
            }
            scores = {(chosen[old], part.plane): part.predicted_iou for old in rows for part in parts[old]}
            self._writer.write(edit.finish(details, scores=scores, renamed=chosen))

    def set_category(self, labels: Labels | Mapping[int, str | None], category: str | None) -> None:
        """Give objects a class, or each its own."""
        if isinstance(labels, Mapping):
            given = {checked_id(label): optional_name(name) for label, name in labels.items()}
        else:
            given = dict.fromkeys(map(checked_id, _listed(labels)), optional_name(category))
        with self._writer.writing():
            rows = existing_rows(self._journal, given)
            plane = next(iter(rows.values())).plane
            edit = self._writer.edit("category", _category_record(given), plane)
            self._writer.write(edit.finish({label: {"category": given[label]} for label in rows}))


def _listed(labels: Labels) -> list[int]:
    return [int(labels)] if isinstance(labels, int | np.integer) else list(labels)


def _category_record(categories: Mapping[int, str | None]) -> Record:
    """Return what the history holds of objects and their classes, short where all get the same one."""
    names = set(categories.values())
    if len(names) > 1:
        groups: dict[str | None, list[int]] = {}
        for label, name in categories.items():
            groups.setdefault(name, []).append(label)
        return {"groups": [{"labels": sorted(labels), "category": name} for name, labels in groups.items()]}
    (name,) = names
    labels = sorted(categories)
    return {"label": labels[0], "category": name} if len(labels) == 1 else {"labels": labels, "category": name}
