"""Training data in folders of image files and label files."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from src_models.model_errors import TrainingError
from src_models.training.data.labelled_images import labelled_image, matches
from src_models.training.data.picture_files import PICTURE_SUFFIXES, TIFF_SUFFIXES, read_picture, read_rgb
from src_models.training.data.zarr_dataset import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from src_models.training.data.labelled_images import Sample
    from src_models.training.data.picture_files import Channels

    Files = defaultdict[str, list[Path]]

LABEL_ENDINGS = (".labels", "_cp_masks", "_masks", "_mask")
_IMAGE_ENDINGS = (".image", "_img")
_OTHER_ENDINGS = ("_flows", "_cp_output")  # files that Cellpose saves beside its masks


def read_folder(folder: Path, include: tuple[str, ...], channels: Channels) -> Iterator[Sample]:
    """Read the labelled images of a folder, as `read_dataset` describes them.

    Parameters
    ----------
    folder : Path
        The folder.
    include : tuple of str
        Patterns of names.
    channels : tuple of int, optional
        Channels to use.

    Yields
    ------
    LabelledImage or str
        A sample, or a note on a file without a partner.

    Raises
    ------
    TrainingError
        If there are no pairs, a name is ambiguous, or a file cannot be used.
    """
    images, labels = _files(folder)
    if not labels:
        others = [p.name for p in sorted(folder.iterdir()) if p.suffix.lower() == ".json" or is_zarr(p)]
        hint = f" (or is {others[0]} the data set?)" if others else ""
        raise TrainingError(
            f"{folder} has no training pairs{hint}",
            remedy="give NAME.image.* with NAME.labels.tif, NAME.* with NAME_masks.*, or folders images and labels",
        )
    for name in sorted(images.keys() | labels.keys()):
        if not matches(include, name):
            continue
        _check_unique(name, images[name], labels[name])
        if not labels[name]:
            yield f"{name}: no label file"
        elif not images[name]:
            yield f"{name}: no image"
        else:
            yield _read_pair(name, images[name][0], labels[name][0], channels)


def folder_pairs(folder: Path) -> Iterator[tuple[str, Path | None, Path | None]]:
    """List the names, images and label images of a folder without reading them.

    Parameters
    ----------
    folder : Path
        As `read_dataset` takes it.

    Raises
    ------
    TrainingError
        If a name has two images or two label images, or there are both labels and masks.
    """
    images, labels = _files(folder)
    for name in sorted(images.keys() | labels.keys()):
        _check_unique(name, images[name], labels[name])
        yield name, next(iter(images[name]), None), next(iter(labels[name]), None)


def has_pictures(folder: Path) -> bool:
    """Return whether a folder has picture files, or a folder ``images``."""
    return (folder / "images").is_dir() or any(_is_picture(path) for path in folder.iterdir())


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()


def _check_unique(name: str, images: list[Path], labels: list[Path]) -> None:
    """Refuse a sample with several images or label files."""
    for kind, files in (("images", images), ("label files", labels)):
        if len(files) > 1:
            names = " and ".join(p.name for p in files[:2])
            raise TrainingError(f"{files[0].parent}: {name} has two {kind}, {names}", remedy="keep one of them")


def _files(folder: Path) -> tuple[Files, Files]:
    """Return the image files and the label files of each sample."""
    images: Files = defaultdict(list)
    labels: Files = defaultdict(list)
    subfolders = [folder / name for name in ("labels", "masks") if (folder / name).is_dir()]
    if subfolders and (folder / "images").is_dir():
        if len(subfolders) > 1:
            raise TrainingError(f"{folder} has both labels and masks", remedy="rename the folder that is not meant")
        for files, subfolder in ((images, folder / "images"), (labels, subfolders[0])):
            for name, path in _pictures(subfolder):
                files[name].append(path)
        return images, labels
    for name, path in _pictures(folder):
        ending = next(e for e in (*LABEL_ENDINGS, *_IMAGE_ENDINGS, *_OTHER_ENDINGS, "") if name.endswith(e))
        if ending not in _OTHER_ENDINGS:
            (labels if ending in LABEL_ENDINGS else images)[name.removesuffix(ending)].append(path)
    return images, labels


def _pictures(folder: Path) -> Iterator[tuple[str, Path]]:
    """List name without suffix, and path, of every picture in a folder."""
    for path in sorted(folder.iterdir()):
        if _is_picture(path) and not path.name.startswith("."):
            yield path.stem.removesuffix(".ome"), path


def _read_pair(name: str, image: Path, labels: Path, channels: Channels) -> Sample:
    if labels.suffix.lower() not in (*TIFF_SUFFIXES, ".png"):
        raise TrainingError(f"{labels}: labels must be exact", remedy="save them as TIFF or PNG")
    return labelled_image(name, str(labels), read_picture(labels, indices=True), partial(read_rgb, image, channels))
