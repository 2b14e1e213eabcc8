"""The changes that a user makes to the objects of a label store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.errors import LabelsError
from napari_sam.io.labels.classes.class_values import optional_name
from napari_sam.io.labels.classes.new_classes import new_class_pairs
from napari_sam.io.labels.editing.commit_many import NewObject, place_objects
from napari_sam.io.labels.editing.commit_planes import (
    FollowedObject,
    ObjectOptions,
    draw_planes,
    eraser,
    masks_by_plane,
)
from napari_sam.io.labels.editing.existing_objects import (
    existing_part,
    existing_parts,
    existing_parts_of,
    existing_row,
    existing_rows,
)
from napari_sam.io.labels.editing.label_values import box_at, check_label, checked_labels, clipped_mask
from napari_sam.io.labels.editing.lineage import check_parent, parent_rows
from napari_sam.io.labels.editing.split_object import SplitObject
from napari_sam.io.labels.journal.prediction_records import prediction_record
from napari_sam.io.labels.journal.rows import DETAIL_COLUMNS
from napari_sam.io.labels.label_layout import LabelLayout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.labels.changes.change_writer import ChangeWriter
    from napari_sam.io.labels.changes.edit import Edit
    from napari_sam.io.labels.editing.commit_planes import PlaneMasks
    from napari_sam.io.labels.journal.journal import Journal
    from napari_sam.io.labels.journal.rows import Change, ObjectPlane, Plane, Record

OVERLAPS = ("keep", "replace", "erase")
VERDICTS = ("accepted", "rejected")
_RESERVED_KINDS = (
    "commit", "commits", "everything", "erase", "merge", "relabel", "category", "split", "review", "parent", "classes",
)  # fmt: skip


class ObjectEditor:
    """Change the objects of an open store; `LabelStore` documents the methods.

    Parameters
    ----------
    writer : ChangeWriter
        Writes the changes.
    journal : Journal
        The objects.
    shape : tuple of int
        Shape of the label image.
    """

    def __init__(self, writer: ChangeWriter, journal: Journal, shape: tuple[int, ...]) -> None:
        self._writer, self._journal, self._shape = writer, journal, shape
        self._plane_shape = (shape[-2], shape[-1])

    # ---- predictions ------------------------------------------------------------------------------------------

    def commit(
        self,
        prediction: Prediction,
        label: int | None,
        overlap: str,
        category: str | None,
        plane: Plane,
        candidate: int | None,
    ) -> int:
        """Write an object."""
        category = optional_name(category)
        chosen = self._checked_candidate(prediction, label, overlap, candidate)
        with self._writer.writing():
            full_mask = prediction.mask_at(chosen)
            record = prediction_record(prediction, chosen, full_mask)
            record |= {"overlap": overlap, "category": category, "label": label}
            edit = self._writer.edit("commit", record, self._plane_of(prediction, plane))
            mask, box = clipped_mask(full_mask, prediction.bbox, self._plane_shape)
            if overlap == "erase":
                _erase_under(edit, mask, box, label)
                self._writer.write(edit.finish())
                return label or 0
            number = int(label or self._journal.next_label())
            check_label(number)
            if label is not None:
                self._clear(edit, label)
            record["label"] = number
            edit.paint(box, lambda labels, part: _painted(labels, mask[part.slices_in(box)], number, overlap))
            if not (edit.read(box) == number).any() or not edit.change.patches:
                if not mask.any():
                    raise LabelsError(
                        "the mask is empty", remedy="choose another mask of the prediction, or add a prompt"
                    )
                raise LabelsError(
                    "the mask lies wholly under other objects", remedy="let the new object win with {overlap=replace}"
                )
            details = {name: record[name] for name in DETAIL_COLUMNS}
            if category is None and label is not None:
                del details["category"]  # keeps its category
            self._writer.write(edit.finish({number: details}))
            return number

    def commit_planes(self, planes: PlaneMasks | FollowedObject, options: ObjectOptions) -> int:
        """Write an object that lies on several planes."""
        options = replace(options, category=optional_name(options.category))
        label, overlap = options.label, options.overlap
        _check_overlap(overlap)
        if label is not None:
            check_label(label)
        masks = masks_by_plane(planes, self._shape)
        with self._writer.writing():
            record = options.record(planes, len(masks))
            edit = self._writer.edit("commit", record, masks[0][0])
            if overlap == "erase":
                draw_planes(edit, self._journal, masks, label, overlap)
                self._writer.write(edit.finish())
                return label or 0
            number = int(label or self._journal.next_label())
            check_label(number)
            record["label"] = number
            scores = draw_planes(edit, self._journal, masks, number, overlap)
            details: dict[str, object] = {}
            if options.category is not None:
                details["category"] = options.category
            model = record.get("model", options.source.get("model"))
            if model is not None:
                details["model"] = model
            change = edit.finish({number: details}, scores=scores)
            if options.parent is not None:
                self._descend(change, number, options.parent)
            self._writer.write(change)
            return number

    def _descend(self, change: Change, label: int, parent: int) -> None:
        """Make an object that a change writes the child of another one."""
        before, after = change.rows.get(label, (self._journal.objects.row(label),) * 2)
        if after is not None:
            check_parent(self._journal, label, parent)
            change.rows[label] = (before, replace(after, parent=int(parent)))

    def commit_many(
        self,
        objects: Sequence[Prediction | NewObject],
        overlap: str,
        plane: Plane,
        nms: float | None,
        since: int | None,
        source: Record | None,
        classes: Sequence[ClassStyle] = (),
    ) -> list[int]:
        """Write several objects as one change."""
        if overlap not in ("keep", "replace"):
            raise LabelsError(f"overlap {overlap!r}", parameter="overlap", remedy="use 'keep' or 'replace'")
        with self._writer.writing():
            new_objects = [self._new_object(item, overlap) for item in objects]
            edit = self._writer.edit("commits", {} if source is None else {"source": source}, plane)
            run_id = None if source is None else source.get("run")
            edit.change.run_id = None if run_id is None else str(run_id)
            first = edit.change.next_before if since is None else int(since)
            bounds = Box(0, 0, *self._plane_shape)
            numbers, details = place_objects(edit, self._journal, bounds, new_objects, overlap, nms, first)
            if details:
                edit.change.classes = new_class_pairs(self._journal, classes)
                self._writer.write(edit.finish(details))
            return numbers

    def _plane_of(self, prediction: Prediction, plane: Plane) -> Plane:
        """Return the plane to draw on: in a stack by default the one that was segmented."""
        return plane if plane or len(self._shape) == 2 else tuple(prediction.context.plane)

    def _new_object(self, item: Prediction | NewObject, overlap: str) -> NewObject:
        if not isinstance(item, NewObject):
            chosen = self._checked_candidate(item, None, overlap, None)
            mask = item.mask_at(chosen)
            item = NewObject(mask, item.bbox, {**prediction_record(item, chosen, mask), "category": None})
        mask, box = clipped_mask(item.mask, item.bbox, self._plane_shape)
        return NewObject(mask, box, item.record)

    def _checked_candidate(self, prediction: Prediction, label: int | None, overlap: str, candidate: int | None) -> int:
        """Return the index of the mask to write, if the arguments of `commit` are valid."""
        if not hasattr(prediction, "low_res_logits"):
            raise LabelsError(
                f"{type(prediction).__name__} is not a Prediction", remedy="use paint() for labels of your own"
            )
        _check_overlap(overlap)
        chosen = prediction.best if candidate is None else candidate
        if not 0 <= chosen < prediction.count:
            raise LabelsError(
                f"candidate {chosen}: the prediction has masks 0 to {prediction.count - 1}",
                parameter="candidate",
                remedy="choose one of these",
            )
        if label is not None:
            check_label(label)
        image_shape = prediction.context.image_shape
        if image_shape is not None and tuple(image_shape) != self._plane_shape:
            raise LabelsError(
                f"the prediction is of an image of shape {tuple(image_shape)}, these labels are of one of "
                f"{self._plane_shape}",
                remedy="make a store for that image",
            )
        return chosen

    # ---- pixels -----------------------------------------------------------------------------------------------

    def erase(self, label: int, plane: Plane | None) -> None:
        """Remove an object, or its pixels on one plane."""
        with self._writer.writing():
            journal = self._journal
            parts = existing_parts(journal, label) if plane is None else [existing_part(journal, label, plane)]
            where = {} if plane is None else {"plane": list(parts[0].plane)}
            edit = self._writer.edit("erase", {"label": int(label), **where}, parts[0].plane)
            _recolour(edit, parts, 0)
            self._writer.write(edit.finish())

    def paint(self, labels: ArrayLike, origin: tuple[int, int], plane: Plane, kind: str) -> int:
        """Replace the labels of a region."""
        values = checked_labels(labels)
        box = box_at(origin, values.shape)
        if box.clip(self._plane_shape) != box:
            raise LabelsError(
                f"region {box} lies outside the image of shape {self._plane_shape}",
                remedy="give (y0, x0, y1, x1) that overlap the image",
            )
        if kind in _RESERVED_KINDS:
            raise LabelsError(
                f"kind {kind!r} is what the store calls its own changes", parameter="kind", remedy="use another word"
            )
        with self._writer.writing():
            edit = self._writer.edit(kind, {}, plane)
            changed = edit.paint(box, lambda _, part: values[part.slices_in(box)])
            if changed:
                self._writer.write(edit.finish())
            return changed

    # ---- objects ----------------------------------------------------------------------------------------------

    def merge(self, labels: Sequence[int], into: int | None) -> int:
        """Merge objects."""
        merged = sorted({int(v) for v in labels})
        target = int(into) if into is not None else merged[0] if merged else 0
        if len(merged) < 2 or target not in merged:
            raise LabelsError(
                f"labels {merged} cannot be merged into {into}",
                parameter="labels",
                remedy="give two ids or more, and one of them as {into}",
            )
        with self._writer.writing():
            parts = existing_parts_of(self._journal, existing_rows(self._journal, merged))
            edit = self._writer.edit("merge", {"labels": merged, "into": target}, parts[target][0].plane)
            scores: dict[tuple[int, Plane], float | None] = {}
            for label in sorted(merged, key=lambda label: label == target):
                scores |= {(target, part.plane): part.predicted_iou for part in parts[label]}
            others = {label: target for label in merged if label != target}
            edit.replace_labels(others, [part for label in others for part in parts[label]])
            self._writer.write(edit.finish(scores=scores, renamed=dict.fromkeys(merged, target)))
            return target

    def relabel(self, old: int, new: int, planes: Sequence[Plane] | None) -> None:
        """Give an object, or its pixels on some planes, another id."""
        check_label(new)
        with self._writer.writing():
            row = existing_row(self._journal, old)
            if self._journal.objects.row(new) is not None:
                raise LabelsError(f"object {new} exists already", remedy="merge them, or choose another id")
            parts = existing_parts(self._journal, old)
            if planes is not None:
                parts = [existing_part(self._journal, old, plane) for plane in planes]
            where = {} if planes is None else {"planes": [list(part.plane) for part in parts]}
            if not parts:
                raise LabelsError("no plane is given", parameter="planes", remedy="give planes of the object")
            edit = self._writer.edit("relabel", {"label": int(old), "new": int(new), **where}, parts[0].plane)
            _recolour(edit, parts, int(new))
            details = row.details()
            if len(parts) == row.n_planes:
                details |= {"created": row.created, "parent": row.parent}
            scores = {(int(new), part.plane): part.predicted_iou for part in parts}
            self._writer.write(edit.finish({int(new): details}, scores=scores, renamed={int(old): int(new)}))

    def split(self, label: int, points: ArrayLike | None, plane: Plane | None) -> list[int]:
        """Split an object into several."""
        with self._writer.writing():
            row, parts = existing_row(self._journal, label), existing_parts(self._journal, label)
            if plane is not None:
                parts = [existing_part(self._journal, label, plane)]
            where = {} if plane is None else {"plane": list(parts[0].plane)}
            edit = self._writer.edit("split", {"label": int(label), **where}, parts[0].plane)
            split = SplitObject(edit, parts, LabelLayout.from_meta(self._journal.meta), points)
            sizes = split.sizes
            order = np.argsort(-sizes, kind="stable") + 1
            next_label = self._journal.next_label()
            ids = [int(label), *range(next_label, next_label + len(order) - 1)]
            check_label(ids[-1])
            numbers = np.zeros(len(sizes) + 1, np.uint32)
            numbers[order] = ids
            edit.change.record |= {"parts": ids, "category": row.category}

            split.draw(edit, numbers)
            inherited = {"category": row.category, "model": row.model}
            self._writer.write(edit.finish(dict.fromkeys(ids[1:], inherited)))
            return ids

    def set_parent(self, child: int, parent: int | None) -> None:
        """Set the object that another one descends from."""
        with self._writer.writing():
            rows = parent_rows(self._journal, {child: parent})
            edit = self._writer.edit("parent", {"label": int(child), "parent": parent}, None)
            edit.change.rows |= rows
            self._writer.write(edit.change)

    def review(self, label: int, verdict: str) -> None:
        """Record a person's verdict on an object."""
        if verdict not in VERDICTS:
            raise LabelsError(f"verdict {verdict!r}", parameter="verdict", remedy=f"use one of {', '.join(VERDICTS)}")
        with self._writer.writing():
            row = existing_row(self._journal, label)
            edit = self._writer.edit("review", {"label": int(label), "verdict": verdict}, row.plane)
            if verdict == "rejected":
                _recolour(edit, existing_parts(self._journal, label), 0)
            change = edit.finish()
            change.rows.setdefault(int(label), (row, row))  # a change even if no pixel differs
            self._writer.write(change)

    # ---- helpers ----------------------------------------------------------------------------------------------

    def _clear(self, edit: Edit, label: int) -> None:
        """Make the pixels of an object on the current plane background, if it has any."""
        _recolour(edit, self._journal.objects.parts([label], edit.plane).values(), 0)


