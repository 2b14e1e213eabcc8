"""The SQLite file of a journal: connection, transactions and errors. Only the modules of this package use it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from napari_sam.errors import StoreError
from napari_sam.io.labels.journal.run_length import REMEDY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
INVALID = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, RecursionError)
"""What a value of the wrong kind may raise while it is converted."""

_BUSY_S = 10.0
_LONGEST_S = 60.0  # of a query
_STEPS = 100_000  # of SQLite's machine, after which the time is looked at
_PAGE = 10_000
_SHORT = 200


class Database:
    """One SQLite file; its methods may be called from several threads.

    Parameters
    ----------
    path : Path
        The file.
    mode : {"ro", "rw", "rwc"}
        Read, write, or create and write.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._named_errors():
            self.connection = _connect(path, mode)

    def close(self) -> None:
        """Close the file; SQLite folds its write-ahead log in."""
        with self._lock:
            self.connection.close()

    def read(self, make: Callable[..., T], sql: str, values: tuple[object, ...] = ()) -> list[T]:
        """Return the rows of a query.

        Parameters
        ----------
        make : callable
            Makes a typed row from the values of its columns; raises ValueError if a value is invalid.
        sql : str
            SELECT statement.
        values : tuple
            Parameters of the statement.

        Raises
        ------
        StoreError
            If the file cannot be read, or a row is invalid.
        """
        rows = self._rows(sql, values)
        try:
            return [make(*row) for row in rows]
        except INVALID as error:
            raise StoreError(
                f"{self.path}: a row of the journal is invalid ({_short(error)})", remedy=REMEDY
            ) from error

    def read_one(self, make: Callable[..., T], sql: str, values: tuple[object, ...] = ()) -> T | None:
        """Return the first row of a query, or None; arguments and errors as `read`."""
        return next(iter(self.read(make, sql, values)), None)

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `question` returns for the connection; errors as `read`."""
        try:
            with self._lock, self._named_errors():
                return question(self.connection)
        except INVALID as error:
            raise self.damaged("the file", error) from error

    def damaged(self, what: str, error: Exception) -> StoreError:
        """Return the error for something of the file that has a wrong value."""
        return StoreError(f"{self.path}: {what} is damaged ({_short(error)})", remedy=REMEDY)

    def _rows(self, sql: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        """Return the rows of a query, no more than the file can hold and not after endless work."""
        rows: list[tuple[object, ...]] = []
        with self._lock, self._named_errors():
            deadline = time.monotonic() + _LONGEST_S
            self.connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            try:
                cursor = self.connection.execute(sql, values)
                while page := cursor.fetchmany(_PAGE):
                    rows += page
                    if len(page) == _PAGE and len(rows) > self.path.stat().st_size + _log_bytes(self.path):
                        raise StoreError(f"{self.path}: more rows than the file can hold", remedy=REMEDY)
            finally:
                self.connection.set_progress_handler(None, 0)
        return rows

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write everything in a ``with`` block, or nothing on an error.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        with self._lock, self._named_errors():
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self.connection.in_transaction:  # a full disk makes SQLite roll back by itself
                        self.connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error
        except OverflowError as error:
            raise StoreError(f"{self.path}: {error}", remedy="give numbers below 2 ** 63") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    location = path.absolute().as_posix()
    uri = f"file://{quote(location if location.startswith('/') else '/' + location)}?mode={mode}"  # network drives too
    try:
        connection = _open(uri)
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        if mode != "ro":
            raise
        if _log_bytes(path):
            raise StoreError(
                f"{path}: it has changes that only a writer can fold in, and its folder is read-only",
                remedy="open it once from where the folder is writable, or copy the whole folder to such a disk",
            ) from error
        connection = _open(f"{uri}&immutable=1")  # SQLite cannot even write its own index in such a folder
    if mode != "ro":
        connection.execute("PRAGMA journal_mode = WAL")  # falls back by itself where the file system has no WAL
        connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut too
    return connection


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _log_bytes(path: Path) -> int:
    """Return the size of the write-ahead log of a file."""
    log = path.with_name(path.name + "-wal")
    return log.stat().st_size if log.is_file() else 0


def _short(error: Exception) -> str:
    """Return the text of an error that a value of any length caused."""
    text = " ".join(str(error).split())
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    if isinstance(error, sqlite3.ProgrammingError):
        return StoreError(f"{path}: the store is closed", remedy="open it again")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    damaged = isinstance(error, sqlite3.DataError) or "decode" in str(error)
    if damaged or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return StoreError(f"{path}: the file is damaged ({_short(error)})", remedy=REMEDY)
    if code == sqlite3.SQLITE_INTERRUPT:
        return StoreError(f"{path}: a query takes more than {_LONGEST_S} s", remedy=REMEDY)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path}: {error}", remedy="another program holds the file: close it and try again")
    return StoreError(
        f"{path}: {error}; nothing that was committed is lost",
        remedy="make sure that there is room (free space, quota) and that the file may be written, then try again",
    )
