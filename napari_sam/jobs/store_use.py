"""Use of a label store by a run: only one at a time, and what an unfinished one has written."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam.io.labels.label_store import LabelStore

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
