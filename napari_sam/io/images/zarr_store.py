"""Where a zarr lies, and its arrays: through tensorstore, and through zarr-python where that cannot."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from napari_sam.errors import ImageError
from napari_sam.io.images.zarr_metadata import check_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

_URL_SCHEMES = ("http", "https", "s3", "gs")
_JSON_BYTES = 64 << 20
_JSON_DEPTH = 100  # nested deeper, nothing is metadata, and Python's parser would run into its recursion limit
_REMOTE_SECONDS = 60
_REMOTE_CACHE_BYTES = 256 << 20
_LARGE_CHUNK_PX = 1 << 24
_AWS_SIGNS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


def is_url(source: str) -> bool:
    """Whether a source is a URL that a zarr may lie at."""
    return urlsplit(source).scheme in _URL_SCHEMES and "://" in source


class ZarrStore:
    """A folder or URL that holds zarr nodes.

    Parameters
    ----------
    location : str
        Path of a folder, or URL (http, https, s3, gs).
    """

    def __init__(self, location: str) -> None:
        self.remote = is_url(location)
        self.location = location.rstrip("/") if self.remote else str(Path(location).expanduser().resolve())
        self._documents: dict[str, str] = {}
        self._kv: Any = None

    def name(self, path: str = "") -> str:
        """What messages call a node."""
        return f"{self.location}/{path}" if path else self.location

    def node(self, path: str = "") -> dict[str, Any]:
        """Metadata of a node, as zarr 3 writes it: ``node_type``, ``attributes`` and the array's own keys.

        Raises
        ------
        ImageError
            If there is none, or it is broken.
        """
        if path.startswith("/") or ".." in path.split("/"):
            raise ImageError(f"{self.location}: path {path!r} leads out of the store; write its metadata again")
        prefix = f"{path}/" if path else ""
        found = self._json(f"{prefix}zarr.json")
        if found is not None:
            if found.get("node_type") not in ("array", "group"):
                raise ImageError(f"{self.name(path)}: node_type {found.get('node_type')!r} is neither array nor group")
            return {"attributes": {}, **found}
        array = self._json(f"{prefix}.zarray")
        group = None if array is not None else self._json(f"{prefix}.zgroup")
        attributes = self._json(f"{prefix}.zattrs")
        if array is not None:
            return {**array, "node_type": "array", "attributes": attributes or {}}
        if group is None and attributes is None:
            raise ImageError(f"{self.name(path)}: no zarr array or group there; check the path")
        return {"zarr_format": 2, "node_type": "group", "attributes": attributes or {}}

    def array(self, path: str = "", meta: dict[str, Any] | None = None) -> Any:
        """An array of the store, checked before anything opens it.

        Raises
        ------
        ImageError
            If there is none, its metadata is unsafe or broken, or no library can read it.
        """
        meta = self.node(path) if meta is None else meta
        if meta["node_type"] != "array":
            raise ImageError(f"{self.name(path)}: a zarr group, not an array; check the path")
        check_array(self.name(path), meta)
        try:
            return TensorStoreArray(self._open(path, meta["zarr_format"]), self.remote)
        except (ValueError, NotImplementedError) as error:
            return self._fallback(path, error)
        except OSError as error:
            raise ImageError(f"{self.name(path)}: cannot be opened: {_text(error)}; is it still there?") from error

    def identity(self) -> str:
        """Name of what the documents read so far describe: place, and content of the metadata."""
        digest = hashlib.sha256(json.dumps(sorted(self._documents.items())).encode()).hexdigest()
        return f"{self.location}|{digest[:24]}"

    def children(self) -> list[str]:
        """Names of folders in a local store that hold arrays, for messages."""
        if self.remote:
            return []
        with os.scandir(self.location) as entries:
            folders = [e.name for e in entries if e.is_dir()]
        return sorted(
            n for n in folders if any((Path(self.location) / n / f).exists() for f in ("zarr.json", ".zarray"))
        )

    def _open(self, path: str, zarr_format: int) -> Any:
        import tensorstore as ts  # noqa: PLC0415 - keeps the import of this module quick

        driver = "zarr3" if zarr_format == 3 else "zarr"
        spec = {"driver": driver, "kvstore": self._kvstore(f"{path}/" if path else "")}
        if self.remote:  # a chunk that was fetched is not asked for again
            spec["recheck_cached_data"] = "open"
        return ts.open(spec, open=True, read=True, context=_context(self.remote)).result(
            timeout=_REMOTE_SECONDS if self.remote else None
        )

    def _kvstore(self, suffix: str) -> dict[str, Any]:
        """Tensorstore's description of a folder."""
        if not self.remote:
            return {"driver": "file", "path": f"{self.location}/{suffix}"}
        url = urlsplit(self.location)
        path = f"{url.path.lstrip('/')}/{suffix}".lstrip("/")
        if url.scheme in ("http", "https"):
            base = f"{url.scheme}://{url.netloc}" + (f"?{url.query}" if url.query else "")
            return {"driver": "http", "base_url": base, "path": f"/{path}"}
        if url.scheme == "gs":
            return {"driver": "gcs", "bucket": url.netloc, "path": path}
        spec: dict[str, Any] = {"driver": "s3", "bucket": url.netloc, "path": path}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            spec |= {"endpoint": endpoint, "aws_region": os.environ.get("AWS_REGION", "us-east-1")}
        if not any(os.environ.get(n) for n in _AWS_SIGNS) and not Path("~/.aws/credentials").expanduser().exists():
            spec["aws_credentials"] = {"type": "anonymous"}  # a public bucket
        return spec

    def _json(self, key: str) -> dict[str, Any] | None:
        """A JSON document of the store, None if it is not there."""
        name = self.name(key)
        try:
            text, stamp = self._remote_bytes(key) if self.remote else self._local_bytes(key)
        except (OSError, ValueError, RuntimeError) as error:
            raise ImageError(f"{name}: cannot be read: {_text(error)}; check the path or the network") from error
        if text is None:
            return None
        if len(text) > _JSON_BYTES:
            raise ImageError(f"{name}: {len(text) >> 20} MiB of metadata; that is no image, write it again")
        try:
            _check_depth(text)
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ImageError(f"{name}: broken zarr metadata ({error}); copy or write it again") from error
        if not isinstance(found, dict):
            raise ImageError(f"{name}: broken zarr metadata, not an object; copy or write it again")
        self._documents[key] = f"{hashlib.sha256(text).hexdigest()}|{stamp}"
        return found

    def _local_bytes(self, key: str) -> tuple[bytes | None, str]:
        path = Path(self.location) / key
        try:
            with path.open("rb") as file:
                return file.read(_JSON_BYTES + 1), str(os.fstat(file.fileno()).st_mtime_ns)
        except (FileNotFoundError, NotADirectoryError):
            return None, ""

    def _remote_bytes(self, key: str) -> tuple[bytes | None, str]:
        import tensorstore as ts  # noqa: PLC0415

        if self._kv is None:
            self._kv = ts.KvStore.open(self._kvstore(""), context=_context(remote=True)).result(_REMOTE_SECONDS)
        result = self._kv.read(key).result(timeout=_REMOTE_SECONDS)
        return (None if result.state == "missing" else result.value), ""

    def _fallback(self, path: str, first: Exception) -> Any:
        """Through zarr-python, which knows more codecs."""
        import zarr  # noqa: PLC0415

        name = self.name(path)
        try:
            return ZarrPythonArray(zarr.open_array(name, mode="r"))
        except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
            raise ImageError(f"{name}: no library here can open it ({first}; {error}); write it again") from error


