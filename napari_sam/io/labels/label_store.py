"""Labels on disk that survive anything: an NGFF label image drawn from a journal of every change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import CancelledError, LabelsError
from napari_sam.io.labels.commit_many import NewObject, place_objects
from napari_sam.io.labels.edits import LARGEST_LABEL, Edit, box_of, inside, intersection, next_free, plane_of
from napari_sam.io.labels.journal import Change
from napari_sam.io.labels.prediction_records import prediction_record
from napari_sam.io.labels.review_queue import VERDICTS, reviewed_labels
from napari_sam.io.labels.store_base import StoreBase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.labels.label_pyramid import Box

OVERLAPS = ("keep", "replace", "erase")
_OWN_KINDS = ("commit", "commits", "everything", "erase", "merge", "relabel", "category", "split", "review")
_SPLIT_PX = 1 << 26


@dataclass(frozen=True)
class RunBegin:
    """Where a run of everything-mode begins in a store: number of its first change, its first id, how many it has."""

    op: int
    first_label: int
    count: int


class LabelStore(StoreBase):
    """Objects of one image: a uint32 label image of any size, an object table, and unlimited undo.

    Every change is written to the journal before its pixels are drawn, so that what a method has returned is never
    lost; opening draws what a crash left undone. One process may write, any number may read.

    Use `create` or `open`; close it, or use it in a ``with`` statement.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with LabelStore.create(f"{folder}/cells.ome.zarr", shape=(100, 100)) as labels:
    ...     changed = labels.paint(np.full((4, 5), 1), (10, 20))
    ...     labels.table()[["label", "area_px", "y0", "x0"]].values.tolist(), labels.array[12, 22]
    ([[1, 20, 10, 20]], np.uint32(1))
    """

    def commit(
        self,
        prediction: Prediction,
        label: int | None = None,
        overlap: str = "keep",
        category: str | None = None,
        *,
        plane: tuple[int, ...] = (),
        candidate: int | None = None,
    ) -> int:
        """Write an object.

        Parameters
        ----------
        prediction : Prediction
            What was found.
        label : int, optional
            Its id; the next free one by default. An object that has this id already gets this mask instead of its
            own.
        overlap : {"keep", "replace", "erase"}
            Where it meets other objects they keep their pixels, or it takes them. "erase" writes no object: the
            pixels under the mask become background, those of object `label` only if one is given.
        category : str, optional
            What kind of object it is.
        plane : tuple of int
            Index along the leading axes of a store that has some.
        candidate : int, optional
            Which of the masks; the best by default.

        Returns
        -------
        int
            The object's id; with "erase", `label` or 0.

        Raises
        ------
        LabelsError
            If an argument means nothing, or not a single pixel would change.
        StoreError
            If it cannot be written. If the message says that the change is in the journal, it is not lost.
        """
        chosen = self._checked(prediction, label, overlap, candidate)
        with self._writing():
            found = prediction.mask_at(chosen)
            record = {**prediction_record(prediction, chosen, found), "overlap": overlap, "category": category}
            record["label"] = label
            edit = self._edit("commit", record, plane)
            mask, box = self._clipped(found, prediction.bbox)
            if overlap == "erase":
                self._erase_mask(edit, mask, box, label)
                self._write(edit.finish())
                return label or 0
            number = int(label or self.next_label)
            _check_label(number)
            if label is not None:
                self._clear(edit, [label])
            edit.change.record["label"] = number

            def paint(labels: NDArray[np.uint32], part: Box) -> NDArray[np.uint32]:
                here = mask[inside(part, box)]
                free = here if overlap == "replace" else here & ((labels == 0) | (labels == number))
                return np.where(free, np.uint32(number), labels)

            edit.paint(box, paint)
            if not (edit.read(box) == number).any() or not edit.change.patches:
                under = 'lies wholly under other objects; let the new object win (overlap="replace")'
                raise LabelsError(f"the mask {under if mask.any() else 'is empty'}")
            details = {key: record[key] for key in ("predicted_iou", "stability_score", "model", "category")}
            if category is None and label is not None:
                del details["category"]  # what is known of the object stays
            self._write(edit.finish({number: details}))
            return number

    def commit_many(
        self,
        objects: Sequence[Prediction | NewObject],
        overlap: str = "keep",
        *,
        plane: tuple[int, ...] = (),
        nms: float | None = None,
        since: int | None = None,
        source: dict[str, Any] | None = None,
    ) -> list[int]:
        """Write several objects as one change, some hundred times quicker than one by one; one undo takes them back.

        Parameters
        ----------
        objects : sequence of Prediction or NewObject
            What was found; where they meet, the first keeps its pixels.
        overlap : {"keep", "replace"}
            Whether objects that were there before keep their pixels, or these take them.
        plane : tuple of int
            As in `commit`.
        nms : float, optional
            An object whose IoU with an earlier one of these is at least this is left out.
        since : int, optional
            Objects from this id on count as earlier ones of these, too.
        source : dict, optional
            Where they come from, as JSON; kept in the history.

        Returns
        -------
        list of int
            Id of each object; 0 if not a single pixel was free for it, -1 if `nms` left it out.

        Raises
        ------
        LabelsError
            If an argument means nothing, or the ids are used up.
        StoreError
            As in `commit`.
        """
        if overlap not in ("keep", "replace"):
            raise LabelsError(f"overlap {overlap!r}: use 'keep' or 'replace'")
        with self._writing():
            made = [self._new(one, overlap) for one in objects]
            edit = self._edit("commits", {} if source is None else {"source": source}, plane)
            begin = edit.change.next_before if since is None else int(since)
            numbers, details = place_objects(edit, self._journal, self._whole(), made, overlap, nms, begin)
            if details:
                self._write(edit.finish(details))
            return numbers

    def _new(self, one: Prediction | NewObject, overlap: str) -> NewObject:
        if not isinstance(one, NewObject):
            chosen = self._checked(one, None, overlap, None)
            found = one.mask_at(chosen)
            one = NewObject(found, one.bbox, {**prediction_record(one, chosen, found), "category": None})
        mask, box = self._clipped(one.mask, one.bbox)
        return NewObject(mask, box, one.record)

    def _checked(self, prediction: Prediction, label: int | None, overlap: str, candidate: int | None) -> int:
        """Which mask to write, if the arguments of `commit` mean something."""
        if not hasattr(prediction, "low_res_logits"):
            raise LabelsError(f"{type(prediction).__name__} is not a Prediction; use paint() for labels of your own")
        if overlap not in OVERLAPS:
            raise LabelsError(f"overlap {overlap!r}: use one of {', '.join(OVERLAPS)}")
        chosen = prediction.best if candidate is None else candidate
        if not 0 <= chosen < prediction.count:
            raise LabelsError(f"candidate {chosen}: the prediction has masks 0 to {prediction.count - 1}")
        if label is not None:
            _check_label(label)
        seen = prediction.asked.image_shape
        if seen is not None and tuple(seen) != self.shape[-2:]:
            raise LabelsError(
                f"the prediction is of an image of shape {tuple(seen)}, these labels are of one of {self.shape[-2:]}; "
                "make a store for that image"
            )
        return chosen

    def erase(self, label: int) -> None:
        """Take an object out.

        Raises
        ------
        LabelsError
            If there is none of this id.
        """
        with self._writing():
            row = self.object(label)
            edit = self._edit("erase", {"label": int(label)}, plane_of(row))
            self._clear(edit, [int(label)])
            self._write(edit.finish())

    def paint(
        self, labels: ArrayLike, origin: tuple[int, int], *, plane: tuple[int, ...] = (), kind: str = "paint"
    ) -> int:
        """Replace the labels of a region, as a brush, an eraser or another program does.

        Parameters
        ----------
        labels : array_like of int
            (h, w), 0 is background. Ids that are new become objects.
        origin : (int, int)
            (y, x) of its first pixel.
        plane : tuple of int
            Index along the leading axes.
        kind : str
            What the history calls it.

        Returns
        -------
        int
            Number of pixels that changed; nothing is written if there is none.

        Raises
        ------
        LabelsError
            If the region lies outside the image, or its values are not ids.
        """
        values = _checked_values(labels)
        box = (int(origin[0]), int(origin[1]), int(origin[0]) + values.shape[0], int(origin[1]) + values.shape[1])
        if intersection(box, self._whole()) != box:
            raise LabelsError(f"region {box} lies outside the image of shape {self.shape[-2:]}")
        if kind in _OWN_KINDS:
            raise LabelsError(f"kind {kind!r}: that is what the store calls its own changes; choose another word")
        with self._writing():
            edit = self._edit(kind, {}, plane)
            changed = edit.paint(box, lambda _, part: values[inside(part, box)])
            if changed:
                self._write(edit.finish())
            return changed

    def begin_run(self, record: dict[str, Any], count: int) -> RunBegin:
        """Note that many objects will be written by several calls of `place`, and keep ids for them.

        Parameters
        ----------
        record : dict
            What the run is, as JSON; its ``run`` is the key by which undo and redo take all of it in one step.
        count : int
            Number of objects.

        Returns
        -------
        RunBegin
            Where the run begins.

        Raises
        ------
        LabelsError
            If so many ids are not left in one piece.
        """
        with self._writing():
            first = next_free(self._journal)
            taken = "SELECT 1 FROM objects WHERE label BETWEEN ? AND ? LIMIT 1"
            if first + count - 1 > LARGEST_LABEL or self.rows_of(taken, (first, first + count - 1)):
                raise LabelsError(
                    f"{count} objects need as many ids in one piece, and from {first} on there are not so many: the "
                    f"highest is {LARGEST_LABEL}; write them into a new store"
                )
            after = min(first + count, LARGEST_LABEL)
            change = Change("everything", {**record, "first_label": first, "count": count}, first, after)
            op, self._rendered = self._journal.add(change, self._rendered)
            return RunBegin(op, first, count)

    def place(
        self,
        labels: NDArray[np.integer[Any]],
        origin: tuple[int, int],
        record: dict[str, Any],
        details: dict[int, dict[str, Any]],
        *,
        overlap: str = "keep",
        plane: tuple[int, ...] = (),
    ) -> int:
        """Write a part of the objects of a run.

        Parameters
        ----------
        labels : ndarray of int
            (h, w) ids; where it is 0 nothing changes.
        origin : (int, int)
            (y, x) of its first pixel.
        record : dict
            With the ``run`` that `begin_run` was given, and its ``op`` as ``begin``.
        details : dict of int to dict
            Category, predicted_iou, stability_score and model of each id.
        overlap : {"keep", "replace"}
            Whether objects that are there keep their pixels.
        plane : tuple of int
            As in `commit`.

        Returns
        -------
        int
            Number of pixels that changed.

        Raises
        ------
        CancelledError
            If the run was taken back by undo meanwhile.
        """
        values = _checked_values(labels)
        box = (int(origin[0]), int(origin[1]), int(origin[0]) + values.shape[0], int(origin[1]) + values.shape[1])
        with self._writing():
            if not self.rows_of("SELECT 1 FROM ops WHERE id = ? AND state = 'done'", (int(record["begin"]),)):
                raise CancelledError("the run was taken back by undo while it was written; resume=True writes it again")
            edit = self._edit("everything", record, plane)

            def paint(now: NDArray[np.uint32], part: Box) -> NDArray[np.uint32]:
                new = values[inside(part, box)]
                return np.where((new == 0) | ((now != 0) & (overlap == "keep")), now, new)

            changed = edit.paint(box, paint)
            change = edit.finish({label: details[label] for label in edit.gained if label in details})
            if change.patches:
                self._write(change)
            else:
                _, self._rendered = self._journal.add(change, self._rendered)  # done, though nothing was there
            return changed

    def merge(self, labels: Sequence[int], into: int | None = None) -> int:
        """Make several objects one.

        Parameters
        ----------
        labels : sequence of int
            Two or more ids, on one plane.
        into : int, optional
            Which of them stays; the smallest by default.

        Returns
        -------
        int
            The id that stays.

        Raises
        ------
        LabelsError
            If there are fewer than two, or one of them does not exist.
        """
        wanted = sorted({int(v) for v in labels})
        target = int(into) if into is not None else wanted[0] if wanted else 0
        if len(wanted) < 2 or target not in wanted:
            raise LabelsError(f"cannot merge {wanted}: give two ids or more, and one of them to stay (into={into})")
        with self._writing():
            planes = {self.object(label)["plane"] for label in wanted}
            if len(planes) > 1:
                raise LabelsError(f"objects {wanted} lie on different planes; merge those of one plane")
            edit = self._edit("merge", {"labels": wanted, "into": target}, plane_of(self.object(wanted[0])))
            for label in wanted:
                if label != target:
                    self._recolour(edit, label, target)
            self._write(edit.finish())
            return int(target)

    def relabel(self, old: int, new: int) -> None:
        """Give an object another id.

        Raises
        ------
        LabelsError
            If there is no object `old`, or there is one `new` already.
        """
        _check_label(new)
        with self._writing():
            row = self.object(old)
            if self._journal.objects([int(new)]):
                raise LabelsError(f"object {new} exists already; merge them, or choose another id")
            edit = self._edit("relabel", {"label": int(old), "new": int(new)}, plane_of(row))
            self._recolour(edit, int(old), int(new))
            kept = ("category", "predicted_iou", "stability_score", "model", "created")
            self._write(edit.finish({int(new): {key: row[key] for key in kept}}))

    def split(self, label: int, points: ArrayLike | None = None) -> list[int]:
        """Cut an object into several.

        Parameters
        ----------
        label : int
            Its id, which the largest part keeps.
        points : array_like, optional
            (P, 2) as (y, x): one in each part; the cut runs along the narrowest places between them. Without
            points its separate pieces become objects.

        Returns
        -------
        list of int
            Ids of the parts, largest first.

        Raises
        ------
        LabelsError
            If it is one piece, or fewer than two points lie on it.
        """
        with self._writing():
            row = self.object(label)
            box = box_of(row)
            if (box[2] - box[0]) * (box[3] - box[1]) > _SPLIT_PX:
                raise LabelsError(f"object {label} in box {box} is too large to split; paint the cut with the eraser")
            edit = self._edit("split", {"label": int(label)}, plane_of(row))
            parts = _parts(edit.read(box) == label, None if points is None else np.asarray(points, float) - box[:2])
            sizes = np.bincount(parts.ravel())[1:]
            if len(sizes) > 1 and not sizes.all():
                raise LabelsError(f"two of the points {np.asarray(points).tolist()} fall on one pixel; move one")
            if len(sizes) < 2:
                raise LabelsError(f"object {label} is one piece; give two or more points (y, x) on its parts")
            order = np.argsort(-sizes, kind="stable") + 1
            ids = [int(label), *range(self.next_label, self.next_label + len(order) - 1)]
            _check_label(ids[-1])
            numbers = np.zeros(len(sizes) + 1, np.uint32)
            numbers[order] = ids
            edit.change.record |= {"parts": ids, "category": row["category"]}
            edit.paint(
                box, lambda now, part: np.where(parts[inside(part, box)] > 0, numbers[parts[inside(part, box)]], now)
            )
            kept = {key: row[key] for key in ("category", "model")}
            self._write(edit.finish(dict.fromkeys(ids[1:], kept)))
            return ids

    def set_category(self, label: int, category: str | None) -> None:
        """Say what kind of object one is; None for unknown."""
        with self._writing():
            row = self.object(label)
            edit = self._edit("category", {"label": int(label), "category": category}, plane_of(row))
            self._write(edit.finish({int(label): {"category": category}}))

    def review(self, label: int, verdict: str = "accepted") -> None:
        """Say that an object was looked at; `napari_sam.io.labels.review_queue` says what counts, and which comes next.

        Parameters
        ----------
        label : int
            Its id.
        verdict : {"accepted", "rejected"}
            A rejected object is erased, by the same change.

        Raises
        ------
        LabelsError
            If there is no object of this id, or no such verdict.
        """
        if verdict not in VERDICTS:
            raise LabelsError(f"verdict {verdict!r}: use one of {', '.join(VERDICTS)}")
        with self._writing():
            row = self.object(label)
            edit = self._edit("review", {"label": int(label), "verdict": verdict}, plane_of(row))
            if verdict == "rejected":
                self._clear(edit, [int(label)])
            change = edit.finish()
            change.rows.setdefault(int(label), (row, dict(row)))  # a change, though no pixel differs
            self._write(change)

    def reviewed(self) -> set[int]:
        """Ids of the objects that a person has judged and kept; see `napari_sam.io.labels.review_queue`."""
        return reviewed_labels(self)

    def export(
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 - the plainest word
        labels: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Path:
        """Write objects to a file that other programs read, piece by piece, however large the image is.

        Parameters
        ----------
        path : str or Path
            The ending says how: ``.geojson`` (polygons along the pixels' edges; longitude and latitude if the image
            has a CRS, else pixels, as QuPath reads them), ``.gpkg`` (the same in the image's CRS), ``.json`` (COCO),
            ``.csv`` and ``.parquet`` (table with centroids), ``.tif`` and ``.ome.tif`` (label image with scale
            levels), ``.png`` (small images), ``.zip`` (ImageJ ROIs), ``.zarr`` (NGFF 0.5 without the journal), ``.py``
            (a script that makes the same objects again). A file that is there is replaced once the new one is whole;
            a folder is not.
        format : str, optional
            "geojson", "geojson-pixels" (pixels even with a CRS), "gpkg", "coco", "csv", "parquet", "tiff",
            "ome-tiff", "png", "roi", "zarr" or "script", where the ending does not say it.
        labels : sequence of int, optional
            Ids; all objects by default.
        progress : callable, optional
            Called with steps done and their number.
        cancelled : callable, optional
            Asked at each step whether to stop.

        Returns
        -------
        Path
            Of what was written.

        Raises
        ------
        LabelsError
            If the ending is unknown, the labels do not fit the format, a package is missing, or the file cannot be
            written.
        StoreError
            If pixels of the store are missing or damaged.
        CancelledError
            If `cancelled` said so. After any error the path is as it was before.
        """
        from napari_sam.io.exports.export_labels import export_labels  # noqa: PLC0415 - slow to import
        from napari_sam.io.exports.export_settings import ExportSettings  # noqa: PLC0415
        from napari_sam.io.labels.export_source import StoreExportSource  # noqa: PLC0415

        settings = ExportSettings(format, None if labels is None else tuple(labels))
        if self.writable:
            with self._writing():
                pass  # draws what a full disk left undrawn
        source = StoreExportSource(self, self._journal)
        return export_labels(source, path, settings, progress=progress, cancelled=cancelled)

    def measure(self, image: Any = None, **choice: Any) -> pd.DataFrame:
        """Shape of every object and, given the image, its intensities: see `napari_sam.io.labels.measure.measure`."""
        from napari_sam.io.labels.measure import measure  # noqa: PLC0415 - measurements know stores

        return measure(self, image, **choice)

    def _clear(self, edit: Edit, labels: list[int]) -> None:
        """Make existing objects background."""
        for label, row in self._journal.objects(labels).items():
            if plane_of(row) != edit.plane:
                raise LabelsError(f"object {label} lies on plane {row['plane']}; choose another id for this plane")
            self._recolour(edit, label, 0)

    def _recolour(self, edit: Edit, old: int, new: int) -> None:
        box = box_of(self.object(old))
        edit.paint(box, lambda labels, _: np.where(labels == old, np.uint32(new), labels))

    def _erase_mask(self, edit: Edit, mask: NDArray[np.bool_], box: Box, label: int | None) -> None:
        def paint(labels: NDArray[np.uint32], part: Box) -> NDArray[np.uint32]:
            here = mask[inside(part, box)]
            return np.where(here & ((labels == label) | (label is None)), np.uint32(0), labels)

        if not edit.paint(box, paint):
            raise LabelsError("there is no object under the mask to erase from")

    def _clipped(self, mask: NDArray[np.bool_], bbox: Box) -> tuple[NDArray[np.bool_], Box]:
        """A mask and its box without what lies outside the image."""
        box = intersection(tuple(int(v) for v in bbox), self._whole())  # type: ignore[arg-type]
        if box is None:
            raise LabelsError(f"the mask in box {bbox} lies outside the image of shape {self.shape[-2:]}")
        return np.asarray(mask, bool)[inside(box, bbox)], box


def _checked_values(labels: ArrayLike) -> NDArray[np.uint32]:
    values = np.asarray(labels)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biu":
        raise LabelsError(f"labels of shape {values.shape} and dtype {values.dtype}: give (h, w) of whole numbers")
    if int(values.min()) < 0 or int(values.max()) > LARGEST_LABEL:
        raise LabelsError(f"labels from {values.min()} to {values.max()}: ids lie between 0 and {LARGEST_LABEL}")
    return values.astype(np.uint32)


def _check_label(label: int) -> None:
    if isinstance(label, bool) or int(label) != label or not 0 < label <= LARGEST_LABEL:
        raise LabelsError(f"label {label!r}: ids are whole numbers from 1 to {LARGEST_LABEL}")


def _parts(mask: NDArray[np.bool_], points: NDArray[np.float64] | None) -> NDArray[np.int32]:
    """Number the parts of a mask from 1: its pieces, or what lies nearest each point across the narrowest places."""
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    if points is None:
        pieces, _ = ndimage.label(mask, np.ones((3, 3)))
        out: NDArray[np.int32] = pieces
        return out
    from skimage.segmentation import watershed  # noqa: PLC0415 - slow to import

    at = np.round(np.atleast_2d(points)).astype(np.int64)
    seeds = np.zeros(mask.shape, np.int32)
    for number, (y, x) in enumerate(at, start=1):
        if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]):
            raise LabelsError(f"point {number} does not lie on the object; give points on each of its parts")
        seeds[y, x] = number
    depth = ndimage.distance_transform_edt(mask)
    # Seeds flood only as high as the neck between them; a disc without one is halved by nearness to the points.
    near = ndimage.distance_transform_edt(seeds == 0)
    parts: NDArray[np.int32] = watershed(near - depth, seeds, mask=mask).astype(np.int32)
    loose = mask & (parts == 0)  # pieces without a point stay with the first
    parts[loose] = 1
    return parts
