"""What a download needs to know of HTTP: which addresses are allowed, and which version of a file was sent.

Importing this loads no torch.
"""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from src_models.model_errors import DownloadError

if TYPE_CHECKING:
    import http.client
    from pathlib import Path
    from typing import IO


@dataclass(frozen=True)
class Entity:
    """Which version of which file the bytes of a ``.part`` are from; stored beside it."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag or a date."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def differs(self, other: Entity) -> bool:
        """Whether both say which version they are, and it is not the same one."""
        mine = (self.etag, self.last_modified, self.total)
        theirs = (other.etag, other.last_modified, other.total)
        pairs = zip(mine, theirs, strict=True)
        return any(a is not None and b is not None and a != b for a, b in pairs)

    @staticmethod
    def read(path: Path) -> Entity | None:
        """Read a sidecar; None if there is none, or it was cut short when a process died."""
        try:
            return Entity(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write a sidecar."""
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @staticmethod
    def of(url: str, response: http.client.HTTPResponse, total: int | None) -> Entity:
        """Read the headers of an answer."""
        return Entity(url, response.headers["ETag"], response.headers["Last-Modified"], total)


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follow redirects to the web only, and from https only to https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        fp.close()  # or a refusal would leave the connection open
        require_web(newurl)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise DownloadError(f"{req.full_url} redirects to {newurl}, which is not encrypted; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def web_opener() -> urllib.request.OpenerDirector:
    """Make an opener for http and https, through the proxies of the environment, and for nothing else."""
    # Not build_opener, which adds handlers for file, ftp and data addresses.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _WebOnly(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def require_web(url: str) -> None:
    """Refuse an address that is not http or https.

    Raises
    ------
    DownloadError
        Naming the address.
    """
    try:
        parts = urlsplit(url)
        web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as an unclosed bracket
        web = False
    if not web:
        raise DownloadError(f"{url!r} is not an http or https address; weights are fetched from the web only")


def content_range(response: http.client.HTTPResponse) -> tuple[int | None, int | None]:
    """Read first byte and total of a partial answer; None for what it does not say."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    return (int(found[1]), integer(found[2])) if found else (None, None)


def integer(text: str | None) -> int | None:
    """Read a header's number; None if it is none."""
    return int(text) if text is not None and text.strip().isdecimal() else None
