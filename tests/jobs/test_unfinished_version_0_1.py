"""Runs that version 0.1 of the program left unfinished are continued, and end as if they had never been stopped."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import napari_sam as ns
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.segment_image import segment_everything, unfinished_run
from napari_sam.jobs.segment_prompts import segment_prompts, unfinished_prompts
from tests.jobs.make_unfinished_version_0_1 import PROMPT_SETTINGS, SETTINGS, boxes, float32_predictor, small_image

ARCHIVE = Path(__file__).with_name("unfinished_version_0_1.zip")


@pytest.fixture(scope="module")
def predictor():
    return float32_predictor()


@pytest.fixture(scope="module")
def expected(predictor):
    with segment_everything(small_image(), predictor, **SETTINGS).labels as labels:
        return labels.array[:, :], labels.table().drop(columns="created")


@pytest.fixture
def stores(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "tiles"), [("finding", 4), ("writing", 10)])
def test_a_whole_image_run_continues_to_the_same_labels(stores, predictor, expected, name, tiles):
    path = stores / f"{name}.ome.zarr"
    assert (unfinished_run(path)["tiles_done"], unfinished_run(path)["tiles"]) == (tiles, 10)
    with segment_everything(small_image(), predictor, path, **SETTINGS, resume=True).labels as labels:
        np.testing.assert_array_equal(labels.array[:, :], expected[0])
        assert labels.table().drop(columns="created").equals(expected[1])
        labels.undo()
        assert not labels.can_undo
    assert unfinished_run(path) is None


def test_a_whole_image_run_of_other_settings_is_refused(stores, predictor):
    with pytest.raises(ns.errors.SettingsError, match="category 'nucleus', but category is 'cell'"):
        segment_everything(
            small_image(), predictor, stores / "finding.ome.zarr", **{**SETTINGS, "category": "cell"}, resume=True
        )


def test_a_prompt_table_continues_where_it_stopped(stores, predictor):
    path = stores / "prompts.ome.zarr"
    assert unfinished_prompts(path)["prompts"] == 270
    with LabelStore.open(path, "r") as labels:
        before = labels.array[:, :]
    done = []
    report = segment_prompts(
        small_image(), boxes(), predictor, path, **PROMPT_SETTINGS, resume=True, progress=lambda n, _: done.append(n)
    )
    assert done[-1] == 270
    assert report.objects + report.unsure + report.duplicates + report.covered + report.failures == 270
    with report.labels as labels:
        assert len(labels) == report.objects
        np.testing.assert_array_equal(labels.array[:, :][before > 0], before[before > 0])
    assert unfinished_prompts(path) is None


def test_a_prompt_table_of_other_settings_is_refused(stores, predictor):
    with pytest.raises(ns.errors.StoreError, match="other prompts, another image, model or settings"):
        segment_prompts(small_image(), boxes()[1:], predictor, stores / "prompts.ome.zarr", resume=True)
    with LabelStore.open(stores / "prompts.ome.zarr") as store:
        assert json.loads((store.path / "prompted.json").read_text())["prompts"] == 270
