"""Literals of scripts: JSON only."""

from __future__ import annotations

import ast

import pytest

from napari_sam.engine.windows import Hints
from napari_sam.io.labels.reading.script_values import known_arguments, literal, settings_arguments


@pytest.mark.parametrize("value", [None, True, 3, -1.5, "it's", [1, [2.5, None]], (1,), (), {"a": {"b": [1]}}])
def test_json_values_are_read_back_equal(value):
    assert ast.literal_eval(literal(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}, [float("nan")], print])
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match="literal"):
        literal(value)


def test_only_known_names_become_keywords():
    assert known_arguments({"diameter_px": 5.0}, Hints) == ["diameter_px=5.0"]
    with pytest.raises(ValueError, match="x=1"):
        known_arguments({"x=1": 5.0}, Hints)
    assert settings_arguments({"side": 64, "region": [0, 0, 9, 9]}) == ["region=(0, 0, 9, 9)", "side=64"]
    with pytest.raises(ValueError, match="client"):
        settings_arguments({"client": "x"})
