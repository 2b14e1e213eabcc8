"""Labels out: the file's ending says how."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import LabelsError, NapariSamError
from napari_sam.io.exports.export_job import Job, Meter
from napari_sam.io.exports.write_coco import write_coco
from napari_sam.io.exports.write_geojson import write_geojson, write_geojson_pixels
from napari_sam.io.exports.write_geopackage import write_gpkg
from napari_sam.io.exports.write_imagej_rois import write_roi
from napari_sam.io.exports.write_raster import write_png, write_zarr
from napari_sam.io.exports.write_table import write_csv, write_parquet
from napari_sam.io.exports.write_tiff import write_ome_tiff, write_tiff
from napari_sam.io.labels.replay import write_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam.io.labels.journal import Journal
    from napari_sam.io.labels.label_store import LabelStore

_WRITERS: dict[str, Callable[[Job], None]] = {
    "geojson": write_geojson,
    "geojson-pixels": write_geojson_pixels,
    "gpkg": write_gpkg,
    "coco": write_coco,
    "csv": write_csv,
    "parquet": write_parquet,
    "tiff": write_tiff,
    "ome-tiff": write_ome_tiff,
    "png": write_png,
    "roi": write_roi,
    "zarr": write_zarr,
    "script": write_script,
}
FORMATS = tuple(_WRITERS)
ENDINGS = {  # the longer ones first
    ".ome.tif": "ome-tiff",
    ".ome.tiff": "ome-tiff",
    ".geojson": "geojson",
    ".gpkg": "gpkg",
    ".json": "coco",
    ".csv": "csv",
    ".parquet": "parquet",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".zip": "roi",
    ".zarr": "zarr",
    ".py": "script",
}
_serial = itertools.count()


def export_labels(
    store: LabelStore,
    journal: Journal,
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - the public name
    labels: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write the objects of a store to a file; `LabelStore.export` says more.

    Parameters
    ----------
    store : LabelStore
        What to export.
    journal : Journal
        Its own.
    path : str or Path
        The file, or the folder of a zarr.
    format : str, optional
        One of `FORMATS`; by default what the ending says.
    labels : sequence of int, optional
        Ids; all objects by default.
    progress, cancelled : callable, optional
        As for `LabelStore.export`.

    Returns
    -------
    Path
        Of what was written.

    Raises
    ------
    LabelsError, StoreError, CancelledError
        As `LabelStore.export`; then there is no file, or the one that was there before.
    """
    path = Path(path).expanduser()
    kind = _format(path, format)
    _check_place(store, path, kind)
    ids = None if labels is None else list(labels)
    try:
        with _replacing(path) as partial:
            _WRITERS[kind](Job(store, journal, path, partial, ids, Meter(progress, cancelled)))
    except NapariSamError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise LabelsError(f"{path}: cannot be written: {error}; make room, or choose another place") from error
    return path


def _format(path: Path, chosen: str | None) -> str:
    if chosen is not None:
        if chosen not in _WRITERS:
            raise LabelsError(f"format {chosen!r}: use one of {', '.join(FORMATS)}")
        return chosen
    name = path.name.lower()
    for ending, kind in ENDINGS.items():
        if name.endswith(ending):
            return kind
    known = ", ".join(ENDINGS)
    raise LabelsError(f"{path}: cannot write {path.suffix or 'a file without ending'}; use one of {known}")


def _check_place(store: LabelStore, path: Path, kind: str) -> None:
    """Refuse what could not be written, or would destroy the labels or their image."""
    if not path.parent.is_dir():
        raise LabelsError(f"{path}: the folder {path.parent} does not exist; create it first")
    place, home = path.resolve(), store.path.resolve()
    if place == home or home in place.parents:
        raise LabelsError(f"{path}: lies in the label store itself; choose a path outside {store.path}")
    image = (store.meta("image") or {}).get("uri")
    if image and "://" not in image and place == Path(image).resolve():
        raise LabelsError(f"{path}: is the image that the labels belong to; choose another path")
    if path.is_dir() and kind != "zarr":
        raise LabelsError(f"{path}: is a folder; give the path of a file")
    if path.exists() and kind == "zarr":
        raise LabelsError(f"{path}: exists already, and folders are not overwritten; remove it, or choose another path")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to; it takes the place of `path` if all goes well, and else leaves nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}")
    try:
        yield partial
        if partial.is_file():
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
