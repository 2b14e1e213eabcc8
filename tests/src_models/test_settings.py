"""Settings classes and the errors they raise."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from src_models.model_errors import SettingsError, TrainingError
from src_models.settings import setting, setting_infos, validate


@dataclass(frozen=True)
class Example:
    points: int = setting(32, "points along each side", low=1, option="--points")
    share: float = setting(0.5, "share that must agree", low=0, high=1, above=True)
    method: str = setting("auto", "how to look", choices=("auto", "grid"))
    side: int | None = setting(None, "side of a window", low=1, unit="px")
    fast: bool = setting(False, "skip the second look")

    def __post_init__(self):
        validate(self)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("points", 0, "give a whole number from 1"),
        ("points", True, "give a whole number from 1"),
        ("points", 1.5, "give a whole number from 1"),
        ("share", 0, "above 0 and up to 1"),
        ("share", float("nan"), "above 0 and up to 1"),
        ("share", "half", "give a number above 0 and up to 1"),
        ("method", "guess", "choose one of auto, grid"),
        ("side", 0, "give a whole number from 1"),
        ("fast", 1, "give True or False"),
    ],
)
def test_values_that_mean_nothing_are_refused_with_parameter_and_remedy(name, value, remedy):
    with pytest.raises(SettingsError, match=name) as caught:
        Example(**{name: value})
    assert caught.value.parameter == name
    assert remedy in caught.value.remedy


def test_values_that_fit_are_taken():
    made = Example(points=np.int64(3), share=1, side=None, fast=True)
    assert (made.points, made.share, made.side) == (3, 1, None)


def test_infos_come_in_the_order_of_the_fields():
    infos = setting_infos(Example)
    assert list(infos) == ["points", "share", "method", "side", "fast"]
    assert infos["points"].option == "--points"


def test_an_error_survives_pickling_with_its_attributes():
    error = pickle.loads(pickle.dumps(TrainingError("steps is 0", parameter="steps", remedy="give {steps=10}")))
    assert (error.parameter, str(error)) == ("steps", "steps is 0; give steps=10")


def test_a_front_end_words_arguments_its_own_way():
    error = SettingsError("an unfinished run is in x", remedy="continue it with {resume=True}")
    assert error.worded({"resume=True": "--resume"}.__getitem__).endswith("continue it with --resume")
