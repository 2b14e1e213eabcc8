"""Build hook: the README of the distributions has absolute links, since an index page has no files beside it."""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PAGES = "https://github.com/napari-sam-xl/napari-sam-xl/blob/main/"
_FILES = "https://raw.githubusercontent.com/napari-sam-xl/napari-sam-xl/main/"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)\s]+)\)")


def with_absolute_links(text: str) -> str:
    """Return Markdown whose relative links and pictures lead to the repository.

    >>> with_absolute_links("[docs](docs/a.md#x), ![](b.png), [web](https://napari.org)")[:70]
    '[docs](https://github.com/napari-sam-xl/napari-sam-xl/blob/main/docs/a'
    """

    def absolute(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        return f"{mark}[{words}]({_FILES if mark else _PAGES}{target.removeprefix('./')})"

    return _LINK.sub(absolute, text)


class ReadmeHook(MetadataHookInterface):
    """Put the README into the metadata."""

    def update(self, metadata: dict[str, object]) -> None:
        """Set the field ``readme``, which ``pyproject.toml`` declares as dynamic."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_absolute_links(text)}
