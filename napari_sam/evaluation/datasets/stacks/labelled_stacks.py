"""Volumes and movies with known objects: collections of DATASET/SPLIT/NAME.image.* with NAME.labels.tif."""

from __future__ import annotations

import glob
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError, ImageError
from napari_sam.evaluation.datasets.collection_format import LABELS_SUFFIX, dataset_folders, dataset_name, read_index
from napari_sam.evaluation.datasets.labelled_samples import Sample, evenly_spaced, file_identity
from napari_sam.evaluation.datasets.stack_truth import MOVIE, STACK_AXES, VOLUME, open_stack_truth
from napari_sam.evaluation.datasets.stacks.challenge_folders import find_challenge_samples, is_challenge
from napari_sam.io.images.open_image import open_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.stack_truth import StackObject, StackTruth
    from napari_sam.io.images.lazy_image import Image

TRACKS_SUFFIX = ".tracks.txt"
MIN_VOXELS = 64
"""Objects smaller than this are not prompted."""

_NAMES = {VOLUME: "a volume", MOVIE: "a movie"}


def select_stack_objects(truth: StackTruth, limit: int | None, min_planes: int = 2) -> list[StackObject]:
    """Return up to `limit` objects on at least `min_planes` planes, evenly spaced over the labels."""
    large = [o for o in truth.objects if o.voxels >= MIN_VOXELS and len(o.planes) >= min_planes]
    return [large[i] for i in evenly_spaced(len(large), limit)]


def find_stack_samples(root: Path, split: str, kind: str, only: Sequence[str] | None, notes: list[str]) -> list[Sample]:
    """Find the volumes or movies of a collection, or of one of its folders.

    Parameters
    ----------
    root : Path
        Folder with DATASET/SPLIT/NAME.image.* and NAME.labels.tif; NAME.tracks.txt holds the lineage of a movie, in the
        format of the Cell Tracking Challenge. Or a data set of that, with 01 and 01_GT/TRA, or a folder of these.
    split : str
        Part of the data.
    kind : str
        `VOLUME` or `MOVIE`. A file whose axes are declared as the other one is left out.
    only : sequence of str, optional
        Data sets to keep; all by default.
    notes : list of str
        Receives what was left out and why.

    Raises
    ------
    EvaluationError
        If there is none.
    """
    if not root.is_dir():
        raise EvaluationError(f"{root}: no such folder", remedy="check the path")
    samples = _challenge_samples(root, only) if kind == MOVIE else []
    for folder in dataset_folders(root, split):
        dataset, index = dataset_name(folder, root, split), read_index(folder if folder == root else root)
        if only and dataset not in only:
            continue
        for labels in sorted(folder.glob(f"*{LABELS_SUFFIX}")):
            name = labels.name.removesuffix(LABELS_SUFFIX)
            sample = _sample(labels, kind, dataset, index.get((dataset, name), {}), notes)
            samples += [sample] if sample is not None else []
    if not samples:
        among = f" among {', '.join(only)}" if only else ""
        raise EvaluationError(
            f"{root}: no {kind} with labels{among}",
            remedy=f"give a folder with DATASET/{split}/NAME.image.tif and NAME{LABELS_SUFFIX}, both with the axes "
            f"{STACK_AXES[kind]}yx",
        )
    return samples


def _challenge_samples(root: Path, only: Sequence[str] | None) -> list[Sample]:
    """Return the movies of a data set of the Cell Tracking Challenge, or of a folder of such data sets."""
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    samples = [sample for folder in folders if is_challenge(folder) for sample in find_challenge_samples(folder)]
    return [sample for sample in samples if not only or sample.dataset in only]


def _sample(labels: Path, kind: str, dataset: str, groups: Mapping[str, str], notes: list[str]) -> Sample | None:
    """Return a sample of the wanted kind; otherwise add a note."""
    name = labels.name.removesuffix(LABELS_SUFFIX)
    image = next(iter(sorted(labels.parent.glob(f"{glob.escape(name)}.image.*"))), None)
    if image is None:
        notes.append(f"{labels}: labels without an image")
        return None
    try:
        axes = open_image(labels).plane_axes
    except ImageError as error:
        notes.append(str(error))
        return None
    declared = next((k for k, axis in STACK_AXES.items() if axis in axes), kind)
    if not axes or declared != kind:
        notes.append(f"{labels}: is {_NAMES[declared] if axes else 'a single image'}, not {_NAMES[kind]}")
        return None
    tracks = labels.with_name(f"{name}{TRACKS_SUFFIX}")
    lineage = tracks if tracks.exists() else None
    return Sample(
        dataset,
        name,
        image,
        partial(_refuse_plane, labels),
        identity=file_identity(image, labels, lineage),
        kind=kind,
        groups={"dataset": dataset, **groups},
        read_stack=partial(open_stack_truth, labels, kind, lineage),
    )


def _refuse_plane(labels: Path) -> GroundTruth:
    raise EvaluationError(f"{labels}: is a stack", remedy="use evaluate volumes or evaluate tracking")


def open_stack_sample(sample: Sample) -> tuple[Image, StackTruth]:
    """Return image and truth of a stack.

    Raises
    ------
    EvaluationError
        If the sample is no stack, or image and labels differ in shape.
    """
    if sample.read_stack is None:
        raise EvaluationError(f"{sample.title}: is no stack", remedy="use evaluate everything or evaluate points")
    truth, source = sample.read_stack(), sample.source()
    image = open_image(source, axes="tyx" if isinstance(source, np.ndarray) else None)
    planes = tuple(image.plane_axes.values())
    if (*planes, *image.shape) != truth.shape:
        raise EvaluationError(
            f"{sample.title}: labels of shape {truth.shape} for an image of shape {(*planes, *image.shape)}",
            remedy="give labels of the same shape as the image",
        )
    return image, truth
