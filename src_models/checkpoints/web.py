"""HTTP for downloads: allowed addresses, and the version of a transferred file.

Importing this module loads no torch.
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
    """The version of a file on a server; stored beside the bytes of an unfinished download."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """The value for If-Range: a strong ETag or a date."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def differs(self, other: Entity) -> bool:
        """Whether both state a version, and the versions differ."""
        mine = (self.etag, self.last_modified, self.total)
        theirs = (other.etag, other.last_modified, other.total)
        pairs = zip(mine, theirs, strict=True)
        return any(a is not None and b is not None and a != b for a, b in pairs)

    @staticmethod
    def read(path: Path) -> Entity | None:
        """Read a version file; None if it is missing or incomplete."""
        try:
            return Entity(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write a version file."""
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @staticmethod
    def of(url: str, response: http.client.HTTPResponse, total: int | None) -> Entity:
        """Return the version that the headers of an answer state."""
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
        fp.close()  # an error below would leave the connection open
        require_web(newurl)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise DownloadError(
                f"{req.full_url} redirects to {newurl}, which is not encrypted",
                remedy="download the file yourself if you trust the address",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def web_opener() -> urllib.request.OpenerDirector:
    """Make an opener for http and https only, through the proxies of the environment."""
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
    """Check that an address is http or https.

    Raises
    ------
    DownloadError
        If it is not.
    """
    try:
        parts = urlsplit(url)
        web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # such as an unclosed bracket
        web = False
    if not web:
        raise DownloadError(f"{url!r} is not an http or https address", remedy="give a web address")


def content_range(response: http.client.HTTPResponse) -> tuple[int | None, int | None]:
    """Return first byte and total of a partial answer; None where the header is missing."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    return (int(match[1]), integer(match[2])) if match else (None, None)


def integer(text: str | None) -> int | None:
    """Parse a header's number; None if it is not a number."""
    return int(text) if text is not None and text.strip().isdecimal() else None
