"""The pages of the documentation, and the scripts that prepare them."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"


def load(name):
    """Import a script of ``docs/scripts``."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pages = load("pages")
ALL = [README, ROOT / "CONTRIBUTING.md", *pages.source_pages()]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    """Return the code blocks of a page in a language, each with the line that it begins on."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]


def with_blocks(language):
    return [page for page in ALL if blocks(page, language)]
