"""Collections of data sets: DATASET/SPLIT/NAME.image.* with NAME.labels.tif or NAME.gt.npz, and an INDEX.csv."""

from __future__ import annotations

import csv
import glob
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth, truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity
from src_models.training.data.labelled_images import checked_labels
from src_models.training.data.picture_files import read_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    _Index = Mapping[tuple[str, str], Mapping[str, str]]

LABELS_SUFFIX = ".labels.tif"
_BOUNDARIES_SUFFIX = ".gt.npz"
_INDEX_FILE = "INDEX.csv"
_INDEX_COLUMNS = ("modality", "dtype", "channels")
_INDEX_DEPTH = 3  # folders above the data in which the index may lie


def dataset_folders(root: Path, split: str) -> list[Path]:
    """Return the root itself if it holds labelled images, otherwise its folders DATASET/SPLIT that do."""
    if _has_samples(root):
        return [root]
    return [folder for folder in sorted(root.glob(f"*/{split}")) if _has_samples(folder)]


def dataset_name(folder: Path, root: Path, split: str) -> str:
    """Return the name of the data set of a folder that `dataset_folders` found."""
    return folder.resolve().name if folder == root and folder.name != split else folder.resolve().parent.name


def _has_samples(folder: Path) -> bool:
    return any(folder.glob(f"*{LABELS_SUFFIX}")) or any(folder.glob(f"*{_BOUNDARIES_SUFFIX}"))


def find_collection_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """Find the samples of a collection, or of one of its folders."""
    samples: list[Sample] = []
    for folder in dataset_folders(root, split):
        dataset = dataset_name(folder, root, split)
        index = read_index(folder if folder == root else root)
        samples += _labelled(folder, dataset, index, notes)
        samples += _with_boundaries(folder, dataset, index)
    return samples


def _labelled(folder: Path, dataset: str, index: _Index, notes: list[str]) -> Iterator[Sample]:
    for labels in sorted(folder.glob(f"*{LABELS_SUFFIX}")):
        name = labels.name.removesuffix(LABELS_SUFFIX)
        image = next(iter(sorted(folder.glob(f"{glob.escape(name)}.image.*"))), None)
        if image is not None:
            yield sample_from_pair(dataset, name, image, labels, index.get((dataset, name)))
        else:
            notes.append(f"{labels}: labels without an image")


def _with_boundaries(folder: Path, dataset: str, index: _Index) -> Iterator[Sample]:
    for boundaries in sorted(folder.glob(f"*{_BOUNDARIES_SUFFIX}")):
        name = boundaries.name.removesuffix(_BOUNDARIES_SUFFIX)
        pictures = (p for p in sorted(folder.glob(f"{glob.escape(name)}.*")) if p.suffix in (".jpg", ".png"))
        image = next(pictures, None)
        if image is not None:
            yield Sample(
                dataset,
                name,
                image,
                partial(_read_packed_boundaries, boundaries),
                identity=file_identity(image, boundaries),
                kind="boundaries",
                groups={"dataset": dataset, **index.get((dataset, name), {})},
            )


def sample_from_pair(
    dataset: str, name: str, image: Path, labels: Path, groups: Mapping[str, str] | None = None
) -> Sample:
    """Return the sample of an image file and a label file."""
    return Sample(
        dataset,
        name,
        image,
        partial(_read_labels, labels),
        identity=file_identity(image, labels),
        groups={"dataset": dataset, **(groups or {})},
    )


def _read_labels(path: Path) -> GroundTruth:
    return truth_from_labels(checked_labels(read_picture(path, indices=True), str(path)))


def _read_packed_boundaries(path: Path) -> GroundTruth:
    """Read the .npz in which this project's data store BSDS500: packed boundaries of all annotators."""
    try:
        with np.load(path, allow_pickle=False) as file:
            packed, shape = file["boundaries_packed"], tuple(int(n) for n in file["shape"][:2])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EvaluationError(
            f"{path}: no boundaries of annotators: {error}", remedy="export the file again"
        ) from error
    boundaries = np.unpackbits(packed, axis=2)[:, :, : shape[1]].astype(bool)
    return GroundTruth((boundaries.shape[1], boundaries.shape[2]), boundaries=boundaries)


def read_index(root: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Read the groups of each sample from an INDEX.csv in the folder or up to three folders above."""
    folders = (root, *list(root.resolve().parents)[:_INDEX_DEPTH])
    path = next((folder / _INDEX_FILE for folder in folders if (folder / _INDEX_FILE).exists()), None)
    if path is None:
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"dataset", "sample"} <= rows[0].keys():
        return {}
    return {(row["dataset"], row["sample"]): {k: row[k] for k in _INDEX_COLUMNS if row.get(k)} for row in rows}
