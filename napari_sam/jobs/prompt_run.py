"""A run over a table of prompts, which can be stopped and continued."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.windows import Hints, whole_window
from napari_sam.errors import CancelledError, NothingSegmentedError, SettingsError, StoreError
from napari_sam.io.labels.editing.commit_many import COVERED, DUPLICATE
from napari_sam.jobs.prompt_decoding import TableDecoder, processing_order, split_commits
from src_models.run_record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.journal.rows import JournaledChange
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.jobs.job_settings import PromptedSettings
    from napari_sam.jobs.prompt_decoding import PendingMask
    from napari_sam.predictor import Predictor

_UNIT = 256  # prompts that are sorted by predicted IoU and committed together, regardless of the batch
_RECORD = "prompted.json"
_NAMED_FAILURES = 1000  # in the report and the journal


@dataclass
class PromptCounts:
    """What became of prompts; the field names are those of the journal."""

    objects: int = 0
    unsure: int = 0
    duplicates: int = 0
    covered: int = 0
    failures: int = 0

    def add(self, other: PromptCounts) -> None:
        """Add other counts."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


class PromptRun:
    """One run over a table of prompts.

    Prompts are processed in units of 256. Each unit is committed as one change of the store, or several if its masks
    are large; the journal's records hold how far the run is.

    Parameters
    ----------
    store : LabelStore
        Receives the objects.
    table : PromptTable
        The prompts.
    predictor : Predictor
        With the image.
    settings : PromptedSettings
        What to keep, and how.
    cancelled : callable, optional
        Polled between the steps.

    Attributes
    ----------
    counts : PromptCounts
        What became of the prompts so far.
    failed : list of (int, str)
        Number of each prompt that failed, with the reason; the first 1000.
    first_label : int
        Id that the first object gets, or would get.
    """

    def __init__(
        self,
        store: LabelStore,
        table: PromptTable,
        predictor: Predictor,
        settings: PromptedSettings,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._store, self._table, self._predictor = store, table, predictor
        self._settings, self._cancelled = settings, cancelled
        self._hints = Hints(diameter_px=_optional_float(settings.diameter_px))
        self._decoder = TableDecoder(table, predictor, settings, self._hints, cancelled)
        self._asked, self._run_id = _describe(table, predictor, settings)
        self._record: RunRecord | None = None
        self.first_label = store.next_label
        self.counts, self._unit_counts = PromptCounts(), PromptCounts()
        self.failed: list[tuple[int, str]] = []
        self._journaled_failures = 0
        self._start, self._committed_masks = 0, 0  # prompts before this unit; masks of this unit
        self._has_committed = False
        self._plane = tuple(getattr(predictor.image, "plane", ())) if len(store.shape) > 2 else ()

    def begin(self, resume: bool | None) -> None:
        """Continue an unfinished run, or begin a new one.

        Raises
        ------
        StoreError
            If `resume` is None and there is an unfinished run, if `resume` is True and it differs from this one, or if
            the record cannot be written.
        """
        path = self._store.path / _RECORD
        try:
            unfinished = RunRecord.load(path, unit="prompts")
        except SettingsError:
            if resume is not False:
                raise
            unfinished = None
        if unfinished is not None and resume is None:
            raise StoreError(
                f"{self._store.path} holds an unfinished run of {unfinished.total} prompts",
                parameter="resume",
                remedy="continue with {resume=True}, or forget it and keep its objects with {resume=False}",
            )
        if unfinished is not None and resume:
            self._check_same(unfinished)
        if resume:
            self._restore()
        try:
            self._record = RunRecord.begin(
                path, self._asked, unit="prompts", total=len(self._table), run_id=self._run_id
            )
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error}", remedy="make room, or choose another folder"
            ) from error

    def discard_if_empty(self) -> None:
        """Delete the record of a run that has committed nothing."""
        if self._record is not None and not self._has_committed:
            self._record.delete()

    def finish(self) -> None:
        """Delete the record of the finished run."""
        if self._record is not None:
            self._record.delete()

    def check_failures(self) -> None:
        """Raise `NothingSegmentedError` if every prompt failed."""
        total = len(self._table)
        if total and self.counts.failures == total:
            raise NothingSegmentedError(
                f"not one of {total} prompts could be segmented; the first: {self.failed[0][1]}",
                remedy="mend the cause, then try again",
            )

    def steps(self) -> Iterator[int]:
        """Decode and commit the prompts; yields how many are done."""
        order = processing_order(self._table, self._predictor, self._hints)
        total = len(order)
        while self._start < total:
            self._stop_if_cancelled(total)
            unit = order[self._start : self._start + _UNIT].tolist()
            decoded = self._decoder.decode(unit)
            for masks in split_commits(decoded.masks[self._committed_masks :]):
                self._commit(masks)
            self._unit_counts.unsure, self._unit_counts.failures = decoded.unsure, len(decoded.failed)
            self.failed = (self.failed + decoded.failed)[:_NAMED_FAILURES]
            self.counts.add(self._unit_counts)
            self._unit_counts, self._committed_masks = PromptCounts(), 0
            self._start += len(unit)
            yield self._start
        if not total or self._start >= total:
            yield total

    def _stop_if_cancelled(self, total: int) -> None:
        if self._cancelled is not None and self._cancelled():
            raise CancelledError(
                f"cancelled after {self._start} of {total} prompts; {self.counts.objects} objects are kept",
                remedy="continue with {resume=True}",
            )

    def _check_same(self, unfinished: RunRecord) -> None:
        """Refuse to continue a run of other prompts, image, model or settings."""
        if unfinished.run_id == self._run_id:
            return
        where = f"{self._store.path} holds an unfinished run"
        if unfinished.asked:
            unfinished.check_resumable(self._asked, where, error=StoreError)
        raise StoreError(
            f"{where} of other prompts, another image, model or settings",
            parameter="resume",
            remedy="give the same ones, or forget it and keep its objects with {resume=False}",
        )

    def _restore(self) -> None:
        """Read from the journal how far the run is."""
        changes = self._store.journal.changes
        last = changes.last_of_run(self._run_id, "commits")
        if last is None:
            return
        try:
            self._restore_from(last)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{self._store.path}: the record of change {last.op} is damaged ({error!r})",
                remedy="forget the run and keep its objects with {resume=False}",
            ) from error

    def _restore_from(self, last: JournaledChange) -> None:
        """Read the state of the run from its last change."""
        changes = self._store.journal.changes
        self._has_committed = True
        for change in changes.failures_of_run(self._run_id):
            self.failed += [(int(number), str(reason)) for number, reason in change.record["source"]["failed"]]
        self._journaled_failures = len(self.failed)
        record = last.record
        source = record["source"]
        self.first_label, self._start = source["first_label"], source["start"]
        self._committed_masks = source["within"] + source["size"]
        self.counts, self._unit_counts = PromptCounts(**source["before"]), PromptCounts(**source["in_unit"])
        objects, duplicates, covered = len(record["objects"]), record["duplicates"], record["covered"]
        self._unit_counts.add(PromptCounts(objects, 0, duplicates, covered))

    def _commit(self, masks: list[PendingMask]) -> None:
        """Write masks as one change of the store."""
        source = {
            "run": self._run_id,
            "failed": self.failed[self._journaled_failures :],
            "first_label": self.first_label,
            "start": self._start,
            "within": self._committed_masks,
            "size": len(masks),
            "before": asdict(self.counts),
            "in_unit": asdict(self._unit_counts),
        }
        labels = self._store.commit_many(
            [mask.decode() for mask in masks],
            self._settings.overlap,
            plane=self._plane,
            nms=_optional_float(self._settings.nms),
            since=self.first_label,
            source=source,
        )
        if any(label > 0 for label in labels):  # without an object there is no change in the journal
            self._has_committed, self._journaled_failures = True, len(self.failed)
        self._committed_masks += len(masks)
        duplicates, covered = labels.count(DUPLICATE), labels.count(COVERED)
        self._unit_counts.add(PromptCounts(len(labels) - duplicates - covered, 0, duplicates, covered))


