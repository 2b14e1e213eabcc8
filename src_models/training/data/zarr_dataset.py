"""Training data in OME-Zarr groups with labels."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from src_models.model_errors import TrainingError
from src_models.training.data.labelled_images import labelled_image, matches
from src_models.training.data.picture_files import UNREADABLE, check_size, chosen_channels, image_to_rgb, read_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import DTypeLike, NDArray

    from src_models.training.data.labelled_images import Sample
    from src_models.training.data.picture_files import Channels

_NOT_READABLE = "write it again"


class ZarrNode(Protocol):
    """Zarr group or array, as far as it is used here; zarr is imported only when it is needed."""

    attrs: Mapping[str, object]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: DTypeLike

    def __getitem__(self, key: object) -> ZarrNode: ...


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr group or array."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def read_ome_zarr(path: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Sample]:
    """Read the labelled planes of an OME-Zarr group, as `read_dataset` describes them.

    Parameters
    ----------
    path : Path
        An image group with ``labels``, the labels group, or a group of one label image.
    include : tuple of str
        Patterns of names.
    channels : tuple of int, optional
        Channels to use.

    Yields
    ------
    LabelledImage or str
        A sample, or a note on one that was skipped.

    Raises
    ------
    TrainingError
        If there are no labels, or labels or their image cannot be used.
    """
    metadata = _ome_metadata(path)
    folder = path if isinstance(metadata.get("labels"), list) else path / "labels"
    if "image-label" in metadata:
        groups = {path.resolve().name: path}
    elif is_zarr(folder):
        listed = _ome_metadata(folder).get("labels")
        names = listed if isinstance(listed, list) else sorted(p.name for p in folder.iterdir() if is_zarr(p))
        groups = {str(name): folder / str(name) for name in names}
    else:
        groups = {}
    if not groups:
        raise TrainingError(f"{path} is a zarr without OME-Zarr labels", remedy="put label images into labels/NAME")
    for name, group in groups.items():
        if is_zarr(group):
            yield from _read_label_image(name, group, include, channels)
        elif matches(include, name):
            yield f"{name}: no label image, although the metadata list it"


def _read_label_image(name: str, group: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Sample]:
    """Read every plane of a label image and of the image that it belongs to."""
    labels = _Planes.open(group)
    if labels.size("c") > 1:
        message = f"{group}: labels have {labels.size('c')} channels"
        raise TrainingError(message, remedy="save a label image for each channel")
    source = _source_image(group)
    image = None if source.is_file() else _Planes.open(source)
    sizes = [tuple(p.size(axis) if p else 1 for axis in "tz") for p in (labels, image)]
    if sizes[0] != sizes[1]:
        message = f"{group} has {sizes[0]} planes in t and z, its image {source} has {sizes[1]}"
        raise TrainingError(message, remedy="make the numbers of planes equal")
    for t, z in product(range(labels.size("t")), range(labels.size("z"))):
        plane = "".join(f"/{axis}{i}" for axis, i in (("t", t), ("z", z)) if labels.size(axis) > 1)
        if matches(include, name, name + plane):
            read = partial(image.rgb, t, z, channels) if image else partial(read_rgb, source, channels)
            yield labelled_image(name + plane, str(group), labels.read(t, z), read)


def _source_image(group: Path) -> Path:
    """Find the image that a label image belongs to: an OME-Zarr group or a picture file."""
    about = _ome_metadata(group).get("image-label")
    source = about.get("source") if isinstance(about, dict) else None
    given = source.get("image") if isinstance(source, dict) else None
    candidates = [group / str(given).removeprefix("file://")] if given else []
    if group.resolve().parent.name == "labels":
        candidates.append(group / "../..")
    for candidate in candidates:
        path = Path(os.path.normpath(candidate.absolute()))
        if is_zarr(path) or path.is_file():
            return path
    remedy = "write its path into the metadata, image-label/source/image"
    raise TrainingError(f"{group}: no image at {given!r}", remedy=remedy)


@dataclass(frozen=True)
class _Planes:
    """Level 0 of an OME-Zarr image.

    Attributes
    ----------
    path : str
        Path of the image, for messages.
    array : ZarrNode
        Array with the axes of `axes`.
    axes : str
        Each of "tczyx" at most once, in any order.
    """

    path: str
    array: ZarrNode
    axes: str

    @classmethod
    def open(cls, path: Path) -> _Planes:
        """Open an image without reading pixels, and refuse arrays that are not images of numbers."""
        try:
            first = _ome_metadata(path)["multiscales"][0]
            axes = "".join(a["name"] if isinstance(a, dict) else a for a in first.get("axes", "tczyx")).lower()
            array: ZarrNode = _open_zarr(path)[first["datasets"][0]["path"]]
            shape, chunks, dtype = array.shape, array.chunks, np.dtype(array.dtype)
        except TrainingError:
            raise
        except UNREADABLE as error:
            raise TrainingError(f"{path} is not a readable OME-Zarr image: {error!r}", remedy=_NOT_READABLE) from error
        if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes) <= set("tczyx"):
            message = f"{path}: axes {axes!r} of an array of shape {shape} are not among 'tczyx'"
            raise TrainingError(message, remedy="correct the axes in the metadata")
        if dtype.kind not in "buif":  # objects and strings: reading them may run code
            raise TrainingError(f"{path}: dtype {dtype} is not that of an image", remedy="convert it to numbers")
        planes = cls(str(path), array, axes)
        check_size(path, planes.size("y"), planes.size("x"), math.prod(chunks))
        return planes

    def size(self, axis: str) -> int:
        """Return the length of an axis; 1 if the image does not have it."""
        return int(self.array.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def read(self, t: int, z: int, c: int = 0) -> NDArray[np.generic]:
        """Read a plane (H, W)."""
        index = tuple({"t": t, "z": z, "c": c}.get(axis, slice(None)) for axis in self.axes)
        try:
            plane: NDArray[np.generic] = np.asarray(self.array[index])
        except UNREADABLE as error:
            message = f"{self.path}: t {t}, z {z} cannot be read: {error}"
            raise TrainingError(message, remedy=_NOT_READABLE) from error
        return plane if self.axes.index("y") < self.axes.index("x") else plane.T

    def rgb(self, t: int, z: int, channels: Channels, _: tuple[int, ...]) -> NDArray[np.uint8]:
        """Read the chosen channels of a plane, (H, W, 3)."""
        chosen = chosen_channels(channels, self.size("c"), self.path)
        return image_to_rgb(np.stack([self.read(t, z, c) for c in chosen], axis=-1), None, self.path)


def _open_zarr(path: Path) -> ZarrNode:
    import zarr  # noqa: PLC0415 - slow to import, and only this kind of data needs it

    try:
        return cast("ZarrNode", zarr.open(path, mode="r"))
    except UNREADABLE as error:
        raise TrainingError(f"{path} is not a readable zarr: {error}", remedy=_NOT_READABLE) from error


def _ome_metadata(path: Path) -> dict[str, Any]:
    """Return the OME metadata of a zarr group: version 0.5 stores them under "ome", 0.4 does not."""
    attributes = dict(_open_zarr(path).attrs)
    metadata = attributes.get("ome", attributes)
    return metadata if isinstance(metadata, dict) else {}
