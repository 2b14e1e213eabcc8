"""Figures of the default model in guides, README and quality page are those of its model card."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src_models.checkpoints.model_advice import ADVICE

ROOT = Path(__file__).parents[2]
CARD = (ROOT / "src_models/weights/MODEL_CARD.md").read_text("utf-8")
NUMBER = r"\**(0\.\d{3})\**"
POINTS = {
    name: values
    for name, *values in re.findall(
        rf"^\| (\w+) \| \d+ \| {NUMBER} \| {NUMBER} \| [\d. to]+ \| {NUMBER} \| {NUMBER} \| {NUMBER} \|", CARD, re.M
    )
}  # before, one click, the best of three, three clicks, a box
WHOLE = {
    name: values for name, *values in re.findall(rf"^\| (\w+) \| {NUMBER} \| {NUMBER} \| {NUMBER} \|$", CARD, re.M)
}


def test_the_card_has_all_sets():
    assert len(POINTS) == 18
    assert len(WHOLE) == 6


@pytest.mark.parametrize("page", sorted((ROOT / "docs/guides").glob("*.md")), ids=lambda page: page.stem)
def test_tables_of_guides_agree_with_the_card(page):
    for name, *shown, everything in re.findall(
        rf"^\| (\w+)[^|]* \| {NUMBER} \| {NUMBER} \| {NUMBER} (.*)$", page.read_text("utf-8"), re.M
    ):
        _, one, _, three, box = POINTS[name]
        assert shown == [one, three, box], name
        figures = re.findall(NUMBER, everything)
        assert figures == (WHOLE[name][1:] if figures else []), name


def test_the_quality_page_agrees_with_the_card():
    text = (ROOT / "docs/quality.md").read_text("utf-8")
    rows = re.findall(rf"^\| [^|]+ \| (\w+) \| \d+ \| {NUMBER} \| {NUMBER} \| {NUMBER} \|", text, re.M)
    assert len(rows) >= 12
    for name, *shown in rows:
        _, one, _, three, box = POINTS[name]
        assert shown == [one, three, box], name


def test_what_the_window_says_of_the_default_model_agrees_with_the_card():
    measured = [advice for advice in ADVICE if advice.data_set in POINTS]
    assert measured
    for advice in measured:
        _, one, _, _, box = POINTS[advice.data_set]
        assert (f"{advice.click:.3f}", f"{advice.box:.3f}") == (one, box), advice.data_set
