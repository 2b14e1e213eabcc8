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
from napari_sam.jobs.image_run import read_unfinished_run
from napari_sam.jobs.stacks.stack_run import read_unfinished_stack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ENDING = ".replaced"


def is_empty(path: Path) -> bool:
    """Whether a label store has neither objects nor finished tiles or planes."""
    try:
        with LabelStore.open(path, "r") as store:
            tiles, planes = read_unfinished_run(path) or {}, read_unfinished_stack(path) or {}
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


def restore_all(paths: Sequence[Path]) -> None:
    """Bring the stores of a batch back, as `restore_replaced`; each folder is listed once if nothing was left there."""
    folders = {path.absolute().parent for path in paths}
    with_left = {folder for folder in folders if any(name.endswith(_ENDING) for name in _names_in(folder))}
    for path in paths:
        if path.absolute().parent in with_left:
            restore_replaced(path)


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _left_aside(path: Path) -> list[Path]:
    """Return the stores that processes of this machine which have ended moved aside for `path`."""
    prefix, found = _prefix(path), []
    for name in _names_in(path.absolute().parent):
        pid = name.removeprefix(prefix).removesuffix(_ENDING)
        is_aside = name.startswith(prefix) and name.endswith(_ENDING)
        if is_aside and pid.isdecimal() and not is_running(int(pid)):
            found.append(path.with_name(name))
    return found


def _prefix(path: Path) -> str:
    """Return how the names of stores that this machine moves aside begin."""
    return f".{path.name}.{socket.gethostname()}."
