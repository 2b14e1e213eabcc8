"""Training data in COCO instance files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from src_models.model_errors import TrainingError
from src_models.training.data.coco_files import read_coco, render
from src_models.training.data.labelled_images import LabelledImage, matches
from src_models.training.data.picture_files import read_rgb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from src_models.training.data.coco_files import CocoImage
    from src_models.training.data.labelled_images import Sample
    from src_models.training.data.picture_files import Channels


def read_coco_dataset(path: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Sample]:
    """Read the labelled images of a COCO file, as `read_dataset` describes them.

    Parameters
    ----------
    path : Path
        The JSON file.
    include : tuple of str
        Patterns of names.
    channels : tuple of int, optional
        Channels to use.

    Yields
    ------
    LabelledImage or str
        A sample, or a note on images and annotations that were skipped.

    Raises
    ------
    TrainingError
        If the file lists no images, or an image or annotation cannot be used.
    """
    images = read_coco(path)
    if not images:
        raise TrainingError(f"{path} lists no images", remedy="give an instances file with images")
    crowds = maskless = 0
    unique = unique_names(image.file_name for image in images)
    for image in images:
        file = PurePosixPath(image.file_name)
        if matches(include, file.stem, str(file.parent / file.stem)):
            yield from _read_image(path, image, channels, unique)
            crowds += image.crowds
            maskless += image.maskless
    for count, kind in ((crowds, "of crowds"), (maskless, "without a segmentation")):
        if count:
            yield f"{path.name}: annotations {kind}: {count}"


def bare_name(file_name: str) -> str:
    r"""Return the last part of a name in a COCO file, which may be a path or URL of another machine.

    >>> bare_name("C:\\media\\upload\\a%20b.png")
    'a b.png'
    """
    return unquote(file_name).replace("\\", "/").rpartition("/")[2]


def unique_names(file_names: Iterable[str]) -> set[str]:
    """Return the names of images, without folders, that occur once in a COCO file."""
    counts = Counter(map(bare_name, file_names))
    return {name for name, count in counts.items() if count == 1 and name}


def find_image(path: Path, file_name: str, unique: set[str] | None = None) -> Path | None:
    """Find the image that a COCO file names.

    Parameters
    ----------
    path : Path
        The COCO file.
    file_name : str
        As in the file: a path below its folder or ``images``, possibly percent-encoded; or a path or URL on another
        machine, whose last part is then looked for.
    unique : set of str, optional
        From `unique_names`: names that may be looked for without their folder.

    Returns
    -------
    Path or None
        None if there is none.
    """
    split = path.stem.removeprefix("instances_")
    name = bare_name(file_name)
    names = dict.fromkeys([file_name, unquote(file_name), *([name] if name in (unique or ()) else [])])
    for known in names:
        for folder in (path.parent, path.parent.parent):
            for inner in (".", "images", split, f"images/{split}"):
                candidate = folder / inner / known
                if os.path.isfile(candidate):  # unlike Path.is_file, False for a name that no file can have
                    return candidate
    return None


def _read_image(path: Path, image: CocoImage, channels: Channels, unique: set[str]) -> Iterator[Sample]:
    """Read an image of a COCO file with its labels, and note what was skipped."""
    file = PurePosixPath(image.file_name)
    name, count = str(file.parent / file.stem), len(image.segmentations)
    if not count:
        yield f"{name}: no objects"
        return
    picture = find_image(path, image.file_name, unique)
    if picture is None:
        yield f"{name}: no image {image.file_name!r} beside {path.name} or in images"
        return
    rgb = read_rgb(picture, channels)
    shape = (rgb.shape[0], rgb.shape[1])
    if image.shape not in (None, shape):
        message = f"{picture}: shape {shape} is not the shape {image.shape} in {path.name}"
        raise TrainingError(message, remedy="use the image that was annotated")
    labels, hidden = render(image.segmentations, shape)
    if hidden < count:
        yield LabelledImage(name, rgb, labels)
    if hidden:
        yield f"{name}: objects without a visible pixel: {hidden} of {count}"
