"""Folders of image and label files (Cellpose, StarDist, this project), and OME-Zarr groups with labels."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from napari_sam.evaluation.datasets.collection_format import LABELS_SUFFIX, find_collection_samples, sample_from_pair
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity
from src_models.training.data.datasets import looks_like_dataset, read_dataset
from src_models.training.data.folder_dataset import folder_pairs

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from src_models.training.data.labelled_images import LabelledImage

_ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs")


def is_paired(root: Path) -> bool:
    """Whether a folder looks like pairs of images and labels."""
    return any(root.glob(f"*{LABELS_SUFFIX}")) or looks_like_dataset(root)


def find_paired_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """Find the pairs of a folder, or the images of an OME-Zarr group with labels."""
    if any(root.glob(f"*{LABELS_SUFFIX}")):
        return find_collection_samples(root, split, notes)
    if any((root / name).exists() for name in _ZARR_FILES):
        return _find_zarr_samples(root)
    pairs = list(folder_pairs(root))
    if not pairs:
        read_dataset(root)  # raises an error that names what is missing
    notes += [f"{image}: an image without labels" for _, image, labels in pairs if image is not None and labels is None]
    notes += [
        f"{labels}: labels without an image" for _, image, labels in pairs if image is None and labels is not None
    ]
    dataset = root.resolve().name
    return [
        sample_from_pair(dataset, name, image, labels)
        for name, image, labels in pairs
        if image is not None and labels is not None
    ]


def _find_zarr_samples(root: Path) -> list[Sample]:
    identity = f"{root.resolve()}|{file_identity(*sorted(path for path in root.rglob('*') if path.is_file()))}"
    return [
        Sample(
            root.name,
            pair.name,
            None,
            partial(_read_pair_truth, root, i),
            partial(_read_pair_image, root, i),
            identity,
            groups={"dataset": root.name},
        )
        for i, pair in enumerate(_read_pairs(root))
    ]


@lru_cache(maxsize=1)
def _read_pairs(root: Path) -> tuple[LabelledImage, ...]:
    return tuple(read_dataset(root).images)


def _read_pair_truth(root: Path, index: int) -> GroundTruth:
    return truth_from_labels(_read_pairs(root)[index].labels)


def _read_pair_image(root: Path, index: int) -> NDArray[np.generic]:
    return _read_pairs(root)[index].image
