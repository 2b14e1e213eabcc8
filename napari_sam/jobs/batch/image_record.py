"""What became of one image of a batch."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam.io.json_types import JsonObject

TO_DO, BEGUN, DONE, FAILED = "to do", "begun", "done", "failed"
"""States of an image: waiting for its earlier objects to be replaced, begun but not finished, finished, failed."""
_STATES = (TO_DO, BEGUN, DONE, FAILED)


@dataclass(frozen=True)
class ImageRecord:
    """What became of one image of a batch.

    Attributes
    ----------
    source : str
        Path or URL of the image, or of the label store that was measured.
    output : str
        Name of its output in the folder of the batch.
    state : str
        One of `TO_DO`, `BEGUN`, `DONE` and `FAILED`.
    asked : dict
        Everything that decides the result, as JSON.
    version : str
        Size and time of the input, which change with it.
    before, after : str
        State of the label store before and after the job, which changes with every edit; empty without a store.
    existing : str
        What was to become of a store that was there before.
    objects : int or None
        Number of objects; None if unknown.
    failed_parts : int
        Number of tiles or planes that failed; the rest of the image is done.
    error : str
        Why it failed; empty if it did not.
    seconds : float
        Duration of the job.
    finished : float
        When it ended, seconds since 1970.
    columns : dict of str to str
        Further columns of the table, such as the condition of an image of a project.
    """

    source: str
    output: str
    state: str
    asked: JsonObject
    version: str = ""
    before: str = ""
    after: str = ""
    existing: str = ""
    objects: int | None = None
    failed_parts: int = 0
    error: str = ""
    seconds: float = 0.0
    finished: float = 0.0
    columns: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> JsonObject:
        """Return the record as its file holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: JsonObject) -> ImageRecord:
        """Read a record; what a newer version added is left out.

        Raises
        ------
        ValueError, TypeError
            If something is missing or of another type.
        """
        known: dict[str, Any] = {f.name: content[f.name] for f in fields(cls) if f.name in content}
        record = cls(**known)
        texts = (
            record.source,
            record.output,
            record.error,
            record.version,
            record.before,
            record.after,
            record.existing,
        )
        whole = (
            all(isinstance(text, str) for text in texts)
            and isinstance(record.objects, int | None)
            and isinstance(record.asked, dict)
            and record.state in _STATES
        )
        if not whole:
            raise ValueError("values of another type")
        columns = {str(name): str(value) for name, value in dict(record.columns).items()}
        numbers: dict[str, Any] = {"seconds": float(record.seconds), "finished": float(record.finished)}
        return replace(record, columns=columns, failed_parts=int(record.failed_parts), **numbers)

    def row(self) -> dict[str, object]:
        """Return the image's row of the table."""
        return {
            "image": self.source,
            "state": self.state,
            "objects": self.objects,
            "failed_parts": self.failed_parts,
            "error": self.error,
            "seconds": round(self.seconds, 2),
            "finished": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.finished)) if self.finished else "",
            "model": self.asked.get("model", ""),
            **self.columns,
            "output": self.output,
        }
