"""Read a training data set: a folder of pairs, a COCO file or an OME-Zarr with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import ndimage

from src_models.model_errors import TrainingError
from src_models.training.data.coco_dataset import read_coco_dataset
from src_models.training.data.folder_dataset import has_pictures, read_folder
from src_models.training.data.zarr_dataset import is_zarr, read_ome_zarr
from src_models.user_paths import existing_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from src_models.training.data.labelled_images import LabelledImage, Sample

_MAX_TOTAL_PX = 1 << 31  # of a data set, which is held in memory: 14 GiB


@dataclass(frozen=True)
class TrainingDataset:
    """A training data set in memory.

    Attributes
    ----------
    name : str
        Name of its folder or file.
    images : tuple of LabelledImage
        At least one; each has at least one object. A pixel takes seven bytes.
    skipped : tuple of str
        Notes on samples that were skipped, such as "img_003: no objects".
    """

    name: str
    images: tuple[LabelledImage, ...]
    skipped: tuple[str, ...]


def read_dataset(
    path: Path, include: tuple[str, ...] = ("*",), channels: tuple[int, ...] | None = None
) -> TrainingDataset:
    """Read a training data set; its format is detected.

    - A folder of pairs: ``NAME.image.*`` with ``NAME.labels.tif``; ``NAME.*`` or ``NAME_img.*`` with ``NAME_masks.*``
      or ``NAME_mask.*`` (Cellpose); or sub-folders ``images`` and ``labels`` (or ``masks``) with equal names
      (StarDist). Labels are TIFF or PNG with an integer for each pixel; a palette PNG gives its indices.
    - A COCO JSON file with polygons or run lengths. Images are searched beside it, in ``images`` beside it or beside
      its folder, and in a folder named after the file (``annotations/instances_val.json``, ``val`` or ``images/val``).
      Small objects lie on top of large ones; crowds are skipped.
    - An OME-Zarr (0.4 or 0.5) image with ``labels/NAME``, or a labels group whose metadata name its image
      (``image-label/source/image``: an OME-Zarr, or a picture file). Level 0 is read; every t and z is a sample.

    Labels may have gaps. Labels far larger than their number are renumbered. An image is converted to RGB of 8 bits by
    `to_rgb8`; values that are not finite become the smallest value.

    Parameters
    ----------
    path : Path
        Folder, JSON file or OME-Zarr group.
    include : tuple of str
        Patterns; a sample is read if its name matches one of them. Its name is that of the image without its endings;
        in an OME-Zarr that of the labels, or with its plane, such as "cells/t0/z3".
    channels : tuple of int, optional
        Channels to use: three as red, green and blue, or one as grey. By default the first three, or the first.

    Returns
    -------
    TrainingDataset

    Raises
    ------
    TrainingError
        If a file cannot be read or used: image and labels differ in shape, labels are not integers or are negative, an
        image has more than 2^28 pixels (PNG, JPEG: 179 million, the limit of Pillow), all images together more than
        2^31, a name has two images, or the JSON is not COCO; or if nothing usable is left. Images without objects
        or labels, and labels without an image, are skipped with a note.
    """
    path = existing_path(path, TrainingError)
    if channels is not None and len(channels) not in (1, 3):
        remedy = "give three (red, green, blue) or one (grey)"
        raise TrainingError(f"channels is {channels}", parameter="channels", remedy=remedy)
    if path.is_dir():
        samples = (read_ome_zarr if is_zarr(path) else read_folder)(path, include, channels)
    elif path.suffix.lower() == ".json":
        samples = read_coco_dataset(path, include, channels)
    else:
        message = f"{path} is not a training data set"
        raise TrainingError(message, remedy="give a folder of pairs, a COCO .json or an OME-Zarr")
    images, notes = _collect(samples, path)
    if not images and not notes:
        message = f"{path}: no sample matches include {include}"
        raise TrainingError(message, parameter="include", remedy="give patterns of its names")
    if not images:
        more = f" and {len(notes) - 3} more" if len(notes) > 3 else ""
        message = f"{path}: nothing to train on ({'; '.join(notes[:3])}{more})"
        missing = any(": no image " in note for note in notes)
        remedy = "put the images beside the file, or in a folder images there" if missing else "label some objects"
        raise TrainingError(message, remedy=remedy)
    return TrainingDataset(path.resolve().name, tuple(images), tuple(notes))


def looks_like_dataset(path: Path) -> bool:
    """Return whether a path may be a data set: a JSON file, an OME-Zarr, or a folder with pictures or ``images``."""
    if path.is_file():
        return path.suffix.lower() == ".json"
    return path.is_dir() and (is_zarr(path) or has_pictures(path))


def _collect(samples: Iterator[Sample], path: Path) -> tuple[list[LabelledImage], list[str]]:
    """Read all samples; return the images, and notes on them and on samples that were skipped."""
    images: list[LabelledImage] = []
    notes: list[str] = []
    pixels = 0
    for sample in samples:
        if isinstance(sample, str):
            notes.append(sample)
            continue
        images.append(sample)
        pixels += sample.labels.size
        if pixels > _MAX_TOTAL_PX:
            message = f"{path}: more than {_MAX_TOTAL_PX} pixels in all"
            raise TrainingError(message, parameter="include", remedy="choose some images with include = [...]")
        if (parts := _parts_of_only_object(sample)) > 2:
            notes.append(
                f"{sample.name}: kept, but its only label has {parts} separate parts; if they are objects, give each "
                f"its own number (skimage.measure.label)"
            )
    return images, notes


def _parts_of_only_object(sample: LabelledImage) -> int:
    """Count the connected parts of the only label of an image; 1 if there are several labels."""
    return int(ndimage.label(sample.labels)[1]) if sample.labels.max() == 1 else 1
