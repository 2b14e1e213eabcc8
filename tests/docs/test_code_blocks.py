"""Every Python example of README and docs runs, one after another as on the page, on small images."""

from __future__ import annotations

import sys
from contextlib import suppress

import pytest

from napari_sam import LabelStore
from tests.docs.doc_pages import ROOT, blocks, name_of, with_blocks
from tests.docs.page_files import PAGES

WITH_PYTHON = {name_of(page): page for page in with_blocks("python")}


def test_every_page_with_python_is_run():
    assert sorted(WITH_PYTHON) == sorted(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_what_stands_for_a_part_of_an_example_is_still_needed(name):
    text = "".join(body for _, body in blocks(ROOT / name, "python"))
    assert [part for part in PAGES[name].instead if part not in text] == []


def tiny_detector(folder):
    """Make a detector of words in place of the one that would be downloaded."""
    pytest.importorskip("transformers")
    from tests.text.tiny_models import make_owlv2

    folder.mkdir()
    return str(make_owlv2(folder))


@pytest.fixture
def no_client_stays():
    """Close the Dask client of an example, which would compute the arrays of later tests elsewhere."""
    yield
    if "distributed" in sys.modules:
        from distributed import default_client

        with suppress(ValueError):  # there is none
            default_client().close()


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("no_client_stays")
@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_examples_of_a_page_run(name, tmp_path, monkeypatch):
    page = PAGES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    if page.prepare is not None:
        page.prepare()
    for path, write in page.files.items():
        write(tmp_path / path)
    instead = dict(page.instead)
    if name == "docs/text.md":
        instead["google/owlv2-base-patch16-ensemble"] = tiny_detector(tmp_path / "owlv2")
    namespace = {"__name__": "__main__"}
    for number, (line, body) in enumerate(blocks(ROOT / name, "python")):
        close_stores(namespace)
        namespace.update(page.names(number) if page.names is not None else {})
        for part, other in instead.items():
            body = body.replace(part, other)
        code = compile("\n" * (line - 1) + body, str(ROOT / name), "exec")
        exec(code, namespace)
    close_stores(namespace)


def close_stores(namespace):
    """Close the label stores among the names; what a report holds stays open, as its page goes on with it."""
    for value in namespace.values():
        if isinstance(value, LabelStore):
            value.close()
