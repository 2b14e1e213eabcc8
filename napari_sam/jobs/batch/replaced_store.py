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
