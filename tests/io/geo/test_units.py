"""Units as files spell them."""

from __future__ import annotations

import pytest

from napari_sam.io.geo.units import conversion, normal_unit, unit_size, unit_suffix

SPELLINGS = {
    "micrometer": [
        *("\u00b5m", "\u03bcm", "um", "Um", "micron", "microns", "micrometre", "Micrometers", "um/px"),
        *("\\u00B5m", "&#181;m", "&micro;m", "\u00c2\u00b5m", "\u00ce\u00bcm"),  # escaped, and UTF-8 read as Latin-1
    ],
    "nanometer": "nm NM nanometre nanometers".split(),
    "millimeter": "mm MM millimetres".split(),
    "megameter": ["Mm"],
    "meter": ["m", "metre", "meters"],
    "inch": ["inch", "inches", "in", '"'],
    "angstrom": ["\u00c5", "\u212b", "Angstroms"],
    "second": ["s", "sec", "seconds"],
    "millisecond": ["ms", "msec"],
    "minute": ["min", "minutes"],
    "furlong": ["furlong"],
    None: ["", "pixel", "Pixels", "px", "reference frame", "\0", None],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SPELLINGS.items() for text in texts])
def test_every_spelling_of_a_unit_is_one_unit(name, text):
    assert normal_unit(text) == name


def test_units_are_converted_if_they_can_be_compared():
    assert conversion("nanometer", "micrometer") == 0.001
    assert conversion("inch", "millimeter") == 25.4
    assert conversion("furlong", "furlong") == 1
    assert conversion("second", "meter") is conversion("furlong", "meter") is conversion(None, "meter") is None
    assert unit_size("furlong") is None


def test_a_suffix_is_part_of_an_identifier():
    assert [unit_suffix(unit) for unit in ("micrometer", "foot", "m\u00b2 <b>", "\u00b5")] == [
        "um",
        "ft",
        "m_b",
        "world",
    ]
