"""What a training data set may be: a folder of pairs, a COCO file or an OME-Zarr with labels."""

from __future__ import annotations

import lzma
import math
import os
import struct
import warnings
import zlib
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from itertools import product
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from src_models.model_errors import TrainingError
from src_models.training.data.coco_files import CocoImage, read_coco, render
from src_models.training.data.crops import Pair, to_rgb8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Channels = tuple[int, ...] | None

_MAX_PX = 1 << 28  # of one image; its RGB and its labels then take 1.75 GiB
_MAX_TOTAL_PX = 1 << 31  # of a data set, which is held in memory: 14 GiB
_MAX_CHANNELS = 4  # a file or a chunk holds at most so many times _MAX_PX values
_TIFF = (".tif", ".tiff")
_PICTURES = (*_TIFF, ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".jp2")
LABELS_END = (".labels", "_cp_masks", "_masks", "_mask")
_IMAGE_END = (".image", "_img")
_NEITHER_END = ("_flows", "_cp_output")  # what Cellpose leaves beside its masks
_COLOURS = {"P": "RGBA", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "1": "L"}
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True)
class Dataset:
    """A training data set in memory.

    Attributes
    ----------
    name : str
        Of its folder or file.
    pairs : tuple of Pair
        At least one; each has at least one object. A pixel takes seven bytes.
    skipped : tuple of str
        What was left out and why, such as "img_003: no objects".
    """

    name: str
    pairs: tuple[Pair, ...]
    skipped: tuple[str, ...]


def read_dataset(path: Path, include: tuple[str, ...] = ("*",), channels: tuple[int, ...] | None = None) -> Dataset:
    """Read a training data set; its kind is told from what is there.

    - A folder of pairs: ``NAME.image.*`` with ``NAME.labels.tif``; ``NAME.*`` or ``NAME_img.*`` with ``NAME_masks.*``
      or ``NAME_mask.*`` (Cellpose); or, if they are there, sub-folders ``images`` and ``labels`` (or ``masks``) with
      equal names (StarDist). Labels are TIFF or PNG with one integer per pixel; a palette PNG gives its indices.
    - A COCO JSON file with polygons or run lengths. Images are looked for beside it, in ``images`` beside it or beside
      its folder, and in a folder named as the file is (``annotations/instances_val.json``, ``val`` or ``images/val``).
      Small objects lie on top of large ones; crowds are left out.
    - An OME-Zarr (0.4 or 0.5) image with ``labels/NAME``, or a labels group whose metadata name its image
      (``image-label/source/image``: an OME-Zarr, or a picture file). Level 0 is read; every t and z is one pair.

    Labels may have gaps. Labels far larger than their number are renumbered. An image becomes RGB of 8 bits as
    `to_rgb8` does it; a value that is no number counts as the darkest.

    Parameters
    ----------
    path : Path
        Folder, JSON file or OME-Zarr group.
    include : tuple of str
        Patterns; a sample is read if its name matches one. The name is that of the image without its endings; in
        an OME-Zarr that of the labels, or with its plane, such as "cells/t0/z3".
    channels : tuple of int, optional
        Channels to use: three as red, green and blue, or one as grey. By default the first three, or the first.

    Returns
    -------
    Dataset

    Raises
    ------
    TrainingError
        If something there cannot be read or is not what it must be: an image and its labels differ in shape, labels
        are not integers or are negative, an image has more than 2^28 pixels (PNG, JPEG: 179 million, Pillow's
        limit), all images together more than 2^31, a name has two images, or the JSON is not COCO; or if nothing
        usable is there. Left out, with a reason, are images without objects or without labels, and labels without
        an image.
    """
    path = Path(path).expanduser()
    if channels is not None and len(channels) not in (1, 3):
        raise TrainingError(f"channels {channels}: give three (red, green, blue) or one (grey)")
    if not path.exists():
        raise TrainingError(f"{path}: no such file or folder")
    if path.is_dir():
        samples = (_read_ome_zarr if _is_zarr(path) else _read_folder)(path, include, channels)
    elif path.suffix.lower() == ".json":
        samples = _read_coco(path, include, channels)
    else:
        raise TrainingError(f"{path}: not a training data set; give a folder of pairs, a COCO .json or an OME-Zarr")
    pairs, skipped = _gathered(samples, path)
    if not pairs and not skipped:
        raise TrainingError(f"{path}: no sample matches include {include}; give patterns of its names")
    if not pairs:
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        raise TrainingError(f"{path}: nothing to train on ({'; '.join(skipped[:3])}{more}); label some objects")
    return Dataset(path.resolve().name, tuple(pairs), tuple(skipped))


