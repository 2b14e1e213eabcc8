"""What a batch does with each image when it is started again, whenever it was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sam.errors import SettingsError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.batch.asked import changed_fields, what_is_found
from napari_sam.jobs.batch.batch import ADD, OVERWRITE, REFUSE, RESUME, Batch
from napari_sam.jobs.batch.batch_folder import BatchFolder
from napari_sam.jobs.batch.image_record import TO_DO
from napari_sam.jobs.input_pairs import pair_inputs
from napari_sam.jobs.job_settings import EverythingSettings
from src_models.run_record import RunRecord


@pytest.fixture
def pairs(tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((20, 30), np.uint8))
    return pair_inputs([str(tmp_path / "*.tif")], tmp_path / "out", ".ome.zarr")


def batch(tmp_path, existing=REFUSE, diameter=20, **more):
    return Batch(BatchFolder.beside(tmp_path / "out", "everything"), {"diameter_px": diameter}, existing, **more)


def draw(pair, corner=(1, 1)):
    """Add one object to the store of an image."""
    exists = pair.out.exists()
    with LabelStore.open(pair.out) if exists else LabelStore.create(pair.out, shape=(20, 30)) as store:
        store.paint(np.ones((3, 4), int), corner)


def finish(run, item, failed_parts=0):
    begun = run.begin(item)
    draw(item.pair)
    return run.finish(begun, item.pair, 1, failed_parts)


def plans(run, pairs):
    return [item.existing if item.done is None else "done" for item in run.plan(pairs)]


def test_images_that_are_done_are_passed_over(tmp_path, pairs):
    run = batch(tmp_path)
    finish(run, run.plan(pairs)[0])
    assert plans(batch(tmp_path), pairs) == ["done", REFUSE]
    assert plans(batch(tmp_path, RESUME), pairs) == ["done", RESUME]


def test_an_image_that_was_begun_is_continued_from_where_it_was_killed(tmp_path, pairs):
    run = batch(tmp_path)
    item = run.plan(pairs)[0]
    run.begin(item)
    assert plans(run, pairs)[0] == REFUSE  # before its store was made
    LabelStore.create(item.pair.out, shape=(20, 30)).close()
    assert plans(run, pairs)[0] == ADD  # before a tile was planned
    unfinished = item.pair.out / ".everything" / "run.json"
    unfinished.parent.mkdir()
    record = RunRecord.begin(unfinished, {}, unit="tiles", total=4)
    assert plans(run, pairs)[0] == RESUME
    record.delete()
    draw(item.pair)
    assert plans(run, pairs)[0] == RESUME  # all is written: there is nothing to resume


def test_an_earlier_store_is_replaced_although_the_command_was_killed_just_before(tmp_path, pairs):
    for pair in pairs:
        draw(pair)
    run = batch(tmp_path, OVERWRITE)
    items = run.plan(pairs)
    assert [item.existing for item in items] == [OVERWRITE, OVERWRITE]
    assert [run.folder.read(pair.out.name).state for pair in pairs] == [TO_DO, TO_DO]
    run.begin(items[0])
    assert plans(batch(tmp_path), pairs) == [OVERWRITE, OVERWRITE]  # without the option, too
    finish(run, items[0])
    assert plans(batch(tmp_path, OVERWRITE), pairs) == ["done", OVERWRITE]  # that of the killed command


def test_objects_that_somebody_drew_are_neither_added_to_nor_replaced_unasked(tmp_path, pairs):
    draw(pairs[0])
    for item in batch(tmp_path).plan(pairs):
        batch(tmp_path).fail(batch(tmp_path).begin(item), item.pair, "open for Bob")
    draw(pairs[1])
    assert plans(batch(tmp_path), pairs) == [REFUSE, REFUSE]
    assert plans(batch(tmp_path, ADD), pairs) == [ADD, ADD]
    batch(tmp_path, OVERWRITE).plan(pairs)
    draw(pairs[1], (9, 9))
    assert plans(batch(tmp_path), pairs) == [OVERWRITE, REFUSE]


def test_an_image_some_of_whose_tiles_failed_is_done_again_unless_somebody_has_changed_it(tmp_path, pairs):
    run = batch(tmp_path, retry_failed=True)
    items = batch(tmp_path).plan(pairs)
    for item in items:
        finish(run, item, failed_parts=2)
    draw(pairs[1], (9, 9))
    assert plans(run, pairs) == [OVERWRITE, ADD]
    assert run.folder.data_frame()["failed_parts"].tolist() == [2, 2]


def test_only_failed_images_are_tried_again(tmp_path, pairs):
    run = batch(tmp_path)
    items = run.plan(pairs)
    finish(run, items[0])
    run.fail(run.begin(items[1]), pairs[1], "chunk 3 is damaged")
    again = batch(tmp_path, retry_failed=True).plan(pairs)
    assert [item.pair for item in again] == [pairs[1]]
    assert run.folder.data_frame()["error"].tolist() == ["", "chunk 3 is damaged"]


def test_other_settings_are_an_error_and_change_nothing(tmp_path, pairs):
    run = batch(tmp_path)
    record = finish(run, run.plan(pairs)[0])
    with pytest.raises(
        SettingsError, match=r"with diameter_px 20, but diameter_px is 30; .*existing=overwrite"
    ) as raised:
        batch(tmp_path, diameter=30).plan(pairs)
    assert raised.value.parameter == "diameter_px"
    assert run.folder.read(pairs[0].out.name) == record
    assert plans(batch(tmp_path, ADD, diameter=30), pairs) == [ADD, ADD]
    kept = batch(tmp_path, RESUME, diameter=30).plan(pairs)[0]
    assert (kept.done, kept.note) == (record, "was made with diameter_px 20, and is kept")


def test_an_image_that_has_changed_since_is_pointed_out(tmp_path, pairs):
    run = batch(tmp_path)
    finish(run, run.plan(pairs)[0])
    tifffile.imwrite(pairs[0].source, np.zeros((20, 31), np.uint8))
    item = run.plan(pairs)[0]
    assert item.done is not None
    assert "has changed since" in item.note


def test_an_image_that_is_gone_is_not_said_to_have_changed(tmp_path, pairs):
    run = batch(tmp_path)
    finish(run, run.plan(pairs)[0])
    Path(pairs[0].source).unlink()
    item = run.plan(pairs)[0]
    assert item.done is not None
    assert item.note == "is not there any more; its objects are kept"


def test_a_damaged_record_counts_as_none(tmp_path, pairs):
    run = batch(tmp_path)
    finish(run, run.plan(pairs)[0])
    record = next((tmp_path / "out" / ".batch").rglob("*.json"))
    record.write_text('{"source": 3}')
    assert plans(run, pairs) == [REFUSE, REFUSE]
    assert len(run.folder.data_frame()) == 0


def test_a_store_that_was_deleted_is_made_again(tmp_path, pairs):
    run = batch(tmp_path)
    finish(run, run.plan(pairs)[0])
    pairs[0].out.rename(tmp_path / "elsewhere")
    assert plans(run, pairs)[0] == REFUSE


def test_a_model_file_that_was_replaced_is_another_setting(tmp_path):
    model = tmp_path / "mine.safetensors"
    model.write_bytes(b"one")
    before = what_is_found(str(model), EverythingSettings())
    model.write_bytes(b"two")
    assert what_is_found(str(model), EverythingSettings()) != before
    assert what_is_found("default", EverythingSettings(diameter_px=9), plane=None) == {
        "model": "default", "diameter_px": 9, "coarser": False
    }  # fmt: skip
    assert changed_fields(EverythingSettings()) == {}
