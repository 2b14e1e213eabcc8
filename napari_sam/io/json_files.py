"""Small JSON files of others: bounded in size and depth, and always an object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject

_MOST_BYTES = 64 << 20


def read_json_object(path: Path) -> JsonObject:
    """Return the object in a JSON file.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no regular file, too large, nested too deep, no JSON, or not an object; the message says which.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__} where an object belongs")
    return content
