"""Objects of a concept in whole images: tiles, resuming, candidates on disk, pools, stacks, and bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_sam as ns
from napari_sam.errors import ConceptError, SettingsError, StoreError
from napari_sam.evaluation.metrics.label_matching import match_labels
from napari_sam.io.candidates.candidate_files import CandidateFiles
from napari_sam.jobs.find.find import find
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.samples import NUCLEI, nuclei, nuclei_labels
from tests.jobs.find.bright_candidates import BRIGHT, DIM, BrightSearch, bright_concept


@pytest.fixture(scope="module")
def predictor():
    return ns.Predictor(device="cpu")


@pytest.fixture(scope="module")
def concept(predictor):
    return bright_concept(predictor)


@pytest.fixture(scope="module")
def nucleus(predictor):
    """A concept learned from a nucleus."""
    return ns.Concept.from_examples(nuclei(), nuclei_labels(), positive=[1], predictor=predictor, name="nucleus")


@pytest.fixture
def search():
    return BrightSearch()


def two_kinds(side=400, count=40, seed=0):
    """Discs that do not touch, one half bright and one half dim; some lie across tile borders."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side), np.uint8)
    yy, xx = np.ogrid[:side, :side]
    for number in range(count):
        y, x, r = *rng.uniform(0, side, 2), rng.uniform(4, 12)
        disc = (yy - y) ** 2 + (xx - x) ** 2 <= r**2
        if not image[ndimage.binary_dilation(disc, iterations=2)].any():
            image[disc] = BRIGHT if number % 2 else DIM
    return image


def test_only_objects_of_the_concept_are_written_with_their_scores(search, predictor, concept, tmp_path):
    image = two_kinds()
    with search(image, concept, predictor, tmp_path / "o.ome.zarr").labels as labels:
        np.testing.assert_array_equal(labels.array[:, :] > 0, image == BRIGHT)
        table = labels.table()
        assert len(table) == ndimage.label(image == BRIGHT)[1]
        assert set(table["category"]) == {"bright"}
        assert (table["predicted_iou"] >= concept.threshold).all()


def test_a_threshold_of_zero_gives_every_candidate(search, predictor, concept, tmp_path):
    image = two_kinds()
    with search(image, concept, predictor, tmp_path / "o.ome.zarr", threshold=0.0, category="disc").labels as labels:
        assert len(labels) == ndimage.label(image)[1]
        assert set(labels.table()["category"]) == {"disc"}


def test_with_candidates_on_disk_another_threshold_needs_no_network(search, predictor, concept, tmp_path):
    image = two_kinds()
    folder = tmp_path / "candidates"
    search(image, concept, predictor, tmp_path / "a.ome.zarr", candidates=folder).labels.close()
    assert search.finders[0].computed
    again = search(image, concept, predictor, tmp_path / "b.ome.zarr", candidates=folder, threshold=0.0).labels
    assert not search.finders[1].computed
    expected = search(image, concept, predictor, tmp_path / "c.ome.zarr", threshold=0.0).labels
    np.testing.assert_array_equal(again.array[:, :], expected.array[:, :])
    assert again.table().drop(columns="created").equals(expected.table().drop(columns="created"))
    again.close()
    expected.close()


def test_a_concept_of_other_objects_takes_the_magnification_of_the_candidates(predictor, nucleus, tmp_path):
    kept = {"candidates": tmp_path / "kept", "region": (0, 0, 128, 128)}
    find(nuclei(), nucleus, predictor, tmp_path / "a.ome.zarr", side=200, **kept).labels.close()
    regions = CandidateFiles(tmp_path / "kept").regions()
    other = ns.Concept(nucleus.layout, "large")
    other.add(nucleus.features, True)
    other.diameter_px = 300.0
    find(nuclei(), other, predictor, tmp_path / "b.ome.zarr", **kept).labels.close()
    assert CandidateFiles(tmp_path / "kept").regions() == regions
    with pytest.raises(StoreError, match="with window 200, but window is 300"):
        find(nuclei(), other, predictor, tmp_path / "c.ome.zarr", side=300, **kept)