def read_unfinished_prompts(path: Path) -> JsonObject | None:
    """Return ``run``, ``prompts`` and ``begun`` of the unfinished run in a store's folder; None without one."""
    record = RunRecord.load(path / _RECORD, unit="prompts")
    return None if record is None else {"run": record.run_id, "prompts": record.total, "begun": record.begun}


def _describe(table: PromptTable, predictor: Predictor, settings: PromptedSettings) -> tuple[JsonObject, str]:
    """Return everything that decides the result, and its hash, which identifies the run."""
    choice: JsonObject = {
        "overlap": settings.overlap,
        "min_iou": float(settings.min_iou),
        "nms": _optional_float(settings.nms),
        "category": settings.category,
        "diameter_px": _optional_float(settings.diameter_px),
    }
    key = predictor.key(whole_window(predictor.image.shape, predictor.img_size))
    image = key.image if key.persistent else ""
    normalisation = asdict(key.normalisation)
    # The text must not change: runs on disk are identified by its hash.
    text = repr([image, key.image_shape, key.weights, key.precision, normalisation, choice])
    digest, prompts = hashlib.sha256(text.encode()), hashlib.sha256()
    for array in (table.boxes, table.points, table.point_labels, table.first):
        data = np.ascontiguousarray(array).tobytes()
        digest.update(data)
        prompts.update(data)
    categories = repr((table.category, table.mask is not None)).encode()
    digest.update(categories)
    prompts.update(categories)
    asked = {
        "image": image,
        "image_shape": list(key.image_shape),
        "weights": key.weights,
        "precision": key.precision,
        "normalisation": normalisation,
        **choice,
        "prompts": f"{len(table)} prompts with hash {prompts.hexdigest()[:12]}",
    }
    return asked, digest.hexdigest()[:32]


def _optional_float(value: float | None) -> float | None:
    return None if value is None else float(value)