def _gathered(samples: Iterator[Pair | str], path: Path) -> tuple[list[Pair], list[str]]:
    """Samples, and notes on them and on what was left out."""
    pairs: list[Pair] = []
    notes: list[str] = []
    pixels = 0
    for sample in samples:
        if isinstance(sample, str):
            notes.append(sample)
            continue
        pairs.append(sample)
        pixels += sample.labels.size
        if pixels > _MAX_TOTAL_PX:
            raise TrainingError(f"{path}: more than {_MAX_TOTAL_PX} pixels in all; choose some with include = [...]")
        if (parts := _one_object_in_parts(sample)) > 2:
            notes.append(
                f"{sample.name}: kept, but its only label falls into {parts} parts; if those are objects, give "
                f"each its own number (skimage.measure.label)"
            )
    return pairs, notes


def looks_like_dataset(path: Path) -> bool:
    """Whether a path could be a data set: a JSON file, an OME-Zarr, or a folder with pictures or ``images``."""
    if path.is_file():
        return path.suffix.lower() == ".json"
    if not path.is_dir():
        return False
    return _is_zarr(path) or (path / "images").is_dir() or any(_is_picture(p) for p in path.iterdir())


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES and path.is_file()


def _one_object_in_parts(pair: Pair) -> int:
    """Into how many parts the only label of an image falls; 1 where there are several labels."""
    return int(ndimage.label(pair.labels)[1]) if pair.labels.max() == 1 else 1


def _read_folder(folder: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Pair | str]:
    images, labels = _folder_files(folder)
    if not labels:
        others = [p.name for p in sorted(folder.iterdir()) if p.suffix.lower() == ".json" or _is_zarr(p)]
        raise TrainingError(
            f"{folder}: no training pairs; give NAME.image.* with NAME.labels.tif, NAME.* with NAME_masks.*, or "
            f"folders images and labels{''.join(f'; or did you mean {name}?' for name in others[:1])}"
        )
    for name in sorted(images.keys() | labels.keys()):
        if not _matches(include, name):
            continue
        _check_single(name, images[name], labels[name])
        if not labels[name]:
            yield f"{name}: no label file"
        elif not images[name]:
            yield f"{name}: no image"
        else:
            yield _folder_sample(name, images[name][0], labels[name][0], channels)


def folder_pairs(folder: Path) -> Iterator[tuple[str, Path | None, Path | None]]:
    """What a folder of pairs holds, without reading any of it: name, image and label image of each sample.

    Parameters
    ----------
    folder : Path
        As `read_dataset` takes it.

    Raises
    ------
    TrainingError
        If a name has two images or two label images, or there are both labels and masks.
    """
    images, labels = _folder_files(folder)
    for name in sorted(images.keys() | labels.keys()):
        _check_single(name, images[name], labels[name])
        yield name, next(iter(images[name]), None), next(iter(labels[name]), None)


def _check_single(name: str, images: list[Path], labels: list[Path]) -> None:
    """Refuse a sample that two files claim."""
    for kind, files in (("images", images), ("label files", labels)):
        if len(files) > 1:
            names = " and ".join(p.name for p in files[:2])
            raise TrainingError(f"{files[0].parent}: {name} has two {kind}, {names}; keep one of them")


def _folder_files(folder: Path) -> tuple[defaultdict[str, list[Path]], defaultdict[str, list[Path]]]:
    """Image files and label files of each sample."""
    images: defaultdict[str, list[Path]] = defaultdict(list)
    labels: defaultdict[str, list[Path]] = defaultdict(list)
    subfolders = [folder / name for name in ("labels", "masks") if (folder / name).is_dir()]
    if subfolders and (folder / "images").is_dir():
        if len(subfolders) > 1:
            raise TrainingError(f"{folder}: has both labels and masks; rename the folder that is not meant")
        for files, place in ((images, folder / "images"), (labels, subfolders[0])):
            for name, path in _pictures(place):
                files[name].append(path)
        return images, labels
    for name, path in _pictures(folder):
        ending = next(e for e in (*LABELS_END, *_IMAGE_END, *_NEITHER_END, "") if name.endswith(e))
        if ending not in _NEITHER_END:
            (labels if ending in LABELS_END else images)[name.removesuffix(ending)].append(path)
    return images, labels


