"""Tables and other files of prompts."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image as PillowImage

from napari_sam.errors import PromptError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.read_prompts import read_prompts
from tests.io.prompts.prompt_sources import SHAPE, keywords, written


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_boxes_of_a_table_with_category_and_score(tmp_path, image, separator):
    lines = ["Y0,x0,y1,x1,category,score", "1,2,30,40,cell,0.9", "5.5,6,250,8,,"]
    table = read_prompts(written(tmp_path / "b.csv", "\n".join(lines).replace(",", separator)), image)
    assert keywords(table) == [{"box": [1, 2, 30, 40]}, {"box": [5.5, 6, 100, 8]}]
    assert table.category == ["cell", None]
    np.testing.assert_array_equal(table.score, [0.9, np.nan])


def test_each_point_of_a_table_is_a_prompt(tmp_path, image):
    table = read_prompts(written(tmp_path / "p.csv", "y,x\n10,20\n99,199\n"), image)
    assert keywords(table) == [
        {"points": [[10, 20]], "point_labels": [1]},
        {"points": [[99, 199]], "point_labels": [1]},
    ]


def test_parquet_without_pyarrow_names_the_remedy(tmp_path, image, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(PromptError, match="pip install pyarrow"):
        read_prompts(written(tmp_path / "p.parquet", ""), image)


def test_more_fields_than_columns_are_refused(tmp_path, image):
    with pytest.raises(PromptError, match="line 2: 3 fields, but the first line names 2 columns"):
        read_prompts(written(tmp_path / "a.csv", "y,x\n10,20,5\n30,40,5\n"), image)
    with pytest.raises(PromptError, match="2 fields in line 3, saw 3"):
        read_prompts(written(tmp_path / "b.csv", "y,x\n10,20\n30,40,5\n"), image)


def test_an_empty_table_is_an_error_and_an_empty_array_is_not(tmp_path, image):
    path = written(tmp_path / "p.csv", "y0,x0,y1,x1\n")
    with pytest.raises(PromptError, match=r"p\.csv: the table is empty; give at least one"):
        read_prompts(path, image)
    assert len(read_prompts(np.zeros((0, 4)), image)) == 0


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "", "cannot be read"),
        ("p.json", "{", "cannot be read"),
        ("p.json", '{"a": 1}', "neither COCO"),
        ("p.geojson", '{"type": "FeatureCollection", "features": 3}', "not a list"),
    ],
)
def test_files_without_prompts_are_named(tmp_path, image, name, text, words):
    with pytest.raises(PromptError, match=words):
        read_prompts(written(tmp_path / name, text), image)
    with pytest.raises(PromptError, match="no such file"):
        read_prompts(tmp_path / "missing.csv", image)


def test_exports_are_read_back_as_prompts(tmp_path, image):
    with LabelStore.create(tmp_path / "l", shape=SHAPE) as store:
        store.paint(np.ones((20, 30), int), (10, 40))
        store.export(tmp_path / "l.geojson")
        store.export(tmp_path / "l.json")
        store.export(tmp_path / "l.csv")
    for name in ("l.geojson", "l.json", "l.csv"):
        assert keywords(read_prompts(tmp_path / name, image)) == [{"box": [10, 40, 30, 70]}]


def test_blank_lines_of_a_table_are_passed_over_and_counted(tmp_path, image):
    path = written(tmp_path / "p.csv", "y,x,category\n\n10,20,a\n,,\n30,40,b\n\n\n")
    table = read_prompts(path, image)
    assert [k["points"] for k in keywords(table)] == [[[10, 20]], [[30, 40]]]
    assert table.category == ["a", "b"]
    with pytest.raises(PromptError, match="line 4: point"):
        read_prompts(written(tmp_path / "q.csv", "y,x\n\n\n1000,40\n"), image)


@pytest.mark.parametrize("name", ["a.geojson", "a.json"])
def test_json_with_a_byte_order_mark_is_read(tmp_path, image, name):
    text = {
        "a.geojson": '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [20.5, 10.5]}}',
        "a.json": '{"annotations": [{"image_id": 1, "category_id": 1, "bbox": [20, 10, 5, 8]}]}',
    }
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text[name].encode())
    assert len(read_prompts(tmp_path / name, image)) == 1


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_labels_in_a_lossy_file_are_refused(tmp_path, image, kind):
    PillowImage.fromarray(np.zeros(image.shape, np.uint8)).save(tmp_path / "labels.png", kind)
    with pytest.raises(PromptError, match=r"labels\.png: a .*, but labels must be exact; save them as TIFF or PNG"):
        read_prompts(tmp_path / "labels.png", image)
