"""Where the objects of a command go: what was there, what is made, and what is left of a command that is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine
from napari_sam.errors import CancelledError, NapariSamError, StoreError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_sam.io.labels.label_store import LabelStore

_JOURNAL = "journal.sqlite"  # what makes a folder a label store
_FILES = (
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".zip"),
    *(".csv", ".tsv", ".txt", ".parquet", ".json", ".geojson", ".gpkg", ".shp"),
)


def checked_place(out: Path) -> Path:
    """Where objects are to go, refused at once where no label store is or can be made.

    Raises
    ------
    StoreError
        If something else is there, the folder around it is missing, or the name is that of a file.
    """
    out = out.expanduser()
    if (out / _JOURNAL).is_file():
        return out
    if out.is_dir():
        raise StoreError(f"{out}: is not a label store; choose another path")
    if out.exists():
        raise StoreError(f"{out}: is a file, not a label store; give OUT a new name")
    if out.suffix.lower() in _FILES:
        raise StoreError(
            f"{out}: OUT is a folder, such as cells.ome.zarr; export it afterwards with: napari-sam export OUT "
            f"{out.name}"
        )
    parent = out.absolute().parent
    in_image = parent.name == "labels" and (parent.parent / "zarr.json").is_file()  # the folder is made there
    if not parent.is_dir() and not in_image:
        raise StoreError(f"{out}: the folder {parent} does not exist; create it first")
    return out


class Place:
    """Where objects go: the store that is there, or a path where the run makes one."""

    def __init__(self, path: Path, image: Any, overwrite: bool) -> None:
        from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

        there = path.exists()
        self._path = path
        self._replaced = _put_aside(path) if there and overwrite else None
        self._opened = LabelStore.open(path, like=image) if there and not overwrite else None
        self.output: LabelStore | Path = path if self._opened is None else self._opened  # an empty store is false

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A progress line; with the first step the store that is replaced is gone."""
        line = ProgressLine(what)

        def show(done: int, total: int) -> None:
            self.begun()
            line(done, total)

        return show

    def begun(self) -> None:
        """Delete the store that is replaced."""
        if self._replaced is not None:
            shutil.rmtree(self._replaced, ignore_errors=True)
            self._replaced = None

    def refused(self) -> None:
        """Delete what was made for nothing."""
        if self._opened is None and _holds_nothing(self._path):
            shutil.rmtree(self._path, ignore_errors=True)

    def left(self) -> None:
        """After an error: close the store, and put back the one that was to be replaced if nothing took its place."""
        if self._opened is not None:
            self._opened.close()
        if self._replaced is not None and not self._path.exists():
            self._replaced.replace(self._path)
            self._replaced = None
        self.begun()


@contextlib.contextmanager
def place_of(path: Path, image: Any, overwrite: bool) -> Iterator[Place]:
    """Where objects go; a command that is refused leaves what was there.

    Parameters
    ----------
    path : Path
        As `checked_place` gave it.
    image : Image
        The image that the objects are of.
    overwrite : bool
        Replace the store that is there.

    Raises
    ------
    StoreError
        If the store that is there cannot be opened, or replaced.
    """
    place = Place(path, image, overwrite)
    try:
        yield place
    except BaseException as error:
        if isinstance(error, NapariSamError) and not isinstance(error, CancelledError):
            place.refused()
        place.left()
        raise
    place.begun()


def _put_aside(path: Path) -> Path:
    """Rename a store that is to be replaced, unless somebody writes to it."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    try:
        LabelStore.open(path).close()
    except StoreLockedError:
        raise
    except StoreError:
        pass  # a damaged store can be replaced, too
    aside = path.with_name(f".{path.name}.{os.getpid()}.replaced")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
    except OSError as error:
        raise StoreError(f"{path}: cannot be replaced: {error}; choose another path") from error
    return aside


def _holds_nothing(path: Path) -> bool:
    """Whether a store has neither objects nor finished tiles."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.jobs.segment_image import unfinished_run  # noqa: PLC0415 - torch comes with the engine

    try:
        with LabelStore.open(path, "r") as store:
            return len(store) == 0 and not (unfinished_run(path) or {}).get("tiles_done")
    except StoreError:
        return False
