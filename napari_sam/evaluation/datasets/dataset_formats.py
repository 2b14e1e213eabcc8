"""Find the labelled images of a file or folder in any of the supported formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets import (
    bsds_format,
    coco_format,
    collection_format,
    dsb2018_format,
    paired_folders,
    tissuenet_format,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam.evaluation.datasets.labelled_samples import Sample

_LABELS = collection_format.LABELS_SUFFIX


@dataclass(frozen=True)
class DatasetFormat:
    """A data format.

    Attributes
    ----------
    find : callable
        Takes a path, the split and a list for notes on what is left out; returns the samples.
    remedy : str
        What to give, as an imperative phrase.
    """

    find: Callable[[Path, str, list[str]], list[Sample]]
    remedy: str


def _find_in_label_store(root: Path, split: str, notes: list[str]) -> list[Sample]:
    from napari_sam.evaluation.datasets.label_store_format import find_store_samples  # noqa: PLC0415 - only stores

    return find_store_samples(root)


FORMATS: dict[str, DatasetFormat] = {
    "collection": DatasetFormat(
        collection_format.find_collection_samples, f"give the folder of DATASET/SPLIT/NAME.image.* with NAME{_LABELS}"
    ),
    "pairs": DatasetFormat(
        paired_folders.find_paired_samples,
        "give NAME.image.* with NAME.labels.tif, NAME.* or NAME_img.* with NAME_masks.*, or images/ and masks/",
    ),
    "coco": DatasetFormat(coco_format.find_coco_samples, "give an instances .json beside its images"),
    "lvis": DatasetFormat(coco_format.find_coco_samples, "give lvis_v1_val.json beside its images"),
    "livecell": DatasetFormat(coco_format.find_coco_samples, "give livecell_coco_val.json beside its images"),
    "bsds": DatasetFormat(bsds_format.find_bsds_samples, "give the folder with images/SPLIT and groundTruth/SPLIT"),
    "dsb2018": DatasetFormat(
        dsb2018_format.find_dsb2018_samples, "give the folder with ID/images/ID.png and ID/masks/*.png"
    ),
    "cellpose": DatasetFormat(
        paired_folders.find_paired_samples, "give the folder with NAME_img.png and NAME_masks.png"
    ),
    "tissuenet": DatasetFormat(tissuenet_format.find_tissuenet_samples, "give an .npz with X and y"),
    "labelstore": DatasetFormat(_find_in_label_store, "give the .ome.zarr of a LabelStore"),
}
"""Supported formats, by name."""

AUTO = "auto"
"""Recognise the format."""


def find_samples(
    path: str | Path,
    format_name: str = AUTO,
    split: str = "dev",
    only: Sequence[str] | None = None,
    notes: list[str] | None = None,
) -> list[Sample]:
    """Find the labelled images of a file or folder.

    Parameters
    ----------
    path : str or Path
        File or folder.
    format_name : str
        One of `FORMATS`, or "auto" to recognise the format.
    split : str
        Part of the data, where there are folders for it.
    only : sequence of str, optional
        Data sets to keep; all by default.
    notes : list of str, optional
        Receives what was left out and why, such as an image without labels.

    Returns
    -------
    list of Sample
        Samples sorted by data set and name.

    Raises
    ------
    EvaluationError
        If there is nothing of this format, no labelled image, or a data set of `only` is missing.
    TrainingError
        If a file is damaged.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise EvaluationError(f"{root}: no such file or folder", remedy="check the path")
    if format_name not in (AUTO, *FORMATS):
        raise EvaluationError(f"format {format_name!r} is unknown", remedy=f"give one of {', '.join((AUTO, *FORMATS))}")
    name = recognise_format(root, split) if format_name == AUTO else format_name
    samples = FORMATS[name].find(root, split, [] if notes is None else notes)
    if not samples:
        raise EvaluationError(f"{root}: no labelled image of format {name}", remedy=FORMATS[name].remedy)
    datasets = sorted({sample.dataset for sample in samples})
    if missing := sorted(set(only or ()) - set(datasets)):
        raise EvaluationError(
            f"data set {missing[0]!r} is not under {root}; there are {', '.join(datasets)}",
            remedy="choose one of these",
        )
    return [sample for sample in samples if not only or sample.dataset in only]


def recognise_format(root: Path, split: str) -> str:
    """Return the name of the format that a file or folder has.

    Raises
    ------
    EvaluationError
        If it has none.
    """
    if root.is_file():
        return _file_format(root)
    for name, matches in _FOLDER_CHECKS:
        if matches(root, split):
            return name
    if not any(root.iterdir()):
        raise EvaluationError(f"{root}: the folder is empty", remedy="give a folder with labelled images")
    raise EvaluationError(
        f"{root}: no labelled images, nor DATASET/{split}/NAME{_LABELS}{_hint(root)}", remedy="give another {split}"
    )


def _file_format(path: Path) -> str:
    known = {".json": "coco", ".npz": "tissuenet"}
    if path.suffix.lower() not in known:
        raise EvaluationError(f"{path}: not labelled images", remedy="give a folder, a COCO .json or a TissueNet .npz")
    return known[path.suffix.lower()]


def _is_label_store(root: Path, split: str) -> bool:
    return (root / "journal.sqlite").exists() or any(root.glob("*.sqlite"))


_FOLDER_CHECKS: tuple[tuple[str, Callable[[Path, str], bool]], ...] = (
    ("bsds", lambda root, _: bsds_format.data_folder(root) is not None),
    ("collection", lambda root, split: bool(collection_format.dataset_folders(root, split))),
    ("labelstore", _is_label_store),
    ("dsb2018", lambda root, _: dsb2018_format.is_dsb2018(root)),
    ("pairs", lambda root, _: paired_folders.is_paired(root)),
)


def _hint(root: Path) -> str:
    """Return what a folder holds instead of labelled images."""
    files = sorted(str(path) for path in root.rglob("*.json"))
    if files:
        return f" (did you mean {files[0]}?)"
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())[:3]
    return f" (it holds {', '.join(folders)})" if folders else ""
