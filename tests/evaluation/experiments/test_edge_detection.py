"""Edges of masks, and baselines with known scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sam.engine.automatic.grid_filters import point_grid
from napari_sam.engine.automatic.grid_logits import MaskCandidate, MaskFrame
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.experiments.edge_detection import (
    EdgeBaselineExperiment,
    EdgeExperiment,
    edges_of_masks,
    mask_edges,
)
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.runs.experiment_runner import run_experiments
from napari_sam.evaluation.runs.result_store import ResultStore

# matched true, true, matched found, found; at two thresholds


def disc_mask(radius=20.0, speck=True):
    """Return a soft disc in an image of 128 x 128 as a mask of the middle one of nine points, with a distant speck."""
    y, x = np.indices((256, 256)) / 2
    logits = (radius - np.hypot(y - 64, x - 64)).clip(-8, 8)
    if speck:
        logits[20:26, 20:26] = 8
    frame = MaskFrame((128, 128), (512, 512), 512, 256)
    return MaskCandidate(torch.from_numpy(logits.astype(np.float32)), (0, 0), 0.9, 4), frame


@pytest.mark.parametrize("tidy", [True, False])
def test_edges_of_masks_lie_on_their_outlines(tidy):
    mask, frame = disc_mask()
    points = point_grid(3) * (128, 128)
    strength = edges_of_masks([mask, mask], frame, (128, 128), points if tidy else None)
    assert strength.max() == 1
    rows, cols = np.nonzero(strength > 0.3)
    distance = np.hypot(rows - 63.75, cols - 63.75)
    on_disc = abs(distance - 20) < 2
    assert np.count_nonzero(on_disc) > 90
    assert on_disc.all() == tidy  # specks are removed only with points


def test_the_shipped_model_draws_the_outlines_of_nuclei(default_predictor, nuclei):
    image, labels = nuclei
    default_predictor.set_image(image[:256, :256])
    strength = mask_edges(default_predictor, grid=6)
    inside = labels[:256, :256] > 0
    outline = inside & ~ndimage.binary_erosion(inside)
    reached = ndimage.distance_transform_edt(strength < 0.2)[outline] <= 4
    assert reached.mean() > 0.8  # masks are not filtered by scores, so that there are other edges, too


def test_baselines_are_close_to_their_published_scores(shared, tmp_path):
    samples = find_samples(shared / "data", only=["BSDS500"])
    with ResultStore(tmp_path) as store:
        measured = run_experiments([EdgeBaselineExperiment(max_images=5)], [], samples, store)
    summary = EdgeBaselineExperiment().summary(measured.results["edge baselines", ""], "", 0)
    estimates = {(e.method, e.metric): e for e in summary}
    assert estimates["sobel", "ODS"].value == pytest.approx(0.539, abs=0.08)  # five images; all 55 within 0.02
    assert estimates["canny", "ODS"].value == pytest.approx(0.600, abs=0.08)
    interval = estimates["sobel", "ODS"].interval
    assert interval.low < interval.value < interval.high


def test_edge_maps_of_other_programs_are_scored(tmp_path):
    from PIL import Image

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample

    drawn = np.zeros((1, 30, 30), bool)
    drawn[0, 15] = True
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "maps").mkdir()
    Image.fromarray((drawn[0] * 200).astype(np.uint8)).save(tmp_path / "maps" / "a.png")
    sample = Sample("toy", "a", tmp_path / "a.png", lambda: GroundTruth((30, 30), boundaries=drawn), kind="boundaries")
    experiment = EdgeBaselineExperiment(maps=(("other", tmp_path / "maps"),))
    unit = SampleResult("toy", "a", experiment.measure(sample, None, 0))
    estimates = {(e.method, e.metric): e.value for e in experiment.summary([unit], "", 0)}
    assert estimates["other", "ODS"] == 1
    before = experiment.settings()
    wide = (drawn[0] * np.uint16(40_000) + np.uint16(700)).astype(np.uint16)
    Image.fromarray(wide).save(tmp_path / "maps" / "a.png")
    assert experiment.settings() != before  # results of another map are not reused
    unit = SampleResult("toy", "a", experiment.measure(sample, None, 0))
    assert np.array(unit.payload["other"])[3, 50] == 30  # 16-bit maps are not clipped
    missing = EdgeBaselineExperiment(maps=(("other", tmp_path),))
    (tmp_path / "a.png").unlink()
    Image.fromarray(np.zeros((30, 31), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(EvaluationError, match="shape"):
        missing.measure(sample, None, 0)


def test_an_image_without_boundaries_is_refused(tmp_path, default_predictor):
    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample

    sample = Sample(
        "toy", "a", None, lambda: GroundTruth((8, 8)), lambda: np.zeros((8, 8, 3), np.uint8), kind="boundaries"
    )
    with pytest.raises(EvaluationError, match="no drawn boundaries"):
        EdgeExperiment().measure(sample, default_predictor, 0)
