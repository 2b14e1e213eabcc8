"""State, tables and pictures of a run, without a network to train."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from src_models.model_errors import TrainingError
from src_models.training.loop.run_folder import RunFolder, RunIdentity, rate_of_progress

IDENTITY = RunIdentity({"batch": 4, "steps": 10, "betas": (0.9, 0.95)}, 123, frozenset({"steps"}))
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.save_state(IDENTITY, 7, {"net": {"weight": torch.ones(2)}})
    return run


def _step(folder, identity=IDENTITY, parts=("net",)):
    with folder.resuming(identity, parts, CPU) as state:
        return None if state is None else state["step"]


def test_a_run_resumes_from_its_state(folder):
    assert _step(folder) == 7
    assert _step(folder, dataclasses.replace(IDENTITY, config=IDENTITY.config | {"steps": 20})) == 7


def test_a_new_folder_has_no_state(tmp_path):
    assert _step(RunFolder(tmp_path / "new" / "run")) is None


def test_the_state_file_has_the_keys_of_version_0_1(folder):
    state = torch.load(folder.state_path, weights_only=True)
    assert list(state) == ["step", "net", "config", "data"]
    assert state["config"] == IDENTITY.config


def test_other_settings_are_named(folder):
    other = dataclasses.replace(IDENTITY, config=IDENTITY.config | {"batch": 8})
    with pytest.raises(TrainingError, match=r"belongs to a run with batch 4, but batch is 8; choose another") as caught:
        _step(folder, other)
    assert caught.value.parameter == "batch"


def test_other_data_are_refused(folder):
    with pytest.raises(TrainingError, match="other data"):
        _step(folder, dataclasses.replace(IDENTITY, data=124))


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_damaged_state_is_named(folder, content):
    folder.state_path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"state\.pt cannot be read .*; delete it"):
        _step(folder)


def test_a_state_without_a_part_is_damaged(folder):
    with pytest.raises(TrainingError, match="no optimizer"):
        _step(folder, parts=("net", "optimizer"))


def test_an_error_while_loading_is_that_of_a_damaged_state(folder):
    with pytest.raises(TrainingError, match="cannot be read"), folder.resuming(IDENTITY, (), CPU):
        raise RuntimeError("size mismatch")


def test_rows_after_the_last_checkpoint_are_dropped(folder):
    for step in (20, 40, 60):
        folder.append("log", {"step": step, "loss": 0.5})
    folder.drop_rows_after("log", 40)
    assert (folder.path / "log.csv").read_text().splitlines() == ["step,loss", "20,0.5", "40,0.5"]
    folder.drop_rows_after("missing", 40)


def test_a_table_without_steps_starts_again(folder):
    (folder.path / "log.csv").write_text("something else\n")
    folder.drop_rows_after("log", 40)
    assert not (folder.path / "log.csv").exists()


def test_a_picture_is_written_whole(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 6, 3)).astype(np.uint8)
    folder.save_picture("000001", pixels)
    assert [p.name for p in (folder.path / "pictures").iterdir()] == ["000001.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(folder.path / "pictures" / "000001.png")), pixels)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="choose another folder") as caught:
        RunFolder(tmp_path / "file" / "run")
    assert caught.value.parameter == "out"


def test_divergence_names_step_rate_and_remedy(folder):
    error = folder.diverged(12, "the loss is nan", 1e-3)
    assert str(error).startswith("step 12: the loss is nan (learning_rate is 0.001")
    assert error.remedy.startswith("lower learning_rate")


def test_the_rate_counts_the_steps_of_this_session():
    assert rate_of_progress(30, 10, 40.0) == 0.5
