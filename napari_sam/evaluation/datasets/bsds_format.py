"""BSDS500 as Berkeley distributes it: images/SPLIT/ID.jpg and groundTruth/SPLIT/ID.mat."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.ground_truth import GroundTruth
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity

if TYPE_CHECKING:
    from pathlib import Path

_DATASET = "BSDS500"
_DATA_FOLDERS = (".", "data", "BSDS500/data", "BSR/BSDS500/data")
_SPLIT_ALIASES = {"dev": "val"}


def data_folder(root: Path) -> Path | None:
    """Return the folder that holds ``groundTruth``; None if there is none."""
    return next((root / name for name in _DATA_FOLDERS if (root / name / "groundTruth").is_dir()), None)


def find_bsds_samples(root: Path, split: str, notes: list[str]) -> list[Sample]:
    """Find the images of a split; "dev" is the split "val".

    Raises
    ------
    EvaluationError
        If there is no such split.
    """
    base = data_folder(root)
    if base is None:
        return []
    split = _existing_split(base, split)
    samples = []
    for boundaries in sorted((base / "groundTruth" / split).glob("*.mat")):
        image = base / "images" / split / f"{boundaries.stem}.jpg"
        if not image.exists():
            notes.append(f"{boundaries}: boundaries without an image")
            continue
        samples.append(
            Sample(
                _DATASET,
                boundaries.stem,
                image,
                partial(_read_boundaries, boundaries),
                identity=file_identity(image, boundaries),
                kind="boundaries",
                groups={"dataset": _DATASET},
            )
        )
    return samples


def _existing_split(base: Path, split: str) -> str:
    splits = sorted(path.name for path in (base / "groundTruth").iterdir() if path.is_dir())
    alias = _SPLIT_ALIASES.get(split, split)
    if split in splits or not splits:
        return split
    if alias not in splits:
        raise EvaluationError(f"{base}: no split {split!r}", remedy=f"give {_split_options(splits)}")
    return alias


def _split_options(splits: list[str]) -> str:
    """Return the splits as a remedy names an argument; a name that is no single word stays as text."""
    return " or ".join(f"{{split={name}}}" if name.isidentifier() else name for name in splits)


def _read_boundaries(path: Path) -> GroundTruth:
    """Read the boundaries that all annotators drew."""
    from scipy.io import loadmat  # noqa: PLC0415 - only these files need it
    from scipy.io.matlab import MatReadError  # noqa: PLC0415

    try:
        cells = loadmat(path)["groundTruth"].ravel()
        boundaries = np.stack([np.asarray(cell["Boundaries"][0, 0], bool) for cell in cells])
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError, MatReadError) as error:
        raise EvaluationError(
            f"{path}: not a BSDS500 ground truth: {error}", remedy="download the file again"
        ) from error
    return GroundTruth((boundaries.shape[1], boundaries.shape[2]), boundaries=boundaries)
