"""Results of other programs, as label stacks and as folders of the Cell Tracking Challenge."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.stacks.labelled_stacks import find_stack_samples
from napari_sam.evaluation.experiments.experiment import SampleResult
from napari_sam.evaluation.experiments.stacks.external_stacks import ExternalStackExperiment, ExternalTracksExperiment
from tests.evaluation.experiments.stacks.stack_stubs import volume, write_stack
from tests.io.exports.writers.stacks.stacks import stack_store


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def sample_of(root, kind):
    (sample,) = find_stack_samples(root, "dev", kind, None, [])
    return sample


def test_label_stacks_are_scored_in_three_dimensions(tmp_path, results):
    write_stack(tmp_path / "data", volume())
    found = np.where(volume() == 8, 0, volume())
    tifffile.imwrite(results / "a.tif", found, metadata={"axes": "ZYX"})
    experiment, sample = ExternalStackExperiment(tool="other", folder=results), sample_of(tmp_path / "data", "volume")
    payload = experiment.measure(sample, None, 0)
    assert payload["linked"]["ap50"] == 0.5
    (record,) = [r for r in experiment.records([SampleResult("toy", "a", payload)], "") if r.metric == "AP50"]
    assert (record.method, record.protocol, record.value) == ("other", "linked", 0.5)


def test_our_own_export_of_the_truth_scores_one(tmp_path, results):
    write_stack(tmp_path / "data", volume(), axes="TYX")
    with stack_store(tmp_path / "s.zarr", volume().astype(np.uint32), "tyx", (1.0, 1.0, 1.0)) as store:
        store.export(results / "a_RES", format="ctc")
    experiment = ExternalTracksExperiment(tool="us", folder=results)
    scores = experiment.measure(sample_of(tmp_path / "data", "movie"), None, 0)["linked"]
    assert (scores["seg"], scores["det"], scores["tra"], scores["lnk"]) == (1, 1, 1, 1)


def test_lineages_are_read_beside_label_stacks(tmp_path, results):
    folder = write_stack(tmp_path / "data", volume(), axes="TYX")
    (folder / "a.tracks.txt").write_text("3 0 4 0\n8 2 4 0\n")
    tifffile.imwrite(results / "a.tif", volume(), metadata={"axes": "TYX"})
    (results / "a.tracks.txt").write_text("3 0 4 0\n8 2 4 0\n")
    experiment = ExternalTracksExperiment(tool="other", folder=results)
    sample = sample_of(tmp_path / "data", "movie")
    assert experiment.measure(sample, None, 0)["linked"]["tra"] == 1
    (results / "a.tracks.txt").write_text("3 0 1 0\n8 2 4 3\n")  # a wrong parent
    assert experiment.measure(sample, None, 0)["linked"]["tra"] < 1


def test_missing_results_and_other_shapes_are_named(tmp_path, results):
    write_stack(tmp_path / "data", volume(), axes="TYX")
    experiment = ExternalTracksExperiment(tool="other", folder=results)
    sample = sample_of(tmp_path / "data", "movie")
    with pytest.raises(EvaluationError, match=r"no labels of toy/a; give a\.tif, or a_RES"):
        experiment.measure(sample, None, 0)
    tifffile.imwrite(results / "a.tif", volume()[:4], metadata={"axes": "TYX"}, photometric="minisblack")
    with pytest.raises(EvaluationError, match=r"\(4, 40, 60\)"):
        experiment.measure(sample, None, 0)
