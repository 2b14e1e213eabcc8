"""OME-Zarr 0.1 to 0.5 and plain zarr arrays, in a folder or at a URL."""

from __future__ import annotations

from typing import Any

from napari_sam.errors import ImageError
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.zarr_store import ZarrStore

_NAMES = {1: None, 2: "yx", 4: "czyx", 5: "tczyx"}


def open_zarr(location: str) -> Image:
    """Open a zarr array or an OME-Zarr image; reads metadata only.

    Parameters
    ----------
    location : str
        Path of a folder, or URL (http, https, s3, gs).

    Raises
    ------
    ImageError
        If there is no image, its metadata is broken, or asks for what is not safe.
    """
    store = ZarrStore(location)
    node = store.node()
    if node["node_type"] == "array":
        return _plain(store, node)
    attributes = node["attributes"]
    own = attributes.get("ome") if isinstance(attributes.get("ome"), dict) else attributes
    unfinished = _own(attributes).get("unfinished")
    if unfinished is not None:
        raise ImageError(f"{store.location}: written only in part; go on with napari-sam transcode --resume")
    if own.get("bioformats2raw.layout") is not None and not own.get("multiscales"):
        return open_zarr(f"{store.location}/0")
    multiscales = own.get("multiscales")
    if not multiscales:
        raise ImageError(f"{store.location}: a zarr group without OME-Zarr multiscales; {_hint(store, own)}")
    try:
        return _multiscale(store, multiscales[0], own, _own(attributes))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"{store.location}: broken OME-Zarr metadata, {error!r} is missing or wrong; open one array of it"
        ) from error


def is_image_folder(location: str) -> bool:
    """Whether a folder or URL holds what `open_zarr` opens, by its top-level metadata alone."""
    try:
        node = ZarrStore(location).node()
    except ImageError:
        return False
    if node["node_type"] == "array":
        return len(node.get("shape", ())) >= 2
    attributes = node["attributes"]
    own = attributes.get("ome") if isinstance(attributes.get("ome"), dict) else attributes
    return bool(own.get("multiscales")) and "image-label" not in own


def _own(attributes: dict[str, Any]) -> dict[str, Any]:
    """What napari-sam wrote itself."""
    found = attributes.get("napari_sam")
    return found if isinstance(found, dict) else {}


def _hint(store: ZarrStore, attributes: dict[str, Any]) -> str:
    if "plate" in attributes or "well" in attributes:
        return "a plate or well: open one field of it, such as A/1/0"
    names = store.children()
    return f"open one of its arrays: {', '.join(names[:5])}" if names else "it holds no arrays"


def _plain(store: ZarrStore, node: dict[str, Any]) -> Image:
    """An array alone; its axes from dimension names, else by convention."""
    array = store.array(meta=node)
    names = node.get("dimension_names") or node["attributes"].get("_ARRAY_DIMENSIONS") or ()
    axes = "".join(str(n).lower()[:1] or "?" for n in names)
    if len(axes) != array.ndim or len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
        axes = _axes_by_shape(store, array.shape)
    return _image(store, [array], axes)


def _axes_by_shape(store: ZarrStore, shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "cyx" if shape[0] <= 4 < shape[2] else "yxc"
    found = _NAMES.get(len(shape))
    if found is None:
        raise ImageError(f"{store.location}: array of shape {shape}: give (y, x) with channels, z or t")
    return found


def _multiscale(store: ZarrStore, first: dict[str, Any], ome: dict[str, Any], own: dict[str, Any]) -> Image:
    datasets = first["datasets"]
    paths = [d["path"] for d in datasets]
    arrays = [store.array(p) for p in paths]
    named = first.get("axes", list("tczyx"))
    axes = "".join(a["name"] if isinstance(a, dict) else a for a in named)
    if any(a.ndim != len(axes) for a in arrays) or len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
        raise ImageError(f"{store.location}: OME-Zarr axes {axes!r} do not fit its arrays; open one array of it")
    image = _image(store, arrays, axes)
    common = first.get("coordinateTransformations")
    image.scale = _scale(axes, datasets[0].get("coordinateTransformations"), common)
    units = {a["name"]: a.get("unit") for a in named if isinstance(a, dict)}
    image.unit = units.get("x")
    channels = (ome.get("omero") or {}).get("channels") or []
    names = tuple(str(c.get("label", i)) for i, c in enumerate(channels))
    image.channel_names = names if len(names) == image.channel_count else ()
    image.crs = own.get("crs")
    image.transform = tuple(float(v) for v in own["transform"]) if own.get("transform") else None
    image.nodata = own.get("nodata")
    return image


def _image(store: ZarrStore, arrays: list[Any], axes: str) -> Image:
    channel = axes.find("c")
    count = arrays[0].shape[channel] if channel >= 0 else 1
    return Image(
        arrays,
        axes,
        store.identity(),
        (0, 1, 2) if count >= 3 else (0,),
        plane=(0,) * sum(a not in "yxc" for a in axes),
        persistent=True,
        uri=store.location,
    )


def _scale(axes: str, *transformations: Any) -> tuple[float, float]:
    """Pixel size along y and x: the product of all scales that are given."""
    y, x = 1.0, 1.0
    for transformation in (t for several in transformations for t in several or []):
        if transformation.get("type") == "scale" and "scale" in transformation:
            values = transformation["scale"]
            y, x = y * float(values[axes.index("y")]), x * float(values[axes.index("x")])
    if not (0 < y < float("inf") and 0 < x < float("inf")):
        return 1.0, 1.0
    return y, x
