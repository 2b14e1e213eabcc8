"""Placement of axes in the world."""

from __future__ import annotations

import math

import pytest

from napari_sam.io.geo.axis_placement import (
    AxisPlacement,
    ngff_axes,
    ngff_transformations,
    placements_as_json,
    placements_from_json,
    plane_placements,
)

UM, NM = "micrometer", "nanometer"


def test_y_and_x_are_given_in_the_same_unit():
    y, x = plane_placements(AxisPlacement(500, 2000, NM), AxisPlacement(0.25, 3, UM))
    assert (y, x) == (AxisPlacement(0.5, 2, UM), AxisPlacement(0.25, 3, UM))


def test_units_that_cannot_be_compared_are_left_out():
    y, x = plane_placements(AxisPlacement(2, 1, "second"), AxisPlacement(3, 1, UM))
    assert (y, x) == (AxisPlacement(2, 1), AxisPlacement(3, 1))


@pytest.mark.parametrize(
    "broken", [AxisPlacement(0), AxisPlacement(-1), AxisPlacement(math.nan), AxisPlacement(1, math.inf)]
)
def test_a_broken_size_makes_both_unknown(broken):
    assert plane_placements(AxisPlacement(2, 1, UM), broken) == (AxisPlacement(), AxisPlacement())


def test_ngff_metadata_has_units_and_a_translation_only_if_there_is_one():
    z, y = AxisPlacement(2, 0, "furlong"), AxisPlacement(0.5, 7, UM)
    assert ngff_axes("tzy", {"t": y, "z": z, "y": y}) == [
        {"name": "t", "type": "time"},
        {"name": "z", "type": "space"},
        {"name": "y", "type": "space", "unit": UM},
    ]
    assert [t["type"] for t in ngff_transformations([z])] == ["scale"]
    assert ngff_transformations([z, y])[1] == {"type": "translation", "translation": [0.0, 7.0]}
    assert placements_from_json(placements_as_json([z, y])) == (z, y)
