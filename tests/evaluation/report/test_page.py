"""Pages as HTML and Markdown."""

from __future__ import annotations

from napari_sam.evaluation.report.page import Heading, Page, Paragraph, Picture, Table


def test_text_cannot_break_the_page():
    page = Page("<b>")
    page.add(Heading("a & b"), Paragraph("use `x < y`"), Table(["<i>"], [["a|b"], ["1"]], has_summary=True))
    page.add(Picture("p", b"\x89PNG", 'a "caption"'))
    text = page.html()
    assert "<h1>&lt;b&gt;</h1>" in text
    assert "<code>x &lt; y</code>" in text
    assert "&lt;i&gt;" in text
    assert "| a/b |" in page.markdown({"p": "p.png"})


def test_main_headings_are_linked_at_the_top():
    page = Page("Report", [Heading("One two"), Heading("Three", 3)])
    assert '<nav><a href="#one-two">One two</a></nav>' in page.html()


def test_the_summary_row_is_set_off():
    table = Table(["set", "IoU"], [["a", "1"], ["all", "2"]], has_summary=True)
    assert '<tr class="last"><td>all</td>' in Page("Report", [table]).html()
    assert "| **all** | **2** |" in Page("Report", [table]).markdown({})


def test_pictures_of_an_earlier_report_are_removed(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.png").touch()
    html_path, markdown_path = Page("Report", [Picture("new", b"png", "caption")]).write(tmp_path)
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["new.png"]
    assert html_path.exists()
    assert "report/new.png" in markdown_path.read_text()


HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) <a href='javascript:1'>"


def test_names_from_data_become_neither_code_nor_links():
    page = Page(HOSTILE)
    page.add(
        Heading(HOSTILE), Paragraph(HOSTILE), Paragraph(f"`code` {HOSTILE} `"), Table([HOSTILE], [[HOSTILE]]),
        Picture("p", b"", HOSTILE),
    )  # fmt: skip
    text = page.markdown({"p": "p.png"})
    assert "<script" not in text
    assert "<a " not in text
    assert "](javascript" not in text.replace("\\](javascript", "")
    assert "<script" not in page.html()
    assert "<a href='java" not in page.html()
