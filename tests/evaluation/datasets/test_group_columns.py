"""Grouping columns from tables."""

from __future__ import annotations

import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.datasets.group_columns import add_groups, read_group_table


def test_a_table_adds_columns_and_positions(collection):
    samples = find_samples(collection)
    table = {("cells", "a"): {"stain": "H&E", "latitude": "48.1", "longitude": "11.6"}, ("", "b"): {"stain": "PAS"}}
    grouped = add_groups(samples, table)
    assert [s.groups.get("stain") for s in grouped] == ["H&E", "PAS", None, "PAS"]
    assert grouped[0].position == (48.1, 11.6)
    with pytest.raises(EvaluationError, match=r"no row of the table belongs to an image: it names 'a\.png'"):
        add_groups(samples, {("", "a.png"): {"stain": "H&E"}})
    with pytest.raises(EvaluationError, match="latitude 98"):
        add_groups(samples, {("", "a"): {"latitude": "98", "longitude": "0"}})


def test_a_table_of_groups_is_read(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("sample,dataset,stain\na,d,H&E\nb,,PAS\n", encoding="utf-8-sig")
    assert read_group_table(path) == {("d", "a"): {"stain": "H&E"}, ("", "b"): {"stain": "PAS"}}


def test_semicolons_separate_columns(tmp_path):
    (tmp_path / "g.csv").write_text("sample;stain\na;H&E\n")
    assert read_group_table(tmp_path / "g.csv") == {("", "a"): {"stain": "H&E"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "the file is empty"), ("image,stain\na,b\n", "no column 'sample'"), ("sample\na\n", "no grouping column")],
)
def test_tables_without_their_columns_are_refused(tmp_path, text, message):
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_group_table(tmp_path / "g.csv")
    with pytest.raises(EvaluationError, match="no such file"):
        read_group_table(tmp_path / "none.csv")
