"""Data Science Bowl 2018 (BBBC038): ID/images/ID.png and one mask file for each object in ID/masks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject, object_from_mask
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity
from src_models.training.data.picture_files import read_picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_COLOUR_CHANNELS = {2: 1, 4: 3}  # without the alpha channel


def is_dsb2018(root: Path) -> bool:
    """Whether the sub-folders of a folder hold images and masks."""
    return any(True for _ in root.glob("*/masks/*.png")) and any(True for _ in root.glob("*/images/*.png"))


def find_dsb2018_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """Find the images that have masks."""
    samples = []
    for folder in sorted(path for path in root.iterdir() if (path / "images").is_dir()):
        images = sorted((folder / "images").glob("*.png"))
        masks = sorted((folder / "masks").glob("*.png"))
        if images and masks:
            read_truth, identity = partial(_read_masks, folder), file_identity(images[0], *masks)
            groups = {"dataset": root.name}
            samples.append(Sample(root.name, folder.name, images[0], read_truth, identity=identity, groups=groups))
        elif images:
            notes.append(f"{images[0]}: an image without masks")
    return samples


def _read_masks(folder: Path) -> GroundTruth:
    objects: list[TrueObject] = []
    shape: tuple[int, int] | None = None
    for label, path in enumerate(sorted((folder / "masks").glob("*.png")), start=1):
        mask = _read_mask(path)
        if shape not in (None, mask.shape):
            raise EvaluationError(
                f"{path}: mask of shape {mask.shape} beside others of {shape}", remedy="give masks of one shape"
            )
        shape = (int(mask.shape[0]), int(mask.shape[1]))
        true_object = object_from_mask(label, mask, (0, 0))
        if true_object is not None:
            objects.append(true_object)
    if shape is None:
        raise EvaluationError(f"{folder}: no masks", remedy="give masks/*.png, one file for each object")
    return GroundTruth(shape, tuple(objects))


def _read_mask(path: Path) -> NDArray[np.bool_]:
    pixels = np.asarray(read_picture(path, indices=True), np.float64)
    if pixels.ndim == 3:
        channels = pixels.shape[-1]
        pixels = pixels[..., : _COLOUR_CHANNELS.get(channels, channels)].max(-1)
    return np.asarray(pixels > 0)
