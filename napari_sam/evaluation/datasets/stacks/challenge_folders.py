"""Data and results in folders of the Cell Tracking Challenge: ``01``, ``01_GT/TRA``, ``01_GT/SEG``, ``01_RES``."""

from __future__ import annotations

import re
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import Sample, file_identity
from napari_sam.evaluation.datasets.stack_truth import MOVIE, StackTruth
from napari_sam.io.tracks.track_table import TrackTable, read_track_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth

_NUMBER = re.compile(r"(\d+)\.tif$")
_TRACK_FILES = ("man_track.txt", "res_track.txt")


class ChallengeFolder(StackTruth):
    """Label frames with a table of tracks: a result, or the folder TRA of the truth.

    Parameters
    ----------
    folder : Path
        Folder of mask000.tif … or man_track000.tif … and the table.
    segmented : mapping of int to Path, optional
        Files with the whole objects of some frames, where the labels of the folder are markers only.
    """

    def __init__(self, folder: Path, segmented: Mapping[int, Path] | None = None) -> None:
        self.folder, self.segmented = folder, segmented or {}
        self.has_segmentation = bool(self.segmented)

    @cached_property
    def frames(self) -> Mapping[int, Path]:
        """Files by frame."""
        return numbered_files(self.folder)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of frames, height and width."""
        return self._shape

    @cached_property
    def _shape(self) -> tuple[int, int, int]:
        height, width = self.plane(0).shape
        return len(self.frames), height, width

    def plane(self, index: int) -> NDArray[np.int64]:
        """Return the labels (H, W) of a frame."""
        if index not in self.frames:
            raise EvaluationError(f"{self.folder}: frame {index} is missing", remedy="give all frames")
        return _read(self.frames[index])

    def segmentation(self, index: int) -> NDArray[np.int64] | None:
        """Return the whole objects of a frame, if they are in other files; None for frames without."""
        return _read(self.segmented[index]) if index in self.segmented else None

    @cached_property
    def tracks(self) -> TrackTable:
        """The tracks."""
        table = next((self.folder / name for name in _TRACK_FILES if (self.folder / name).exists()), None)
        if table is None:
            raise EvaluationError(f"{self.folder}: has no res_track.txt", remedy="give the table of tracks")
        return read_track_file(table)


def numbered_files(folder: Path) -> dict[int, Path]:
    """Return the TIFF files of a folder by the number at the end of their names."""
    found = ((path, _NUMBER.search(path.name)) for path in sorted(folder.glob("*.tif")))
    return {int(match.group(1)): path for path, match in found if match is not None}


def _read(path: Path) -> NDArray[np.int64]:
    try:
        labels = np.asarray(tifffile.imread(path))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path}: cannot be read: {error}", remedy="save it again") from error
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise EvaluationError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype}", remedy="give whole numbers (y, x)"
        )
    return labels.astype(np.int64)


def is_challenge(root: Path) -> bool:
    """Whether a folder holds a movie with its truth, such as 01 and 01_GT/TRA."""
    return any((folder.parent / folder.name.removesuffix("_GT")).is_dir() for folder in root.glob("*_GT"))


def find_challenge_samples(root: Path) -> list[Sample]:
    """Return the movies NUMBER of a folder that has NUMBER_GT/TRA; the data set has the folder's name."""
    samples = []
    for truth in sorted(root.glob("*_GT")):
        images = truth.parent / truth.name.removesuffix("_GT")
        if images.is_dir() and (truth / "TRA").is_dir():
            files = [*numbered_files(images).values(), *numbered_files(truth / "TRA").values()]
            samples.append(
                Sample(
                    root.resolve().name,
                    images.name,
                    None,
                    partial(_refuse_image, images),
                    partial(_read_movie, images),
                    identity=file_identity(*files),
                    kind=MOVIE,
                    groups={"dataset": root.resolve().name},
                    read_stack=partial(ChallengeFolder, truth / "TRA", numbered_files(truth / "SEG")),
                )
            )
    return samples


def _refuse_image(images: Path) -> GroundTruth:
    raise EvaluationError(f"{images}: is a movie", remedy="use evaluate tracking")


def _read_movie(images: Path) -> NDArray[np.generic]:
    """Return all frames (t, y, x)."""
    try:
        return np.stack([tifffile.imread(path) for _, path in sorted(numbered_files(images).items())])
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{images}: the frames cannot be read: {error}", remedy="save them again") from error
