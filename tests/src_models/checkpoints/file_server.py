"""A web server of this machine, for downloads in tests."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


@contextmanager
def file_server(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder, download into another one, and give the server's address."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("NAPARI_SAM_CACHE", str(cache))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
