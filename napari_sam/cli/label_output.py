"""The label store that a command writes to: an existing one, a new one, or one that replaces another."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from napari_sam.cli.progress_line import ProgressLine
from napari_sam.errors import CancelledError, NapariSamError, StoreError
from napari_sam.io.labels.store_access import JOURNAL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore

_FILE_SUFFIXES = (
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".zip"),
    *(".csv", ".tsv", ".txt", ".parquet", ".json", ".geojson", ".gpkg", ".shp"),
)


def check_output_path(out: Path) -> Path:
    """Return the expanded path of a label store, or refuse it where no store exists or can be made.

    Raises
    ------
    StoreError
        If the path is something else, its parent folder is missing, or it is named like a file.
    """
    from napari_sam.jobs.batch.replaced_store import restore_replaced  # noqa: PLC0415 - the command line starts quickly

    out = out.expanduser()
    restore_replaced(out)
    if (out / JOURNAL_FILE).is_file():
        return out
    if out.is_dir():
        raise StoreError(f"{out}: is not a label store", remedy="choose another path")
    if out.exists():
        raise StoreError(f"{out}: is a file, not a label store", remedy="give OUT a new name")
    if out.suffix.lower() in _FILE_SUFFIXES:
        raise StoreError(
            f"{out}: a label store is a folder, such as cells.ome.zarr",
            remedy=f"give OUT another name, and export it afterwards with: napari-sam export OUT {out.name}",
        )
    parent = out.absolute().parent
    zarr_files = ("zarr.json", ".zattrs", ".zgroup")
    in_image = parent.name == "labels" and any((parent.parent / name).is_file() for name in zarr_files)  # made there
    if not parent.is_dir() and not in_image:
        raise StoreError(f"{out}: the folder {parent} does not exist", remedy="create it first")
    return out


class LabelOutput:
    """An existing label store, or the path at which a run makes one.

    Parameters
    ----------
    path : Path
        As `check_output_path` returned it.
    image : Image
        The image that the objects belong to.
    overwrite : bool
        Replace an existing store.

    Attributes
    ----------
    target : LabelStore or Path
        The opened store, or the path where the run is to make one.
    """

    def __init__(self, path: Path, image: Image, overwrite: bool) -> None:
        from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly
        from napari_sam.jobs.batch.replaced_store import move_aside  # noqa: PLC0415

        exists = path.exists()
        self._path = path
        self._replaced = move_aside(path) if exists and overwrite else None
        self._opened = LabelStore.open(path, like=image) if exists and not overwrite else None
        self.target: LabelStore | Path = path if self._opened is None else self._opened  # an empty store is false

    def progress(self, counted: str) -> Callable[[int, int], None]:
        """Return a progress line."""
        return ProgressLine(counted)

    def discard_replaced(self) -> None:
        """Delete the replaced store."""
        from napari_sam.jobs.batch.replaced_store import discard  # noqa: PLC0415 - the command line starts quickly

        if self._replaced is not None:
            discard(self._replaced, self._path)
            self._replaced = None

    def delete_new(self) -> None:
        """Delete a new store that replaces none and is still empty, after the run was refused or found nothing."""
        from napari_sam.jobs.batch.replaced_store import is_empty  # noqa: PLC0415 - the command line starts quickly

        if self._opened is None and self._replaced is None and is_empty(self._path):
            shutil.rmtree(self._path, ignore_errors=True)

    def abandon(self) -> None:
        """Close the store after an error, and restore the replaced one unless the new one holds something."""
        from napari_sam.jobs.batch.replaced_store import put_back  # noqa: PLC0415 - the command line starts quickly

        if self._opened is not None:
            self._opened.close()
        if self._replaced is not None:
            put_back(self._replaced, self._path)
            self._replaced = None


@contextlib.contextmanager
def label_output(path: Path, image: Image, overwrite: bool) -> Iterator[LabelOutput]:
    """Open the output of a command; a refused command leaves everything unchanged.

    Parameters
    ----------
    path, image, overwrite
        As in `LabelOutput`.

    Raises
    ------
    StoreError
        If the existing store cannot be opened or replaced.
    """
    output = LabelOutput(path, image, overwrite)
    try:
        yield output
    except BaseException as error:
        if isinstance(error, NapariSamError) and not isinstance(error, CancelledError):
            output.delete_new()
        output.abandon()
        raise
    output.discard_replaced()
