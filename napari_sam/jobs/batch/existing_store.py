"""What becomes of the label store of an image of a batch that exists."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from typing import TYPE_CHECKING

from napari_sam.errors import CancelledError, NapariSamError, SettingsError, StoreError, StoreLockedError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.projects.image_lock import is_running
from napari_sam.jobs.batch.batch import ADD, DISCARD, OVERWRITE, RESUME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENDING = ".replaced"


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
    """Move a store aside, and delete it at the end, or move it back after an error."""
    aside = move_aside(path)
    try:
        yield
    except BaseException as error:
        if isinstance(error, NapariSamError) and not isinstance(error, CancelledError) and is_empty(path):
            shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            aside.replace(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def is_empty(path: Path) -> bool:
    """Whether a label store has neither objects nor finished tiles or planes."""
    from napari_sam.jobs.segment_image import unfinished_run  # noqa: PLC0415 - imports torch
    from napari_sam.jobs.stacks.stack_run import read_unfinished_stack  # noqa: PLC0415

    try:
        with LabelStore.open(path, "r") as store:
            tiles, planes = unfinished_run(path) or {}, read_unfinished_stack(path) or {}
            return len(store) == 0 and not tiles.get("tiles_done") and not planes.get("planes_done")
    except (StoreError, SettingsError):  # also if the record of a run is damaged
        return False


def move_aside(path: Path) -> Path:
    """Rename a store that is to be replaced, unless another process writes to it; returns the new path.

    Raises
    ------
    StoreLockedError
        If another process writes to it.
    StoreError
        If it cannot be renamed.
    """
    try:
        LabelStore.open(path).close()
    except StoreLockedError:
        raise
    except StoreError:
        pass  # a damaged store can be replaced, too
    for left in _left_aside(path):
        shutil.rmtree(left, ignore_errors=True)
    aside = path.with_name(f"{_prefix(path)}{os.getpid()}{_ENDING}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
    except OSError as error:
        raise StoreError(f"{path}: cannot be replaced: {error}", remedy="choose another path") from error
    return aside


def restore_replaced(path: Path) -> None:
    """Bring a store back that was moved aside by a process which was killed before it wrote a new one."""
    left = [] if path.exists() else _left_aside(path)
    if left:
        with contextlib.suppress(OSError):
            max(left, key=lambda aside: aside.stat().st_mtime).replace(path)


def _left_aside(path: Path) -> list[Path]:
    """Return the stores that processes of this machine which have ended moved aside for `path`."""
    prefix, found = _prefix(path), []
    with contextlib.suppress(OSError):
        for aside in path.absolute().parent.iterdir():
            pid = aside.name.removeprefix(prefix).removesuffix(_ENDING)
            is_aside = aside.name.startswith(prefix) and aside.name.endswith(_ENDING)
            if is_aside and pid.isdecimal() and not is_running(int(pid)):
                found.append(aside)
    return found


def _prefix(path: Path) -> str:
    """Return how the names of stores that this machine moves aside begin."""
    return f".{path.name}.{socket.gethostname()}."
