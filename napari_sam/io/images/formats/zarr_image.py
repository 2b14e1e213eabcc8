"""OME-Zarr 0.1 to 0.5 and plain zarr arrays, in a folder or at a URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.errors import ImageError
from napari_sam.io.axis_placement import AxisPlacement, plane_placements
from napari_sam.io.images.formats.zarr_store import ZarrStore
from napari_sam.io.images.lazy_image import Image, default_channels
from napari_sam.io.units import normal_unit

if TYPE_CHECKING:
    from napari_sam.io.images.formats.zarr_arrays import ZarrArray
    from napari_sam.io.json_types import JsonObject

_METADATA = ("zarr.json", ".zattrs", ".zarray", ".zgroup")
_AXES = {2: "yx", 4: "czyx", 5: "tczyx"}  # by number of axes


def open_zarr(location: str) -> Image:
    """Open a zarr array or an OME-Zarr image; reads metadata only.

    Parameters
    ----------
    location : str
        Path of a folder, or URL (http, https, s3, gs).

    Raises
    ------
    ImageError
        If there is no image, or its metadata is broken or unsafe.
    """
    store = ZarrStore(location)
    node = store.node()
    if node["node_type"] == "array":
        return _plain_image(store, node)
    attributes = node["attributes"]
    ome, private = _ome_attributes(attributes), _private_attributes(attributes)
    if private.get("unfinished") is not None:
        raise ImageError(
            f"{store.location}: only written in part", remedy="finish it with napari-sam transcode --resume"
        )
    if ome.get("bioformats2raw.layout") is not None and not ome.get("multiscales"):
        return open_zarr(f"{store.location}/0")
    multiscales = ome.get("multiscales")
    if not multiscales:
        raise ImageError(f"{store.location}: a zarr group without OME-Zarr multiscales", remedy=_remedy(store, ome))
    try:
        image = _multiscale_image(store, multiscales[0])
        _add_metadata(image, multiscales[0], ome, private)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"{store.location}: broken OME-Zarr metadata, {error!r} is missing or wrong",
            remedy="open one of its arrays",
        ) from error
    return image


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
    ome = _ome_attributes(node["attributes"])
    if "image-label" in ome:
        return "labels"
    is_image = any(key in ome for key in ("multiscales", "bioformats2raw.layout", "plate", "well"))
    return "image" if is_image else store.children() or "image"


def _ome_attributes(attributes: JsonObject) -> JsonObject:
    """Return NGFF's attributes: under "ome" from version 0.5 on, at the top before."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) else attributes


def _private_attributes(attributes: JsonObject) -> JsonObject:
    """Return the attributes that napari-sam wrote."""
    private = attributes.get("napari_sam")
    return private if isinstance(private, dict) else {}


def _remedy(store: ZarrStore, attributes: JsonObject) -> str:
    if "plate" in attributes or "well" in attributes:
        return "this is a plate or well: open one field of it, such as A/1/0"
    names = store.children()
    return f"open one of its arrays: {', '.join(names[:5])}" if names else "open another group: this one has no arrays"


def _plain_image(store: ZarrStore, node: JsonObject) -> Image:
    """Open a single array; its axes come from dimension names or, without them, from its shape."""
    array = store.array(meta=node)
    names = node.get("dimension_names") or node["attributes"].get("_ARRAY_DIMENSIONS") or ()
    axes = "".join(str(n).lower()[:1] or "?" for n in names)
    if not _fit(axes, array):
        axes = _axes_by_shape(store, array.shape)
    return _image(store, [array], axes)


def _axes_by_shape(store: ZarrStore, shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "cyx" if shape[0] <= 4 < shape[2] else "yxc"
    axes = _AXES.get(len(shape))
    if axes is None:
        raise ImageError(f"{store.location}: array of shape {shape}", remedy="give (y, x) with channels, z or t")
    return axes


def _fit(axes: str, array: ZarrArray) -> bool:
    """Return whether axes are distinct, include y and x, and match an array's number of axes."""
    return len(axes) == array.ndim and len(set(axes)) == len(axes) and {"y", "x"} <= set(axes)


def _multiscale_image(store: ZarrStore, multiscale: JsonObject) -> Image:
    """Open the arrays of a multiscale."""
    arrays = [store.array(dataset["path"]) for dataset in multiscale["datasets"]]
    names = multiscale.get("axes", list("tczyx"))
    axes = "".join(a["name"] if isinstance(a, dict) else a for a in names)
    if not all(_fit(axes, array) for array in arrays):
        raise ImageError(
            f"{store.location}: OME-Zarr axes {axes!r} do not match its arrays", remedy="open one of its arrays"
        )
    return _image(store, arrays, axes)


def _add_metadata(image: Image, multiscale: JsonObject, ome: JsonObject, private: JsonObject) -> None:
    """Set pixel size, unit, channel names, map position and nodata value of an image."""
    groups = [part.get("coordinateTransformations") for part in (multiscale["datasets"][0], multiscale)]
    units = {a["name"]: a.get("unit") for a in multiscale.get("axes", []) if isinstance(a, dict)}
    image.place(_placements(image.array_axes, units, groups))
    channels = (ome.get("omero") or {}).get("channels") or []
    names = tuple(str(c.get("label", i)) for i, c in enumerate(channels))
    image.channel_names = names if len(names) == image.channel_count else ()
    image.crs = private.get("crs")
    image.transform = tuple(float(v) for v in private["transform"]) if private.get("transform") else None
    image.nodata = None if private.get("nodata") is None else float(private["nodata"])
    bits = private.get("bits")
    image.bits = bits if isinstance(bits, int) else None
    image.inverted = private.get("inverted") is True


def _image(store: ZarrStore, arrays: list[ZarrArray], axes: str) -> Image:
    channel = axes.find("c")
    return Image(
        list(arrays),
        axes,
        store.identity(),
        default_channels(arrays[0].shape[channel] if channel >= 0 else 1),
        plane=(0,) * sum(a not in "yxc" for a in axes),
        persistent=True,
        uri=store.location,
    )


def _placements(axes: str, units: dict[str, Any], groups: list[Any]) -> dict[str, AxisPlacement]:
    """Return the placement of each axis: all scales and translations, one after the other."""
    scale, translation = [1.0] * len(axes), [0.0] * len(axes)
    for transformation in (t for group in groups for t in group or []):
        if transformation.get("type") == "scale" and "scale" in transformation:
            factors = [float(v) for v in transformation["scale"]]
            scale = [a * b for a, b in zip(scale, factors, strict=True)]
            translation = [a * b for a, b in zip(translation, factors, strict=True)]
        elif transformation.get("type") == "translation" and "translation" in transformation:
            shift = [float(v) for v in transformation["translation"]]
            translation = [a + b for a, b in zip(translation, shift, strict=True)]
    placements = {
        axis: AxisPlacement(size, start, normal_unit(None if units.get(axis) is None else str(units[axis])))
        for axis, size, start in zip(axes, scale, translation, strict=True)
    }
    placements["y"], placements["x"] = plane_placements(placements["y"], placements["x"])
    return {axis: placement for axis, placement in placements.items() if placement.is_valid}
