"""Runs that version 0.1 of the program left unfinished.

Its default weights are not those of today: such a run is refused with their name, and stays as it is. A run whose
weights are still there is continued.
"""

import json
import zipfile
from pathlib import Path

import pytest

import napari_sam as ns
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.segment_everything import segment_everything
from napari_sam.jobs.segment_image import unfinished_run
from napari_sam.jobs.segment_prompts import segment_prompts, unfinished_prompts
from tests.jobs.make_unfinished_version_0_1 import PROMPT_SETTINGS, SETTINGS, boxes, float32_predictor, small_image

ARCHIVE = Path(__file__).with_name("unfinished_version_0_1.zip")


@pytest.fixture(scope="module")
def predictor():
    return float32_predictor()


@pytest.fixture
def stores(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.fixture
def same_weights(stores, predictor):
    """The store of the run that was stopped while it found objects, as if today's weights had begun it."""
    record = stores / "finding.ome.zarr" / ".everything" / "run.json"
    known = json.loads(record.read_text())
    text = record.read_text().replace(_of_weights(known), predictor.weights)
    record.write_text(text)
    return stores / "finding.ome.zarr"


def _of_weights(record):
    """The fingerprint of the weights in the record of a run, wherever it is."""
    if isinstance(record, dict):
        if isinstance(record.get("weights"), str):
            return record["weights"]
        return next(filter(None, map(_of_weights, record.values())), None)
    return None


def test_a_whole_image_run_continues_from_its_finished_tiles(same_weights, predictor):
    assert (unfinished_run(same_weights)["tiles_done"], unfinished_run(same_weights)["tiles"]) == (4, 10)
    with segment_everything(small_image(), predictor, same_weights, **SETTINGS, resume=True).labels as labels:
        assert len(labels) > 0
        labels.undo()  # one step for the whole run
        assert not labels.can_undo
    assert unfinished_run(same_weights) is None


@pytest.mark.parametrize(("name", "tiles"), [("finding", 4), ("writing", 10)])
def test_a_whole_image_run_of_earlier_weights_is_refused_and_kept(stores, predictor, name, tiles):
    path = stores / f"{name}.ome.zarr"
    with pytest.raises(ns.errors.SettingsError, match="with weights '25aeea12"):
        segment_everything(small_image(), predictor, path, **SETTINGS, resume=True)
    assert unfinished_run(path)["tiles_done"] == tiles


def test_a_whole_image_run_of_other_settings_is_refused(same_weights, predictor):
    with pytest.raises(ns.errors.SettingsError, match="category 'nucleus', but category is 'cell'"):
        segment_everything(small_image(), predictor, same_weights, **{**SETTINGS, "category": "cell"}, resume=True)


def test_a_prompt_table_of_earlier_weights_is_refused_and_kept(stores, predictor):
    path = stores / "prompts.ome.zarr"
    with pytest.raises(ns.errors.StoreError, match="another image, model or settings"):
        segment_prompts(small_image(), boxes(), predictor, path, **PROMPT_SETTINGS, resume=True)
    assert unfinished_prompts(path)["prompts"] == 270
    with LabelStore.open(path, "r") as labels:
        assert labels.array[:, :].any()


def test_a_prompt_table_of_other_settings_is_refused(stores, predictor):
    with pytest.raises(ns.errors.StoreError, match="other prompts, another image, model or settings"):
        segment_prompts(small_image(), boxes()[1:], predictor, stores / "prompts.ome.zarr", resume=True)
    with LabelStore.open(stores / "prompts.ome.zarr") as store:
        assert json.loads((store.path / "prompted.json").read_text())["prompts"] == 270
