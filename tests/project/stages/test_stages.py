"""Filling in confident objects of a project's images, and what is learned from them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import napari_sam as ns
from napari_sam.errors import SettingsError, StoreLockedError
from napari_sam.project.stages.judged_objects import judged_objects
from napari_sam.project.stages.stages import automatic_settings, confident_settings
from tests.project.stages.conftest import cut, write_automatic


@pytest.fixture
def project(tmp_path, nuclei):
    Image.fromarray(nuclei[0][:256, :256]).save(tmp_path / "a.png")
    made = ns.Project.create(tmp_path / "p", user="Ada")
    made.add(tmp_path / "a.png")
    return made


def scores(image):
    with ns.LabelStore.open(image.labels_path, "r") as store:
        return store.table().predicted_iou


def test_confident_objects_are_filled_in_beside_those_that_exist_and_undone_in_one_step(project, default_predictor):
    (image,) = project.images()
    everything = ns.segment_everything(image.source, default_predictor, border="whole").labels.table().predicted_iou
    limit = float(everything.median())
    with image.labels() as store:
        store.paint(np.ones((3, 3), int), (0, 253))
    report = project.stages.fill_in(image, limit, predictor=default_predictor)
    assert report.objects == np.count_nonzero(everything >= limit) < len(everything)
    table = project.provenance()
    assert table.stage.value_counts().to_dict() == {"semi-automatic": report.objects, "manual": 1}
    assert set(table.by) == {"Ada"}
    assert table.predicted_iou.dropna().min() >= limit
    with image.labels() as store:
        store.undo()
        assert len(store) == 1
        store.redo()
        script = store.export(store.path.parent / "script.py")
    assert f"min_iou={limit!r}" in script.read_text()
    assert 'stage="semi-automatic"' in script.read_text().replace("'", '"')


def test_an_image_that_somebody_else_works_on_is_not_filled_in(project, default_predictor):
    (image,) = project.images()
    with ns.Project(project.path, "Bob").images()[0].hold(), pytest.raises(StoreLockedError, match="Bob"):
        project.stages.fill_in(image, predictor=default_predictor)


def test_what_people_made_of_automatic_objects_is_judged(project):
    (image,) = project.images()
    with image.labels() as store:
        write_automatic(store, 5)
        store.review(1)
        store.review(2, "rejected")
        y0, x0, *_ = store.row(3).box
        store.paint(np.zeros((1, 1), int), (y0, x0))  # corrected by little
        cut(store, 4, 4)  # and by much
    expected = [(0.5, True), (0.51, False), (0.52, True), (0.53, False)]
    assert np.allclose(sorted(judged_objects(image)), expected)
    assert project.stages.threshold().judged == 4
    image.state = "done"
    assert np.allclose(sorted(judged_objects(project.images()[0])), [*expected, (0.54, True)])


def test_all_objects_are_found_above_the_score_at_which_half_are_right(project, default_predictor):
    (image,) = project.images()
    report = project.stages.find_all(image, predictor=default_predictor)
    table = project.provenance()
    assert table.predicted_iou.min() >= project.stages.threshold().even
    assert table.stage.tolist() == ["automatic"] * report.objects
    assert project.stages.begin_audit().population == report.objects > 0


def test_unstable_objects_are_left_out_and_only_where_nobody_looks_through(project, default_predictor):
    assert (confident_settings(0.4).min_stability, confident_settings(0.4).min_region_px) == (0.0, 0)
    chosen = automatic_settings(0.4, "default")
    assert (chosen.min_iou, chosen.min_stability, chosen.min_region_px) == (0.4, 0.5, 100)
    source = project.images()[0].source
    stable = ns.segment_everything(source, default_predictor).labels.table().stability_score
    limit = float(stable.median())
    found = ns.segment_everything(source, default_predictor, min_stability=limit, min_region_px=100).labels.table()
    assert len(found) == np.count_nonzero(stable >= limit) < len(stable)
    assert found.stability_score.min() >= limit


def test_a_search_for_words_refuses_what_it_does_not_use(nuclei, default_predictor):
    with pytest.raises(
        SettingsError, match="min_region_px is 100, which a search for a concept or a word does not use"
    ):
        ns.segment_everything(nuclei[0], default_predictor, text="nucleus", min_region_px=100)
