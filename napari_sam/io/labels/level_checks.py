"""Checks of the zarr metadata of a label store, before tensorstore acts on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_sam.errors import ImageError, StoreError
from napari_sam.io.images.formats.zarr.zarr_metadata import check_array
from napari_sam.io.json_files import read_json_object

if TYPE_CHECKING:
    from pathlib import Path

REDRAWN = ".redrawn"
"""Folder in a store with complete new pixels, which are being moved to their place."""

_PLAIN_NAME = re.compile(r"[\w-][\w.-]*")
_MOST_LEVELS = 40
_REMEDY = "draw the pixels again from the journal with LabelStore.repair(path), or restore the file from a backup"


def dataset_paths(folder: Path) -> list[str]:
    """Return the names of the scale levels' folders, finest first.

    Parameters
    ----------
    folder : Path
        The zarr group.

    Raises
    ------
    StoreError
        If the metadata is missing or damaged, or a level does not lie in a folder of its own inside the group.
    """
    path = folder / REDRAWN / "zarr.json"
    if not path.exists():
        path = folder / "zarr.json"
    try:
        ome = read_json_object(path)["attributes"]["ome"]
        names = [dataset["path"] for dataset in ome["multiscales"][0]["datasets"]]
    except FileNotFoundError as error:
        raise StoreError(
            f"{path}: the file is missing, so this is not a label store, or not a whole one", remedy=_REMEDY
        ) from error
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(f"{path} is damaged ({error!r})", remedy=_REMEDY) from error
    for name in names:
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name) or (folder / name).is_symlink():
            raise StoreError(f"{path}: the level {name!r} may lie outside the store", remedy=_REMEDY)
    if not 0 < len(names) <= _MOST_LEVELS or len(set(names)) < len(names):
        raise StoreError(f"{path}: {len(names)} levels, {len(set(names))} of them distinct", remedy=_REMEDY)
    return names


def level_folder(folder: Path, name: str) -> Path:
    """Return the folder of a level, also while new pixels are being moved to their place."""
    redrawn = folder / REDRAWN / name
    return redrawn if redrawn.is_dir() else folder / name


def check_levels(folder: Path, names: list[str]) -> list[tuple[int, ...]]:
    """Return the shapes of the levels after checking the metadata of each.

    Parameters
    ----------
    folder : Path
        The zarr group.
    names : list of str
        Folders of the levels.

    Raises
    ------
    StoreError
        If it is missing or damaged, names an unknown codec or chunks too large for memory, or if a level is not half
        as large as the one before.
    """
    shapes: list[tuple[int, ...]] = []
    for name in names:
        path = level_folder(folder, name) / "zarr.json"
        try:
            meta = read_json_object(path)
            check_array(str(folder / name), meta)
            shape = tuple(int(n) for n in meta["shape"])
        except (OSError, ValueError, KeyError, TypeError, ImageError) as error:
            reason = str(error) if isinstance(error, ImageError) else f"{path} is missing or damaged ({error!r})"
            raise StoreError(reason, remedy=_REMEDY) from error
        if shapes and shape != coarser_shape(shapes[-1]):
            raise StoreError(f"{path}: shape {shape} after {shapes[-1]}", remedy=_REMEDY)
        if len(shape) < 2:
            raise StoreError(f"{path}: shape {shape} has no y and x", remedy=_REMEDY)
        shapes.append(shape)
    return shapes


def coarser_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the next coarser level: y and x halve, rounded up.

    >>> coarser_shape((3, 5000, 3001))
    (3, 2500, 1501)
    """
    *leading, h, w = shape
    return (*leading, -(-h // 2), -(-w // 2))
