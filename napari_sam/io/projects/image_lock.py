"""A lock on one image of a project, which works between machines that share a folder.

The lock is a file that says who holds it, and that its holder renews. The operating system's locks would be released
with the process, but do not hold on every network drive. A lock that was not renewed for a while, or whose process on
this machine has ended, is stale, and the next one takes it over.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import ProjectError, StoreLockedError
from napari_sam.io.json_files import read_json_object
from napari_sam.io.user_name import user_name
from src_models.atomic import write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

RENEW_S = 30.0
STALE_S = 600.0
"""Seconds without renewal after which a lock is stale; the clocks of two machines may differ by minutes."""
_TRIES, _RETRY_S = 5, 0.05


@dataclass(frozen=True)
class LockHolder:
    """Who holds a lock.

    Attributes
    ----------
    user, host : str
        Name of the user and of the machine.
    pid : int
        Process on that machine.
    token : str
        Tells two locks of one process apart.
    renewed : float
        When the lock was renewed last, seconds since 1970.
    """

    user: str
    host: str
    pid: int
    token: str
    renewed: float

    @property
    def text(self) -> str:
        """Describe the holder for a message."""
        since = time.strftime("%H:%M", time.localtime(self.renewed))
        return f"{self.user} on {self.host} (last seen at {since})"


def lock_holder(path: Path, clock: Callable[[], float] = time.time) -> LockHolder | None:
    """Return who holds a lock; None if nobody does or the lock is stale.

    Parameters
    ----------
    path : Path
        File of the lock.
    clock : callable
        Returns the seconds since 1970.
    """
    holder = _read(path)
    return None if holder is None or _is_stale(holder, clock()) else holder


class ImageLock:
    """Hold the lock of an image until `release`, or as a context manager.

    Parameters
    ----------
    path : Path
        File of the lock.
    what : str
        The image, for messages.
    user : str, optional
        Name by which others know the holder.
    clock : callable
        Returns the seconds since 1970.
    remedy : str
        What to do while another holder is at work.

    Attributes
    ----------
    lost : bool
        Whether another process has taken the lock over, because this one was suspended for too long.

    Raises
    ------
    StoreLockedError
        If another holder is at work; the message names who.
    ProjectError
        If the folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        user: str | None = None,
        clock: Callable[[], float] = time.time,
        remedy: str = "take another image, or wait until it is closed there",
    ) -> None:
        self._path, self._clock, self._remedy = path, clock, remedy
        self.lost = False
        self._holder = LockHolder(user or user_name(), socket.gethostname(), os.getpid(), secrets.token_hex(8), clock())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._acquire(what)
        except StoreLockedError:
            raise
        except OSError as error:
            raise ProjectError(
                f"{path}: cannot be written ({error.strerror})", remedy="make the project's folder writable"
            ) from error
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="image-lock", daemon=True)
        self._thread.start()

    def renew(self) -> None:
        """Tell the others that this holder is still there."""
        current = _read(self._path)
        if current is None or current.token != self._holder.token:
            self.lost = True
            return
        self._holder = LockHolder(**(asdict(self._holder) | {"renewed": self._clock()}))
        with contextlib.suppress(OSError):  # a drive that is away for a moment
            write_json(self._path, asdict(self._holder), durable=False)

    def release(self) -> None:
        """Give the lock back."""
        self._released.set()
        self._thread.join()
        current = _read(self._path)
        if current is not None and current.token == self._holder.token:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def __enter__(self) -> ImageLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _acquire(self, what: str) -> None:
        for _ in range(_TRIES):
            with contextlib.suppress(FileExistsError):
                with self._path.open("x") as file:
                    file.write(json.dumps(asdict(self._holder)))
                return
            holder = _read(self._path)
            if holder is not None and not _is_stale(holder, self._clock()):
                raise StoreLockedError(f"{what} is open for {holder.text}", remedy=self._remedy)
            if holder is not None and self._take_over(holder):
                return
            time.sleep(_RETRY_S)
        raise StoreLockedError(f"{what} is being opened by another process", remedy="try again in a moment")

    def _take_over(self, stale: LockHolder) -> bool:
        """Replace a stale lock by this one; of several processes that try, one makes the claim."""
        claim = self._path.with_name(f"{self._path.name}.{stale.token or 'begun'}.claim")
        try:
            claim.open("x").close()
        except FileExistsError:
            with contextlib.suppress(OSError):
                if self._clock() - claim.stat().st_mtime > STALE_S:  # of a process that was killed just then
                    claim.unlink()
            return False
        try:
            current = _read(self._path)
            if current is None or current.token != stale.token or not _is_stale(current, self._clock()):
                return False
            write_json(self._path, asdict(self._holder), durable=False)
            return True
        finally:
            claim.unlink(missing_ok=True)

    def _keep(self) -> None:
        while not self._released.wait(RENEW_S):
            self.renew()
            if self.lost:
                return


def _read(path: Path) -> LockHolder | None:
    """Read a lock; None if there is none, or if its file was only begun: then it is stale by its time."""
    try:
        content = read_json_object(path)
        return LockHolder(
            str(content["user"]), str(content["host"]), int(content["pid"]), str(content["token"]),
            float(content["renewed"]),
        )  # fmt: skip
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        try:
            return LockHolder("somebody", "another machine", 0, "", path.stat().st_mtime)
        except OSError:
            return None


def _is_stale(holder: LockHolder, now: float) -> bool:
    if now - holder.renewed > STALE_S:
        return True
    return holder.host == socket.gethostname() and holder.pid > 0 and not is_running(holder.pid)


def is_running(pid: int) -> bool:
    """Return whether a process runs on this machine; on Windows, where that is not known, True."""
    if os.name == "nt":  # os.kill would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
