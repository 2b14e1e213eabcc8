"""Fields of a high-content screening plate in OME-Zarr (NGFF 0.4 and 0.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam.errors import ImageError
from napari_sam.io.images.formats.zarr.zarr_parts import ome_attributes
from napari_sam.io.images.formats.zarr.zarr_store import ZarrStore

if TYPE_CHECKING:
    from napari_sam.io.json_types import JsonObject

_MOST_FIELDS = 1_000_000


@dataclass(frozen=True)
class PlateField:
    """One field of view of a plate.

    Attributes
    ----------
    location : str
        Path or URL of the image.
    plate, well, field : str
        Name of the plate, of the well such as "B/3", and of the field in it.
    """

    location: str
    plate: str
    well: str
    field: str


def is_plate(location: str) -> bool:
    """Return whether a folder or URL holds a plate.

    Raises
    ------
    ImageError
        If its metadata is broken.
    """
    return isinstance(_attributes(location).get("plate"), dict)


def plate_fields(location: str) -> list[PlateField]:
    """Return all fields of a plate, well by well; only metadata is read.

    A well that is missing or broken stands for itself, without a field: opening it tells what is wrong.

    Parameters
    ----------
    location : str
        Path or URL of the plate.

    Raises
    ------
    ImageError
        If it is no plate, or its metadata is broken.
    """
    plate = _attributes(location).get("plate")
    root = location.rstrip("/\\")
    name = root.replace("\\", "/").rsplit("/", 1)[-1]
    fields: list[PlateField] = []
    for well in _paths(plate, "wells", location):
        place = f"{root}/{well}"
        try:
            images = _paths(_attributes(place).get("well"), "images", place)
        except ImageError:
            fields.append(PlateField(place, name, well, ""))
            continue
        fields += [PlateField(f"{place}/{image}", name, well, image) for image in images]
        if len(fields) > _MOST_FIELDS:
            raise ImageError(f"{location}: more than {_MOST_FIELDS} fields", remedy="give single wells")
    return fields


def _attributes(location: str) -> JsonObject:
    return ome_attributes(ZarrStore(location).node()["attributes"])


def _paths(part: object, name: str, location: str) -> list[str]:
    """Return the paths that a list of a plate's or well's metadata names; they must stay inside."""
    entries = part.get(name) if isinstance(part, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ImageError(f"{location}: its metadata lists no {name}", remedy="give a plate of OME-Zarr 0.4 or 0.5")
    paths = [str(entry.get("path", "")).strip("/") for entry in entries]
    if any(not path or ".." in path.split("/") for path in paths):
        raise ImageError(f"{location}: its metadata names {name} without a path", remedy="write the plate again")
    return paths
