"""Fetch published weights so that neither a bad network nor a killed process costs what has arrived.

Bytes go to ``<target>.part``; ``<target>.part.json`` remembers which version of the file they belong to, so
that another attempt, now or next week, asks for the rest only (HTTP Range with If-Range). The file gets its
name after its size and hash were checked, in one step. Importing this loads no torch.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import shutil
import socket
import ssl
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from filelock import FileLock, Timeout

from src_models.checkpoints.integrity import Expected, mismatch, new_hasher, verify_file
from src_models.checkpoints.web import Entity, content_range, integer, require_web, web_opener
from src_models.model_errors import CheckpointError, DownloadError, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

    from src_models.checkpoints.registry import ModelInfo

_LOG = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 18
_LARGEST_BYTES = 16 << 30  # where no size is published: a server that never stops must not fill the disk
_LONGEST_WAIT_S = 30.0
_TRY_AGAIN = frozenset({408, 425, 429})
_NO_NETWORK = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DownloadCancelledError(DownloadError):
    """The user stopped a download; what was transferred is kept for the next time."""


class _TransientError(Exception):
    """Something that another attempt may cure."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to bear with a bad network.

    Attributes
    ----------
    timeout_s : float
        Longest silence of the server before the connection is given up; a cancel can take as long.
    retries : int
        Attempts after the first; counted anew whenever one has brought bytes.
    backoff_s : float
        Wait before the first retry; doubles each time, up to 30 s.
    """

    timeout_s: float = 20.0
    retries: int = 5
    backoff_s: float = 1.0


@dataclass
class _Download:
    """One file being fetched."""

    url: str
    target: Path
    expected: Expected
    policy: RetryPolicy
    progress: Callable[[int, int | None], None] | None = None
    cancelled: Callable[[], bool] | None = None
    opener: urllib.request.OpenerDirector = field(default_factory=web_opener)
    connected: bool = False
    pieced: bool = False  # the bytes come from more than one answer, so they might not fit together

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def sidecar(self) -> Path:
        return self.target.with_name(self.target.name + ".part.json")

    def run(self) -> None:
        """Transfer, check and name the file, trying again where that may help."""
        failures, furthest = 0, self._offset()
        while True:
            self.check_cancelled()
            try:
                self._transfer()
                self._check_content()
                break
            except _TransientError as err:
                reached = self._offset()
                failures = 1 if reached > furthest else failures + 1
                furthest = max(furthest, reached)
                if failures > self.policy.retries:
                    raise self._failure(str(err)) from err
                _LOG.info("%s: %s; trying again from byte %d", self.url, err, reached)
                self._wait(failures)
        with self.disk_errors():
            os.replace(self.part, self.target)
            self.sidecar.unlink(missing_ok=True)
            _sync_folder(self.target.parent)

    def check_cancelled(self) -> None:
        """Raise if the user has had enough."""
        if self.cancelled is not None and self.cancelled():
            raise self.cancelled_error()

    def cancelled_error(self) -> DownloadCancelledError:
        """Make the error for a cancelled download, which names the byte where the next one continues."""
        return DownloadCancelledError(
            f"download of {self.url} cancelled; the next one continues at byte {self._offset()}"
        )

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Translate what the disk says; never around anything that speaks to the network."""
        try:
            yield
        except NapariSamError:
            raise
        except OSError as err:
            folder = self.target.parent
            if err.errno in _FULL:
                raise self._disk_full() from err
            problem = "is not writable" if err.errno in _FORBIDDEN else f"cannot be used ({err.strerror})"
            raise DownloadError(
                f"cannot save {self.target.name}: {folder} {problem}; set NAPARI_SAM_CACHE to a folder you may write to"
            ) from err

    def _transfer(self) -> None:
        offset = self._offset()
        if offset and offset == self._known_total():
            self.pieced = True  # a process died between the last byte and the name
            return
        with self._request(offset) as response:
            self.connected = True
            offset, total = self._begin(response, offset)
            self._receive(response, offset, total)

    def _offset(self) -> int:
        """How many bytes of an earlier attempt can be built upon."""
        entity = Entity.read(self.sidecar)
        if entity is None or entity.url != self.url or not self.part.is_file():
            return 0
        if entity.validator is None and self.expected.digest is None:
            return 0  # nothing would tell if the file changed meanwhile
        size = self.part.stat().st_size
        total = self._known_total()
        return 0 if total is not None and size > total else size

    def _known_total(self) -> int | None:
        if self.expected.size_bytes is not None:
            return self.expected.size_bytes
        entity = Entity.read(self.sidecar)
        return None if entity is None else entity.total

    def _request(self, offset: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": "napari-sam-xl", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            entity = Entity.read(self.sidecar)
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
            self._discard()
            return _TransientError(f"the server has no byte {offset}, so the file there has changed")
        if err.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or err.code in _TRY_AGAIN:
            return _TransientError(reason)
        return self._failure(reason)

    def _connection_error(self, err: Exception) -> Exception:
        reason = getattr(err, "reason", err)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return self._failure(f"the server's certificate is not trusted here ({reason.verify_message})")
        if isinstance(reason, http.client.InvalidURL):
            return self._failure(f"not a valid address ({reason})")
        offline = isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _NO_NETWORK
        if offline and not self.connected:  # waiting half a minute would not bring the network
            return self._failure(f"no connection ({reason})")
        return _TransientError(f"connection failed ({str(reason) or type(reason).__name__})")

    def _begin(self, response: http.client.HTTPResponse, offset: int) -> tuple[int, int | None]:
        """Decide where the answer's bytes go: behind what is there, or over it. Gives (offset, total)."""
        if response.headers.get_content_type() == "text/html":
            raise self._failure("the server answered with a web page, perhaps a proxy's or a log-in's")
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not resumed and response.status != http.HTTPStatus.OK:
            raise self._failure(f"the server answered HTTP {response.status} without the file")
        first, total = content_range(response) if resumed else (0, integer(response.headers["Content-Length"]))
        entity = Entity.of(self.url, response, total)
        if self.expected.size_bytes is not None and total not in (None, self.expected.size_bytes):
            raise self._failure(f"the server's file has {total} bytes, not {self.expected.size_bytes}")
        if resumed:
            before = Entity.read(self.sidecar)
            if first != offset or before is None or entity.differs(before):
                self._discard()
                raise _TransientError("the file on the server has changed")
            self.pieced = True
        else:
            offset, self.pieced = 0, False
            with self.disk_errors():
                self.part.write_bytes(b"")
                entity.write(self.sidecar)
        self._require_space((total or self.expected.size_bytes or offset) - offset)
        return offset, total

    def _receive(self, response: http.client.HTTPResponse, done: int, total: int | None) -> None:
        wanted = self.expected.size_bytes if total is None else total
        limit = _LARGEST_BYTES if wanted is None else wanted
        with self.disk_errors():
            file = self.part.open("ab", buffering=0)  # unbuffered: what is counted survives a kill
        with file:
            self._tell(done, wanted)
            while True:
                self.check_cancelled()
                try:
                    # read1 returns what is there, where read would throw away a piece when it times out.
                    chunk = response.read1(_CHUNK_BYTES)
                except (OSError, http.client.HTTPException) as err:
                    raise _TransientError(f"connection lost after {done} bytes ({err})") from err
                if not chunk:
                    break
                done += len(chunk)
                if done > limit:
                    self._discard()
                    raise self._failure(f"the server sends more than {limit} bytes")
                with self.disk_errors():
                    _write_all(file, chunk)
                self._tell(done, wanted)
            with self.disk_errors():
                _sync(file)
        if wanted is not None and done < wanted:
            raise _TransientError(f"connection closed after {done} of {wanted} bytes")

    def _check_content(self) -> None:
        problem = mismatch(self.part, self.expected, self.check_cancelled)
        if problem is None:
            return
        self._discard()
        if self.pieced:
            raise _TransientError(f"the pieces do not fit together: {problem}")
        raise self._failure(f"the server sent another file than the published one: {problem}")

    def _discard(self) -> None:
        with self.disk_errors():
            self.part.unlink(missing_ok=True)
            self.sidecar.unlink(missing_ok=True)

    def _tell(self, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _wait(self, failures: int) -> None:
        until = time.monotonic() + min(self.policy.backoff_s * 2 ** (failures - 1), _LONGEST_WAIT_S)
        while (left := until - time.monotonic()) > 0:
            self.check_cancelled()
            time.sleep(min(left, 0.1))

    def _require_space(self, needed_bytes: int) -> None:
        with self.disk_errors():
            free = shutil.disk_usage(self.target.parent).free
        if free < needed_bytes:
            raise self._disk_full(f" ({needed_bytes} bytes needed, {free} free)")

    def _disk_full(self, numbers: str = "") -> DownloadError:
        return DownloadError(
            f"cannot save {self.target.name}: no space left in {self.target.parent}{numbers}; "
            f"free some, or set NAPARI_SAM_CACHE to a folder on another disk"
        )

    def _failure(self, reason: str) -> DownloadError:
        return DownloadError(
            f"cannot download {self.url}: {reason}; "
            f"if this machine cannot reach it, fetch the file elsewhere and put it at {self.target}"
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
    """Download a file, or find it there already.

    Safe to call from several threads and processes at once: one downloads, the others wait and find the file.

    Parameters
    ----------
    url : str
        An http or https address.
    target : Path
        Where the file goes; its folder is made.
    expected : Expected, optional
        Size and hash to insist on.
    progress : callable, optional
        Called with bytes so far and in all (None if unknown) after every piece, thousands of times per GB.
        What it raises stops the download and passes through; the bytes are kept.
    cancelled : callable, optional
        Asked between pieces and while waiting; True stops the download.
    policy : RetryPolicy, optional
        Timeout and retries.

    Returns
    -------
    Path
        `target`, complete and checked.

    Raises
    ------
    DownloadCancelledError
        If `cancelled` said so; the bytes are kept, and the next call goes on there.
    DownloadError
        If the server cannot be reached, sends something else, or the disk is full or read-only.
    CheckpointError
        If `target` exists but is not the expected file, or the package that checks its hash is missing.
    """
    require_web(url)
    expected = expected or Expected()
    if expected.digest is not None:
        new_hasher(expected.digest[0])  # better now than after a gigabyte
    if target.exists():
        verify_file(target, expected)
        return target
    job = _Download(url, target, expected, policy or RetryPolicy(), progress, cancelled)
    # Between threads and processes; the operating system releases it when a process is killed. The file stays.
    lock = FileLock(target.with_name(f".{target.name}.lock"), thread_local=False, preserve_lock_file=True)
    with job.disk_errors():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(cancel_check=cancelled)
        except Timeout:
            raise job.cancelled_error() from None
    try:
        if target.exists():  # somebody else fetched it while this one waited
            verify_file(target, expected)
        else:
            job.run()
    finally:
        lock.release()
    return target


def fetch_model(
    info: ModelInfo,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Make sure that a registered model's file is on this machine and is what was published.

    Parameters
    ----------
    info : ModelInfo
        From `model_info`.
    progress, cancelled : callable, optional
        As in `fetch`.

    Returns
    -------
    Path
        The file, its hash checked.

    Raises
    ------
    DownloadError, CheckpointError
        As `fetch`.
    """
    if info.url is not None:
        return fetch(info.url, info.path, info.expected, progress=progress, cancelled=cancelled)
    if not info.path.is_file():
        raise CheckpointError(f"{info.path} is missing, though it comes with the package; reinstall napari-sam-xl")
    verify_file(info.path, info.expected)
    return info.path


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync(file: FileIO) -> None:
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut; Windows has no such call and does not need it."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
