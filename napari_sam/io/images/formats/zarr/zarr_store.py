"""A folder or URL of zarr nodes; its arrays are read by tensorstore, or by zarr-python where tensorstore cannot."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from napari_sam.errors import ImageError
from napari_sam.io.images.formats.zarr.remote_files import (
    BucketFiles,
    HttpFiles,
    RemoteArray,
    RemoteFiles,
    array_metadata,
)
from napari_sam.io.images.formats.zarr.zarr_arrays import REMOTE_SECONDS, TensorStoreArray, ZarrPythonArray
from napari_sam.io.images.formats.zarr.zarr_metadata import CHUNK_BYTES, check_array, undeclared_separator
from napari_sam.io.images.read_errors import READ_ERRORS
from napari_sam.io.kvstore import file_kvstore

if TYPE_CHECKING:
    import tensorstore as ts

    from napari_sam.io.images.formats.zarr.zarr_arrays import ZarrArray
    from napari_sam.io.json_types import JsonObject

_URL_STARTS = ("http://", "https://", "s3://", "gs://")
_JSON_BYTES = 64 << 20
_JSON_DEPTH = 100  # metadata is never nested deeper, and Python's parser would reach its recursion limit
_REMOTE_CACHE_BYTES = 256 << 20
_AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


def is_url(source: str) -> bool:
    """Return whether a source is a URL of a kind that zarr is read from."""
    return source.lower().startswith(_URL_STARTS)


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
        self._files: RemoteFiles | None = None
        if self.remote:
            self._files = self._remote_files()

    def _remote_files(self) -> RemoteFiles:
        try:
            if self.location.lower().startswith("http"):
                return HttpFiles(self.location)
            return BucketFiles(self._kvstore(""), _context(remote=True))
        except ValueError as error:
            raise ImageError(f"{self.location}: not an address ({error})", remedy="check the URL") from error

    def name(self, path: str = "") -> str:
        """Return the name of a node in messages."""
        return f"{self.location}/{path}" if path else self.location

    def node(self, path: str = "") -> JsonObject:
        """Return the metadata of a node in the form of zarr 3: ``node_type``, ``attributes`` and the array's keys.

        Raises
        ------
        ImageError
            If there is none, or its metadata is broken.
        """
        if path.startswith("/") or ".." in path.split("/"):
            raise ImageError(
                f"{self.location}: path {path!r} leads out of the store", remedy="write its metadata again"
            )
        prefix = f"{path}/" if path else ""
        node = self._json(f"{prefix}zarr.json")
        if node is not None:
            if node.get("node_type") not in ("array", "group"):
                raise ImageError(
                    f"{self.name(path)}: node_type {node.get('node_type')!r} is neither array nor group",
                    remedy="write it again",
                )
            return {**node, "attributes": self._attributes(path, node.get("attributes"))}
        array = self._json(f"{prefix}.zarray")
        group = None if array is not None else self._json(f"{prefix}.zgroup")
        attributes = self._json(f"{prefix}.zattrs")
        if array is not None:
            return {**array, "node_type": "array", "attributes": attributes or {}}
        if group is None and attributes is None:
            if self._files is not None and self._files.forbidden:
                raise ImageError(
                    f"{self.name(path)}: the server forbids to read it, or there is no zarr array or group",
                    remedy="check the path, and that you may read it",
                )
            raise ImageError(f"{self.name(path)}: no zarr array or group there", remedy="check the path")
        return {"zarr_format": 2, "node_type": "group", "attributes": attributes or {}}

    def array(self, path: str = "", meta: JsonObject | None = None) -> ZarrArray:
        """Open an array of the store, after checking its metadata.

        Raises
        ------
        ImageError
            If there is none, its metadata is unsafe or broken, or neither library can read it.
        """
        meta = self.node(path) if meta is None else meta
        if meta["node_type"] != "array":
            raise ImageError(f"{self.name(path)}: a zarr group, not an array", remedy="check the path")
        check_array(self.name(path), meta)
        try:
            if self._files is not None:
                files = _Below(self._files, f"{path}/" if path else "")
                return RemoteArray(self._open(path, meta), files, meta, CHUNK_BYTES)
            separator = undeclared_separator(Path(self.name(path)), meta)
            declared = {} if separator is None else {"dimension_separator": separator}
            return TensorStoreArray(self._open(path, {**meta, **declared}))
        except ImageError:
            raise
        except (ValueError, NotImplementedError, TypeError) as error:
            return self._fallback(path, error)
        except OSError as error:
            raise ImageError(
                f"{self.name(path)}: cannot be opened: {_text(error)}", remedy="check that it still exists"
            ) from error

    def identity(self) -> str:
        """Return a name of the pixels: the location and a hash of the metadata read so far."""
        digest = hashlib.sha256(json.dumps(sorted(self._documents.items())).encode()).hexdigest()
        return f"{self.location}|{digest[:24]}"

    def children(self) -> list[str]:
        """Return the names of folders in a local store that hold zarr nodes, for messages."""
        if self.remote:
            return []
        with os.scandir(self.location) as entries:
            folders = [e.name for e in entries if e.is_dir()]
        return sorted(
            n for n in folders if any((Path(self.location) / n / f).exists() for f in ("zarr.json", ".zarray"))
        )

    def _open(self, path: str, meta: JsonObject) -> ts.TensorStore:
        """Open an array by metadata that was read and checked before: tensorstore does not read it again."""
        import tensorstore as ts  # noqa: PLC0415 - keeps the import of this module fast

        driver = "zarr3" if meta["zarr_format"] == 3 else "zarr"
        spec: JsonObject = {"driver": driver, "kvstore": self._kvstore(f"{path}/" if path else "")}
        if self.remote:
            spec |= {"metadata": array_metadata(meta), "assume_metadata": True}
            spec["recheck_cached_data"] = "open"  # a chunk that was fetched is not requested again
        elif "dimension_separator" in meta:
            spec["metadata"] = {"dimension_separator": meta["dimension_separator"]}
        return ts.open(spec, open=True, read=True, context=_context(self.remote)).result(
            timeout=REMOTE_SECONDS if self.remote else None
        )

    def _attributes(self, path: str, attributes: object) -> JsonObject:
        if attributes is not None and not isinstance(attributes, dict):
            raise ImageError(
                f"{self.name(path)}: broken zarr metadata, attributes is not an object", remedy="copy or write it again"
            )
        return attributes or {}

    def _kvstore(self, suffix: str) -> JsonObject:
        """Return tensorstore's description of a folder."""
        if not self.remote:
            return file_kvstore(f"{self.location}/{suffix}")
        url = urlsplit(self.location)
        path = f"{url.path.lstrip('/')}/{suffix}".lstrip("/")
        if url.scheme in ("http", "https"):
            path = unquote(path)  # tensorstore encodes it
            base = f"{url.scheme}://{url.netloc}" + (f"?{url.query}" if url.query else "")
            return {"driver": "http", "base_url": base, "path": f"/{path}"}
        if url.scheme == "gs":
            return {"driver": "gcs", "bucket": url.netloc, "path": path}
        spec: JsonObject = {"driver": "s3", "bucket": url.netloc, "path": path}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            spec |= {"endpoint": endpoint, "aws_region": os.environ.get("AWS_REGION", "us-east-1")}
        if not any(os.environ.get(n) for n in _AWS_VARIABLES) and not Path("~/.aws/credentials").expanduser().exists():
            spec["aws_credentials"] = {"type": "anonymous"}  # a public bucket
        return spec

    def _json(self, key: str) -> JsonObject | None:
        """Return a JSON document of the store; None if it does not exist."""
        name = self.name(key)
        try:
            if self._files is None:
                text, stamp = self._local_bytes(key)
            else:
                text, stamp = self._files.read(key, _JSON_BYTES), ""
        except (OSError, ValueError, RuntimeError) as error:
            raise ImageError(
                f"{name}: cannot be read: {_text(error)}", remedy="check the path or the network"
            ) from error
        if text is None:
            return None
        if len(text) > _JSON_BYTES:
            raise ImageError(f"{name}: {len(text) >> 20} MiB of metadata", remedy="write it again")
        try:
            _check_depth(text)
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ImageError(f"{name}: broken zarr metadata ({error})", remedy="copy or write it again") from error
        if not isinstance(document, dict):
            raise ImageError(f"{name}: broken zarr metadata, not an object", remedy="copy or write it again")
        self._documents[key] = f"{hashlib.sha256(text).hexdigest()}|{stamp}"
        return document

    def _local_bytes(self, key: str) -> tuple[bytes | None, str]:
        path = Path(self.location) / key
        try:
            with path.open("rb") as file:
                return file.read(_JSON_BYTES + 1), str(os.fstat(file.fileno()).st_mtime_ns)
        except (FileNotFoundError, NotADirectoryError):
            return None, ""

    def _fallback(self, path: str, first: Exception) -> ZarrArray:
        """Open an array with zarr-python, which supports more codecs."""
        import zarr  # noqa: PLC0415

        name = self.name(path)
        try:
            return ZarrPythonArray(zarr.open_array(name, mode="r"))
        except (*READ_ERRORS, ImportError) as error:
            raise ImageError(
                f"{name}: no installed library can open it ({first}; {error})", remedy="write it again"
            ) from error


