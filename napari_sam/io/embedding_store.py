"""Embeddings on disk: a zarr v3 group per image, model and normalisation, in it a chunk per window.

Layout of a store::

    FOLDER/KEY/zarr.json                        group; its attributes say what the embeddings are of
    FOLDER/KEY/512x512/zarr.json                array (Y, X, 256, h, w): element [y, x] is the embedding of the
    FOLDER/KEY/512x512/c.1024.512.0.0.0         512 x 512 window whose corner is (y, x); few of them exist
    FOLDER/KEY/512x512-objects-1a2b3c4d/...     what the dense decoder sees there

KEY is a hash of the attributes, so another image, model, precision or normalisation is another group. Chunks are
written beside and renamed into place, and carry a checksum: a chunk is whole, or it is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import threading
import uuid
import warnings
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorstore
import torch

from napari_sam.engine.embeddings.embedding_cache import CacheWarning, EmbeddingKey
from src_models.checkpoints.registry import weights_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

DEFAULT_LIMIT_BYTES = 32 << 30

_log = logging.getLogger(__name__)
_FORMAT = 1
_WRITERS = 4
_PENDING = 16  # values that wait to be written; more are left out, or waited for
_LARGEST_BYTES = 1 << 28  # of a chunk: what a damaged array declares beyond it is not allocated
_ROOM = 0.9  # share of the limit that is left when the oldest entries have gone
_LOOK_AGAIN = 0.1  # share of the limit after which the folder is measured anew: other processes write, too
_OS_ERROR = "os_error_code"  # in messages of tensorstore, whose errors are all ValueErrors
# The types a value is written as. Bits of bfloat16 are kept as int16, which every reader of zarr knows.
_STORED = {torch.float32: "float16", torch.float16: "float16", torch.bfloat16: "int16", torch.int32: "int32"}


def default_folder() -> Path:
    """Folder that `napari-sam precompute` fills and the dock reads, if nobody names another. It need not exist."""
    return weights_dir() / "embeddings"


class ZarrEmbeddingStore:
    """A folder of embeddings, shared by images, models and processes; the least recently used go first.

    Values are held in half precision: bfloat16 exactly, float32 rounded to float16.

    Parameters
    ----------
    folder : str or Path
        Made when the first embedding is written.
    limit_bytes : int
        Of the folder; 32 GiB by default.

    Attributes
    ----------
    problem : str or None
        Why nothing is written any more: disk full, read-only, folder gone. Reading goes on as far as it can.

    Notes
    -----
    No method raises because of the disk. The first call after a problem came up emits one `CacheWarning`.
    """

    def __init__(self, folder: str | os.PathLike[str], limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.limit_bytes = limit_bytes
        self.problem: str | None = None
        self._told = False
        self._seen = self.folder.is_dir()
        self._lock, self._room_lock = threading.Lock(), threading.Lock()
        self._arrays: dict[Path, _Array] = {}
        self._pending: dict[EmbeddingKey, Future[None]] = {}
        self._slots = threading.Semaphore(_PENDING)
        self._pool = ThreadPoolExecutor(_WRITERS, "embedding-store")
        self._size: int | None = None  # of the folder, as far as known
        self._written = 0  # since it was measured

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, EmbeddingKey):
            return False
        return key in self._pending or (self._path(key) / _chunk(key)).is_file()

    def get(self, key: EmbeddingKey) -> Tensor | None:
        """The value of a key, on the CPU in half precision; None if it is not there or damaged."""
        self._tell()
        path = self._path(key)
        if not (path / _chunk(key)).is_file():
            return None
        try:
            array = self._array(path, key)
            value = array.read(key)
            with contextlib.suppress(OSError):
                os.utime(path / _chunk(key))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._arrays.pop(path, None)
            if not (path / _chunk(key)).exists():  # another process has just dropped it
                return None
            _log.warning("%s: not used, the window is encoded again: %s", path / _chunk(key), _first(error))
            if _OS_ERROR not in str(error):  # damaged, not only out of reach for now
                with contextlib.suppress(OSError):
                    (path / _chunk(key)).unlink()
            return None
        return value

    def touch(self, key: EmbeddingKey) -> bool:
        """Whether a value is there; if so, it is now the most recently used."""
        if key in self._pending:
            return True
        with contextlib.suppress(PermissionError):
            try:
                os.utime(self._path(key) / _chunk(key))
            except (FileNotFoundError, NotADirectoryError):
                return False
        return key in self

    def put(self, key: EmbeddingKey, value: Tensor, *, wait: bool = False) -> None:
        """Write a value, in another thread.

        Parameters
        ----------
        key : EmbeddingKey
            What it is.
        value : Tensor
            float32, float16, bfloat16 or int32, on any device.
        wait : bool
            Wait when many values are waiting to be written; without it, this one is left out then.
        """
        self._tell()
        if self.problem is not None or value.dtype not in _STORED or not self._slots.acquire(blocking=wait):
            return
        held = value.detach().cpu()
        with self._lock:
            self._pending[key] = self._pool.submit(self._write, key, held)

    def flush(self) -> None:
        """Wait until all is written."""
        with self._lock:
            pending = list(self._pending.values())
        wait(pending)
        self._tell()

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries; looks at every file."""
        return sum(size for _, size, _ in self._entries())

    def _write(self, key: EmbeddingKey, value: Tensor) -> None:
        path = self._path(key)
        try:
            if self.problem is None:
                half = value.half() if value.dtype is torch.float32 else value
                if half.is_floating_point() and not bool(torch.isfinite(half).all()):
                    return  # beyond float16, or broken: better computed again
                self._make_folder()
                self._array(path, key, half, value.dtype).write(key, half)
                self._make_room(path / _chunk(key))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._fail(error)
        finally:
            with self._lock:
                self._pending.pop(key, None)
            self._slots.release()

    def _make_folder(self) -> None:
        if self._seen and not self.folder.is_dir():  # a network folder gone: do not fill what is beneath it
            raise FileNotFoundError("the folder has vanished")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._seen = True

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self.problem = self.problem or (
                f"embeddings cannot be kept in {self.folder} ({_first(error)}); predictions go on without; "
                "free space there, or give another folder"
            )

    def _tell(self) -> None:
        with self._lock:
            told, self._told = self._told, self.problem is not None
        if self.problem is not None and not told:
            warnings.warn(self.problem, CacheWarning, stacklevel=4)

    def _path(self, key: EmbeddingKey) -> Path:
        height, width = key.window.shape
        name = f"{height}x{width}" + ("" if key.what == "embedding" else f"-{key.what}")
        return self.folder / _group_name(_attributes(key)) / name

    def _array(self, path: Path, key: EmbeddingKey, value: Tensor | None = None, dtype: Any = None) -> _Array:
        """The array that holds a key, made for `value` if it is not there."""
        found = self._arrays.get(path)
        if found is not None and (path / "zarr.json").is_file():
            return found
        attributes = _attributes(key)
        if value is not None:
            _make_group(path.parent, attributes)
        elif _read_json(path.parent / "zarr.json")["attributes"] != {"napari_sam": attributes}:
            raise ValueError("the group's attributes are those of other embeddings")
        if value is not None and not _is_array(path, key, value):
            found = _make_array(path, key, value)
        else:
            found = _open_array(path, key)
        self._arrays[path] = found
        return found

    def _make_room(self, new: Path) -> None:
        """Count a new entry, and drop the least recently used ones beyond the limit."""
        with self._room_lock:
            added = 0
            with contextlib.suppress(FileNotFoundError):  # another process may have dropped it already
                added = new.stat().st_size
            self._written += added
            self._size = None if self._size is None else self._size + added
            if self._size is not None and max(self._size, self._written / _LOOK_AGAIN) <= self.limit_bytes:
                return
            entries = sorted(self._entries())
            self._size, self._written = sum(size for _, size, _ in entries), 0
            goal = self._size if self._size <= self.limit_bytes else _ROOM * self.limit_bytes
            for _, size, path in entries[:-1]:
                if self._size <= goal:
                    break
                with contextlib.suppress(OSError):  # another process may have been first
                    path.unlink()
                self._size -= size

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """Time of last use, bytes and path of every chunk."""
        for path in self.folder.glob("*/*/c.*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                yield stat.st_mtime_ns, stat.st_size, path


@dataclass(frozen=True)
class _Array:
    """An opened array and what its elements are."""

    handle: Any
    stored: torch.dtype

    def read(self, key: EmbeddingKey) -> Tensor:
        y0, x0 = key.window.bbox[:2]
        value = torch.from_numpy(self.handle[y0, x0].read().result())
        value = value.view(torch.bfloat16) if self.stored is torch.bfloat16 else value
        return value[None] if key.what == "embedding" else value

    def write(self, key: EmbeddingKey, value: Tensor) -> None:
        y0, x0 = key.window.bbox[:2]
        value = _element(key, value)
        bits = value.view(torch.int16) if value.dtype is torch.bfloat16 else value
        self.handle[y0, x0].write(bits.numpy()).result()


def _element(key: EmbeddingKey, value: Tensor) -> Tensor:
    """What is stored of a value: an embedding without its batch axis."""
    return (value[0] if key.what == "embedding" else value).contiguous()


def _chunk(key: EmbeddingKey) -> str:
    y0, x0 = key.window.bbox[:2]
    return f"c.{y0}.{x0}" + (".0.0.0" if key.what == "embedding" else ".0.0")


def _attributes(key: EmbeddingKey) -> dict[str, Any]:
    """All that tells this key's group from others."""
    return {
        "format": _FORMAT,
        "version": key.version,
        "image": key.image,
        "shape": [int(n) for n in key.image_shape],
        "weights": key.weights,
        "precision": key.precision,
        "low": [float(v) for v in key.normalisation.low],
        "high": [float(v) for v in key.normalisation.high],
        "img_size": key.window.img_size,
    }


def _group_name(attributes: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(attributes, sort_keys=True).encode()).hexdigest()[:32]


def _make_group(path: Path, attributes: dict[str, Any]) -> None:
    """Write the group's metadata, unless it is there and right."""
    wanted = {"zarr_format": 3, "node_type": "group", "attributes": {"napari_sam": attributes}}
    with contextlib.suppress(OSError, ValueError):
        if _read_json(path / "zarr.json") == wanted:
            return
    path.mkdir(exist_ok=True)
    part = path / f"zarr.json.{uuid.uuid4().hex}.part"
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(wanted, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path / "zarr.json")
    finally:
        part.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    return found


def _metadata(key: EmbeddingKey, value: Tensor) -> dict[str, Any]:
    """What zarr.json of an array says."""
    element = _element(key, value)
    data_type = _STORED[value.dtype]
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": element.element_size(), "blocksize": 0}
    return {
        "shape": [*key.image_shape, *element.shape],
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, *element.shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "attributes": {"napari_sam": {"bits": str(value.dtype).removeprefix("torch.")}},
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": blosc},
            {"name": "crc32c"},
        ],
    }


