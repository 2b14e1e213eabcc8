"""The generated parts of the reference are complete, and public names have docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import napari_sam as ns
from tests.docs.doc_pages import DOCS, ROOT, blocks, load, name_of, pages, with_blocks

from_code = load("from_code")


def public_members():
    """Yield the public names, and the public methods and properties of public classes."""
    for name in ns.__all__:
        value = getattr(ns, name)
        yield name, value
        if inspect.isclass(value):
            ours = [kind for kind in value.__mro__ if kind.__module__.startswith(("napari_sam", "src_models"))]
            names = {member for kind in ours for member in vars(kind) if not member.startswith("_")}
            names -= {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
            for member in sorted(names):
                found = inspect.getattr_static(value, member)
                if callable(found) or isinstance(found, property | classmethod | staticmethod):
                    yield f"{name}.{member}", getattr(value, member)


def test_every_public_name_and_member_has_a_docstring():
    assert [name for name, value in public_members() if not (inspect.getdoc(value) or "").strip()] == []


def test_the_reference_lists_every_public_name_once():
    listed = re.findall(r"^::: napari_sam\.(\w+)$", from_code.public_names(), re.MULTILINE)
    assert sorted(listed) == sorted(ns.__all__)


def test_the_tables_of_settings_have_every_field_with_its_meaning():
    text = from_code.settings_tables()
    kinds = from_code.settings_classes()
    assert {ns.GridSettings, ns.FindSettings, ns.PlaneLinking} <= set(kinds)
    for kind in kinds:
        section = text.partition(f"\n### {kind.__name__}\n")[2].partition("\n### ")[0]
        rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.+?) \|$", section, re.MULTILINE))
        assert list(rows) == [field.name for field in dataclasses.fields(kind)]
        assert all(rows.values())


def test_the_help_of_every_command_and_the_models_are_listed():
    from napari_sam.cli.parser import COMMANDS
    from src_models.checkpoints.registry import model_names

    text = from_code.command_help()
    assert [command.name for command in COMMANDS if f"napari-sam {command.name}\n" not in text] == []
    assert re.findall(r"^\| `([\w.]+)` \|", from_code.models_table(), re.MULTILINE) == list(model_names())


def test_the_table_of_models_by_kind_of_image_is_that_of_the_code():
    text = (DOCS / "which-model.md").read_text(encoding="utf-8")
    assert from_code.advice_table() in text, "put from_code.advice_table() in place of the table of which-model.md"


def test_the_costs_of_models_are_those_that_were_measured_last():
    text = (DOCS / "which-model.md").read_text(encoding="utf-8")
    measured = (DOCS / "performance.md").read_text(encoding="utf-8")
    vit_b, default = (
        int(re.search(rf"^\| {case} \|[^|]+\| ([\d ]+) ms \|", measured, re.MULTILINE)[1].replace(" ", ""))
        for case in ("ViT-B encodes 1024 × 1024", "default encodes 512 × 512")
    )
    assert f"1024 × 1024 in {vit_b / 1000:.1f} s" in text
    assert f"512 × 512 in {default}\nms" in text or f"512 × 512 in {default} ms" in text


def test_an_unknown_generated_part_is_an_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: nothing -->\n")
    with pytest.raises(KeyError, match="nothing"):
        pages.site_text(page)


def command_lines(page):
    """Return the calls of ``napari-sam`` in the console blocks of a page, without comments and pipes."""
    text = "\n".join(body for _, body in blocks(page, "console"))
    calls = re.findall(r"^\$ (napari-sam .*)$", text, re.MULTILINE)
    return [re.split(r"\s+#|\s\|\s|\s+\[--", call)[0].strip() for call in calls]


@pytest.mark.parametrize("page", [p for p in with_blocks("console") if command_lines(p)], ids=name_of)
def test_the_command_lines_of_the_docs_are_valid(page, capsys):
    import shlex

    from napari_sam.cli.options import join_negative_numbers
    from napari_sam.cli.parser import command_parser

    wrong = []
    for call in command_lines(page):
        try:
            command_parser().parse_args(join_negative_numbers(shlex.split(call)[1:]))
        except SystemExit:
            wrong.append((call, capsys.readouterr().err))
    assert wrong == []


def test_every_picture_of_the_docs_is_made_by_the_script():
    scenes = (DOCS / "scripts" / "scenes.py").read_text(encoding="utf-8")
    pictures = {path.stem for path in (ROOT / "docs" / "images").glob("*.png")}
    assert set(re.findall(r"^def ([a-z]\w*)\(", scenes, re.MULTILINE)) == pictures
    assert set(load("screenshots").NAMES) == pictures