def test_candidates_of_the_whole_image_are_listed_once(search, predictor, concept, tmp_path):
    image = two_kinds()
    search(image, concept, predictor, tmp_path / "a.ome.zarr", candidates=tmp_path / "c").labels.close()
    found = CandidateFiles(tmp_path / "c").all()
    assert len(found) == ndimage.label(image)[1]
    drawn = np.zeros(image.shape, int)
    for (y0, x0, y1, x1), mask in zip(found.boxes.tolist(), found.masks, strict=True):
        drawn[y0:y1, x0:x1] += mask
    np.testing.assert_array_equal(drawn, image > 0)


def test_candidates_of_another_image_are_refused(search, predictor, concept, tmp_path):
    folder = tmp_path / "candidates"
    search(two_kinds(), concept, predictor, tmp_path / "a.ome.zarr", candidates=folder).labels.close()
    with pytest.raises(StoreError, match="holds candidates with image") as caught:
        search(two_kinds(seed=1), concept, predictor, tmp_path / "b.ome.zarr", candidates=folder)
    assert "another folder" in str(caught.value)


def test_a_search_killed_at_any_moment_resumes_to_the_same_labels(search, predictor, concept, tmp_path):
    path, out = tmp_path / "image.tif", tmp_path / "killed.ome.zarr"
    tifffile.imwrite(path, two_kinds(700, 120))
    with search(path, concept, predictor, tmp_path / "whole.ome.zarr").labels as whole:
        expected, table = whole.array[:, :], whole.table().drop(columns="created")
    command = [sys.executable, "-m", "tests.jobs.find.bright_candidates", str(path), str(out), str(tmp_path / "c")]
    for step in (3, 4):
        killed = subprocess.run(
            [*command, str(step)],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    with search(path, concept, predictor, out, candidates=tmp_path / "c", resume=True).labels as labels:
        np.testing.assert_array_equal(labels.array[:, :], expected)
        assert labels.table().drop(columns="created").equals(table)


def test_a_stopped_search_is_not_continued_with_another_threshold(search, predictor, concept, tmp_path):
    out, polls = tmp_path / "o.ome.zarr", iter(range(100))
    with pytest.raises(ns.errors.CancelledError):
        search(two_kinds(), concept, predictor, out, cancelled=lambda: next(polls) > 0)
    with pytest.raises(SettingsError, match="threshold"):
        search(two_kinds(), concept, predictor, out, threshold=0.9, resume=True)


def test_a_search_is_one_step_of_undo(search, predictor, concept, tmp_path):
    with search(two_kinds(), concept, predictor, tmp_path / "o.ome.zarr").labels as labels:
        assert len(labels)
        labels.undo()
        assert len(labels) == 0
        assert not labels.can_undo


def test_one_nucleus_finds_the_others(predictor, nucleus, tmp_path):
    report = find(nuclei(), nucleus, predictor, tmp_path / "o.ome.zarr")
    with report.labels as labels:
        matching = match_labels(nuclei_labels(), labels.array[:, :])
        hits = matching.true_positives(0.5)
        assert 2 * hits / (matching.true + matching.predicted) > 0.7
        assert report.objects == len(labels) == len(report.scores)
        assert labels.table()["label"].tolist() == report.ids.tolist()
        np.testing.assert_allclose(labels.table()["predicted_iou"], report.scores)
    assert (report.scores >= nucleus.threshold).all()
    assert (report.concept, report.counts["tiles"], report.failed) == ("nucleus", 1, [])


def test_other_processes_find_the_same_objects(predictor, nucleus, tmp_path):
    settings = FindSettings(side=100, region=(0, 250, 100, 450), category="n")
    alone = find(NUCLEI, nucleus, predictor, tmp_path / "a.ome.zarr", settings=settings)
    shared = find(
        NUCLEI, nucleus, "default", tmp_path / "b.ome.zarr", settings=settings, workers=2, candidates=tmp_path / "c"
    )
    with alone.labels, shared.labels:
        np.testing.assert_array_equal(shared.labels.array[:, :], alone.labels.array[:, :])
    assert len(CandidateFiles(tmp_path / "c").regions()) == shared.counts["tiles"] > 1


def test_a_dask_cluster_finds_the_same_objects(cluster, predictor, nucleus, tmp_path):
    settings = FindSettings(side=100, region=(0, 250, 100, 450))
    alone = find(NUCLEI, nucleus, predictor, tmp_path / "a.ome.zarr", settings=settings)
    shared = find(NUCLEI, nucleus, "default", tmp_path / "b.ome.zarr", settings=settings, client=cluster)
    with alone.labels, shared.labels:
        np.testing.assert_array_equal(shared.labels.array[:, :], alone.labels.array[:, :])


def test_the_exported_script_repeats_the_search(predictor, nucleus, tmp_path):
    report = find(NUCLEI, nucleus, predictor, tmp_path / "a.ome.zarr", region=(0, 0, 128, 128), threshold=0.4)
    with report.labels as labels:
        expected = labels.array[:, :]
        labels.export(tmp_path / "again.py")
    done = subprocess.run(
        [sys.executable, "again.py", str(NUCLEI), "b.ome.zarr"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with ns.LabelStore.open(tmp_path / "b.ome.zarr", "r") as again:
        np.testing.assert_array_equal(again.array[:, :], expected)


def test_objects_of_a_stack_get_one_id_through_its_planes(predictor, nucleus, tmp_path):
    stack = np.stack([nuclei()[60:220, 130:290]] * 2)
    report = find(stack, nucleus, predictor, tmp_path / "o.ome.zarr", linking=ns.PlaneLinking())
    with report.labels as labels:
        assert report.counts["planes"] == 2
        assert (labels.table()["n_planes"] == 2).all()
        assert len(labels) == report.objects > 0


def test_a_concept_of_another_model_is_refused_with_both_names(concept, tmp_path):
    other = bright_concept(ns.Predictor(device="cpu"))
    layout = other.layout
    foreign = ns.Concept(type(layout)("0123456789", "vit_b_lm", layout.groups, layout.version), "foreign")
    foreign.add(np.ones(layout.width), True)
    with pytest.raises(ConceptError, match=r"vit_b_lm.*default"):
        find(two_kinds(), foreign, "default", tmp_path / "o.ome.zarr")
    assert not (tmp_path / "o.ome.zarr").exists()


def test_a_concept_without_examples_is_refused(concept, predictor, tmp_path):
    with pytest.raises(ConceptError, match="no accepted example"):
        find(two_kinds(), ns.Concept(concept.layout, "empty"), predictor, tmp_path / "o.ome.zarr")
    assert not (tmp_path / "o.ome.zarr").exists()


def test_a_missing_concept_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ConceptError, match=r"none\.concept"):
        find(two_kinds(), tmp_path / "none.concept")


@pytest.mark.parametrize("name", ['a "quoted" name', "a/b", "naïve 🧬", "x" * 300])
def test_any_name_becomes_the_class(search, predictor, name, tmp_path):
    named = bright_concept(predictor, name)
    with search(two_kinds(), named, predictor, tmp_path / "o.ome.zarr").labels as labels:
        assert set(labels.table()["category"]) == {name}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"diameter_px": 10, "side": 64}, "side"),
        ({"overlap": "mix"}, "overlap"),
        ({"region": (0, 0, 5)}, "region"),
    ],
)
def test_wrong_settings_are_refused(concept, predictor, tmp_path, options, words):
    with pytest.raises(ns.errors.NapariSamError, match=words):
        find(two_kinds(), concept, predictor, tmp_path / "o.ome.zarr", **options)
    assert not (tmp_path / "o.ome.zarr").exists()
