"""Which label store belongs to which image, where the path of the image does not tell: a small file of the user."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from napari_sam.io.labels.store_paths import data_dir
from src_models.atomic import write_json

_NAME = "stores.json"
_MOST_ENTRIES = 10_000
_MOST_BYTES = 1 << 24


def remember_store(image: str, path: Path) -> None:
    """Remember that the objects of an image lie in the store at `path`, also in later sessions.

    Parameters
    ----------
    image : str
        What tells the image from others: its file or URL, or the fingerprint of its pixels.
    path : Path
        Folder of the store.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    entries = _read()
    entries.pop(image, None)
    entries[image] = str(path.absolute())
    newest = dict(list(entries.items())[-_MOST_ENTRIES:])
    write_json(data_dir() / _NAME, newest)


def remembered_store(image: str) -> Path | None:
    """Return the store that was remembered for an image, if it still exists."""
    path = _read().get(image)
    return Path(path) if path is not None and Path(path).is_dir() else None


def _read() -> dict[str, str]:
    """Return the entries, oldest first; none if the file is missing or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        file = data_dir() / _NAME
        if file.stat().st_size <= _MOST_BYTES:
            content = json.loads(file.read_text())
            if isinstance(content, dict):
                return {key: value for key, value in content.items() if isinstance(value, str)}
    return {}
