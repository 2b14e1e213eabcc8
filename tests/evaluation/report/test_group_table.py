"""The fairness table by hand."""

from __future__ import annotations

import math

import pytest

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.report.group_table import all_overlap, format_table, group_table, overlap_sentence


def result(name, group, *curves):
    return SampleResult(
        "d", name, {"labels": list(range(len(curves))), "random": {"iou": [list(c) for c in curves]}}, group
    )


def images(stain, one_point, three_points, count=12):
    return [
        result(f"{stain}{i}", {"stain": stain}, (one_point + i / 500, 0.0, three_points + i / 500))
        for i in range(count)
    ]


@pytest.fixture
def results():
    return [*images("H&E", 0.5, 0.9), *images("PAS", 0.505, 0.6), result("x", {}, (0.1, 0.1, 0.1))]


def test_groups_whose_intervals_do_not_overlap_are_named(results):
    rows = group_table(results, ["stain"])
    assert [(r.group, r.by_points[1].n) for r in rows] == [("H&E", 12), ("PAS", 12)]
    assert rows[0].apart_from == {1: (), 3: ("PAS",)}
    assert all_overlap(rows, "stain", 1) is True
    assert all_overlap(rows, "stain", 3) is False
    sentence = overlap_sentence(rows, "stain")
    assert sentence == "stain: at 1 point all intervals overlap; at 3 points these do not overlap: H&E and PAS."


def test_the_layout_is_that_of_the_paper(results):
    text = format_table(group_table(results, ["stain"]))
    assert "mIoU at" in text
    assert "51.1 ± 0.4" in text
    assert text.index("stain") < text.index("H&E") < text.index("PAS")


def test_one_image_has_no_interval():
    rows = group_table([result("a", {"site": "1"}, (0.5, 0.5, 0.7)), *images("H&E", 0.5, 0.9)[:0]], ["site"])
    assert math.isnan(rows[0].by_points[1].low)
    assert "± ?" in format_table(rows)
    assert "not defined" in overlap_sentence(rows, "site")


def test_missing_columns_and_objects_are_named(results):
    with pytest.raises(EvaluationError, match="'site': none of the images has it; there are stain"):
        group_table(results, ["site"])
    with pytest.raises(EvaluationError, match="no object"):
        group_table([result("a", {"site": "1"})], ["site"])
