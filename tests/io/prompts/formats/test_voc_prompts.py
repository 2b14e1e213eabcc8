"""Boxes of Pascal VOC's XML annotations."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.errors import PromptError
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import written

OBJECT = (
    "<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
    "<ymax>{y1}</ymax></bndbox>{more}</object>"
)


def annotation(*objects, size="<size><width>200</width><height>100</height><depth>3</depth></size>"):
    return f"<annotation><filename>a.jpg</filename>{size}{''.join(objects)}</annotation>"


def box(name="cell", y0=11, x0=21, y1=30, x1=40, more=""):
    return OBJECT.format(name=name, y0=y0, x0=x0, y1=y1, x1=x1, more=more)


def test_pixels_count_from_one_and_the_last_one_belongs_to_the_box(tmp_path, image):
    text = annotation(box("cell"), box("a &amp; b / 'c' 🧬", 1, 1, 100, 200, "<confidence>0.5</confidence>"))
    table = read_prompts(written(tmp_path / "a.xml", text), image)
    np.testing.assert_array_equal(table.boxes, [[10, 20, 30, 40], [0, 0, 100, 200]])
    assert table.category == ["cell", "a & b / 'c' 🧬"]
    np.testing.assert_array_equal(table.score, [np.nan, 0.5])


def test_boxes_of_parts_are_not_objects(tmp_path, image):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    table = read_prompts(written(tmp_path / "a.xml", annotation(box(more=part))), image)
    np.testing.assert_array_equal(table.boxes, [[10, 20, 30, 40]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotation>", "cannot be read as XML"),
        ("<kml></kml>", "first element is <kml>, not <annotation>"),
        (annotation(), "holds no object"),
        (annotation(box(x1="wide")), r"object 1: bndbox .* is not four numbers"),
        (annotation("<object><name>cell</name></object>"), "object 1: bndbox .* is not four numbers"),
        (annotation(box(), box(y1=5)), "object 2: "),
        (annotation(box(), size="<size><width>30</width><height>20</height></size>"), "20 x 30 px, not 100 x 200"),
        (annotation(box(), size="<size><width>x</width><height>20</height></size>"), "is not two numbers"),
    ],
)
def test_a_bad_file_is_named(tmp_path, image, text, words):
    with pytest.raises(PromptError, match=words):
        read_prompts(written(tmp_path / "a.xml", text), image)


def test_an_annotation_without_a_size_is_used(tmp_path, image):
    assert len(read_prompts(written(tmp_path / "a.xml", annotation(box(), size="")), image)) == 1


def test_entities_that_expand_without_end_are_refused(tmp_path, image):
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 40}">' for i in range(1, 12))
    text = f'<!DOCTYPE x [<!ENTITY e0 "ha">{levels}]>' + annotation(box("&e11;"))
    with pytest.raises(PromptError, match="cannot be read as XML"):
        read_prompts(written(tmp_path / "a.xml", text), image)
