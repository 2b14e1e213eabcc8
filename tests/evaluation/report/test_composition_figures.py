"""Figures of what data sets hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_sam.evaluation.experiments.composition import CompositionExperiment
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.report.composition_figures import image_positions, mask_centers, mask_properties
from tests.evaluation.evaluation_stubs import toy


@pytest.fixture
def results():
    labels = np.zeros((40, 40), np.int32)
    labels[5:15, 5:15], labels[20:30, 22:38] = 1, 2
    payload = CompositionExperiment().measure(toy(labels), None, 0)
    return [SampleResult(dataset, "a", payload) for dataset in ("cells", "fields")]


def test_centres_and_properties_are_drawn(results):
    assert mask_centers(results).startswith(b"\x89PNG")
    assert mask_properties(results).startswith(b"\x89PNG")


def test_positions_of_a_table_take_precedence(results):
    assert image_positions(results) is None
    located = [dataclasses.replace(result, position=(48.0, 11.0)) for result in results]
    assert image_positions(located).startswith(b"\x89PNG")
