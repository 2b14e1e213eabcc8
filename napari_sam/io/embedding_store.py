"""Embeddings on disk: a zarr v3 group per image, model and normalisation, which holds a chunk per window.

Layout of a store::

    FOLDER/KEY/zarr.json                        group; its attributes identify the image and model
    FOLDER/KEY/512x512/zarr.json                array (Y, X, 256, h, w): element [y, x] is the embedding of the
    FOLDER/KEY/512x512/c.1024.512.0.0.0         512 x 512 window whose corner is (y, x); few of them exist
    FOLDER/KEY/512x512/k.1024.512.0.0.0         hash of the key and of that file, so that files cannot be exchanged
    FOLDER/KEY/512x512-objects-1a2b3c4d/...     objects of the dense decoder in a window

KEY is a hash of the attributes, so that another image, model, precision or normalisation has another group. Chunks are
written beside their place, renamed, and carry a checksum: a chunk is complete, or it is not used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_sam.engine.embeddings.embedding_cache import CacheWarning, EmbeddingKey
from napari_sam.io.embedding_arrays import (
    STORABLE,
    EmbeddingArray,
    array_path,
    chunk_name,
    create_array,
    note_path,
    open_array,
    write_note,
)
from src_models.checkpoints.registry import weights_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

DEFAULT_LIMIT_BYTES = 32 << 30

_log = logging.getLogger(__name__)
_WRITERS = 4
_PENDING = 16  # values that may wait to be written; others are dropped, or waited for
_TARGET = 0.9  # share of the limit that remains after the oldest entries were deleted
_REMEASURE = 0.1  # share of the limit after which the folder is measured again, because other processes write, too
_UNFINISHED = ".__lock"  # of tensorstore's temporary files, which another process may be writing
_ABANDONED_S = 3600  # after which a temporary file belongs to a killed process
_DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RuntimeError)
_OS_ERROR = "os_error_code"  # in messages of tensorstore, whose errors are all ValueErrors


def default_folder() -> Path:
    """Return the folder that `napari-sam precompute` fills and the dock reads by default. It need not exist."""
    return weights_dir() / "embeddings"


class ZarrEmbeddingStore:
    """A folder of embeddings, shared by images, models and processes; the least recently used are deleted first.

    Values are stored in half precision: bfloat16 exactly, float32 rounded to float16.

    Parameters
    ----------
    folder : str or Path
        Folder, which is created when the first embedding is written.
    limit_bytes : int
        Largest size of the folder; 32 GiB by default.

    Attributes
    ----------
    problem : str or None
        Reason why no more embeddings are written: disk full, read-only, folder gone. Reading continues if possible.

    Notes
    -----
    No method raises an error because of the disk. The first call after a problem emits one `CacheWarning`.
    """

    def __init__(self, folder: str | os.PathLike[str], limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.problem: str | None = None
        self._warned = False
        self._existed = self.folder.is_dir()
        self._lock = threading.Lock()
        self._arrays: dict[Path, EmbeddingArray] = {}
        self._pending: dict[EmbeddingKey, Future[None]] = {}
        self._slots = threading.Semaphore(_PENDING)
        self._pool = ThreadPoolExecutor(_WRITERS, "embedding-store")
        self._limiter = SizeLimiter(self.folder, limit_bytes)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, EmbeddingKey):
            return False
        return key in self._pending or self._chunk(key).is_file()

    @property
    def limit_bytes(self) -> int:
        """Largest size of the folder."""
        return self._limiter.limit_bytes

    @limit_bytes.setter
    def limit_bytes(self, limit_bytes: int) -> None:
        self._limiter.limit_bytes = limit_bytes

    @property
    def size_bytes(self) -> int:
        """Size of all entries; looks at every file."""
        return self._limiter.measure()

    def get(self, key: EmbeddingKey) -> Tensor | None:
        """Return the value of a key, on the CPU in half precision; None if it is missing or damaged."""
        self._warn_once()
        chunk = self._chunk(key)
        if not chunk.is_file():
            return None
        try:
            value = self._array(chunk.parent, key).read(key)
            with contextlib.suppress(OSError):
                os.utime(chunk)
        except _DAMAGED as error:
            self._arrays.pop(chunk.parent, None)
            if not chunk.exists():  # another process has just deleted it
                return None
            _log.warning("%s: not used, the window is encoded again: %s", chunk, _first_part(error))
            if _OS_ERROR not in str(error):  # damaged, not only unavailable at the moment
                _delete(chunk)
            return None
        return value

    def touch(self, key: EmbeddingKey) -> bool:
        """Return whether a value exists, and mark it as the most recently used.

        A writer that was killed before it named its entry is completed.
        """
        if key in self._pending:
            return True
        chunk = self._chunk(key)
        with contextlib.suppress(PermissionError):
            try:
                os.utime(chunk)
            except (FileNotFoundError, NotADirectoryError):
                return False
        if not note_path(chunk).is_file():
            with contextlib.suppress(OSError):
                write_note(chunk.parent, key)
        return key in self

    def put(self, key: EmbeddingKey, value: Tensor, *, wait: bool = False) -> None:
        """Write a value, in another thread.

        Parameters
        ----------
        key : EmbeddingKey
            Its key.
        value : Tensor
            float32, float16, bfloat16 or int32, on any device.
        wait : bool
            Wait if many values are waiting to be written; by default this value is then dropped.
        """
        self._warn_once()
        if self.problem is not None or value.dtype not in STORABLE or not self._slots.acquire(blocking=wait):
            return
        on_cpu = value.detach().cpu()
        with self._lock:
            self._pending[key] = self._pool.submit(self._write, key, on_cpu)

    def flush(self) -> None:
        """Wait until all values are written."""
        with self._lock:
            pending = list(self._pending.values())
        wait(pending)
        self._warn_once()

    def _write(self, key: EmbeddingKey, value: Tensor) -> None:
        chunk = self._chunk(key)
        try:
            if self.problem is None:
                half = value.half() if value.dtype is torch.float32 else value
                if half.is_floating_point() and not bool(torch.isfinite(half).all()):
                    return  # beyond float16, or broken: it is computed again
                self._create_folder()
                self._array(chunk.parent, key, half).write(key, half)
                self._limiter.add(chunk)
        except _DAMAGED as error:
            self._fail(error)
        finally:
            with self._lock:
                self._pending.pop(key, None)
            self._slots.release()

    def _create_folder(self) -> None:
        if self._existed and not self.folder.is_dir():  # an unmounted drive: do not fill its mount point
            raise FileNotFoundError("the folder has vanished")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._existed = True

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self.problem = self.problem or (
                f"embeddings cannot be kept in {self.folder} ({_first_part(error)}); predictions continue without; "
                "free space there, or give another folder"
            )

    def _warn_once(self) -> None:
        with self._lock:
            warned, self._warned = self._warned, self.problem is not None
        if self.problem is not None and not warned:
            warnings.warn(self.problem, CacheWarning, stacklevel=4)

    def _chunk(self, key: EmbeddingKey) -> Path:
        return array_path(self.folder, key) / chunk_name(key)

    def _array(self, path: Path, key: EmbeddingKey, value: Tensor | None = None) -> EmbeddingArray:
        """Return the array that holds a key, created for `value` if there is none."""
        array = self._arrays.get(path)
        if array is None or not (path / "zarr.json").is_file():
            array = open_array(path, key) if value is None else create_array(path, key, value)
            self._arrays[path] = array
        return array


class SizeLimiter:
    """Keep a folder of embeddings below its limit, by deleting the least recently used entries.

    Parameters
    ----------
    folder : Path
        The folder, which several processes may fill.
    limit_bytes : int
        Its largest size.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self.limit_bytes = folder, limit_bytes
        self._lock = threading.Lock()
        self._size: int | None = None  # of the folder, as far as known
        self._written = 0  # since it was measured

    def measure(self) -> int:
        """Return the size of all entries; looks at every file."""
        return sum(size for _, size, _ in self._entries())

    def add(self, entry: Path) -> None:
        """Count a new entry, and delete the least recently used ones beyond the limit."""
        with self._lock:
            added = 0
            with contextlib.suppress(FileNotFoundError):  # another process may have deleted it already
                added = entry.stat().st_size
            self._written += added
            self._size = None if self._size is None else self._size + added
            if self._size is None or max(self._size, self._written / _REMEASURE) > self.limit_bytes:
                self._delete_oldest()

    def _delete_oldest(self) -> None:
        entries = sorted(self._entries())
        size = sum(size for _, size, _ in entries)
        target = size if size <= self.limit_bytes else _TARGET * self.limit_bytes
        for _, entry_size, path in entries[:-1]:
            if size <= target:
                break
            _delete(path)
            size -= entry_size
        self._size, self._written = size, 0

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """Return time of last use, size and path of every chunk."""
        now = time.time()
        for path in self._folder.glob("*/*/c.*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if not path.name.endswith(_UNFINISHED) or now - stat.st_mtime > _ABANDONED_S:
                    yield stat.st_mtime_ns, stat.st_size, path


def _delete(chunk: Path) -> None:
    """Delete an entry, which another process may have deleted already."""
    for path in (note_path(chunk), chunk):
        with contextlib.suppress(OSError):
            path.unlink()


def _first_part(error: Exception) -> str:
    """Return the readable part of a message: tensorstore appends its whole specification."""
    return " ".join(str(error).split(" [tensorstore_spec=")[0].split()) or type(error).__name__
