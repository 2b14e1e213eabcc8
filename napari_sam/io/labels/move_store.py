"""Move a label store to another folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.io.labels.store_access import WriterLock

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".ome.zarr"


def move_store(old: Path, new: Path) -> Path:
    """Move a label store, and return its new path, to which ``.ome.zarr`` is added if it is missing.

    Parameters
    ----------
    old : Path
        Folder of the store, which must not be open. If it does not exist, nothing is moved.
    new : Path
        The new folder, which must not exist.

    Raises
    ------
    StoreError
        If the new folder exists or cannot be made, or another process writes to the store.
    """
    target = new.expanduser().absolute()
    if not target.name.endswith(_SUFFIX):
        target = target.with_name(target.name + _SUFFIX)
    if target.exists():
        raise StoreError(f"{target}: exists already", remedy="choose another name, or open that label store")
    if not old.exists():
        return target
    WriterLock(old).release()  # nobody else may be writing
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(old, target)
    except OSError as error:
        raise StoreError(
            f"{target}: the label store cannot be moved there ({error})", remedy="choose a folder that can be written"
        ) from error
    return target
