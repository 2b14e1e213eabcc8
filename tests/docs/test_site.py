"""The documentation site builds without a warning; skipped where the extra ``docs`` is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.doc_pages import ROOT, pages

BESIDE_PYTHON = Path(sys.executable).parent / "zensical"
ZENSICAL = str(BESIDE_PYTHON) if BESIDE_PYTHON.exists() else shutil.which("zensical")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A function that builds the site of pages in a folder, and returns the process and the site's folder."""
    if ZENSICAL is None:
        pytest.skip("needs pip install '.[docs]'")

    def run(change=None):
        folder = tmp_path_factory.mktemp("docs")
        pages.write(folder / "build" / "pages")
        if change is not None:
            change(folder / "build" / "pages")
        shutil.copy(ROOT / "mkdocs.yml", folder)
        for package in ("napari_sam", "src_models"):
            (folder / package).symlink_to(ROOT / package)
        done = subprocess.run([ZENSICAL, "build", "--strict"], cwd=folder, capture_output=True, text=True)
        return done, folder / "build" / "site"

    return run


def test_the_site_builds_strictly_with_all_public_names(build):
    import napari_sam as ns

    done, site = build()
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    assert [name for name in ns.__all__ if f'id="napari_sam.{name}"' not in reference] == []
    assert (site / "images" / "click.png").exists()
    assert "points_per_side" in (site / "reference" / "settings" / "index.html").read_text(encoding="utf-8")


def test_a_broken_link_or_anchor_fails_the_build(build):
    def change(folder):
        page = folder / "index.md"
        page.write_text(page.read_text() + "\n[no page](nowhere.md) [no anchor](faq.md#nowhere)\n")

    done, _ = build(change)
    assert done.returncode != 0
    printed = done.stdout + done.stderr
    assert "page does not exist" in printed
    assert "anchor does not exist" in printed
