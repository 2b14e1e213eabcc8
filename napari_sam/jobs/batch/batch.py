"""Which images of a batch are done, which are to be done and how, and what becomes of each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError, StoreError
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.jobs.batch.image_record import BEGUN, DONE, FAILED, TO_DO, ImageRecord
from src_models.run_record import first_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.batch.batch_folder import BatchFolder
    from napari_sam.jobs.input_pairs import InputPair

_EMPTY = "0"  # state of a store without any change
REFUSE, RESUME, OVERWRITE, ADD, DISCARD = "", "resume", "overwrite", "add", "discard"
"""What becomes of an output that exists: an error, continued, replaced, added to, added to without its stopped run."""


@dataclass(frozen=True)
class BatchItem:
    """An image of a batch, and what is to be done.

    Attributes
    ----------
    pair : InputPair
        Image and output.
    existing : str
        What becomes of an output that exists.
    done : ImageRecord or None
        What an earlier call has made of it with the same settings; nothing is to be done then.
    note : str
        What the user should know, such as that the image has changed since.
    """

    pair: InputPair
    existing: str = REFUSE
    done: ImageRecord | None = None
    note: str = ""


@dataclass(frozen=True)
class Batch:
    """One command over many images, which may have been begun by an earlier call.

    Attributes
    ----------
    folder : BatchFolder
        Its records.
    asked : dict
        Everything that decides the results, as JSON.
    existing : str
        What becomes of outputs that exist and that no earlier call of this batch has made.
    retry_failed : bool
        Only images that failed, or that were begun and not finished.
    of_stores : bool
        The inputs are label stores and the outputs tables, which are made again when either the store or what is asked
        has changed.
    columns : mapping of str to dict
        Further columns of the table, by the source of an image.
    clock : callable
        Returns the seconds since 1970.
    """

    folder: BatchFolder
    asked: JsonObject
    existing: str = REFUSE
    retry_failed: bool = False
    of_stores: bool = False
    columns: Mapping[str, dict[str, str]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def plan(self, pairs: Sequence[InputPair]) -> list[BatchItem]:
        """Return what is to be done with each image.

        Images that an earlier call has finished with the same settings are passed over, and those that it began are
        continued.

        Raises
        ------
        SettingsError
            If an earlier call had other settings, and `existing` does not say what to do; nothing is changed.
        """
        from napari_sam.jobs.batch.replaced_store import restore_all  # noqa: PLC0415 - the command line starts quickly

        restore_all([pair.out for pair in pairs])
        records = [(pair, self.folder.read(pair.out.name)) for pair in pairs]
        if self.retry_failed:
            records = [(pair, record) for pair, record in records if record and record.state in (FAILED, BEGUN)]
        is_replacing = self.existing == OVERWRITE and not any(
            record.state in (TO_DO, BEGUN) and record.asked == self.asked for _, record in records if record
        )
        if is_replacing and not self.retry_failed:
            for pair, record in records:
                if record is not None or pair.out.exists():
                    self.folder.write(replace(self._record(pair, TO_DO), before=self._output_state(pair.out)))
            return [BatchItem(pair, OVERWRITE) for pair, _ in records]
        return [self._item(pair, record) for pair, record in records]

    def begin(self, item: BatchItem) -> ImageRecord:
        """Note that the work on an image begins; returns the record for `finish` and `fail`."""
        earlier = self.folder.read(item.pair.out.name)
        if earlier is not None and earlier.state in (BEGUN, FAILED) and item.existing == RESUME:
            before, existing = earlier.before, earlier.existing
        else:
            before, existing = self._output_state(item.pair.out), item.existing
        record = replace(self._record(item.pair, BEGUN), before=before, existing=existing, finished=self.clock())
        self.folder.write(record)
        return record

    def finish(self, begun: ImageRecord, pair: InputPair, objects: int | None, failed_parts: int = 0) -> ImageRecord:
        """Note that an image is finished, or that parts of it failed."""
        state, error = (FAILED, f"{failed_parts} parts of the image failed") if failed_parts else (DONE, "")
        after = self._output_state(pair.out)
        return self._end(replace(begun, objects=objects, failed_parts=failed_parts, after=after), state, error)

    def fail(self, begun: ImageRecord, pair: InputPair, error: str) -> ImageRecord:
        """Note why an image failed."""
        return self._end(replace(begun, after=self._output_state(pair.out)), FAILED, error)

    def _end(self, begun: ImageRecord, state: str, error: str) -> ImageRecord:
        now = self.clock()
        record = replace(begun, state=state, error=error, seconds=max(0.0, now - begun.finished), finished=now)
        self.folder.write(record)
        return record

    def _record(self, pair: InputPair, state: str) -> ImageRecord:
        columns = self.columns.get(pair.source, {})
        version = self._version(pair)
        return ImageRecord(pair.source, pair.out.name, state, self.asked, version, columns=columns)

    def _item(self, pair: InputPair, record: ImageRecord | None) -> BatchItem:
        exists = pair.out.exists()
        if record is None or not exists:
            return BatchItem(pair, self.existing)
        if record.asked != self.asked:
            return self._with_other_settings(pair, record)
        if record.state == DONE:
            version = self._version(pair)
            same = record.version == version
            if self.of_stores and not same:
                return BatchItem(pair, note="objects have changed and are measured again")
            what = "has changed since its objects were found" if version else "is not there any more"
            note = "" if same else f"{what}; its objects are kept"
            return BatchItem(pair, done=record, note=note)
        return BatchItem(pair, self._continuation(pair, record))

    def _with_other_settings(self, pair: InputPair, record: ImageRecord) -> BatchItem:
        difference = first_difference(record.asked, self.asked)
        if self.of_stores:
            name = "" if difference is None else f" {difference.name}"
            return BatchItem(pair, note=f"settings{name} have changed: measured again")
        if difference is None or self.existing in (ADD, DISCARD, OVERWRITE):
            return BatchItem(pair, self.existing)
        where = f"{pair.out} was made by an earlier batch"
        if self.existing == RESUME and record.state == DONE:
            kept = f"was made with {difference.name} {difference.earlier!r}, and is kept"
            return BatchItem(pair, done=record, note=kept)
        remedy = (
            "keep what is done with {existing=resume}, or find all objects again with {existing=overwrite}, which "
            "deletes the earlier ones"
        )
        raise difference.error(where, SettingsError, remedy)

    def _continuation(self, pair: InputPair, record: ImageRecord) -> str:
        """Return how to continue with an image that was begun, or some of whose parts failed."""
        if self.of_stores:
            return REFUSE
        try:
            if has_stopped_run(pair.out):
                return DISCARD if self.existing == DISCARD else RESUME
        except SettingsError:  # a damaged record, which the job reports
            return self.existing
        state = self._output_state(pair.out)
        chosen = record.existing if record.existing in (ADD, OVERWRITE, DISCARD) else self.existing
        if record.state == TO_DO:  # unless somebody has changed it since
            return OVERWRITE if state == record.before else self.existing
        if state == record.before:  # it was killed before anything was written
            return chosen
        if state == _EMPTY:
            return ADD
        made_here = record.before == "" or record.existing == OVERWRITE
        if record.failed_parts:
            return OVERWRITE if made_here and state == record.after else ADD
        if record.state == BEGUN or (made_here and record.after):  # it was killed when all was written
            return RESUME
        return chosen

    def _output_state(self, path: Path) -> str:
        """Return the state of the label store that is written; empty without one, and if it is damaged."""
        return "" if self.of_stores else _store_state(path)

    def _version(self, pair: InputPair) -> str:
        """Return what changes with an input."""
        if self.of_stores:
            return _store_state(Path(pair.source))
        path = Path(pair.source)
        for name in ("zarr.json", ".zattrs", ".zarray"):
            if (path / name).is_file():
                path = path / name
        try:
            stat = path.stat()
        except OSError:  # a URL, or an image that is missing
            return ""
        return f"{stat.st_size} {stat.st_mtime_ns}"


def _store_state(path: Path) -> str:
    """Return a text that changes with every edit of a label store; empty without a store, or with a damaged one.

    Opening a damaged store for the job reports what is wrong with it.
    """
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    if not (path / JOURNAL_FILE).is_file():
        return ""
    try:
        with LabelStore.open(path, "r") as store:
            mark = store.journal.log_mark(store.journal.last_log_entry())
    except StoreError:
        return ""
    return f"{mark.seq} {mark.time!r}" if mark.seq else _EMPTY


def has_stopped_run(path: Path) -> bool:
    """Whether a label store holds a run that was stopped, of tiles or of planes."""
    from napari_sam.jobs.segment_image import unfinished_run  # noqa: PLC0415 - imports torch
    from napari_sam.jobs.stacks.stack_run import read_unfinished_stack  # noqa: PLC0415

    return unfinished_run(path) is not None or read_unfinished_stack(path) is not None
