"""The same scores for volumes and movies that another program segmented and tracked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import file_identity
from napari_sam.evaluation.datasets.stack_truth import MOVIE, VOLUME, open_stack_truth
from napari_sam.evaluation.datasets.stacks.challenge_folders import ChallengeFolder
from napari_sam.evaluation.datasets.stacks.labelled_stacks import TRACKS_SUFFIX
from napari_sam.evaluation.experiments.experiment import Experiment, mean_estimates
from napari_sam.evaluation.experiments.stacks.stack_everything import (
    TRACKING_METRICS,
    stack_records,
    tracking_scores,
    volume_scores,
)
from napari_sam.evaluation.experiments.whole_images import METRIC_NAMES, find_label_file
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.datasets.stack_truth import StackTruth
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, Record, SampleResult
    from napari_sam.predictor import Predictor


def open_result(folder: Path, sample: Sample, kind: str) -> StackTruth:
    """Open the result of another program for a stack.

    Parameters
    ----------
    folder : Path
        Folder with NAME.tif, a label stack, and for movies NAME.tracks.txt; or with NAME_RES or NAME, a folder of the
        Cell Tracking Challenge. Also in a sub-folder named as the data set.
    sample : Sample
        The stack.
    kind : str
        `VOLUME` or `MOVIE`.

    Raises
    ------
    EvaluationError
        If there is none.
    """
    for parent in (folder / sample.dataset, folder):
        for name in (f"{sample.name}_RES", sample.name):
            if kind == MOVIE and (parent / name / "res_track.txt").exists():
                return ChallengeFolder(parent / name)
    labels = find_label_file(folder, sample)
    if labels is None:
        raise EvaluationError(
            f"{folder}: no labels of {sample.dataset}/{sample.name}",
            remedy=f"give {sample.name}.tif" + (f", or {sample.name}_RES with res_track.txt" if kind == MOVIE else ""),
        )
    tracks = labels.with_name(f"{sample.name}{TRACKS_SUFFIX}")
    return open_stack_truth(labels, kind, tracks if tracks.exists() else None)


@dataclass(frozen=True)
class ExternalStackExperiment(Experiment):
    """The scores of `VolumeEverythingExperiment`, for another program's volumes.

    Attributes
    ----------
    tool : str
        Name of the program in tables.
    folder : Path
        Its results; see `open_result`.
    max_images : int or None
        Stacks of each data set, evenly spaced; None for all.
    """

    tool: str = ""
    folder: Path = field(default_factory=Path)
    max_images: int | None = setting(None, "stacks per data set, evenly spaced", low=1)
    name: ClassVar[str] = "volumes of others"
    title: ClassVar[str] = "All objects of volumes, by other programs"
    kind: ClassVar[str] = VOLUME
    needs_model: ClassVar[bool] = False

    @property
    def id(self) -> str:  # noqa: D102 - as in Experiment
        return f"{self.name}: {self.tool}"

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        files = sorted(path for path in self.folder.rglob("*") if path.suffix.lower() in (".tif", ".tiff", ".txt"))
        return {"tool": self.tool, "folder": str(self.folder), "files": file_identity(*files)}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        truth, result = self._open(sample)
        return {"linked": volume_scores(truth, result.plane)}

    def _open(self, sample: Sample) -> tuple[StackTruth, StackTruth]:
        """Return truth and result, which have the same shape."""
        if sample.read_stack is None:
            raise EvaluationError(f"{sample.title}: is no stack", remedy="use evaluate everything")
        truth, result = sample.read_stack(), open_result(self.folder, sample, self.kind)
        if truth.shape != result.shape:
            raise EvaluationError(
                f"{self.folder}: labels of shape {result.shape} for {sample.title} of shape {truth.shape}",
                remedy="give labels of the same shape as the image",
            )
        return truth, result

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return stack_records(results, self.tool, METRIC_NAMES)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(results, method), seed)


@dataclass(frozen=True)
class ExternalTracksExperiment(ExternalStackExperiment):
    """The scores of `TrackingEverythingExperiment`, for another program's movies."""

    tolerance: int = setting(1, "frames by which a division may be too early or too late", low=0)
    name: ClassVar[str] = "tracks of others"
    title: ClassVar[str] = "All objects of movies, by other programs"
    kind: ClassVar[str] = MOVIE

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        truth, result = self._open(sample)
        return {"linked": tracking_scores(truth, result.plane, result.tracks, self.tolerance)}

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return stack_records(results, self.tool, TRACKING_METRICS)
