"""Files of a zarr at a URL, of bounded size, and arrays on servers that refuse what tensorstore asks for."""

from __future__ import annotations

import itertools
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from napari_sam.io.images.formats.zarr.zarr_arrays import REMOTE_SECONDS, TensorStoreArray
from src_models.checkpoints.web import web_opener

if TYPE_CHECKING:
    import numpy as np
    import tensorstore as ts
    from numpy.typing import NDArray

    from napari_sam.io.images.level_protocols import Index
    from napari_sam.io.json_types import JsonObject

_ABSENT = (404, 410)
_FORBIDDEN = (401, 403)  # what a bucket answers for a missing file if it may not be listed
_PIECE_BYTES = 1 << 20
_ANSWER_SECONDS = 20
_TRIES = 3
_MIRROR_BYTES = 256 << 20
_ARRAY_KEYS = {
    2: "zarr_format shape chunks dtype compressor filters order fill_value dimension_separator".split(),
    3: "zarr_format node_type shape data_type chunk_grid chunk_key_encoding codecs dimension_names fill_value".split(),
}
_REFUSALS = ("was ignored by server", "PERMISSION_DENIED", "[HTTP code 403]")


def array_metadata(meta: JsonObject) -> JsonObject:
    """Return the part of an array's metadata that tensorstore needs to open it without reading that itself."""
    return {key: meta[key] for key in _ARRAY_KEYS[meta["zarr_format"]] if key in meta}


class RemoteFiles(Protocol):
    """Files below a URL."""

    @property
    def forbidden(self) -> bool:
        """Whether the server has refused a file, which is then taken for missing."""
        ...

    def read(self, key: str, limit_bytes: int) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        ...


class HttpFiles:
    """Files below an http or https address, read as a whole.

    Parameters
    ----------
    location : str
        The address; its path may be percent-encoded, and a query is kept.

    Attributes
    ----------
    forbidden : bool
        Whether the server has refused a file, which is then taken for missing.
    """

    def __init__(self, location: str) -> None:
        self._url = urlsplit(location)
        self._opener = web_opener()
        self.forbidden = False

    def read(self, key: str, limit_bytes: int) -> bytes | None:
        """Return the content of a file; None if it does not exist, or the server forbids it.

        Raises
        ------
        OSError
            If the server cannot be reached, or answers too slowly.
        ValueError
            If the file has more than `limit_bytes`.
        """
        path = quote(f"{unquote(self._url.path).rstrip('/')}/{key}")
        address = urlunsplit((self._url.scheme, self._url.netloc, path, self._url.query, ""))
        for attempt in itertools.count(1):
            try:
                return self._read_once(address, limit_bytes)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code in _ABSENT + _FORBIDDEN:
                    self.forbidden |= error.code in _FORBIDDEN
                    return None
                if error.code < 500 or attempt == _TRIES:
                    raise OSError(f"the server answers {error.code} {error.reason}") from error
            except HTTPException as error:
                if attempt == _TRIES:
                    raise OSError(f"the server's answer is broken ({error!r})") from error
            time.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    def _read_once(self, address: str, limit_bytes: int) -> bytes:
        parts: list[bytes] = []
        size, end = 0, time.monotonic() + REMOTE_SECONDS
        with self._opener.open(address, timeout=_ANSWER_SECONDS) as response:
            while piece := response.read1(_PIECE_BYTES):
                parts.append(piece)
                size += len(piece)
                if size > limit_bytes:
                    raise ValueError(f"more than {limit_bytes >> 20} MiB")
                if time.monotonic() > end:
                    raise TimeoutError(f"not complete after {REMOTE_SECONDS} s")
        return b"".join(parts)


