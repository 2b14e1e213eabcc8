"""Open every image below some folders, and compare pixels with rasterio, tifffile, Pillow and zarr.

    python -m benchmarks.sweep FOLDER [FOLDER ...] [--json OUT]

Needs ``pip install rasterio``. A file passes if our pixels equal those of one of the programs, or if we refuse it with
a reason. Other pixels, or a traceback, are faults, and so is a file that others open and that we call damaged.
Collections to try: the samples of GDAL, libtiff, tifffile, Bio-Formats, OME and ome-ngff-prototypes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import timing
from napari_sam.errors import NapariSamError
from napari_sam.io.images.open_image import open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image

SUFFIXES = (".tif", ".tiff", ".btf", ".svs", ".ndpi", ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp")
_SIDE = 256  # pixels are compared in a corner and in the middle


def _boxes(shape: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return a box at the first corner, in the middle and at the last corner."""
    h, w = shape
    starts = [
        (0, 0),
        (max(0, h // 2 - _SIDE // 2), max(0, w // 2 - _SIDE // 2)),
        (max(0, h - _SIDE), max(0, w - _SIDE)),
    ]
    return [(y, x, min(h, y + _SIDE), min(w, x + _SIDE)) for y, x in starts]


def _crops(array: NDArray[np.generic], boxes: list[tuple[int, int, int, int]]) -> list[NDArray[np.generic]]:
    """Cut boxes out of (h, w) or (h, w, c)."""
    array = array if array.ndim == 3 else array[..., None]
    return [array[y0:y1, x0:x1] for y0, x0, y1, x1 in boxes]


def _rasterio(path: Path, image: Image) -> list[NDArray[np.generic]]:
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(path) as opened:
        if opened.shape != image.shape:
            raise ValueError(f"shape {opened.shape}")
        windows = [Window(x0, y0, x1 - x0, y1 - y0) for y0, x0, y1, x1 in _boxes(image.shape)]
        return [np.moveaxis(opened.read(window=window), 0, -1) for window in windows]


def _tifffile(path: Path, image: Image) -> list[NDArray[np.generic]]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        for series in file.series:
            axes, shape = series.axes, series.shape
            if (shape[axes.index("Y")], shape[axes.index("X")]) == image.shape:
                array, kept = series.asarray(), axes
                for axis in [a for a in axes if a not in "YXSC"]:
                    array, kept = array.take(0, kept.index(axis)), kept.replace(axis, "")
                order = [kept.index(a) for a in ("Y", "X")] + [i for i, a in enumerate(kept) if a in "SC"][-1:]
                return _crops(array.transpose(order), _boxes(image.shape))
    raise ValueError("no series of this shape")


def _pillow(path: Path, image: Image) -> list[NDArray[np.generic]]:
    from PIL import Image as Picture

    with Picture.open(path) as picture:
        if picture.mode in ("P", "CMYK", "YCbCr", "LAB"):
            picture = picture.convert("RGB")
        return _crops(np.asarray(picture), _boxes(image.shape))


REFERENCES: dict[str, Callable[[Path, Image], list[NDArray[np.generic]]]] = {
    "rasterio": _rasterio,
    "tifffile": _tifffile,
    "Pillow": _pillow,
}


def _zarr(path: Path, image: Image) -> list[NDArray[np.generic]]:
    import zarr

    group = zarr.open_group(path, mode="r")
    attributes = group.attrs.get("ome", group.attrs.asdict())
    array = group[attributes["multiscales"][0]["datasets"][0]["path"]]
    crops = []
    for y0, x0, y1, x1 in _boxes(image.shape):
        index = [0] * array.ndim
        if image.channel_axis is not None:
            index[image.channel_axis] = slice(None)
        index[image.array_axes.index("y")], index[image.array_axes.index("x")] = slice(y0, y1), slice(x0, x1)
        part = array[tuple(index)]
        crops.append(np.moveaxis(part, 0, -1) if part.ndim == 3 and image.array_axes.endswith("yx") else part)
    return [c if c.ndim == 3 else c[..., None] for c in crops]


def _same(ours: list[NDArray[np.generic]], theirs: list[NDArray[np.generic]]) -> bool:
    """Whether pixels are equal, in as many channels as both have."""
    for mine, other in zip(ours, theirs, strict=True):
        if mine.shape[:2] != other.shape[:2]:
            return False
        channels = min(mine.shape[2], other.shape[2])
        both = mine[..., :channels].astype(np.float64), other[..., :channels].astype(np.float64)
        if not np.array_equal(*both, equal_nan=True):
            return False
    return True


def check(path: Path) -> tuple[str, str]:
    """Return how a file compares, and details."""
    references = {"zarr": _zarr} if path.is_dir() else REFERENCES
    try:
        image = open_image(path)
        whole = image.with_plane(image.plane, range(image.channel_count))
        ours = [whole.read(0, *box) for box in _boxes(image.shape)]
    except NapariSamError as error:
        return ("called damaged" if "damaged" in str(error) else "refused"), str(error)
    except Exception as error:  # noqa: BLE001 - what is counted
        return "traceback", f"{type(error).__name__}: {error}"
    compared = []
    for name, read in references.items():
        with contextlib.suppress(Exception):
            theirs = read(path, image)
            if _same(ours, theirs):
                return f"as {name}", ""
            compared.append(name)
    if not compared:
        return "no other program reads it", ""
    said = "; ".join([*image.notes, *(["smallest value is white"] if image.inverted else [])])
    return ("differs, said" if said else "differs, not said"), f"from {', '.join(compared)}: {said}"


def images_in(folders: list[Path]) -> Iterator[Path]:
    """Yield every picture and OME-Zarr below some folders."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() == ".zarr" and path.is_dir():
                yield path
            elif path.suffix.lower() in SUFFIXES and path.is_file() and ".zarr" not in str(path.parent):
                yield path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    results: dict[str, tuple[str, str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in images_in(options.folders):
            results[str(path)] = check(path)
    counts = collections.Counter(verdict for verdict, _ in results.values())
    faults = {p: r for p, r in results.items() if r[0] in ("differs, not said", "traceback", "called damaged")}
    for path, (verdict, detail) in faults.items():
        timing.say(f"{path}: {verdict}: {detail}"[:400])
    timing.say(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))
    timing.say(f"{len(results)} files, {len(faults)} faults")
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
