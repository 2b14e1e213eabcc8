"""Where labels are kept when nobody says where."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from pathlib import Path

_SUFFIX = ".labels.ome.zarr"
_ENDINGS = (".ome.zarr", ".ome.tiff", ".ome.tif", ".zarr", ".tiff", ".tif", ".png", ".jpeg", ".jpg")


def data_dir() -> Path:
    """Folder for labels of images that have no file of their own, or lie where nothing may be written.

    The environment variable ``NAPARI_SAM_DATA`` names it; else it is ``napari-sam-xl/labels`` in the user's data
    folder (``XDG_DATA_HOME``, on Windows ``LOCALAPPDATA``, else ``~/.local/share``). It need not exist.
    """
    own = os.environ.get("NAPARI_SAM_DATA")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return root / "napari-sam-xl" / "labels"


def store_path(name: str, uri: str | None = None, plane_count: int = 1) -> Path:
    """Folder for the labels of an image.

    Parameters
    ----------
    name : str
        Of the image.
    uri : str, optional
        Its file or address, if it has one: labels of a file lie beside it, so that they are found again; those of
        an address, or of a file in a read-only folder, lie in `data_dir` under a name that is the same each time.
    plane_count : int
        Number of planes that are labelled; stacks get a name of their own.

    Returns
    -------
    Path
        For an image without `uri` it is a new one each time.

    Examples
    --------
    >>> store_path("cells", "/nowhere/cells.ome.tif").name[:6]
    'cells-'
    """
    kind = "" if plane_count == 1 else ".stack"
    if uri is None:
        stem = _safe(name)
        path = data_dir() / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}{_SUFFIX}"
        number = 1
        while path.exists():
            number += 1
            path = data_dir() / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{number}{_SUFFIX}"
        return path
    tail = uri.rstrip("/\\")
    stem = Path(tail).name
    ending = next((e for e in _ENDINGS if stem.lower().endswith(e)), "")
    stem = _safe(stem[: len(stem) - len(ending)])
    local = Path(tail)
    if "://" not in uri and local.parent.is_dir() and os.access(local.parent, os.W_OK):
        return local.parent / f"{stem}{kind}{_SUFFIX}"
    digest = hashlib.sha256(tail.encode()).hexdigest()[:8]
    return data_dir() / f"{stem}-{digest}{kind}{_SUFFIX}"


def _safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] or "image"
