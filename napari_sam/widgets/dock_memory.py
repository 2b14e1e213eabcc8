"""What the user chose in the dock, kept for the next session."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from napari_sam.io.labels.store_paths import data_dir
from src_models.atomic import write_json

_FILE = "dock.json"
_MOST_BYTES = 1 << 20


@dataclass
class DockMemory:
    """Choices in the dock; None where the user has made none.

    Attributes
    ----------
    model : str or None
        Name or path of the model.
    device : str or None
        Device to run it on.
    overlap : str or None
        Overlap rule.
    diameter_px : float or None
        Object size.
    folder : str or None
        Folder of the last export.
    project : str or None
        Folder of the project.
    welcomed : str or None
        Version of the plugin that told what it found at its first start.
    """

    model: str | None = None
    device: str | None = None
    overlap: str | None = None
    diameter_px: float | None = None
    folder: str | None = None
    project: str | None = None
    welcomed: str | None = None

    @classmethod
    def load(cls) -> DockMemory:
        """Return what was kept; nothing if the file is missing or damaged."""
        memory = cls()
        with suppress(OSError, ValueError, RecursionError):
            file = data_dir() / _FILE
            if file.stat().st_size <= _MOST_BYTES:
                content = json.loads(file.read_text())
                for field in fields(cls) if isinstance(content, dict) else ():
                    value = content.get(field.name)
                    kind = (int, float) if field.name == "diameter_px" else str
                    if isinstance(value, kind) and not isinstance(value, bool):
                        setattr(memory, field.name, value)
        return memory

    def save(self) -> None:
        """Keep the choices; does nothing if the data folder cannot be written."""
        with suppress(OSError):
            write_json(data_dir() / _FILE, asdict(self), durable=False)

    @property
    def start_folder(self) -> str:
        """Folder in which a dialog begins; empty for the default."""
        return self.folder if self.folder is not None and Path(self.folder).is_dir() else ""
