"""What is said about models agrees with the model card and the registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import src_models
from src_models.checkpoints.model_advice import ADVICE
from src_models.checkpoints.registry import model_info

CARD = (Path(src_models.__file__).parent / "weights" / "MODEL_CARD.md").read_text()
MEASURED = [advice for advice in ADVICE if advice.data_set is not None]


@pytest.mark.parametrize("advice", MEASURED, ids=lambda advice: advice.data_set)
def test_figures_are_those_of_the_model_card(advice):
    row = re.search(rf"^\| {advice.data_set} \|(.*)\|$", CARD, re.MULTILINE)
    cells = [cell.strip() for cell in row[1].split("|")]  # n, before, 1 click, 95 %, oracle, 3 clicks, box
    assert (float(cells[2]), float(cells[6])) == (advice.click, advice.box)


@pytest.mark.parametrize("advice", ADVICE, ids=lambda advice: advice.images)
def test_models_are_registered_with_a_licence(advice):
    assert all(model_info(name).licence for name in advice.models)
    assert (advice.click is None) == (advice.data_set is None)
