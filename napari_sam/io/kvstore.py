"""Folders as tensorstore's key-value stores, whatever their names are."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam.io.json_types import JsonObject

_links: dict[str, str] = {}
_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
_lock = threading.Lock()


def file_kvstore(folder: str | Path) -> JsonObject:
    r"""Return tensorstore's description of a folder.

    tensorstore takes a backslash in a name for a separator on every system, and would read and write elsewhere. A
    folder with such a name is therefore reached by a symbolic link in a temporary folder.

    Parameters
    ----------
    folder : str or Path
        The folder, absolute; the part of its path with backslashes is made if it does not exist.

    Raises
    ------
    OSError
        If the folder or the link cannot be made.

    Examples
    --------
    >>> file_kvstore("/data/a.zarr")
    {'driver': 'file', 'path': '/data/a.zarr/'}
    """
    text = str(folder).rstrip("/")
    if os.sep == "/" and "\\" in text:
        text = _through_link(text)
    return {"driver": "file", "path": f"{text}/"}


def _through_link(text: str) -> str:
    """Return a path without backslashes to the same folder."""
    end = text.find("/", text.rindex("\\"))
    named, rest = (text, "") if end < 0 else (text[:end], text[end:])
    with _lock:
        link = _links.get(named)
        if link is None or not Path(link).exists():
            Path(named).mkdir(parents=True, exist_ok=True)
            if not _folders:
                _folders.append(tempfile.TemporaryDirectory(prefix="napari-sam-"))
            link = _links[named] = f"{_folders[0].name}/{len(_links)}"
            Path(link).unlink(missing_ok=True)
            Path(link).symlink_to(Path(named).absolute())
    return link + rest
