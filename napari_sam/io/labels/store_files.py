"""Create, delete and reset the folder of a label store."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from napari_sam.errors import LabelsError, StoreError
from napari_sam.io.geo.axis_placement import AxisPlacement
from napari_sam.io.geo.geotiff import MapPosition
from napari_sam.io.labels.journal.journal import Journal
from napari_sam.io.labels.label_layout import LabelLayout
from napari_sam.io.labels.label_pyramid import LabelPyramid, levels_of_image, register
from napari_sam.io.labels.recovery.folder_check import check_folder
from napari_sam.io.labels.store_access import JOURNAL_FILE, WriterLock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.io.labels.journal.rows import Record
    from napari_sam.io.labels.recovery.folder_check import FolderContents

_MAX_AXIS_PX = 1 << 31


class ImageGeometry(Protocol):
    """Facts about an image that a store of its labels keeps."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        ...

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a pixel along y and x."""
        ...

    @property
    def identity(self) -> str:
        """String that identifies the image."""
        ...

    @property
    def crs(self) -> str | None:
        """Coordinate reference system."""
        ...

    @property
    def transform(self) -> tuple[float, ...] | None:
        """Affine from (column, row) to map coordinates."""
        ...


@dataclass(frozen=True)
class StoreDescription:
    """Shape and image of a new store.

    Attributes
    ----------
    layout : LabelLayout
        Shape and placement of the label image.
    like : ImageGeometry or None
        The image that the labels belong to.
    """

    layout: LabelLayout
    like: ImageGeometry | None

    def meta(self) -> Record:
        """Return the facts that the journal keeps."""
        facts: Record = self.layout.meta()
        if self.like is None:
            return facts | {"image": None, "created": time.time()}
        position = MapPosition(self.like.crs, self.like.transform, int(getattr(self.like, "control_points", 0)))
        return facts | {
            "image": {"identity": self.like.identity, "uri": self.layout.uri, **_chosen(self.like)},
            "created": time.time(),
            "unit": getattr(self.like, "unit", None),
            **position.as_json(),
        }


def _chosen(image: ImageGeometry) -> Record:
    """Return the plane and channels of an image that are segmented, where it has them."""
    chosen = {"plane": getattr(image, "plane", None), "channels": getattr(image, "selected", None)}
    return {name: [int(i) for i in index] for name, index in chosen.items() if isinstance(index, tuple)}


def describe_store(
    like: object,
    shape: tuple[int, ...] | None,
    scale: Sequence[float],
    axes: str | None = None,
    *,
    stack: bool | None = None,
) -> StoreDescription:
    """Return the description of a new store, from the arguments of `LabelStore.create`.

    Raises
    ------
    LabelsError
        If shape, scale or axes are invalid, or `stack` is asked for an image of one plane.
    """
    image = as_image(like)
    if image is not None:
        shape = shape or (*_plane_sizes(image, stack), *image.shape)
        scale = image.scale
    if shape is None or not 2 <= len(shape) <= 5 or any(not 0 < int(n) < _MAX_AXIS_PX for n in shape):
        raise LabelsError(
            f"shape {shape} is invalid",
            parameter="shape",
            remedy="give {like=image}, or (y, x) with up to three axes before them",
        )
    names = _checked_axes(axes, len(shape)) if axes is not None else _stack_axes(image, len(shape) - 2) + "yx"
    placement = getattr(image, "placement", None)
    if placement is None:
        placements = _given_placements(scale, len(shape), getattr(image, "unit", None))
    else:
        known = [placement(axis) for axis in names]
        placements = [given if given.is_valid else AxisPlacement() for given in known]
    uri = getattr(image, "uri", None)
    layout = LabelLayout(tuple(int(n) for n in shape), names, tuple(placements), None if uri is None else str(uri))
    return StoreDescription(layout, image)


def _plane_sizes(image: ImageGeometry, stack: bool | None) -> tuple[int, ...]:
    """Return the lengths of the axes before y and x; none for labels of a single plane."""
    sizes = tuple(int(n) for n in dict(getattr(image, "plane_axes", {})).values())
    if stack is False or (stack is None and max(sizes, default=1) == 1):
        return ()
    if not sizes:
        raise LabelsError(
            f"the image of shape {tuple(image.shape)} has one plane",
            parameter="stack",
            remedy="leave {stack} out, or name the axes: open_image(path, axes='zyx')",
        )
    return sizes


def _checked_axes(axes: str, count: int) -> str:
    """Return the names of the axes of a store, if NGFF knows them."""
    if len(axes) != count or len(set(axes)) != count or not axes.endswith("yx") or axes not in _orders(count):
        raise LabelsError(
            f"axes {axes!r} do not name the {count} axes of the shape",
            parameter="axes",
            remedy=f"use one of {', '.join(_orders(count))}",
        )
    return axes


def _orders(count: int) -> list[str]:
    """Return the names that NGFF allows for a number of axes."""
    return ["".join(names) + "yx" for names in itertools.combinations("tcz", count - 2)]


def _given_placements(scale: Sequence[float], count: int, unit: str | None) -> list[AxisPlacement]:
    """Return the placements of axes of which only the pixel size is known."""
    sizes = [float(size) for size in scale]
    if len(sizes) not in (2, count) or not all(0 < size < math.inf for size in sizes):
        raise LabelsError(
            f"scale {tuple(scale)} is invalid",
            parameter="scale",
            remedy=f"give positive numbers for y and x, or for all {count} axes",
        )
    leading = [AxisPlacement(size) for size in ([1.0] * (count - len(sizes)) + sizes)[:-2]]
    return [*leading, *(AxisPlacement(size, 0.0, unit) for size in sizes[-2:])]


def _stack_axes(image: ImageGeometry | None, count: int) -> str:
    """Return the names of the axes before y and x: those of the image if NGFF knows them, else the usual ones."""
    names = str(getattr(image, "stack_axes", ""))
    if len(names) == count and names in ("t", "z", "tz"):
        return names
    return "tz" if count == 2 else "tcz"[3 - count :]


def create_folder(path: Path, description: StoreDescription, overwrite: bool) -> None:
    """Make an empty store, which appears under its name only when it is complete.

    Raises
    ------
    StoreError
        If the folder exists, or cannot be written.
    """
    if path.exists():
        if not overwrite:
            raise StoreError(f"{path}: exists already", remedy="use {LabelStore.open}, or {overwrite=True}")
        delete_folder(path)
    layout = replace(description.layout, level_count=levels_of_image(path))
    description = replace(description, layout=layout)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an earlier attempt
    try:
        LabelPyramid.create(partial, description.layout)
        Journal.create(partial / JOURNAL_FILE, description.meta())
        partial.replace(path)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be created: {error}", remedy="choose a folder you may write to") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    register(path)


def check_store(path: Path, writable: bool) -> FolderContents:
    """Return what the folder of a store holds, after checking files and journal without writing anything.

    Raises
    ------
    StoreError
        If something of it leads elsewhere, or it is no store.
    """
    if not (path / JOURNAL_FILE).is_file():
        raise StoreError(
            f"{path}: the journal is missing, so this is not a label store, or not a whole one",
            remedy="give the folder of a label store; restore journal.sqlite from a backup if it was one",
        )
    contents = check_folder(path, writable=writable)
    journal = Journal(path / JOURNAL_FILE, writable=False)
    try:
        journal.check_facts()
    finally:
        journal.close()
    return contents


def delete_folder(path: Path) -> None:
    """Delete a folder if it is a label store.

    Raises
    ------
    StoreError
        If the folder is no label store, or cannot be deleted.
    StoreLockedError
        If another process writes to it.
    """
    if not (path / JOURNAL_FILE).is_file():
        raise StoreError(f"{path}: is not a label store, so it is not overwritten", remedy="choose another path")
    check_folder(path, writable=True)
    WriterLock(path).release()
    renamed = path.with_name(f".{path.name}.{os.getpid()}.deleted")
    try:
        path.replace(renamed)
        shutil.rmtree(renamed)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be deleted: {error}",
            remedy="close the programs that use it, and check your rights to the folder",
        ) from error


def as_image(like: object) -> ImageGeometry | None:
    """Return an image unchanged, and open whatever else `open_image` accepts."""
    if like is None or all(hasattr(like, name) for name in ("shape", "scale", "identity")):
        return cast("ImageGeometry | None", like)
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - slow to import

    return cast("ImageGeometry", open_image(like))


def check_fits(path: str | Path, shape: tuple[int, ...], like: object) -> None:
    """Refuse an image that labels of some shape do not fit.

    Raises
    ------
    StoreError
        If its height and width are others.
    """
    image = as_image(like)
    if image is not None and tuple(image.shape) != shape[-2:]:
        raise StoreError(
            f"{path}: labels of shape {shape[-2:]} do not fit the image {tuple(image.shape)}",
            remedy="open the store with the image that it was made for",
        )
