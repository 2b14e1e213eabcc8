"""The whole tree of errors: every class keeps its parameter and remedy, and is found in `napari_sam.errors`."""

from __future__ import annotations

import importlib
import pickle
import pkgutil

import pytest

import napari_sam
import src_models
from napari_sam import errors
from napari_sam.errors import NapariSamError, SettingsError


def error_classes():
    """Return every error class of the project, of all modules that can be imported without a window."""
    for package in (napari_sam, src_models):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(("napari_sam.widgets", "napari_sam.layers", "napari_sam.__main__")):
                importlib.import_module(module.name)
    classes, waiting = [], [NapariSamError]
    while waiting:
        classes.append(waiting.pop())
        waiting += classes[-1].__subclasses__()
    project = ("napari_sam", "src_models")
    return sorted({c for c in classes if c.__module__.startswith(project)}, key=lambda c: c.__name__)


CLASSES = error_classes()


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_keeps_parameter_and_remedy(kind):
    error = kind("side is 0", parameter="side", remedy="give {side} from 1")
    assert (error.parameter, error.remedy) == ("side", "give {side} from 1")
    assert str(error) == "side is 0; give side from 1"
    assert error.worded(lambda name: f"--{name}") == "--side is 0; give --side from 1"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_can_be_pickled(kind):
    error = pickle.loads(pickle.dumps(kind("side is 0", parameter="side", remedy="give more")))
    assert type(error) is kind
    assert (str(error), error.parameter, error.remedy) == ("side is 0; give more", "side", "give more")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_found_in_napari_sam_errors(kind):
    assert getattr(errors, kind.__name__) is kind
    assert kind.__name__ in errors.__all__


def test_a_message_alone_is_enough():
    error = NapariSamError("no image")
    assert (str(error), error.parameter, error.remedy) == ("no image", None, None)


def test_only_a_parameter_that_begins_the_message_is_worded():
    error = SettingsError("the side is 0", parameter="side")
    assert error.worded(str.upper) == "the side is 0"
    assert SettingsError("side_px is 0", parameter="side").worded(str.upper) == "side_px is 0"


def test_values_of_arguments_are_worded_with_them():
    error = NapariSamError("stopped", remedy="continue with {resume=True} or {path}")
    assert error.worded(str.upper) == "stopped; continue with RESUME=TRUE or PATH"


def test_braces_of_other_texts_are_kept():
    assert str(NapariSamError("x", remedy="write {'a': 1} or {}")) == "x; write {'a': 1} or {}"
