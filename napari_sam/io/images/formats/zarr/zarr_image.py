"""OME-Zarr 0.1 to 0.5 and plain zarr arrays, in a folder or at a URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError
from napari_sam.io.geo.axis_placement import AxisPlacement, in_one_unit
from napari_sam.io.geo.geotiff import MapPosition
from napari_sam.io.geo.units import normal_unit
from napari_sam.io.images.address import Choice, check_axes
from napari_sam.io.images.formats.zarr.zarr_metadata import declared_fill_value
from napari_sam.io.images.formats.zarr.zarr_parts import (
    axis_letter,
    checked_series,
    ome_attributes,
    series_names,
    undeclared_axes,
)
from napari_sam.io.images.formats.zarr.zarr_store import ZarrStore
from napari_sam.io.images.lazy_image import CHANNEL_NAMES, SPATIAL, Image, default_channels

if TYPE_CHECKING:
    from napari_sam.io.images.formats.zarr.zarr_arrays import ZarrArray
    from napari_sam.io.json_types import JsonObject

_METADATA = ("zarr.json", ".zattrs", ".zarray", ".zgroup")
_LISTED = 5


def open_zarr(location: str, choice: Choice | None = None) -> Image:
    """Open a zarr array or an OME-Zarr image; reads metadata only.

    Parameters
    ----------
    location : str
        Path of a folder, or URL (http, https, s3, gs).
    choice : Choice, optional
        Series and axes that the user chose.

    Raises
    ------
    ImageError
        If there is no image, or its metadata is broken or unsafe.
    """
    choice = choice or Choice()
    store = ZarrStore(location)
    node = store.node()
    if node["node_type"] == "array":
        return _plain_image(store, node, choice.axes)
    attributes = node["attributes"]
    ome, private = ome_attributes(attributes), _private_attributes(attributes)
    if private.get("unfinished") is not None:
        raise ImageError(
            f"{store.location}: only written in part", remedy="finish it with napari-sam transcode --resume"
        )
    if ome.get("bioformats2raw.layout") is not None and not ome.get("multiscales"):
        return _open_series(store, choice)
    multiscales = ome.get("multiscales")
    if not multiscales:
        raise ImageError(f"{store.location}: a zarr group without OME-Zarr multiscales", remedy=_remedy(store, ome))
    try:
        number = checked_series(store, choice.series, len(multiscales))
        image = _multiscale_image(store, multiscales[number], choice.axes)
        _add_metadata(image, multiscales[number], ome, private)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"{store.location}: broken OME-Zarr metadata, {error!r} is missing or wrong",
            remedy="open one of its arrays",
        ) from error
    image.uri = choice.address(store.location)
    if len(multiscales) > 1:
        image.identity += f"|series{number}" if number else ""
        if choice.series is None:
            image.notes += (f"opened series 0 of {len(multiscales)}: choose with {{series}}",)
    return image


def _open_series(store: ZarrStore, choice: Choice) -> Image:
    """Open the chosen image, or the largest one, of a folder that bioformats2raw wrote."""
    names = series_names(store)
    if choice.series is not None:
        return _series_image(store, names[checked_series(store, choice.series, len(names))], choice.axes)
    images = [_series_image(store, name, choice.axes) for name in names]
    number = max(range(len(images)), key=lambda i: (images[i].shape[0] * images[i].shape[1], -i))
    if len(names) > 1:
        sizes = [f"series {i} of {image.shape[0]} x {image.shape[1]} px" for i, image in enumerate(images)]
        opened, others = sizes.pop(number), ", ".join(sizes[:_LISTED])
        more = f" and {len(names) - 1 - _LISTED} more" if len(names) - 1 > _LISTED else ""
        images[number].notes += (f"opened {opened}; the file also has {others}{more}: choose with {{series}}",)
    return images[number]


def _series_image(store: ZarrStore, name: str, axes: str | None) -> Image:
    """Open one image of a folder with several; a folder of folders is not followed."""
    node = store.node(name)  # refuses paths that lead out of the store
    if node["node_type"] == "group" and not ome_attributes(node["attributes"]).get("multiscales"):
        raise ImageError(f"{store.name(name)}: a series without multiscales", remedy="open another group")
    return open_zarr(f"{store.location}/{name}", Choice(axes=axes))


def zarr_content(location: str) -> str | list[str] | None:
    """Return what the top-level metadata of a folder or URL promise, without opening an array.

    Returns
    -------
    str, list of str or None
        "image" or "labels" for what `open_zarr` opens; the names of the arrays of a group without OME-Zarr metadata;
        None if there is no zarr metadata.

    Raises
    ------
    ImageError
        If the metadata is broken.
    """
    store = ZarrStore(location)
    if not store.remote and not any((Path(store.location) / name).is_file() for name in _METADATA):
        return None
    node = store.node()
    if node["node_type"] == "array":
        return "image"
    ome = ome_attributes(node["attributes"])
    if "image-label" in ome:
        return "labels"
    is_image = any(key in ome for key in ("multiscales", "bioformats2raw.layout", "plate", "well"))
    return "image" if is_image else store.children() or "image"


def _private_attributes(attributes: JsonObject) -> JsonObject:
    """Return the attributes that napari-sam wrote."""
    private = attributes.get("napari_sam")
    return private if isinstance(private, dict) else {}


def _remedy(store: ZarrStore, attributes: JsonObject) -> str:
    if "plate" in attributes or "well" in attributes:
        return "this is a plate or well: open one field of it, such as A/1/0"
    names = store.children()
    return f"open one of its arrays: {', '.join(names[:5])}" if names else "open another group: this one has no arrays"


def _plain_image(store: ZarrStore, node: JsonObject, chosen: str | None) -> Image:
    """Open a single array; its axes are chosen, or come from dimension names or, without them, from its shape."""
    array = store.array(meta=node)
    names = node.get("dimension_names") or node["attributes"].get("_ARRAY_DIMENSIONS") or ()
    axes = "".join(axis_letter(n) for n in names) if isinstance(names, list) else ""
    notes: tuple[str, ...] = ()
    if chosen is not None:
        axes = check_axes(chosen, array.shape, store.location)
    elif not _fit(axes, array):
        axes, notes = undeclared_axes(store.location, array.shape)
    image = _image(store, [array], axes)
    image.uri, image.notes = Choice(axes=chosen).address(store.location), notes
    image.identity += "" if chosen is None else f"|axes{chosen}"
    image.nodata = declared_fill_value(node)
    return image


def _fit(axes: str, array: ZarrArray) -> bool:
    """Return whether axes are distinct, include y and x, and match an array's number of axes."""
    return len(axes) == array.ndim and len(set(axes)) == len(axes) and {"y", "x"} <= set(axes)


