"""Where labels are kept when nobody says where."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import sys
import tempfile
import time
from pathlib import Path

_SUFFIX = ".labels.ome.zarr"


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
    >>> store_path("cells", "/nowhere/cells.ome.tif").name[:14]
    'cells.ome.tif-'
    """
    kind = "" if plane_count == 1 else ".stack"
    if uri is None:
        stem = _safe(name)
        begun = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        paths = (data_dir() / f"{begun}{'' if n == 1 else f'-{n}'}{_SUFFIX}" for n in itertools.count(1))
        return next(path for path in paths if not path.exists())
    tail = uri.rstrip("/\\")
    name = Path(tail).name
    stem = _safe(name)
    digest = hashlib.sha256(tail.encode()).hexdigest()[:8]
    local = Path(tail)
    if "://" not in uri and _may_write(local.parent):
        return local.parent / f"{stem}{kind if stem == name else f'-{digest}{kind}'}{_SUFFIX}"
    return data_dir() / f"{stem}-{digest}{kind}{_SUFFIX}"


def _may_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] or "image"
