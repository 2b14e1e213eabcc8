"""TissueNet: an .npz with X (N, H, W, 2) and y (N, H, W, 2), whole cells and nuclei."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity
from src_models.training.data.labelled_images import checked_labels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_COMPARTMENTS = ("cells", "nuclei")
_GROUP_LISTS = ("tissue_list", "platform_list")
_RGB_CHANNELS = (2, 1)  # nuclei come first and are shown blue, membranes green
_PERCENTILES = (1, 99.9)


def find_tissuenet_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """Find the images, once for each kind of label.

    Raises
    ------
    EvaluationError
        If X and y are not of the same images.
    """
    images, labels = _read_arrays(root)
    if images.shape[0] != labels.shape[0] or images.shape[1:3] != labels.shape[1:3]:
        raise EvaluationError(
            f"{root}: X of shape {images.shape} with y of shape {labels.shape}", remedy="give both of the same images"
        )
    lists = _read_group_lists(root)
    identity = f"{root.resolve()}|{file_identity(root)}"
    samples = []
    for i in range(images.shape[0]):
        for channel, compartment in enumerate(_COMPARTMENTS[: labels.shape[3]]):
            dataset = f"{root.stem} {compartment}"
            groups = {"dataset": dataset, "compartment": compartment, **_groups_of(lists, i)}
            read_truth, read_image = partial(_read_truth, root, i, channel), partial(_read_image, root, i)
            key = f"{identity}|{i}|{channel}"
            samples.append(Sample(dataset, f"{i:05d}", None, read_truth, read_image, key, groups=groups))
    return sorted(samples, key=lambda sample: (sample.dataset, sample.name))


def _groups_of(lists: Mapping[str, NDArray[np.generic]], index: int) -> dict[str, str]:
    return {name.removesuffix("_list"): str(values[index]) for name, values in lists.items() if len(values) > index}


def _read_group_lists(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read the tissue and platform of each image; pickled lists are skipped."""
    lists: dict[str, NDArray[np.generic]] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in _GROUP_LISTS:
            if name in file.files:
                try:
                    lists[name] = file[name]
                except ValueError:
                    continue
    return lists


@lru_cache(maxsize=1)
def _read_arrays(path: Path) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file["X"], file["y"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EvaluationError(
            f"{path}: not TissueNet, an .npz with X and y: {error}", remedy="download the file again"
        ) from error
    if images.ndim != 4 or labels.ndim != 4:
        raise EvaluationError(
            f"{path}: X of shape {images.shape} and y of shape {labels.shape}", remedy="give both as (N, H, W, C)"
        )
    return images, labels


def _read_truth(path: Path, index: int, channel: int) -> GroundTruth:
    labels = np.asarray(_read_arrays(path)[1][index, ..., channel])
    return truth_from_labels(checked_labels(labels, f"{path}: y[{index}]"))


def _read_image(path: Path, index: int) -> NDArray[np.uint8]:
    """Read an image as RGB, each channel scaled to its 1st and 99.9th percentile."""
    raw = np.asarray(_read_arrays(path)[0][index], np.float32)
    rgb = np.zeros((*raw.shape[:2], 3), np.uint8)
    for channel, rgb_channel in zip(range(raw.shape[-1]), _RGB_CHANNELS, strict=False):
        low, high = np.percentile(raw[..., channel], _PERCENTILES)
        rgb[..., rgb_channel] = np.clip((raw[..., channel] - low) / max(high - low, 1e-6), 0, 1) * 255
    return rgb
