"""Names and files of models are checked without loading anything."""

from __future__ import annotations

import pytest

from src_models.checkpoints.model_choice import checked_model
from src_models.model_errors import UnknownModelError


def test_names_and_files_are_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").write_bytes(b"")
    assert checked_model("default") == "default"
    assert checked_model("mine.pth") == str(tmp_path / "mine.pth")


@pytest.mark.parametrize("name", ["vitt", "VIT-T", "no/vit_t.pth", "~nobody/vit_t"])
def test_others_are_refused_with_similar_names(name):
    with pytest.raises(UnknownModelError, match=r"did you mean .*vit_t"):
        checked_model(name)