def _is_array(path: Path, key: EmbeddingKey, value: Tensor) -> bool:
    """Whether the array that is there takes the value."""
    if not (path / "zarr.json").is_file():
        return False
    try:
        found = _read_json(path / "zarr.json")
    except ValueError:
        return False
    return all(found.get(name) == wanted for name, wanted in _metadata(key, value).items())


def _make_array(path: Path, key: EmbeddingKey, value: Tensor) -> _Array:
    (path / "zarr.json").unlink(missing_ok=True)  # damaged, or of another kind
    spec = {**_spec(path), "metadata": _metadata(key, value), "create": True, "open": True}
    return _Array(tensorstore.open(spec).result(), value.dtype)


def _open_array(path: Path, key: EmbeddingKey) -> _Array:
    """Open an array for reading and writing, and believe nothing that it declares.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is damaged, or another array than we write.
    """
    found = _read_json(path / "zarr.json")
    shape, chunk = found["shape"], found["chunk_grid"]["configuration"]["chunk_shape"]
    stored = {"float16": torch.float16, "int32": torch.int32, "int16": torch.bfloat16}[found["data_type"]]
    rank = 5 if key.what == "embedding" else 4
    if len(shape) != rank or shape != [*key.image_shape, *chunk[2:]] or chunk[:2] != [1, 1]:
        raise ValueError(f"shape {shape} in chunks {chunk} is not one chunk per window")
    if math.prod(chunk) * stored.itemsize > _LARGEST_BYTES:
        raise ValueError(f"a chunk of shape {chunk} is more than {_LARGEST_BYTES} bytes")
    return _Array(tensorstore.open({**_spec(path), "open": True}).result(), stored)


def _spec(path: Path) -> dict[str, Any]:
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "store_data_equal_to_fill_value": True,
        "fill_missing_data_reads": False,  # an entry that another process has just dropped is missing, not zero
        "recheck_cached_data": True,
    }


def _first(error: Exception) -> str:
    """The part of a message for people: tensorstore adds its whole specification."""
    return " ".join(str(error).split(" [tensorstore_spec=")[0].split()) or type(error).__name__
