"""The images that a word of the user stands for: files, folders, patterns, and the fields of a plate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.errors import NapariSamError
from napari_sam.io.image_inputs import expand_inputs
from napari_sam.io.images.formats.zarr.plates import is_plate, plate_fields

if TYPE_CHECKING:
    from collections.abc import Iterator


def image_places(source: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the images that a word of the user stands for, with their columns."""
    for place in expand_inputs(source):
        if _may_be_plate(place):
            for one in plate_fields(place):
                yield one.location, {"plate": one.plate, "well": one.well, "field": one.field}
        else:
            yield place, {}


def _may_be_plate(place: str) -> bool:
    if ".zarr" not in place:
        return False
    try:
        return is_plate(place)
    except NapariSamError:  # opening it tells what is wrong
        return False
