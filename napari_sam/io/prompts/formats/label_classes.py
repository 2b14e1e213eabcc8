"""Classes of the objects of an OME-Zarr label image, from its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_sam.io.class_styles import ClassStyle, cleaned_name, joined_styles, style_of, styles_of_json
from napari_sam.io.json_files import read_json_object

if TYPE_CHECKING:
    from napari_sam.io.json_types import JsonObject

_NAMES = ("category", "class", "class_name", "classification", "cell_type", "type")
"""Properties that programs use for the class of an object."""


class LabelClasses(NamedTuple):
    """Class of each object by its number in the image, and the classes."""

    category: dict[int, str]
    classes: tuple[ClassStyle, ...]


def read_label_classes(source: object) -> LabelClasses:
    """Return the classes that the ``image-label`` metadata of an OME-Zarr image gives; empty without any.

    Parameters
    ----------
    source : object
        Path of the image; anything else has no such metadata.
    """
    attributes = _attributes(source)
    ome = attributes.get("ome")
    ome = ome if isinstance(ome, dict) else attributes  # up to version 0.4 of OME-Zarr
    labels = ome.get("image-label")
    labels = labels if isinstance(labels, dict) else {}
    colours = {value: entry.get("rgba") for value, entry in _by_value(labels.get("colors")).items()}
    category: dict[int, str] = {}
    styles: list[ClassStyle] = []
    for value, entry in _by_value(labels.get("properties")).items():
        name = next((cleaned_name(entry[key]) for key in _NAMES if key in entry), None)
        style = None if name is None else style_of(name, colours.get(value))
        if style is not None:
            category[value] = style.name
            styles.append(style)
    note = attributes.get("napari_sam")
    own = styles_of_json(note.get("classes")) if isinstance(note, dict) else []
    return LabelClasses(category, joined_styles([*own, *styles]))


def _attributes(source: object) -> JsonObject:
    """Return the attributes of the group of a local image."""
    if not isinstance(source, str | Path) or "://" in str(source):
        return {}
    try:
        if (Path(source) / "zarr.json").is_file():
            attributes = read_json_object(Path(source) / "zarr.json").get("attributes")
            return attributes if isinstance(attributes, dict) else {}
        return read_json_object(Path(source) / ".zattrs") if (Path(source) / ".zattrs").is_file() else {}
    except (OSError, ValueError):
        return {}


def _by_value(listed: object) -> dict[int, JsonObject]:
    """Return the entries of a list by their ``label-value``."""
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return {entry["label-value"]: entry for entry in entries if isinstance(entry.get("label-value"), int)}
