"""Phrases: what they name, their conditions, and what cannot be read."""

from __future__ import annotations

import pytest

from napari_sam.errors import PromptError
from napari_sam.text.text_filter import PixelSize
from napari_sam.text.text_query import parse_text

MICRON = PixelSize("micrometer", 0.25, (100, 100))
METRE = PixelSize("meter", 0.01, (100, 100))


@pytest.mark.parametrize(
    ("text", "words", "where"),
    [
        ("nuclei", "nuclei", None),
        ("  Find ALL the Nuclei!  ", "nuclei", None),
        ("a dividing cell", "dividing cell", None),
        ("everything", "", None),
        ("nuclei larger than 50 µm touching the border", "nuclei", "equivalent_diameter_um > 50 and touches_border"),
        ("cells touching the border", "cells", "touches_border"),
        ("cells that do not touch the border", "cells", "not touches_border"),
        ("cells away from the edge of the image", "cells", "not touches_border"),
        ("larger than 50 um", "", "equivalent_diameter_um > 50"),
        ("objects smaller than 300 nm", "", "equivalent_diameter_um < 0.3"),
        ("axons with an area of at least 20 um²", "axons", "area_um2 >= 20"),
        ("axons with area over 1 mm^2", "axons", "area_um2 > 1000000"),
        ("axons of more than 5 square microns", "axons of", "area_um2 > 5"),
        ("nuclei between 5 and 10 µm", "nuclei", "equivalent_diameter_um >= 5 and equivalent_diameter_um <= 10"),
        ("nuclei from 500 nm to 1 µm", "nuclei", "equivalent_diameter_um >= 0.5 and equivalent_diameter_um <= 1"),
        ("particles > 5 px", "particles", "equivalent_diameter_px > 5"),
        ("particles with area >= 100 pixels", "particles", "area_px >= 100"),
        ("nuclei that are not larger than 8,5 microns", "nuclei", "equivalent_diameter_um <= 8.5"),
        ("nuclei no smaller than 1e-3 mm", "nuclei", "equivalent_diameter_um >= 1"),
        (
            "mitochondria bigger than 1 µm and smaller than 3 µm",
            "mitochondria",
            "equivalent_diameter_um > 1 and equivalent_diameter_um < 3",
        ),
    ],
)
def test_a_phrase_is_a_name_and_conditions(text, words, where):
    query = parse_text(text)
    assert query.words == words.removesuffix(" of")
    assert query.where(MICRON) == where


def test_sizes_on_a_map_are_in_metres():
    assert parse_text("fields over 2 ha").where(METRE) == "area_m2 > 20000"
    assert parse_text("trees under 500 cm").where(METRE) == "equivalent_diameter_m < 5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "text is ''"),
        (" \n ", "text is"),
        (None, "text is None"),
        (5, "text is 5"),
        ("the", "names nothing"),
        ("x" * 1001, "1001 characters; give at most 1000"),
        ("nuclei larger than 50", "50 has no unit; write 50 µm or 50 px"),
        ("nuclei larger than 50 furlongs", "'furlongs' is not a unit of length"),
        ("nuclei larger than 5 s", "'s' is not a unit of length"),
        ("nuclei larger than 1,000 µm", "1,000 can be read in two ways; write 1000 or 1.000"),
        ("nuclei with a diameter over 5 um2", "compares a diameter with an area"),
        ("nuclei not between 5 and 10 µm", "cannot be read; write 'between 5 and 10 µm'"),
    ],
)
def test_what_cannot_be_read_is_refused(text, words):
    with pytest.raises(PromptError, match=words):
        parse_text(text)


def test_a_size_needs_pixels_of_a_known_size():
    query = parse_text("nuclei larger than 5 µm")
    with pytest.raises(
        PromptError, match="a size of 5 micrometer, but the image has no pixel size; give the size in px"
    ):
        query.where(PixelSize())
    with pytest.raises(PromptError, match="has a pixel size in furlong"):
        query.where(PixelSize("furlong"))


@pytest.mark.parametrize("text", ['cell\'s "quotes"', "a/b\\c", "🧬 helix", "日本語", "x' or 1 == 1", "{detector}"])
def test_any_signs_can_be_words(text):
    assert parse_text(text).words