class BucketFiles:
    """Files of a bucket.

    Parameters
    ----------
    kvstore : dict
        tensorstore's description of the folder.
    context : tensorstore.Context
        Its shared resources.

    Attributes
    ----------
    forbidden : bool
        Whether the server has refused a file, which is then taken for missing.
    """

    def __init__(self, kvstore: JsonObject, context: ts.Context) -> None:
        self._kvstore, self._context = kvstore, context
        self._opened: ts.KvStore | None = None
        self.forbidden = False

    def read(self, key: str, limit_bytes: int) -> bytes | None:
        """Return the content of a file; None if it does not exist, or the server forbids it.

        Raises
        ------
        OSError, ValueError, RuntimeError
            If the server cannot be reached, or the file has more than `limit_bytes`.
        """
        import tensorstore as ts  # noqa: PLC0415 - keeps the import of this module fast

        if self._opened is None:
            self._opened = ts.KvStore.open(self._kvstore, context=self._context).result(REMOTE_SECONDS)
        try:
            result = self._opened.read(key).result(timeout=REMOTE_SECONDS)
        except (OSError, ValueError, RuntimeError) as error:
            if not any(text in str(error) for text in _REFUSALS):
                raise
            self.forbidden = True
            return None
        if result.state == "missing":
            return None
        if len(result.value) > limit_bytes:
            raise ValueError(f"more than {limit_bytes >> 20} MiB")
        return result.value


class RemoteArray(TensorStoreArray):
    """An array at a URL; where the server refuses, its chunk files are read as a whole.

    Servers without byte ranges cannot answer for a part of a shard, and buckets that may not be listed answer 403 for
    chunks that are not stored.

    Parameters
    ----------
    store : tensorstore.TensorStore
        The opened array.
    files : RemoteFiles
        Files of the array's folder.
    meta : dict
        The array's metadata.
    limit_bytes : int
        Size of the largest chunk file to read.
    """

    def __init__(self, store: ts.TensorStore, files: RemoteFiles, meta: JsonObject, limit_bytes: int) -> None:
        super().__init__(store, remote=True)
        self._files, self._meta, self._limit = files, meta, limit_bytes
        self._file_shape = [int(n or 1) for n in store.chunk_layout.write_chunk.shape or ()]
        self._mirror: ts.TensorStore | None = None
        self._mirrored: dict[str, int] = {}
        self._lock = threading.Lock()

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        if self._mirror is None:
            try:
                return super().__getitem__(index)
            except ValueError as error:
                if not any(text in str(error) for text in _REFUSALS):
                    raise
        with self._lock:
            return self._read_mirrored(index if isinstance(index, tuple) else (index,))

    def _read_mirrored(self, index: tuple[int | slice, ...]) -> NDArray[np.generic]:
        """Copy the chunk files that a region needs into memory, and read it there."""
        import tensorstore as ts  # noqa: PLC0415 - keeps the import of this module fast

        if self._mirror is None:
            driver = "zarr3" if self._meta["zarr_format"] == 3 else "zarr"
            mirror = {"driver": driver, "metadata": array_metadata(self._meta), "kvstore": {"driver": "memory"}}
            self._mirror = ts.open(mirror, create=True, read=True, write=True, context=ts.Context()).result()
        files = cast("ts.KvStore", self._mirror.kvstore)  # every zarr has one
        if sum(self._mirrored.values()) > _MIRROR_BYTES:
            files.delete_range(ts.KvStore.KeyRange()).result()
            self._mirrored.clear()
        for chunk in itertools.product(*self._chunk_ranges(index)):
            key = self._key(chunk)
            if key not in self._mirrored:
                data = self._files.read(key, self._limit)
                self._mirrored[key] = len(data or b"")
                if data is not None:
                    files.write(key, data).result()
        block: NDArray[np.generic] = self._mirror[index].read().result()
        return block

    def _chunk_ranges(self, index: tuple[int | slice, ...]) -> list[range]:
        """Return the positions of the chunk files that a region touches, along each axis."""
        full = (*index, *(slice(None),) * (self.ndim - len(index)))
        ranges = []
        for entry, size, chunk in zip(full, self.shape, self._file_shape, strict=True):
            start, stop, _ = entry.indices(size) if isinstance(entry, slice) else (int(entry), int(entry) + 1, 1)
            ranges.append(range(start // chunk, -(-stop // chunk)))
        return ranges

    def _key(self, chunk: tuple[int, ...]) -> str:
        """Return the name of a chunk's file."""
        numbers = [str(i) for i in chunk]
        if self._meta["zarr_format"] == 2:
            return str(self._meta.get("dimension_separator", ".")).join(numbers or ["0"])
        encoding = self._meta.get("chunk_key_encoding") or {}
        is_default = encoding.get("name", "default") == "default"
        separator = (encoding.get("configuration") or {}).get("separator", "/" if is_default else ".")
        return str(separator).join(["c", *numbers] if is_default else numbers or ["0"])
