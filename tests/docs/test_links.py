"""Links, anchors and pictures of README, CONTRIBUTING and docs lead to something; needs no builder of sites."""

from __future__ import annotations

import pytest

from tests.docs.doc_pages import ALL, DOCS, ROOT, name_of, pages

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="needs the source tree")
SITE_ONLY = {"generated"}


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_link_leads_to_a_file_and_an_anchor_in_it(page):
    broken = []
    text = page.read_text(encoding="utf-8")
    for target in pages.links(text):
        if pages.is_external(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md" and anchor not in anchors_on_site(file):
            broken.append(target)
    assert broken == []


def anchors_on_site(file):
    text = pages.site_text(file) if file.is_relative_to(DOCS) and "generated:" in file.read_text() else file.read_text()
    return pages.anchors(text)


def test_links_to_the_repository_lead_to_files_of_it():
    """The README shows its pictures on other sites, by absolute addresses of this repository."""
    raw = "https://raw.githubusercontent.com/napari-sam-xl/napari-sam-xl/main/"
    inside = [
        target.removeprefix(base)
        for page in ALL
        for target in pages.links(page.read_text(encoding="utf-8"))
        for base in (pages.REPOSITORY, raw)
        if target.startswith(base)
    ]
    assert inside
    assert [path for path in inside if not (ROOT / path.partition("#")[0]).exists()] == []


def test_links_are_not_looked_for_in_code_and_broken_ones_are_seen():
    text = "[a](b.md)\n\n```\n[c](d.md)\n```\n`[e](f.md)` ![g [h]](i.png)"
    assert pages.links(text) == ["b.md", "i.png"]


def test_every_picture_is_shown_on_a_page():
    shown = {
        (page.parent / target).resolve()
        for page in ALL
        for target in pages.links(page.read_text(encoding="utf-8"))
        if target.endswith(".png") and not pages.is_external(target)
    }
    shown |= {
        ROOT / target.partition("/main/")[2]
        for target in pages.links((ROOT / "README.md").read_text(encoding="utf-8"))
        if target.endswith(".png")
    }
    assert sorted(set((DOCS / "images").glob("*.png")) - shown) == []


def test_every_page_is_in_the_navigation():
    lines = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2].splitlines()
    named = {line.rsplit(": ", 1)[1] for line in lines if line.endswith(".md")}
    assert named == {page.relative_to(DOCS).as_posix() for page in pages.source_pages()}


def test_links_that_leave_the_docs_become_links_to_the_repository():
    text = pages.site_text(DOCS / "find.md")
    assert f"]({pages.REPOSITORY}notebooks/find_all_like_this.ipynb)" in text
    assert "](everything.md)" in text
