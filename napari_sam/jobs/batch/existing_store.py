"""What becomes of the label store of an image of a batch that exists."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.jobs.batch.batch import ADD, DISCARD, OVERWRITE, RESUME
from napari_sam.jobs.batch.replaced_store import discard, move_aside, put_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def existing_store(path: Path, existing: str, *, is_unfinished: bool) -> Iterator[bool | None]:
    """Make way for the objects of an image; a store that is replaced comes back if the work fails.

    Parameters
    ----------
    path : Path
        The label store, which need not exist.
    existing : str
        As in `BatchItem`.
    is_unfinished : bool
        Whether it holds a stopped run.

    Yields
    ------
    bool or None
        The argument `resume` of the job.

    Raises
    ------
    StoreError
        If it exists and nothing says what to do with it, or if it cannot be replaced.
    """
    if not path.exists():
        yield None
    elif existing == OVERWRITE:
        with _replaced(path):
            yield None
    elif existing in (ADD, DISCARD, RESUME):
        yield {ADD: None, DISCARD: False, RESUME: True}[existing]
    else:
        state = "holds an unfinished run" if is_unfinished else "exists already"
        raise StoreError(
            f"{path}: {state}",
            parameter="existing",
            remedy="keep it with {existing=resume}, add with {existing=add}, or delete it with {existing=overwrite}",
        )


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[None]:
    """Move a store aside, and delete it at the end; after an error, move it back unless the new one holds something."""
    aside = move_aside(path)
    try:
        yield
    except BaseException:
        put_back(aside, path)
        raise
    discard(aside, path)
