"""Default paths of label stores."""

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
    """Return the folder for labels of images that have no file, or whose folder is read-only.

    The environment variable ``NAPARI_SAM_DATA`` sets it; by default it is ``napari-sam-xl/labels`` in the user's data
    folder (``XDG_DATA_HOME``, on Windows ``LOCALAPPDATA``, else ``~/.local/share``). It need not exist.
    """
    chosen = os.environ.get("NAPARI_SAM_DATA")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".local" / "share"
    return root / "napari-sam-xl" / "labels"


def store_path(name: str, uri: str | None = None, plane_count: int = 1, fingerprint: str | None = None) -> Path:
    """Return the folder for the labels of an image.

    Parameters
    ----------
    name : str
        Name of the image.
    uri : str, optional
        Its file or URL. Labels of a file lie beside it; those of a URL, or of a file in a read-only folder, lie in
        `data_dir`. Either way the path is the same each time.
    plane_count : int
        Number of planes that are labelled; stacks get a name of their own.
    fingerprint : str, optional
        Fingerprint of the pixels, for an image without `uri`: the same pixels have the same store, regardless of the
        name.

    Returns
    -------
    Path
        A new one each time for an image without `uri` and `fingerprint`.

    Examples
    --------
    >>> store_path("cells", "/nowhere/cells.ome.tif").name[:14]
    'cells.ome.tif-'
    """
    stack = "" if plane_count == 1 else ".stack"
    if uri is None and fingerprint is not None:
        ending = f"-{fingerprint}{stack}{_SUFFIX}"
        existing = sorted(data_dir().glob(f"*{ending}"))
        return existing[0] if existing else data_dir() / f"{_safe(name)}{ending}"
    if uri is None:
        stem = _safe(name)
        dated = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        paths = (data_dir() / f"{dated}{'' if n == 1 else f'-{n}'}{_SUFFIX}" for n in itertools.count(1))
        return next(path for path in paths if not path.exists())
    tail = uri.rstrip("/\\")
    name = Path(tail).name
    stem = _safe(name)
    digest = hashlib.sha256(tail.encode()).hexdigest()[:8]
    local = Path(tail)
    if "://" not in uri and _is_writable(local.parent):
        return local.parent / f"{stem}{stack if stem == name else f'-{digest}{stack}'}{_SUFFIX}"
    return data_dir() / f"{stem}-{digest}{stack}{_SUFFIX}"


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _safe(name: str) -> str:
    """Return a name that every file system accepts."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:80] or "image"