def _check_overlap(overlap: str) -> None:
    if overlap not in OVERLAPS:
        raise LabelsError(f"overlap {overlap!r}", parameter="overlap", remedy=f"use one of {', '.join(OVERLAPS)}")


def _recolour(edit: Edit, parts: Iterable[ObjectPlane], new: int) -> None:
    """Give the pixels of an object on some planes another id."""
    for part in parts:

        def paint(labels: NDArray[np.uint32], _: Box, old: int = part.label) -> NDArray[np.uint32]:
            return np.where(labels == old, np.uint32(new), labels)

        edit.at(part.plane).paint(part.box, paint)


def _painted(labels: NDArray[np.uint32], mask: NDArray[np.bool_], number: int, overlap: str) -> NDArray[np.uint32]:
    """Return labels with a mask drawn as object `number`."""
    free = mask if overlap == "replace" else mask & ((labels == 0) | (labels == number))
    return np.where(free, np.uint32(number), labels)


def _erase_under(edit: Edit, mask: NDArray[np.bool_], box: Box, label: int | None) -> None:
    """Make the pixels under a mask background, those of object `label` only if it is given."""
    if not edit.paint(box, eraser(mask, box, label)):
        raise LabelsError(
            "there is no object under the mask to erase from", remedy="place the mask on an object, or name the object"
        )
