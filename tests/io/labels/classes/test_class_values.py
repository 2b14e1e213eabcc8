"""Names, colours and keys of classes."""

from __future__ import annotations

import pytest

from napari_sam.errors import LabelsError
from napari_sam.io.labels.classes.class_values import checked_colour, checked_key, optional_name


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ("#ABCDEF", "#abcdef"),
        ("abc", "#aabbcc"),
        ((1, 2, 3), "#010203"),
        ((0.0, 1.0, 0.5), "#00ff80"),
        ((1, 1, 1), "#010101"),
        ([255, 0, 0, 255], "#ff0000"),
    ],
)
def test_colours_become_hexadecimal(colour, expected):
    assert checked_colour(colour) == expected


@pytest.mark.parametrize("colour", ["", "#12", "blue", (1, 2), (256, 0, 0), (-0.1, 0, 0), (float("nan"), 0.0, 0.0)])
def test_other_colours_are_refused(colour):
    with pytest.raises(LabelsError, match="rrggbb"):
        checked_colour(colour)


def test_keys_are_1_to_9():
    assert [checked_key(key) for key in range(1, 10)] == list(range(1, 10))
    with pytest.raises(LabelsError, match="from 1 to 9"):
        checked_key(2.5)


def test_no_class_is_no_name():
    assert optional_name(None) is None
    assert optional_name(" cell ") == "cell"
