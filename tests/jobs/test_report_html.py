"""Reports show themselves in a notebook, while their store is open and afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.classify.classify_objects import ClassifyReport
from napari_sam.jobs.find.find import FindReport
from napari_sam.jobs.segment_image import EverythingReport
from napari_sam.jobs.segment_prompts import PromptedReport
from napari_sam.jobs.stacks.stack_report import PlaneFailure, StackReport
from tests.engine.showing.test_html import pictures_in

IDS, SCORES = np.array([1, 2]), np.array([0.9, 0.6], np.float32)


def reports(labels):
    """Return a report of each kind."""
    everything = EverythingReport("dense", 2, 1, 9, ["broken"], [1], {"find": 3.21}, labels)
    found = FindReport("nucleus", 0.5, 2, IDS, SCORES, {"tiles": 4, "left_out": 0}, [], {"find": 1.0}, labels)
    stack = StackReport("grid", "t", 2, 1, 6, [PlaneFailure(3, "broken")], 11, 1, 4, 512, {"link": 0.5}, labels)
    prompted = PromptedReport(7, 2, 1, 3, 2, 0, {"outside the image": 4}, [], 0, 2.5, labels)
    return {"everything": everything, "find": found, "stack": stack, "prompts": prompted}


EXPECTED = {
    "everything": ("dense", "1 of 9 tiles", "find 3.2 s"),
    "find": ("nucleus", "0.50", ">4<"),
    "stack": ("planes (t)", "1 of 6 planes", ">11<"),
    "prompts": ("3 unsure, 2 duplicates", "4 outside the image", "2.5 s"),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_report_shows_its_figures_and_its_objects(tmp_path, kind):
    with LabelStore.create(tmp_path / "s.ome.zarr", shape=(40, 60)) as labels:
        labels.paint(np.full((10, 10), 1), (0, 0))
        labels.paint(np.full((10, 10), 2), (20, 20))
        report = reports(labels)[kind]
        html = report._repr_html_()
        assert pictures_in(html)[0].any()
    assert all(text in html for text in EXPECTED[kind])
    closed = report._repr_html_()
    assert "closed" in closed
    assert pictures_in(closed) == []
    assert all(text in closed for text in EXPECTED[kind])


def test_a_report_of_classes_counts_them():
    report = ClassifyReport((4, 5, 6), ("a", "b", "a"), np.array([0.1, 0.5, 0.9]), (5, 6), None, None)
    html = report._repr_html_()
    assert html.index("most likely a") < html.index("most likely b")
    assert html.count("<circle") == 3
