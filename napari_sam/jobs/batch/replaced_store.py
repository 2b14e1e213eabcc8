"""Label stores that are moved aside while others take their place."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from typing import TYPE_CHECKING

from napari_sam.errors import SettingsError, StoreError, StoreLockedError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.projects.image_lock import is_running

if TYPE_CHECKING:
    from pathlib import Path

_ENDING = ".replaced"


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


def put_back(aside: Path, path: Path) -> None:
    """Bring a store back after an error, unless the one that took its place holds something: then it is deleted.

    Raises
    ------
    OSError
        If the new, empty store cannot be moved out of the way; the old one stays where it is.
    """
    if path.exists() and not is_empty(path):
        discard(aside, path)
        return
    empty = aside.with_name(f"{aside.name}.empty")
    if path.exists():
        path.replace(empty)
    aside.replace(path)
    shutil.rmtree(empty, ignore_errors=True)


def discard(aside: Path, path: Path) -> None:
    """Delete a store that was moved aside, and those of processes that were killed."""
    for old in (aside, *_left_aside(path)):
        shutil.rmtree(old, ignore_errors=True)


def restore_replaced(path: Path) -> None:
    """Bring a store back that was moved aside by a process which was killed before it wrote anything into a new one."""
    left = _left_aside(path)
    if left and (not path.exists() or is_empty(path)):
        with contextlib.suppress(OSError):
            put_back(max(left, key=lambda aside: aside.stat().st_mtime), path)


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