def _text(error: BaseException) -> str:
    return str(error) or "no answer"


def _context(remote: bool) -> Any:
    """Tensorstore's shared resources."""
    import tensorstore as ts  # noqa: PLC0415

    if remote not in _contexts:
        retries = {"max_retries": 4, "initial_delay": "200ms", "max_delay": "2s"}
        settings = {"http_request_retries": retries, "s3_request_retries": retries} if remote else {}
        settings["cache_pool"] = {"total_bytes_limit": _REMOTE_CACHE_BYTES if remote else 0}
        _contexts[remote] = ts.Context(settings)
    return _contexts[remote]


_contexts: dict[bool, Any] = {}


class TensorStoreArray:
    """A tensorstore as an array that gives numpy; may be read from many threads at once.

    Attributes
    ----------
    shape, chunks : tuple of int
        Of the array, and of what is decoded at once.
    dtype : numpy.dtype
        Of the pixels.
    """

    def __init__(self, store: Any, remote: bool = False) -> None:
        self._store, self._seconds = store, _REMOTE_SECONDS if remote else None
        self.shape: tuple[int, ...] = tuple(int(n) for n in store.shape)
        self.dtype: np.dtype[np.generic] = np.dtype(store.dtype.numpy_dtype)
        self.chunks: tuple[int, ...] = tuple(int(n) for n in store.chunk_layout.read_chunk.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def slow_reason(self) -> str | None:
        """Why it is slow to read, if it is."""
        return _large_chunks(self.chunks)

    def stored_corners(self, limit: int) -> list[tuple[int, ...]]:
        """First elements of some chunks that are stored; none where that cannot be listed."""
        return _stored_corners(self._store, limit)

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        found: NDArray[np.generic] = self._store[index].read().result(timeout=self._seconds)
        return found


_MOST_LISTED = 4096


def _stored_corners(store: Any, limit: int) -> list[tuple[int, ...]]:
    """Where chunks or shards of a local array lie that exist as files: their first elements."""
    kvstore = store.spec().to_json().get("kvstore", {})
    if not isinstance(kvstore, dict) or kvstore.get("driver") != "file":
        return []
    shape = store.chunk_layout.write_chunk.shape
    corners: list[tuple[int, ...]] = []
    listed = 0
    root = str(kvstore["path"])
    for folder, _, files in os.walk(root):
        for name in files:
            listed += 1
            numbers = re.findall(r"\d+", os.path.relpath(os.path.join(folder, name), root))
            if not name.startswith(("zarr.", ".z")) and len(numbers) == len(shape):
                corners.append(tuple(int(n) * size for n, size in zip(numbers, shape, strict=True)))
        if listed > _MOST_LISTED:
            break
    return corners[:: max(1, len(corners) // limit)][:limit]


class ZarrPythonArray:
    """An array of zarr-python, for codecs that tensorstore has not."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.dtype, self.chunks = tuple(array.shape), np.dtype(array.dtype), tuple(array.chunks)
        self.ndim: int = array.ndim

    @property
    def slow_reason(self) -> str | None:
        """Why it is slow to read, if it is."""
        return _large_chunks(self.chunks)

    def __getitem__(self, index: Any) -> NDArray[np.generic]:
        return np.asarray(self._array[index])


def _large_chunks(chunks: tuple[int, ...]) -> str | None:
    size = int(np.prod([float(n) for n in chunks]))
    return f"each read decodes {size / 1e6:.0f} Mpx, a chunk of {chunks}" if size > _LARGE_CHUNK_PX else None


def _check_depth(text: bytes) -> None:
    """Refuse JSON that is nested too deep, before a parser recurses into it."""
    if text.count(b"{") + text.count(b"[") <= _JSON_DEPTH:
        return
    depth = 0
    for found in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        sign = found[0]
        depth += (sign in b"[{") - (sign in b"]}")
        if depth > _JSON_DEPTH:
            raise ValueError(f"nested more than {_JSON_DEPTH} deep")
