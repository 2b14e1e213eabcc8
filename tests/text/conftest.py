"""Folders of tiny open-vocabulary models, made once for all tests."""

from __future__ import annotations

import pytest
import torch

from tests.text.tiny_models import MAKERS, make_clip


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory):
    """Return folders by kind of model; each is made when it is first asked for."""
    pytest.importorskip("transformers")
    made = {}

    def folder_of(kind):
        if kind not in made:
            torch.manual_seed(0)
            made[kind] = {**MAKERS, "clip": make_clip}[kind](tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder_of
