"""Data sets of a training run, read into memory."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from src_models.model_errors import TrainingError
from src_models.training.data.datasets import read_dataset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from src_models.training.config import FolderConfig, TrainConfig
    from src_models.training.data.labelled_images import LabelledImage


@dataclass(frozen=True)
class TrainingData:
    """Images to train on and images to validate on.

    Attributes
    ----------
    folders : tuple of (float, tuple of LabelledImage)
        Weight and images of each data set to train on.
    validation : tuple of (tuple of LabelledImage)
        Images of each data set to validate on.
    skipped : tuple of str
        Notes on samples that were skipped.
    """

    folders: tuple[tuple[float, tuple[LabelledImage, ...]], ...]
    validation: tuple[tuple[LabelledImage, ...], ...]
    skipped: tuple[str, ...]

    @classmethod
    def read(cls, config: TrainConfig, root: Path) -> TrainingData:
        """Read the data sets of a configuration.

        Parameters
        ----------
        config : TrainConfig
            Names the data sets.
        root : Path
            Folder of their relative paths.

        Raises
        ------
        TrainingError
            If there is no data, or a data set cannot be read.
        """
        skipped: list[str] = []
        folders = tuple((f.weight, _read(root, f, skipped)) for f in config.folders)
        if not folders and config.synthetic_weight <= 0:
            raise TrainingError("there is no data", remedy="name folders, or set synthetic_weight above zero")
        validation = tuple(_read(root, f, skipped) for f in config.validation)
        if config.validate_every and not validation:
            message = f"validate_every is {config.validate_every}, but there is no validation data"
            raise TrainingError(message, parameter="validate_every", remedy="add [[validation]]")
        return cls(folders, validation, tuple(skipped))

    def checksum(self) -> int:
        """Return the CRC-32 of all images and labels to train on, in order."""
        return _checksum(image for _, images in self.folders for image in images)


def validation_sets(config: TrainConfig, root: Path) -> tuple[tuple[LabelledImage, ...], ...]:
    """Read only the validation data of a configuration; raises `TrainingError` as `TrainingData.read`."""
    return tuple(_read(root, folder, []) for folder in config.validation)


def _read(root: Path, config: FolderConfig, skipped: list[str]) -> tuple[LabelledImage, ...]:
    """Read a data set, and append notes on what was skipped."""
    path = root / config.path
    if not path.exists():
        message = f"data set {config.path!r}: there is no {path}"
        raise TrainingError(message, remedy="give paths relative to the data root ({data})")
    dataset = read_dataset(path, config.include, config.channels or None)
    skipped += [f"{config.path}: {note}" for note in dataset.skipped]
    return dataset.images


def _checksum(images: Iterable[LabelledImage]) -> int:
    crc = 0
    for image in images:
        crc = zlib.crc32(image.name.encode(), crc)
        for array in (image.image, image.labels):
            crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc
