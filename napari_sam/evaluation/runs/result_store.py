"""Where measurements are kept, image by image: one SQLite file, so that nothing is lost and nothing measured twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from napari_sam.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from napari_sam.evaluation.experiments.experiment import Payload

FILE = "measurements.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT PRIMARY KEY, experiment TEXT NOT NULL, model TEXT NOT NULL, dataset TEXT NOT NULL, sample TEXT NOT NULL,
    seconds REAL NOT NULL, payload TEXT NOT NULL) WITHOUT ROWID;
"""
_BUSY_S = 30.0


def measurement_key(**about: Any) -> str:
    """What a measurement is called: a hash of everything that decides it."""
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:32]


class ResultStore:
    """Measurements of images, by what decided them.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    StoreError
        If it cannot be written, or the file in it is no such store.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with ResultStore(Path(tempfile.mkdtemp())) as results:
    ...     results.put("k", "points", "default", "nuclei", "a", 0.5, {"iou": [0.5]})
    ...     results.get(["k", "other"])
    {'k': {'iou': [0.5]}}
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{folder}: measurements cannot be kept there: {error}; give another folder") from error

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything put is in it already."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def put(
        self, key: str, experiment: str, model: str, dataset: str, sample: str, seconds: float, payload: Payload
    ) -> None:
        """Keep what was measured in one image."""
        row = (key, experiment, model, dataset, sample, seconds, json.dumps(payload))
        self._run("INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def get(self, keys: Iterable[str]) -> dict[str, Payload]:
        """What is known of some measurements."""
        found = {}
        for key in keys:
            for (payload,) in self._run("SELECT payload FROM units WHERE key = ?", (key,)):
                found[key] = json.loads(payload)
        return found

    def seconds(self, keys: Iterable[str]) -> float:
        """How long some measurements took, added up over processes."""
        rows = (self._run("SELECT seconds FROM units WHERE key = ?", (key,)) for key in keys)
        return float(sum(seconds for row in rows for (seconds,) in row))

    def _run(self, sql: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: {error}; is the disk full? What was measured before is still there"
            ) from error
