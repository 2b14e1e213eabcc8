"""Write the pages of the documentation site into a folder, from which the site is built.

The files of ``docs/`` are complete pages that can be read on their own. For the site, links that leave ``docs/`` become
links to the repository, and each line ``<!-- generated: NAME -->`` is followed by what the code says: public names,
tables of settings and models, the help of all commands.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/napari-sam-xl/napari-sam-xl/blob/main/"

_LINK = re.compile(r"(!?\[(?:[^\]\[]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def source_pages(folder: Path = DOCS) -> list[Path]:
    """Return the Markdown files of the site, sorted."""
    return sorted(path for path in folder.rglob("*.md") if "scripts" not in path.parts)


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page, without those in code.

    >>> links("[a](b.md#c) `[x](y.md)` ![d](e.png)")
    ['b.md#c', 'e.png']
    """
    return [match[2] for match in _LINK.finditer(_CODE.sub("", _FENCE.sub("", text)))]


def is_external(target: str) -> bool:
    """Whether a link leads to another server."""
    return re.match(r"[a-z]+:", target) is not None


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: those that its headings get, and ids that are given.

    >>> sorted(anchors("# Which model?"))
    ['which-model']
    """
    names: dict[str, int] = {}
    found = set(re.findall(r'\bid="([^"]+)"', text))
    for title in re.findall(r"^#{1,6} +(.+?)\s*$", _FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        name = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain.lower()).strip())
        count = names.get(name, 0)
        names[name] = count + 1
        found.add(f"{name}_{count}" if count else name)
    return found


def site_text(page: Path) -> str:
    """Return a page as it is on the site: with generated parts, and links to the repository."""
    text = _MARK.sub(lambda match: f"{match[0]}\n\n{generated(match[1])}", page.read_text(encoding="utf-8"))
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_site_links(text[end : fence.start()], page), fence[0]]
        end = fence.end()
    return "".join([*parts, _site_links(text[end:], page)])


def _site_links(text: str, page: Path) -> str:
    def rewrite(match: re.Match[str]) -> str:
        path, hash_, anchor = match[2].partition("#")
        if is_external(match[2]) or not path:
            return match[0]
        target = (page.parent / path).resolve()
        if target.is_relative_to(DOCS) and "scripts" not in target.relative_to(DOCS).parts:
            return match[0]
        return f"{match[1]}{REPOSITORY}{target.relative_to(ROOT).as_posix()}{hash_}{anchor}{match[3]}"

    return _LINK.sub(rewrite, text)


def generated(name: str) -> str:
    """Return a part of a page that is made from the code.

    Parameters
    ----------
    name : str
        One of the names in `from_code.PARTS`.

    Raises
    ------
    KeyError
        If there is no such part.
    """
    if str(Path(__file__).parent) not in sys.path:
        sys.path.insert(0, str(Path(__file__).parent))
    from from_code import PARTS

    return PARTS[name]()


def write(folder: Path) -> None:
    """Write all pages and pictures into a folder, in place of what is there."""
    if folder.exists():
        shutil.rmtree(folder)
    for page in source_pages():
        target = folder / page.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(site_text(page), encoding="utf-8")
    for path in DOCS.rglob("*"):
        if path.suffix in {".png", ".css", ".csv"}:
            target = folder / path.relative_to(DOCS)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def main() -> None:
    """Write the pages into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write the pages of the documentation site.")
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "pages", help="(default: build/pages)")
    os.environ["COLUMNS"] = "100"  # width of the help of commands
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
