"""The composition of data sets."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample
from napari_sam.evaluation.experiments.composition import CompositionExperiment, center_map, concavity
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.report.composition_figures import image_positions
from tests.evaluation.evaluation_stubs import toy


def test_concavity_agrees_with_scikit_image(rng):
    from scipy import ndimage
    from skimage.measure import regionprops

    labels = ndimage.label(ndimage.gaussian_filter(rng.random((120, 120)), 3) > 0.5)[0]
    for region in regionprops(labels):
        if region.area > 300:
            assert concavity(region.image) == pytest.approx(1 - region.solidity, abs=0.05)


def test_lines_are_convex():
    assert concavity(np.ones((1, 7), bool)) == 0
    assert concavity(np.ones((1, 1), bool)) == 0


@pytest.fixture
def labels():
    out = np.zeros((40, 80), np.int32)
    out[0:20, 0:40], out[30:40, 60:80] = 1, 2
    return out


def test_centres_and_sizes_are_shares_of_the_image(labels):
    payload = CompositionExperiment().measure(toy(labels), None, 0)
    assert payload["center"] == [[0.25, 0.25], [0.875, 0.875]]
    assert payload["size"] == [pytest.approx(0.5), pytest.approx(0.25)]
    assert payload["concavity"] == [0, 0]
    density = center_map([SampleResult("toy", "a", payload)], bins=4)
    assert density[1, 1] == density[3, 3] == 8
    assert density.sum() == 16


def test_masks_per_image_are_counted_in_the_papers_ranges(labels):
    results = [
        SampleResult("toy", "a", CompositionExperiment().measure(toy(labels), None, 0)),
        SampleResult("toy", "b", {**EMPTY}),
    ]
    estimates = {e.metric: e.value for e in CompositionExperiment().summary(results, "", 0)}
    assert estimates["masks per image"] == 1.0
    assert estimates["images with 1-10 masks"] == 0.5
    assert estimates["images with over 200 masks"] == 0


EMPTY = {"shape": [4, 4], "position": None, "labels": [], "center": [], "size": [], "concavity": []}


def test_centres_without_masks_are_undefined():
    with pytest.raises(EvaluationError, match="not defined"):
        center_map([SampleResult("toy", "b", EMPTY)])


def test_positions_come_from_tables_and_georeferenced_files(labels, tmp_path):
    located = toy(labels, position=(48.5, 11.5))
    assert located.position == (48.5, 11.5)
    results = [SampleResult("toy", "a", CompositionExperiment().measure(located, None, 0), position=located.position)]
    assert image_positions(results).startswith(b"\x89PNG")
    assert image_positions([SampleResult("toy", "a", EMPTY)]) is None
    pytest.importorskip("pyproj")
    path = tmp_path / "geo.tif"
    keys = (1, 1, 0, 2, 1024, 0, 1, 2, 2048, 0, 1, 4326)
    tags = [(33550, "d", 3, (0.1, 0.1, 0.0)), (33922, "d", 6, (0, 0, 0, 10.0, 50.0, 0)), (34735, "H", len(keys), keys)]
    tifffile.imwrite(path, np.zeros((40, 80), np.uint8), extratags=[(c, t, n, v, True) for c, t, n, v in tags])
    sample = Sample("toy", "geo", path, lambda: truth_from_labels(labels))
    assert CompositionExperiment().measure(sample, None, 0)["position"] == pytest.approx([48.0, 14.0])
