"""Use of a label store by a run: only one at a time, and what an unfinished one has written."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.editing.run_writer import RunBegin, RunWriter
    from napari_sam.io.labels.label_store import LabelStore
    from src_models.run_record import RunRecord

_stores_in_use: weakref.WeakSet[LabelStore] = weakref.WeakSet()
_stores_lock = threading.Lock()


@contextlib.contextmanager
def exclusive_use(store: LabelStore) -> Iterator[None]:
    """Refuse a second run in the same store."""
    with _stores_lock:
        if store in _stores_in_use:
            raise StoreError(f"{store.path}: a run is writing into this store", remedy="wait for it, or cancel it")
        _stores_in_use.add(store)
    try:
        yield
    finally:
        with _stores_lock:
            _stores_in_use.discard(store)


def undo_written(store: LabelStore, run_id: str) -> None:
    """Undo what an unfinished run has written, if anything.

    Raises
    ------
    SettingsError
        If the store was changed after it.
    """
    changes = store.journal.changes
    ops = changes.ops_of_run(run_id, "everything")
    if not ops:
        return
    if changes.last_op_in_effect() != ops[-1]:
        raise SettingsError(
            f"{store.path} holds objects of the unfinished run, and other objects were changed after it",
            parameter="resume",
            remedy="undo those changes first, or continue with {resume=True}",
        )
    store.undo()


def record_to_continue(
    store: LabelStore,
    load: Callable[[], RunRecord | None],
    asked: JsonObject,
    resume: bool | None,
    count_done: Callable[[], int],
) -> RunRecord | None:
    """Return the record of the unfinished run to continue; None to begin a new one.

    Parameters
    ----------
    store : LabelStore
        Store that the run writes into.
    load : callable
        Reads the record; returns None if there is none.
    asked : dict
        What the run is to do; the unfinished one must have been asked the same.
    resume : bool or None
        Whether to continue an unfinished run or to undo it; None if there must be none.
    count_done : callable
        Returns how many of its parts are done.

    Raises
    ------
    SettingsError
        If `resume` is None and there is one, if it is another one, or if its record is damaged and is not dropped.
    """
    try:
        record = load()
    except SettingsError:
        if resume is not False:
            raise
        record = None
    if record is None:
        return None
    if resume is False:
        undo_written(store, record.run_id)
        return None
    where = f"{store.path} holds an unfinished run ({count_done()} of {record.total} {record.unit} done)"
    if resume is None:
        remedy = "continue with {resume=True}, or drop it with {resume=False}"
        raise SettingsError(where, parameter="resume", remedy=remedy)
    record.check_resumable(asked, where)
    return record


def begin_writing(store: LabelStore, writer: RunWriter, asked: JsonObject, count: int) -> tuple[RunBegin, set[str]]:
    """Begin to write the objects of a run, or continue.

    Parameters
    ----------
    store : LabelStore
        The store.
    writer : RunWriter
        Writer of the run.
    asked : dict
        What the run was asked to do; kept in the journal.
    count : int
        Number of objects.

    Returns
    -------
    begin : RunBegin
        The first change of the run.
    written : set of str
        Names of the parts that are written already.

    Raises
    ------
    SettingsError
        If another number of objects was being written before.
    """
    begin = writer.begun()
    if begin is None:
        return writer.begin(asked, count), set()
    if begin.count != count:
        raise SettingsError(
            f"{store.path}: {begin.count} objects were being written, but now there are {count}, since parts of the "
            "image were searched again",
            parameter="resume",
            remedy="drop the run with {resume=False}",
        )
    return begin, writer.written_tiles()
