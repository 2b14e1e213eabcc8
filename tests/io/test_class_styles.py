"""Classes as files of other programs hold them."""

from __future__ import annotations

import pytest

from napari_sam.io.class_styles import (
    ClassStyle,
    cleaned_name,
    joined_styles,
    path_in,
    qualified_name,
    qualified_styles,
    style_of,
    styles_of_json,
)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ("#A0B0C0", "#a0b0c0"),
        ([1, 2, 3], "#010203"),
        ([1, 2, 3, 255], "#010203"),
        (-3140401, "#d014cf"),  # Java's packed colour with alpha, of QuPath before 0.4
        ("red", None),
        ([1, 2], None),
        ([1, 2, 300], None),
        ([0.5, 0.5, 0.5], None),
        (True, None),
        (None, None),
    ],
)
def test_colours_of_files_become_hexadecimal_or_none(colour, expected):
    assert style_of("cell", colour).colour == expected


def test_names_that_cannot_be_shown_are_cleaned():
    assert cleaned_name("a\r\nb\ud800") == "a  b"
    assert len(cleaned_name("x" * 1000)) == 500
    assert cleaned_name(["cell"]) is None


def test_json_round_trip_leaves_out_what_is_damaged():
    styles = [ClassStyle("a", "#010203", None, 4), ClassStyle("b", parent="a")]
    listed = [style.as_json() for style in styles]
    assert styles_of_json([*listed, 5, {"name": ""}, {"colour": "#000000"}]) == styles
    assert styles_of_json({"name": "a"}) == []
    assert style_of("a", None, "a", 12) == ClassStyle("a")


def test_names_of_qupath_hold_the_classes_above():
    styles = qualified_styles("Tumour: Positive: Strong", [255, 0, 0])
    assert [(s.name, s.parent, s.colour) for s in styles] == [
        ("Tumour", None, None),
        ("Tumour: Positive", "Tumour", None),
        ("Tumour: Positive: Strong", "Tumour: Positive", "#ff0000"),
    ]
    hierarchy = {style.name: style.parent for style in styles}
    assert qualified_name(path_in(hierarchy, "Tumour: Positive: Strong")) == "Tumour: Positive: Strong"


def test_a_circle_of_parents_ends():
    assert path_in({"a": "b", "b": "a"}, "a") == ["b", "a"]


def test_classes_of_one_name_are_joined():
    joined = joined_styles([ClassStyle("a"), ClassStyle("b"), ClassStyle("a", "#010203", "b")])
    assert joined == (ClassStyle("a", "#010203", "b"), ClassStyle("b"))
