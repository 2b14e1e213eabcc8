"""Download published weights so that neither a poor network nor a killed process loses transferred bytes.

An interrupted download continues where it stopped, in the same process or weeks later (HTTP Range with If-Range). The
file gets its name in one step, after its size and hash were checked. Importing this module loads no torch.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import socket
import ssl
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from filelock import FileLock, Timeout

from src_models.checkpoints.integrity import Expected, check_pin, mismatch, new_hasher, verify_file
from src_models.checkpoints.partial_file import PartialFile
from src_models.checkpoints.web import Entity, content_range, integer, require_web, web_opener
from src_models.model_errors import CheckpointError, DownloadCancelledError, DownloadError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

    from src_models.checkpoints.registry import ModelInfo

__all__ = ["DownloadCancelledError", "RetryPolicy", "fetch", "fetch_model"]

_LOG = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 18
_LARGEST_BYTES = 16 << 30  # where no size is published: an endless answer must not fill the disk
_LONGEST_WAIT_S = 30.0
_RETRIED_STATUSES = frozenset({408, 425, 429})
_NO_NETWORK = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


class _TransientError(Exception):
    """A failure that another attempt may overcome."""


@dataclass(frozen=True)
class RetryPolicy:
    """Timeout and retries of a download.

    Attributes
    ----------
    timeout_s : float
        Longest silence of the server before the connection is closed; a cancellation can take as long.
    retries : int
        Attempts after the first; the count restarts whenever an attempt has transferred bytes.
    backoff_s : float
        Wait before the first retry; doubles each time, up to 30 s.
    """

    timeout_s: float = 20.0
    retries: int = 5
    backoff_s: float = 1.0


@dataclass
class _Download:
    """The download of one file."""

    url: str
    target: Path
    expected: Expected
    policy: RetryPolicy
    progress: Callable[[int, int | None], None] | None = None
    cancelled: Callable[[], bool] | None = None
    opener: urllib.request.OpenerDirector = field(default_factory=web_opener)
    connected: bool = False
    pieced: bool = False  # the bytes come from several answers, which may not belong together

    def __post_init__(self) -> None:
        self.part = PartialFile(self.target, self.url, self.expected)

    def run(self) -> None:
        """Transfer, check and name the file, with retries."""
        failures, furthest = 0, self.part.offset
        while True:
            self.check_cancelled()
            try:
                self._transfer()
                self._check_content()
                break
            except _TransientError as err:
                offset = self.part.offset
                failures = 1 if offset > furthest else failures + 1
                furthest = max(furthest, offset)
                if failures > self.policy.retries:
                    raise self._failure(str(err)) from err
                _LOG.info("%s: %s; retrying from byte %d", self.url, err, offset)
                self._wait(failures)
        self.part.finish()

    def check_cancelled(self) -> None:
        """Raise `DownloadCancelledError` if `cancelled()` returns True."""
        if self.cancelled is not None and self.cancelled():
            raise self.cancelled_error()

    def cancelled_error(self) -> DownloadCancelledError:
        """Return the error of a cancelled download."""
        return DownloadCancelledError(
            f"download of {self.url} cancelled; the next one continues at byte {self.part.offset}"
        )

    def _transfer(self) -> None:
        offset = self.part.offset
        if offset and offset == self.part.total:
            self.pieced = True  # an earlier process died before it named the file
            return
        with self._request(offset) as response:
            self.connected = True
            offset, total = self._start(response, offset)
            self._receive(response, offset, total)

    def _request(self, offset: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": "napari-sam-xl", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            entity = self.part.entity
            if entity is not None and entity.validator is not None:
                headers["If-Range"] = entity.validator
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 -- checked by require_web
        try:
            response: http.client.HTTPResponse = self.opener.open(request, timeout=self.policy.timeout_s)
        except HTTPError as err:
            err.close()
            raise self._http_error(err, offset) from err
        except NapariSamError:
            raise
        except (OSError, http.client.HTTPException) as err:
            raise self._connection_error(err) from err
        return response

    def _http_error(self, err: HTTPError, offset: int) -> Exception:
        reason = f"HTTP {err.code} {err.reason}"
        if err.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            self.part.discard()
            return _TransientError(f"the server has no byte {offset}, so the file there has changed")
        if err.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or err.code in _RETRIED_STATUSES:
            return _TransientError(reason)
        return self._failure(reason)

    def _connection_error(self, err: Exception) -> Exception:
        reason = getattr(err, "reason", err)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return self._failure(f"the server's certificate is not trusted here ({reason.verify_message})")
        if isinstance(reason, http.client.InvalidURL):
            return self._failure(f"not a valid address ({reason})")
        offline = isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _NO_NETWORK
        if offline and not self.connected:  # retries would only delay the message
            return self._failure(f"no connection ({reason})")
        return _TransientError(f"connection failed ({str(reason) or type(reason).__name__})")

    def _start(self, response: http.client.HTTPResponse, offset: int) -> tuple[int, int | None]:
        """Decide whether the answer continues the partial file or replaces it; return offset and total."""
        if response.headers.get_content_type() == "text/html":
            raise self._failure("the server answered with a web page, such as a proxy's or a login page")
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not resumed and response.status != http.HTTPStatus.OK:
            raise self._failure(f"the server answered HTTP {response.status} without the file")
        first, total = content_range(response) if resumed else (0, integer(response.headers["Content-Length"]))
        entity = Entity.of(self.url, response, total)
        if self.expected.size_bytes is not None and total not in (None, self.expected.size_bytes):
            raise self._failure(f"the server's file has {total} bytes, not {self.expected.size_bytes}")
        if resumed:
            previous = self.part.entity
            if first != offset or previous is None or entity.differs(previous):
                self.part.discard()
                raise _TransientError("the file on the server has changed")
            self.pieced = True
        else:
            offset, self.pieced = 0, False
            self.part.restart(entity)
        self.part.require_space((total or self.expected.size_bytes or offset) - offset)
        return offset, total

    def _receive(self, response: http.client.HTTPResponse, done: int, total: int | None) -> None:
        size = self.expected.size_bytes if total is None else total
        limit = _LARGEST_BYTES if size is None else size
        with self.part.open() as file:
            self._report(done, size)
            while True:
                self.check_cancelled()
                try:
                    # read1 returns the available bytes, where read would lose them at a timeout.
                    chunk = response.read1(_CHUNK_BYTES)
                except (OSError, http.client.HTTPException) as err:
                    raise _TransientError(f"connection lost after {done} bytes ({err})") from err
                if not chunk:
                    break
                done += len(chunk)
                if done > limit:
                    self.part.discard()
                    raise self._failure(f"the server sends more than {limit} bytes")
                with self.part.disk_errors():
                    _write_all(file, chunk)
                self._report(done, size)
            with self.part.disk_errors():
                _sync(file)
        if size is not None and done < size:
            raise _TransientError(f"connection closed after {done} of {size} bytes")

    def _check_content(self) -> None:
        problem = mismatch(self.part.path, self.expected, self.check_cancelled)
        if problem is None:
            return
        self.part.discard()
        if self.pieced:
            raise _TransientError(f"the pieces do not fit together: {problem}")
        raise self._failure(f"the server sent another file than the published one: {problem}")

    def _report(self, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _wait(self, failures: int) -> None:
        until = time.monotonic() + min(self.policy.backoff_s * 2 ** (failures - 1), _LONGEST_WAIT_S)
        while (left := until - time.monotonic()) > 0:
            self.check_cancelled()
            time.sleep(min(left, 0.1))

    def _failure(self, reason: str) -> DownloadError:
        return DownloadError(
            f"cannot download {self.url} to {self.target}: {reason}",
            remedy="if this machine cannot reach the address, fetch the file elsewhere and put it at that path",
        )


def fetch(
    url: str,
    target: Path,
    expected: Expected | None = None,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    policy: RetryPolicy | None = None,
) -> Path:
    """Download a file unless it exists.

    Several threads and processes can call this for one file: one downloads, the others wait for it.

    Parameters
    ----------
    url : str
        An http or https address.
    target : Path
        Path of the file; its folder is made.
    expected : Expected, optional
        Required size and hash.
    progress : callable, optional
        Called with the bytes transferred and their total (None if unknown) after every piece, thousands of times per
        GB. An exception from it stops the download and propagates; the bytes are kept.
    cancelled : callable, optional
        Polled between pieces and while waiting; the download stops when it returns True.
    policy : RetryPolicy, optional
        Timeout and retries.

    Returns
    -------
    Path
        `target`, complete and checked.

    Raises
    ------
    DownloadCancelledError
        If `cancelled` returned True; the bytes are kept, and the next call continues from them.
    DownloadError
        If the server cannot be reached or sends another file, or the disk is full or read-only.
    CheckpointError
        If `target` exists but is not the expected file, or the package that checks its hash is missing.
    """
    require_web(url)
    expected = expected or Expected()
    if expected.digest is not None:
        new_hasher(expected.digest[0])  # a missing package is better reported before the download
    if target.exists():
        verify_file(target, expected)
        return target
    download = _Download(url, target, expected, policy or RetryPolicy(), progress, cancelled)
    # Between threads and processes; the operating system releases it when a process is killed. The file stays.
    lock = FileLock(target.with_name(f".{target.name}.lock"), thread_local=False, preserve_lock_file=True)
    with download.part.disk_errors():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(cancel_check=cancelled)
        except Timeout:
            raise download.cancelled_error() from None
    try:
        if target.exists():  # fetched by the previous holder of the lock
            verify_file(target, expected)
        else:
            download.run()
    finally:
        lock.release()
    return target


def fetch_model(
    info: ModelInfo,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Download a registered model unless its file exists, and check its hash.

    Parameters
    ----------
    info : ModelInfo
        From `model_info`.
    progress, cancelled : callable, optional
        As in `fetch`.

    Returns
    -------
    Path
        The checked file.

    Raises
    ------
    DownloadError, CheckpointError
        As `fetch`.
    """
    if info.url is not None:
        path = fetch(info.url, info.path, info.expected, progress=progress, cancelled=cancelled)
        if info.sha256 is None:
            check_pin(path)
        return path
    if not info.path.is_file():
        raise CheckpointError(f"{info.path} is missing from the package", remedy="reinstall napari-sam-xl")
    verify_file(info.path, info.expected)
    return info.path


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync(file: FileIO) -> None:
    os.fsync(file.fileno())
