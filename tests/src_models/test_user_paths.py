"""Paths that a user named and that cannot be read as a file or folder."""

from __future__ import annotations

import os

import pytest

from src_models import load_sam
from src_models.model_errors import CheckpointError, TrainingError
from src_models.training.data.datasets import read_dataset
from src_models.user_paths import existing_path

IMPOSSIBLE = ["x" * 5000 + ".pth", "~no_such_user_here/a.pth", "a\0b.pth", "missing.pth"]


@pytest.mark.parametrize("named", IMPOSSIBLE)
def test_paths_that_cannot_exist_are_one_message(named):
    with pytest.raises(TrainingError) as refused:
        read_dataset(named)
    assert len(str(refused.value)) < 300
    with pytest.raises(CheckpointError) as refused:
        load_sam(f"./{named}" if named[0] != "~" else named)
    assert len(str(refused.value)) < 400


def test_pipes_are_refused_without_opening_them(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(TrainingError, match="a pipe, socket or device"):
        existing_path(tmp_path / "a.json", TrainingError)


def test_files_and_folders_are_returned(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert existing_path(tmp_path / "a", TrainingError) == tmp_path / "a"
    assert existing_path(str(tmp_path), TrainingError) == tmp_path