def _pictures(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name without ending, and path, of every picture in a folder."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _PICTURES and not path.name.startswith(".") and path.is_file():
            yield path.stem.removesuffix(".ome"), path


def _folder_sample(name: str, image: Path, labels: Path, channels: Channels) -> Pair | str:
    if labels.suffix.lower() not in (*_TIFF, ".png"):
        raise TrainingError(f"{labels}: labels must be exact; save them as TIFF or PNG")
    return _sample(name, str(labels), read_picture(labels, indices=True), partial(_read_rgb, image, channels))


def _read_coco(path: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Pair | str]:
    images = read_coco(path)
    if not images:
        raise TrainingError(f"{path}: lists no images; give an instances file with some")
    crowds = maskless = 0
    for image in images:
        file = PurePosixPath(image.file_name)
        if _matches(include, file.stem, str(file.parent / file.stem)):
            yield from _coco_samples(path, image, channels)
            crowds += image.crowds
            maskless += image.maskless
    for count, what in ((crowds, "of crowds"), (maskless, "without a segmentation")):
        if count:
            yield f"{path.name}: annotations {what}: {count}"


def _coco_samples(path: Path, image: CocoImage, channels: Channels) -> Iterator[Pair | str]:
    """The pair of an image of a COCO file, and what was left out."""
    file = PurePosixPath(image.file_name)
    name, count = str(file.parent / file.stem), len(image.segmentations)
    if not count:
        yield f"{name}: no objects"
        return
    place = find_image(path, image.file_name)
    if place is None:
        yield f"{name}: no image {image.file_name!r} beside {path.name} or in images"
        return
    rgb = _read_rgb(place, channels)
    shape = (rgb.shape[0], rgb.shape[1])
    if image.shape not in (None, shape):
        raise TrainingError(f"{place}: shape {shape} is not {image.shape} as {path.name} says; use that image")
    labels, hidden = render(image.segmentations, shape)
    if hidden < count:
        yield Pair(name, rgb, labels)
    if hidden:
        yield f"{name}: objects without a visible pixel: {hidden} of {count}"


def find_image(path: Path, file_name: str) -> Path | None:
    """Where an image that a COCO file names is, or None."""
    split = path.stem.removeprefix("instances_")
    for folder in (path.parent, path.parent.parent):
        for inner in (".", "images", split, f"images/{split}"):
            place = folder / inner / file_name
            if os.path.isfile(place):  # unlike Path.is_file, false for a name that no file can have
                return place
    return None


def _read_ome_zarr(path: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Pair | str]:
    metadata = _ome(path)
    folder = path if isinstance(metadata.get("labels"), list) else path / "labels"
    if "image-label" in metadata:
        groups = {path.resolve().name: path}
    elif _is_zarr(folder):
        listed = _ome(folder).get("labels")
        names = listed if isinstance(listed, list) else sorted(p.name for p in folder.iterdir() if _is_zarr(p))
        groups = {str(name): folder / str(name) for name in names}
    else:
        groups = {}
    if not groups:
        raise TrainingError(f"{path}: a zarr without OME-Zarr labels; put label images into labels/NAME")
    for name, group in groups.items():
        if _is_zarr(group):
            yield from _read_label_group(name, group, include, channels)
        elif _matches(include, name):
            yield f"{name}: no label image, though the metadata list it"


def _read_label_group(name: str, group: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Pair | str]:
    labels = _Planes.open(group)
    if labels.size("c") > 1:
        raise TrainingError(f"{group}: labels have {labels.size('c')} channels; save one label image for each")
    source = _source(group)
    image = None if source.is_file() else _Planes.open(source)
    sizes = [tuple(p.size(axis) if p else 1 for axis in "tz") for p in (labels, image)]
    if sizes[0] != sizes[1]:
        raise TrainingError(f"{group}: has {sizes[0]} planes in t and z, its image {source} has {sizes[1]}; match them")
    for t, z in product(range(labels.size("t")), range(labels.size("z"))):
        at = "".join(f"/{axis}{i}" for axis, i in (("t", t), ("z", z)) if labels.size(axis) > 1)
        if _matches(include, name, name + at):
            read = partial(image.rgb, t, z, channels) if image else partial(_read_rgb, source, channels)
            yield _sample(name + at, str(group), labels.read(t, z), read)


def _source(group: Path) -> Path:
    """The image that a labels group belongs to: an OME-Zarr group or a picture file."""
    about = _ome(group).get("image-label")
    source = about.get("source") if isinstance(about, dict) else None
    given = source.get("image") if isinstance(source, dict) else None
    places = [group / str(given).removeprefix("file://")] if given else []
    if group.resolve().parent.name == "labels":
        places.append(group / "../..")
    for place in places:
        found = Path(os.path.normpath(place.absolute()))
        if _is_zarr(found) or found.is_file():
            return found
    raise TrainingError(f"{group}: no image at {given!r}; write its path into the metadata, image-label/source/image")


@dataclass(frozen=True)
class _Planes:
    """Level 0 of an OME-Zarr image.

    Attributes
    ----------
    where : str
        For messages.
    array
        Zarr array with the axes of `axes`.
    axes : str
        Each of "tczyx" at most once, in any order.
    """

    where: str
    array: Any
    axes: str

    @classmethod
    def open(cls, path: Path) -> _Planes:
        """Open without reading pixels, and refuse what is not a picture of numbers."""
        try:
            first = _ome(path)["multiscales"][0]
            axes = "".join(a["name"] if isinstance(a, dict) else a for a in first.get("axes", "tczyx")).lower()
            array = _open_zarr(path)[first["datasets"][0]["path"]]
            shape, chunks, dtype = array.shape, array.chunks, np.dtype(array.dtype)
        except TrainingError:
            raise
        except _UNREADABLE as error:
            raise TrainingError(f"{path}: not a readable OME-Zarr image: {error!r}; write it anew") from error
        if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes) <= set("tczyx"):
            raise TrainingError(f"{path}: axes {axes!r} of an array of shape {shape} are not among 'tczyx'; mend them")
        if dtype.kind not in "buif":  # objects, strings: reading those may run code
            raise TrainingError(f"{path}: dtype {dtype} is not a picture; convert it to numbers")
        planes = cls(str(path), array, axes)
        _check_size(path, planes.size("y"), planes.size("x"), math.prod(chunks))
        return planes

    def size(self, axis: str) -> int:
        """Length of an axis, 1 if it is not there."""
        return int(self.array.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def read(self, t: int, z: int, c: int = 0) -> NDArray[np.generic]:
        """One plane (H, W)."""
        index = tuple({"t": t, "z": z, "c": c}.get(axis, slice(None)) for axis in self.axes)
        try:
            plane: NDArray[np.generic] = np.asarray(self.array[index])
        except _UNREADABLE as error:
            raise TrainingError(f"{self.where}: t {t}, z {z} cannot be read: {error}; write it anew") from error
        return plane if self.axes.index("y") < self.axes.index("x") else plane.T

    def rgb(self, t: int, z: int, channels: Channels, _: tuple[int, ...]) -> NDArray[np.uint8]:
        """The chosen channels of a plane, (H, W, 3)."""
        chosen = _chosen(channels, self.size("c"), self.where)
        return _to_rgb(np.stack([self.read(t, z, c) for c in chosen], axis=-1), None, self.where)


def _is_zarr(path: Path) -> bool:
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _open_zarr(path: Path) -> Any:
    import zarr  # noqa: PLC0415 - slow to import, and only this kind of data needs it

    try:
        return zarr.open(path, mode="r")
    except _UNREADABLE as error:
        raise TrainingError(f"{path}: not a readable zarr: {error}; write it anew") from error


def _ome(path: Path) -> dict[str, Any]:
    """OME metadata of a zarr group: 0.5 keeps them under "ome", 0.4 does not."""
    attributes = dict(_open_zarr(path).attrs)
    found = attributes.get("ome", attributes)
    return found if isinstance(found, dict) else {}


def _sample(
    name: str, where: str, raw: NDArray[np.generic], read_image: Callable[[tuple[int, ...]], NDArray[np.uint8]]
) -> Pair | str:
    """A pair, or why there is none; the image is read only if there are objects."""
    labels = checked_labels(raw, where)
    if not labels.any():
        return f"{name}: no objects"
    image = read_image(labels.shape)
    if image.shape[:2] != labels.shape:
        raise TrainingError(f"{where}: shape {labels.shape} is not its image's {image.shape[:2]}; make them equal")
    return Pair(name, image, labels)


def checked_labels(raw: NDArray[Any], where: str) -> NDArray[np.int32]:
    """Labels as int32, renumbered from 1 where they are far larger than their number."""
    if raw.dtype.kind not in "bui":
        raise TrainingError(f"{where}: labels are {raw.dtype}; save them as integers")
    if raw.ndim != 2:
        raise TrainingError(f"{where}: labels of shape {raw.shape} are not (y, x); save one integer for each pixel")
    numbers = raw.astype(np.uint8) * np.uint8(255) if raw.dtype.kind == "b" else raw
    lowest, highest = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if lowest < 0:
        raise TrainingError(f"{where}: label {lowest} is negative; number objects from 1, background is 0")
    if highest == 255 and numbers.itemsize == 1 and not ((numbers != 0) & (numbers != 255)).any():
        from scipy import ndimage  # noqa: PLC0415 - only such a mask needs it

        parts = ndimage.label(numbers, np.ones((3, 3)))[1]
        if parts > 1:
            raise TrainingError(
                f"{where}: a black-and-white mask of {parts} parts; number its objects (skimage.measure.label), "
                "or write 1 for 255 if they are one object"
            )
    if highest > 1000:
        values = np.unique(numbers)
        if highest > 10 * len(values) + 1000:
            values = values[values > 0]
            return np.searchsorted(values, numbers, side="right").astype(np.int32)
    return numbers.astype(np.int32)


def _read_rgb(path: Path, channels: Channels, shape: tuple[int, ...] = ()) -> NDArray[np.uint8]:
    """Read a picture file as (H, W, 3); `shape`, if known, tells channels that come first."""
    array = read_picture(path)
    if array.ndim == 3 and array.shape[:2] != shape and array.shape[1:] == shape:
        array = np.moveaxis(array, 0, -1)
    return _to_rgb(array, channels, str(path))


def read_picture(path: Path, indices: bool = False) -> NDArray[np.generic]:
    """Decode a picture file.

    Parameters
    ----------
    path : Path
        TIFF, or anything that Pillow reads; at most 2^28 pixels.
    indices : bool
        A palette gives its indices, as in label images, not its colours.

    Returns
    -------
    ndarray
        With the file's own axes and dtype.

    Raises
    ------
    TrainingError
        If it is too large or no picture.
    """
    try:
        if path.suffix.lower() in _TIFF:
            with tifffile.TiffFile(path) as tiff:
                series = tiff.series[0]
                size = dict(zip(series.axes, series.shape, strict=True))
                _check_size(path, size.get("Y", 1), size.get("X", 1), math.prod(series.shape))
                return np.asarray(series.asarray())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check_size(path, image.height, image.width)
                mode = _COLOURS.get(image.mode, image.mode)
                return np.asarray(image if indices or mode == image.mode else image.convert(mode))
    except TrainingError:
        raise
    except Image.DecompressionBombError as error:
        raise TrainingError(f"{path}: too large for a picture file ({error}); tile it") from error
    except _UNREADABLE as error:
        raise TrainingError(f"{path}: cannot be read as an image: {error}; save it anew") from error


def _check_size(path: Path, height: int, width: int, values: int = 0) -> None:
    """Refuse sizes that would fill the memory, as declared, before any pixel is read."""
    if height * width > _MAX_PX:
        raise TrainingError(f"{path}: {height} x {width} pixels are more than {_MAX_PX}; tile it")
    if values > _MAX_CHANNELS * _MAX_PX:
        raise TrainingError(f"{path}: {values} values at once are more than {_MAX_CHANNELS * _MAX_PX}; tile it")


def _to_rgb(array: NDArray[np.generic], channels: Channels, where: str) -> NDArray[np.uint8]:
    """Numbers (H, W[, C]) as (H, W, 3) of 8 bits."""
    if array.dtype.kind not in "buif":
        raise TrainingError(f"{where}: dtype {array.dtype} is not a picture; convert it to numbers")
    if array.ndim not in (2, 3):
        raise TrainingError(f"{where}: an image of shape {array.shape} is not (y, x) or (y, x, c); save single planes")
    array = array if array.ndim == 3 else array[..., None]
    array = array[..., list(_chosen(channels, array.shape[-1], where))]
    if array.dtype.kind == "f":
        known = np.isfinite(array)
        array = array if known.all() else np.where(known, array, array[known].min() if known.any() else 0)
    return to_rgb8(array)


def _chosen(channels: Channels, count: int, where: str) -> tuple[int, ...]:
    """Channels to use of so many."""
    chosen = channels or ((0, 1, 2) if count >= 3 else (0,))
    if any(not 0 <= c < count for c in chosen):
        raise TrainingError(f"{where}: channels {chosen} are not all there; the image has channels 0 to {count - 1}")
    return chosen


def _matches(include: Iterable[str], *names: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in include for name in names)
