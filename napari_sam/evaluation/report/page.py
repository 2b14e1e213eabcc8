"""A page of headings, paragraphs, tables and pictures, written as one HTML file and as Markdown with picture files."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MARKS = re.compile(r"([\[\]`])")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222; }
h1, h2, h3 { line-height: 1.2; } h2 { border-bottom: 1px solid #ccc; margin-top: 2em; }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: 3px 9px; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr:nth-child(even) { background: #f4f6f8; } th { border-bottom: 1px solid #888; }
tr.last td { border-top: 1px solid #888; }
figure { margin: 1.5em 0; } img { max-width: 100%; } figcaption { font-size: 13px; color: #555; }
nav a { margin-right: 1em; } code { background: #f4f6f8; padding: 1px 4px; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of text; a line separates the last one if it is the summary of the others."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    has_summary: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG picture with a file name and a caption."""

    name: str
    png: bytes
    caption: str


Block = Heading | Paragraph | Table | Picture
"""A part of a page."""


@dataclass
class Page:
    """A report: its title and its blocks, in order.

    Examples
    --------
    >>> page = Page("Report")
    >>> page.add(Heading("Points"), Table(["set", "IoU"], [["nuclei", "0.76"]]))
    >>> "<td>0.76</td>" in page.html(), "| nuclei | 0.76 |" in page.markdown({})
    (True, True)
    """

    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Append blocks."""
        self.blocks.extend(blocks)

    def html(self) -> str:
        """Return the page as one self-contained HTML file."""
        parts = [f"<h1>{html.escape(self.title)}</h1>", self._contents()]
        parts += [_as_html(block) for block in self.blocks]
        head = f'<meta charset="utf-8"><title>{html.escape(self.title)}</title><style>{_STYLE}</style>'
        return f"<!DOCTYPE html>\n<html lang=en><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"

    def markdown(self, picture_paths: dict[str, str]) -> str:
        """Return the page as Markdown; `picture_paths` are the paths of the pictures, by name."""
        parts = [f"# {_plain_markdown(self.title)}"]
        parts += [_as_markdown(block, picture_paths) for block in self.blocks]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path, name: str = "report") -> list[Path]:
        """Write NAME.html, and NAME.md with its pictures in NAME/.

        Returns
        -------
        list of Path
            The HTML and the Markdown file.

        Raises
        ------
        StoreError
            If they cannot be written.
        """
        pictures = [block for block in self.blocks if isinstance(block, Picture)]
        try:
            picture_folder = folder / name
            picture_folder.mkdir(parents=True, exist_ok=True)
            for old in picture_folder.glob("*.png"):  # left by an earlier report
                old.unlink()
            for picture in pictures:
                (picture_folder / f"{picture.name}.png").write_bytes(picture.png)
            paths = [folder / f"{name}.html", folder / f"{name}.md"]
            paths[0].write_text(self.html(), encoding="utf-8")
            picture_paths = {picture.name: f"{name}/{picture.name}.png" for picture in pictures}
            paths[1].write_text(self.markdown(picture_paths), encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"{folder}: the report cannot be written: {error}", remedy="check that the disk is not full"
            ) from error
        return paths

    def _contents(self) -> str:
        """Return links to the main headings."""
        links = [
            f'<a href="#{_anchor(block.text)}">{html.escape(block.text)}</a>'
            for block in self.blocks
            if isinstance(block, Heading) and block.level == 2
        ]
        return f"<nav>{''.join(links)}</nav>"


def _anchor(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower())


def _as_html(block: Block) -> str:
    if isinstance(block, Heading):
        return f'<h{block.level} id="{_anchor(block.text)}">{html.escape(block.text)}</h{block.level}>'
    if isinstance(block, Paragraph):
        return f"<p>{_mark_code(html.escape(block.text))}</p>"
    if isinstance(block, Picture):
        data = base64.b64encode(block.png).decode("ascii")
        caption = html.escape(block.caption)
        image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
    head = "".join(f"<th>{html.escape(h)}</th>" for h in block.headings)
    rows = []
    for i, row in enumerate(block.rows):
        last = ' class="last"' if block.has_summary and i == len(block.rows) - 1 else ""
        rows.append(f"<tr{last}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _mark_code(text: str) -> str:
    """Mark text between backticks as code."""
    parts = text.split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _as_markdown(block: Block, picture_paths: dict[str, str]) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_plain_markdown(block.text)}"
    if isinstance(block, Paragraph):
        parts = block.text.split("`")
        if len(parts) % 2 == 0:
            return _plain_markdown(block.text)
        return "`".join(part if i % 2 else _plain_markdown(part) for i, part in enumerate(parts))
    if isinstance(block, Picture):
        caption = _plain_markdown(block.caption)
        return f"![{caption}]({picture_paths[block.name]})\n\n*{caption}*"
    lines = [f"| {' | '.join(map(_plain_markdown, block.headings))} |", "|" + "---|" * len(block.headings)]
    rows = [[_plain_markdown(cell.replace("|", "/")) for cell in row] for row in block.rows]
    if block.has_summary and rows:
        rows[-1] = [f"**{cell}**" if cell else cell for cell in rows[-1]]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _plain_markdown(text: str) -> str:
    """Return text that Markdown shows as it is: no HTML, no links, no line breaks."""
    one_line = html.escape(" ".join(text.split()) if "\n" in text or "\r" in text else text, quote=False)
    return _MARKS.sub(r"\\\1", one_line)