def _multiscale_image(store: ZarrStore, multiscale: JsonObject, chosen: str | None = None) -> Image:
    """Open the arrays of a multiscale."""
    arrays = [store.array(dataset["path"]) for dataset in multiscale["datasets"]]
    names = multiscale.get("axes", list("tczyx"))
    axes = "".join(axis_letter(a["name"] if isinstance(a, dict) else a) for a in names)
    if chosen is not None:
        axes = check_axes(chosen, arrays[0].shape, store.location)
    if not all(_fit(axes, array) for array in arrays):
        raise ImageError(
            f"{store.location}: OME-Zarr axes {axes!r} do not match its arrays", remedy="open one of its arrays"
        )
    return _image(store, arrays, axes)


def _add_metadata(image: Image, multiscale: JsonObject, ome: JsonObject, private: JsonObject) -> None:
    """Set pixel size, unit, channel names, map position and nodata value of an image."""
    groups = [part.get("coordinateTransformations") for part in (multiscale["datasets"][0], multiscale)]
    unknown = {str(t.get("type")) for group in groups for t in group or [] if not _is_understood(t)}
    if unknown:
        image.notes += (
            f"its pixel size is unknown: transformations of type {', '.join(sorted(unknown))} are not read",
        )
    else:
        units = [a.get("unit") if isinstance(a, dict) else None for a in multiscale.get("axes", image.array_axes)]
        image.place(_placements(image.array_axes, units, groups))
    channels = (ome.get("omero") or {}).get("channels") or []
    names = tuple(str(i if c.get("label") is None else c["label"]) for i, c in enumerate(channels))
    image.channel_names = names if len(names) == image.channel_count else ()
    image.locate(MapPosition.from_json(private))
    image.nodata = None if private.get("nodata") is None else float(private["nodata"])
    bits = private.get("bits")
    image.bits = bits if isinstance(bits, int) else None
    image.inverted = private.get("inverted") is True


def _image(store: ZarrStore, arrays: list[ZarrArray], axes: str) -> Image:
    channel = next((i for i, a in enumerate(axes) if a in CHANNEL_NAMES), -1)
    return Image(
        list(arrays),
        axes,
        store.identity(),
        default_channels(arrays[0].shape[channel] if channel >= 0 else 1),
        plane=(0,) * sum(a not in SPATIAL + CHANNEL_NAMES for a in axes),
        persistent=True,
        uri=store.location,
    )


def _combined(count: int, groups: list[Any]) -> tuple[list[float], list[float]]:
    """Return scale and translation of transformations that are applied one after the other."""
    scale, translation = [1.0] * count, [0.0] * count
    for transformation in (t for group in groups for t in group or []):
        if transformation.get("type") == "scale":
            factors = _numbers(transformation["scale"], count)
            scale = [a * b for a, b in zip(scale, factors, strict=True)]
            translation = [a * b for a, b in zip(translation, factors, strict=True)]
        elif transformation.get("type") == "translation":
            shift = _numbers(transformation["translation"], count)
            translation = [a + b for a, b in zip(translation, shift, strict=True)]
    return scale, translation


def _numbers(values: Any, count: int) -> list[float]:
    """Return the numbers of a transformation, one for each axis."""
    numbers = [float(value) for value in values]
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers of a transformation for {count} axes")
    return numbers


def _is_understood(transformation: JsonObject) -> bool:
    """Return whether a transformation is one of those from which sizes and positions follow."""
    kind = transformation.get("type")
    return kind == "identity" or (kind in ("scale", "translation") and kind in transformation)


def _placements(axes: str, units: list[Any], groups: list[Any]) -> dict[str, AxisPlacement]:
    """Return the placement of each axis: all scales and translations, one after the other."""
    scale, translation = _combined(len(axes), groups)
    placements = {
        axis: AxisPlacement(size, start, normal_unit(None if unit is None else str(unit)))
        for axis, size, start, unit in zip(axes, scale, translation, units, strict=True)
    }
    return in_one_unit(placements)
