"""A study of five objects."""

from __future__ import annotations

import pytest

from napari_sam.evaluation.rating.study_preparation import prepare_study
from tests.evaluation.rating.study_stubs import Stub, samples


@pytest.fixture
def study(tmp_path):
    return prepare_study(tmp_path / "study", samples(), [Stub()], 5)
