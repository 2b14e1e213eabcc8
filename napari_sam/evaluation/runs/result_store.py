"""The results of measurements, image by image in one SQLite file, so that an interrupted run resumes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from napari_sam.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_sam.evaluation.experiments.experiment import Payload

RESULT_FILE = "measurements.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT PRIMARY KEY, experiment TEXT NOT NULL, model TEXT NOT NULL, dataset TEXT NOT NULL, sample TEXT NOT NULL,
    seconds REAL NOT NULL, payload TEXT NOT NULL) WITHOUT ROWID;
"""
_TIMEOUT_S = 30.0


def measurement_key(**facts: object) -> str:
    """Return the key of a measurement: a hash of everything that determines its result."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


class ResultStore:
    """Results of measurements by their keys.

    Parameters
    ----------
    folder : Path
        Folder of the file; made if it does not exist.

    Raises
    ------
    StoreError
        If the file cannot be written, or is not a result store.

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
        self.path = folder / RESULT_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{folder}: cannot store results: {error}", remedy="give another folder") from error

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything put before is stored already."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def put(
        self, key: str, experiment: str, model: str, dataset: str, sample: str, seconds: float, payload: Payload
    ) -> None:
        """Store the result of one experiment on one image, and how long it took."""
        row = (key, experiment, model, dataset, sample, seconds, json.dumps(payload))
        self._run("INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def get(self, keys: Iterable[str]) -> dict[str, Payload]:
        """Return the stored results of some keys."""
        results = {}
        for key in keys:
            for (payload,) in self._run("SELECT payload FROM units WHERE key = ?", (key,)):
                results[key] = json.loads(payload)
        return results

    def seconds(self, keys: Iterable[str]) -> float:
        """Return how long some measurements took, summed over processes."""
        rows = (self._run("SELECT seconds FROM units WHERE key = ?", (key,)) for key in keys)
        return float(sum(seconds for row in rows for (seconds,) in row))

    def _run(self, sql: str, values: tuple[str | float, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: {error}", remedy="check that the disk is not full; earlier results are stored"
            ) from error
