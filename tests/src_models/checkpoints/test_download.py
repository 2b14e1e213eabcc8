"""Downloads from a local server that drops connections, truncates, stalls, redirects and sends wrong headers."""

from __future__ import annotations

import errno
import hashlib
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.request import Request

import pytest
from filelock import FileLock

from src_models.checkpoints import web
from src_models.checkpoints.download import DownloadCancelledError, RetryPolicy, fetch, fetch_model
from src_models.checkpoints.integrity import Expected
from src_models.checkpoints.registry import ModelInfo, model_info
from src_models.model_errors import CheckpointError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = bytes(i * i % 251 for i in range(1_000_000))
EXPECTED = Expected(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
FAST = RetryPolicy(timeout_s=5.0, retries=3, backoff_s=0.01)


@dataclass(frozen=True)
class Act:
    """The server's behaviour for one request."""

    status: int = 200
    content: bytes = CONTENT
    etag: str | None = '"v1"'
    ranges: bool = True
    obeys_if_range: bool = True
    cut: int | None = None  # bytes sent before the connection is dropped
    reset: bool = False  # drop it with a reset
    stall_s: float = 0.0  # silence before it is dropped
    pause_s: float = 0.0  # silence halfway
    declared: int | None = None  # wrong length; -1 for no length
    shift: int = 0  # wrong start of the range
    location: str | None = None
    mime: str = "application/octet-stream"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Act] = []
        self.default_act = Act()
        self.requests: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/weights.pth"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))
        act = self.server.script.pop(0) if self.server.script else self.server.default_act
        start = self._start(act)
        partial = start is not None and act.status == 200
        body = act.content[start or 0 :] if act.status == 200 else b"sorry"
        self.send_response(206 if partial else act.status)
        self.send_header("Content-Type", act.mime)
        if act.etag is not None:
            self.send_header("ETag", act.etag)
        if act.location is not None:
            self.send_header("Location", act.location)
        if partial:
            first = (start or 0) + act.shift
            self.send_header("Content-Range", f"bytes {first}-{len(act.content) - 1}/{len(act.content)}")
        if act.declared != -1:
            self.send_header("Content-Length", str(len(body) if act.declared is None else act.declared))
        self.end_headers()
        self._send(body, act)

    def _start(self, act: Act) -> int | None:
        wanted = self.headers["Range"]
        changed = act.obeys_if_range and self.headers["If-Range"] not in (None, act.etag)
        return int(wanted[len("bytes=") : -1]) if wanted and act.ranges and not changed else None

    def _send(self, body: bytes, act: Act) -> None:
        body = body[: act.cut]
        self.wfile.write(body[: len(body) // 2])
        time.sleep(act.pause_s)
        self.wfile.write(body[len(body) // 2 :])
        self.wfile.flush()
        time.sleep(act.stall_s)
        if act.reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "weights.pth"


def part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def left_over(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")}


@dataclass
class Stop:
    """Cancel a download after a number of bytes."""

    at_bytes: int
    done: int = 0
    seen: list[tuple[int, int | None]] = field(default_factory=list)

    def progress(self, done: int, total: int | None) -> None:
        self.done = done
        self.seen.append((done, total))

    def cancelled(self) -> bool:
        return self.done >= self.at_bytes


def test_file_gets_its_name_when_complete(server: Server, target: Path) -> None:
    assert fetch(server.url, target, EXPECTED) == target
    assert target.read_bytes() == CONTENT
    assert left_over(target) == {"weights.pth"}


def test_progress_rises_to_the_total(server: Server, target: Path) -> None:
    watch = Stop(at_bytes=2 * len(CONTENT))
    fetch(server.url, target, EXPECTED, progress=watch.progress)
    assert watch.seen[0] == (0, len(CONTENT))
    assert watch.seen[-1] == (len(CONTENT), len(CONTENT))
    assert watch.seen == sorted(watch.seen)
    assert len(watch.seen) > 3


def test_existing_file_is_not_requested(server: Server, target: Path) -> None:
    fetch(server.url, target, EXPECTED)
    fetch(server.url, target, EXPECTED)
    assert len(server.requests) == 1


def test_another_file_of_that_name_is_kept(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="delete it to download again"):
        fetch(server.url, target, EXPECTED)
    assert target.read_bytes() == b"mine"
    assert not server.requests


@pytest.mark.parametrize("reset", [False, True])
def test_dropped_connection_is_resumed_where_it_ended(server: Server, target: Path, reset: bool) -> None:
    server.script = [Act(cut=300_000, reset=reset, stall_s=0.2 * reset), Act(cut=200_000)]
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert target.read_bytes() == CONTENT
    assert "Range" not in server.requests[0]
    assert [request["Range"] for request in server.requests[1:]] == ["bytes=300000-", "bytes=500000-"]
    assert server.requests[1]["If-Range"] == '"v1"'


def test_attempts_that_transfer_bytes_reset_the_count(server: Server, target: Path) -> None:
    server.script = [Act(cut=50_000)] * 15
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert target.read_bytes() == CONTENT


def test_silent_server_times_out_and_is_resumed(server: Server, target: Path) -> None:
    server.script = [Act(cut=300_000, stall_s=1.5)]
    started = time.monotonic()
    fetch(server.url, target, EXPECTED, policy=RetryPolicy(timeout_s=0.2, backoff_s=0.01))
    assert time.monotonic() - started < 1.2
    assert server.requests[1]["Range"] == "bytes=300000-"
    assert target.read_bytes() == CONTENT


FETCH = """
import sys, pathlib
from src_models.checkpoints.download import fetch
from src_models.checkpoints.integrity import Expected
fetch(sys.argv[1], pathlib.Path(sys.argv[2]), Expected(int(sys.argv[3]), sys.argv[4]))
"""


def start_process(server: Server, target: Path) -> subprocess.Popen[bytes]:
    args = [server.url, str(target), str(EXPECTED.size_bytes), str(EXPECTED.sha256)]
    return subprocess.Popen([sys.executable, "-c", FETCH, *args])


def wait_for_bytes(path: Path, count: int) -> None:
    until = time.monotonic() + 10
    while not path.exists() or path.stat().st_size < count:
        assert time.monotonic() < until, "the other process does not get on"
        time.sleep(0.01)


def test_killed_process_loses_no_bytes_and_releases_its_lock(server: Server, target: Path) -> None:
    server.script = [Act(cut=300_000, stall_s=10)]
    with start_process(server, target) as process:
        wait_for_bytes(part(target), 300_000)
        process.kill()
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert server.requests[1]["Range"] == "bytes=300000-"
    assert target.read_bytes() == CONTENT


def test_two_processes_end_with_one_download(server: Server, target: Path) -> None:
    server.default_act = Act(pause_s=1.0)
    first = start_process(server, target)
    wait_for_bytes(part(target), 1)
    second = start_process(server, target)
    assert (first.wait(120), second.wait(120)) == (0, 0)
    assert len(server.requests) == 1
    assert target.read_bytes() == CONTENT
    assert left_over(target) == {"weights.pth"}


def test_two_threads_end_with_one_download(server: Server, target: Path) -> None:
    server.default_act = Act(pause_s=0.2)
    threads = [threading.Thread(target=fetch, args=(server.url, target, EXPECTED)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert target.read_bytes() == CONTENT


def test_process_killed_before_the_rename_needs_no_server(server: Server, target: Path) -> None:
    watch = Stop(at_bytes=len(CONTENT))
    with pytest.raises(DownloadCancelledError):
        fetch(server.url, target, EXPECTED, progress=watch.progress, cancelled=watch.cancelled)
    fetch(server.url, target, EXPECTED)
    assert len(server.requests) == 1
    assert target.read_bytes() == CONTENT


def test_server_without_ranges_starts_over(server: Server, target: Path) -> None:
    server.script = [Act(cut=300_000), Act(ranges=False)]
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 2
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("honest", [True, False])
def test_file_that_changed_meanwhile_is_not_mixed(server: Server, target: Path, honest: bool) -> None:
    old = bytes(len(CONTENT))
    server.script = [Act(content=old, etag='"v0"', cut=300_000), Act(obeys_if_range=honest)]
    fetch(server.url, target, policy=FAST)  # without a hash, which would detect the change
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 2 if honest else 3


def test_change_without_a_header_is_detected_by_the_hash(server: Server, target: Path) -> None:
    server.script = [Act(content=bytes(len(CONTENT)), etag=None, cut=300_000)]
    server.default_act = Act(etag=None)
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert [request.get("Range") for request in server.requests] == [None, "bytes=300000-", None]
    assert target.read_bytes() == CONTENT


def test_without_version_and_hash_nothing_is_resumed(server: Server, target: Path) -> None:
    server.default_act = Act(etag=None)
    server.script = [Act(etag=None, cut=300_000)]
    fetch(server.url, target, policy=FAST)
    assert all("Range" not in request for request in server.requests)
    assert target.read_bytes() == CONTENT


def test_weak_version_is_not_sent_as_a_condition(server: Server, target: Path) -> None:
    server.default_act = Act(etag='W/"v1"')
    server.script = [Act(etag='W/"v1"', cut=300_000)]
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert "If-Range" not in server.requests[1]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("act", [Act(shift=-5), Act(status=416)])
def test_answer_to_another_range_starts_over(server: Server, target: Path, act: Act) -> None:
    server.script = [Act(cut=300_000), act]
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert "Range" not in server.requests[2]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", ["{", "[1]", '{"url": "http://elsewhere/"}'])
def test_damaged_sidecar_starts_over(server: Server, target: Path, damage: str) -> None:
    target.parent.mkdir()
    part(target).write_bytes(b"rubbish")
    target.with_name("weights.pth.part.json").write_text(damage)
    fetch(server.url, target, EXPECTED)
    assert "Range" not in server.requests[0]
    assert target.read_bytes() == CONTENT


def test_wrong_bytes_are_deleted(server: Server, target: Path) -> None:
    server.default_act = Act(content=bytes(len(CONTENT)))
    with pytest.raises(DownloadError, match="another file than the published one: its sha256"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 1
    assert left_over(target) == set()


@pytest.mark.parametrize("act", [Act(declared=999_999), Act(content=CONTENT[:-1]), Act(content=CONTENT + b"!")])
def test_other_length_is_refused_before_a_byte_is_read(server: Server, target: Path, act: Act) -> None:
    server.default_act = act
    with pytest.raises(DownloadError, match=r"the server's file has \d+ bytes, not 1000000"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 1
    assert left_over(target) == set()


def test_endless_answer_is_stopped(server: Server, target: Path) -> None:
    server.default_act = Act(content=CONTENT * 3, declared=-1)
    with pytest.raises(DownloadError, match="more than 1000000 bytes"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert left_over(target) == set()


def test_answers_that_always_stop_early_are_an_error(server: Server, target: Path) -> None:
    server.default_act = Act(ranges=False, cut=300_000)
    with pytest.raises(DownloadError, match="closed after 300000 of 1000000 bytes"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 1 + FAST.retries
    assert not target.exists()


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_temporary_errors_are_retried(server: Server, target: Path, status: int) -> None:
    server.script = [Act(status=status), Act(status=status)]
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 3
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 403, 410])
def test_refusal_is_final_and_names_the_path_of_the_file(server: Server, target: Path, status: int) -> None:
    server.default_act = Act(status=status)
    with pytest.raises(DownloadError) as caught:
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 1
    message = str(caught.value)
    assert all(text in message for text in (server.url, f"HTTP {status}", str(target)))
    assert "\n" not in message


def test_web_page_does_not_replace_transferred_bytes(server: Server, target: Path) -> None:
    server.script = [Act(cut=300_000), Act(mime="text/html; charset=utf-8", ranges=False)]
    with pytest.raises(DownloadError, match="web page"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert part(target).stat().st_size == 300_000


def test_answer_without_a_file_is_refused(server: Server, target: Path) -> None:
    server.default_act = Act(status=204, declared=0)
    with pytest.raises(DownloadError, match="HTTP 204 without the file"):
        fetch(server.url, target, policy=FAST)
    assert not target.exists()


def test_redirect_is_followed_and_resumed(server: Server, target: Path) -> None:
    moved = Act(status=302, location="/elsewhere")
    server.script = [moved, Act(cut=300_000), moved]
    fetch(server.url, target, EXPECTED, policy=FAST)
    assert server.requests[3]["Range"] == "bytes=300000-"
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/weights.pth"])
def test_redirect_out_of_the_web_or_in_circles_is_refused(server: Server, target: Path, location: str) -> None:
    server.default_act = Act(status=302, location=location)
    with pytest.raises(DownloadError, match=r"not allowed|not an http|infinite loop"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert not target.exists()


def test_redirect_to_an_unencrypted_address_is_refused(tmp_path: Path) -> None:
    secure = Request("https://example.org/a")
    with (tmp_path / "a").open("wb") as body, pytest.raises(DownloadError, match="not encrypted"):
        web._WebOnly().redirect_request(secure, body, 302, "", None, "http://example.org/b")  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "data:,x", "http:///x", "x.pth", "http://["])
def test_address_outside_the_web_is_refused(target: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not an http or https address"):
        fetch(url, target)
    assert not target.parent.exists()


def test_address_with_a_bad_port_is_refused(target: Path) -> None:
    with pytest.raises(DownloadError, match="not a valid address"):
        fetch("http://127.0.0.1:abc/x", target)


def test_closed_port_is_reported_at_once(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/weights.pth"
    with pytest.raises(DownloadError, match="no connection") as caught:
        fetch(url, target, EXPECTED, policy=RetryPolicy(backoff_s=1000))
    assert url in str(caught.value)
    assert f"to {target}: " in str(caught.value)
    assert "put it at that path" in str(caught.value)


def test_missing_network_is_reported_at_once(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(DownloadError, match=r"no connection .*name resolution"):
        fetch("https://example.org/weights.pth", target, policy=RetryPolicy(backoff_s=1000))


def test_small_disk_is_detected_before_the_transfer(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=999_999))
    with pytest.raises(DownloadError, match=r"no space left .*1000000 bytes needed, 999999 free.*NAPARI_SAM_CACHE"):
        fetch(server.url, target, EXPECTED, policy=FAST)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_disk_that_fills_up_is_an_error(server: Server, target: Path) -> None:
    target.parent.mkdir()
    part(target).symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"no space left in .*new folder"):
        fetch(server.url, target, EXPECTED, policy=FAST)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.EROFS, "is not writable"), (errno.EACCES, "is not writable"), (errno.EIO, "cannot be used")],
)
def test_read_only_folder_is_an_error(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DownloadError, match=f"new folder {message}.*NAPARI_SAM_CACHE"):
        fetch(server.url, target, EXPECTED)


def test_file_at_the_path_of_the_folder_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"file cannot be used \(File exists\)"):
        fetch(server.url, tmp_path / "file" / "weights.pth", EXPECTED)


def test_cancelled_download_continues_later(server: Server, target: Path) -> None:
    watch = Stop(at_bytes=100_000)
    with pytest.raises(DownloadCancelledError, match="continues at byte"):
        fetch(server.url, target, EXPECTED, progress=watch.progress, cancelled=watch.cancelled)
    kept = part(target).stat().st_size
    assert 100_000 <= kept < len(CONTENT)
    fetch(server.url, target, EXPECTED)
    assert server.requests[1]["Range"] == f"bytes={kept}-"
    assert target.read_bytes() == CONTENT


def test_wait_between_attempts_can_be_cancelled(server: Server, target: Path) -> None:
    server.default_act = Act(status=500)
    policy = RetryPolicy(backoff_s=1000)
    with pytest.raises(DownloadCancelledError):
        fetch(server.url, target, EXPECTED, cancelled=lambda: bool(server.requests), policy=policy)


def test_wait_for_another_process_can_be_cancelled(server: Server, target: Path) -> None:
    other = FileLock(target.with_name(".weights.pth.lock"), thread_local=False)
    holder = threading.Thread(target=other.acquire)
    holder.start()
    holder.join()
    with pytest.raises(DownloadCancelledError):
        fetch(server.url, target, EXPECTED, cancelled=lambda: True)
    other.release()
    assert fetch(server.url, target, EXPECTED).read_bytes() == CONTENT


def test_error_in_the_progress_callback_propagates_and_releases_the_lock(server: Server, target: Path) -> None:
    def fail(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch(server.url, target, EXPECTED, progress=fail)
    assert fetch(server.url, target, EXPECTED).read_bytes() == CONTENT


def test_missing_xxhash_is_reported_before_the_download(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    with pytest.raises(CheckpointError, match="pip install xxhash"):
        fetch(server.url, target, Expected(xxh128="0" * 32))
    assert not server.requests


def test_registered_model_goes_to_the_cache(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(tmp_path))
    info = ModelInfo("m", "vit_t", server.url, len(CONTENT), EXPECTED.sha256, "MIT", "", "m.pt")
    assert fetch_model(info) == tmp_path / "m.pt"
    assert fetch_model(info).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_missing_packaged_model_is_to_be_reinstalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src_models.checkpoints.registry.__file__", str(tmp_path / "checkpoints" / "registry.py"))
    with pytest.raises(CheckpointError, match=r"default.safetensors is missing.*reinstall"):
        fetch_model(model_info("default"))