class _Below:
    """Files of a folder within a store."""

    def __init__(self, files: RemoteFiles, prefix: str) -> None:
        self._files, self._prefix = files, prefix

    @property
    def forbidden(self) -> bool:
        """Whether the server has refused a file."""
        return self._files.forbidden

    def read(self, key: str, limit_bytes: int) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        return self._files.read(self._prefix + key, limit_bytes)


def _text(error: BaseException) -> str:
    return str(error) or "no response"


@functools.cache
def _context(remote: bool) -> ts.Context:
    """Return tensorstore's shared resources."""
    import tensorstore as ts  # noqa: PLC0415

    retries = {"max_retries": 4, "initial_delay": "200ms", "max_delay": "2s"}
    settings = {"http_request_retries": retries, "s3_request_retries": retries} if remote else {}
    settings["cache_pool"] = {"total_bytes_limit": _REMOTE_CACHE_BYTES if remote else 0}
    return ts.Context(settings)


def _check_depth(text: bytes) -> None:
    """Refuse JSON that is nested too deep, before a parser recurses into it."""
    if text.count(b"{") + text.count(b"[") <= _JSON_DEPTH:
        return
    depth = 0
    for match in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        token = match[0]
        depth += (token in b"[{") - (token in b"]}")
        if depth > _JSON_DEPTH:
            raise ValueError(f"nested more than {_JSON_DEPTH} deep")
