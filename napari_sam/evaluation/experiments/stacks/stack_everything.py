"""All objects of volumes and movies: `segment_volume` and `track`, against objects stitched plane by plane."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from napari_sam.evaluation.datasets.stack_truth import MOVIE, VOLUME
from napari_sam.evaluation.datasets.stacks.labelled_stacks import open_stack_sample
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates, require_predictor
from napari_sam.evaluation.experiments.stacks.plane_by_plane import segment_planes, stitch
from napari_sam.evaluation.experiments.whole_images import METRIC_NAMES
from napari_sam.evaluation.metrics.label_matching import count_overlaps, no_overlaps, scores_of
from napari_sam.evaluation.metrics.stacks.tracking_scores import TrackingComparison
from napari_sam.io.tracks.track_table import make_tracks
from napari_sam.jobs.stacks.segment_volume import segment_volume
from napari_sam.jobs.stacks.track import track
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.datasets.stack_truth import StackTruth
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.tracks.track_table import TrackTable
    from napari_sam.jobs.stacks.stack_report import StackReport
    from napari_sam.predictor import Predictor

    ReadPlane = Callable[[int], NDArray[np.integer]]


@runtime_checkable
class SegmentStack(Protocol):
    """`segment_volume`, `track`, or what stands in for them."""

    def __call__(self, source: Image, predictor: Predictor, /) -> StackReport:
        """Find all objects of a stack."""
        ...


PROTOCOLS = {"linked": "linked", "stitched": "stitched planes"}
"""Keys of the payload, and the protocols that they stand for."""

TRACKING_METRICS = {"seg": "SEG", "det": "DET", "tra": "TRA", "lnk": "LNK", "division_f1": "division F1"}
"""Names of the fields of `TrackingScores` in tables."""


@dataclass(frozen=True)
class VolumeEverythingExperiment(Experiment):
    """mSA, AP50, panoptic quality and SEG in three dimensions of all objects of volumes.

    Attributes
    ----------
    max_images : int or None
        Volumes of each data set, evenly spaced; None for all.
    segment : callable
        Finds all objects of a volume.
    """

    name: ClassVar[str] = "volumes everything"
    title: ClassVar[str] = "All objects of volumes"
    kind: ClassVar[str] = VOLUME
    max_images: int | None = setting(None, "volumes per data set, evenly spaced", low=1)
    segment: SegmentStack = segment_volume

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor = require_predictor(predictor)
        image, truth = open_stack_sample(sample)
        with self.segment(image, predictor).labels as labels:
            payload = {"linked": volume_scores(truth, _reader(labels))}
        stitched = _stitched(predictor, image, truth)
        return payload if stitched is None else payload | {"stitched": volume_scores(truth, stitched.__getitem__)}

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return stack_records(results, method, METRIC_NAMES)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(results, method), seed)


@dataclass(frozen=True)
class TrackingEverythingExperiment(Experiment):
    """The Cell Tracking Challenge's measures of all objects of movies.

    Attributes
    ----------
    max_images : int or None
        Movies of each data set, evenly spaced; None for all.
    tolerance : int
        Frames by which a division may be too early or too late.
    segment : callable
        Finds and tracks all objects of a movie.
    """

    name: ClassVar[str] = "tracking everything"
    title: ClassVar[str] = "All objects of movies"
    kind: ClassVar[str] = MOVIE
    max_images: int | None = setting(None, "movies per data set, evenly spaced", low=1)
    tolerance: int = setting(1, "frames by which a division may be too early or too late", low=0)
    segment: SegmentStack = track

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"tolerance": self.tolerance}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor = require_predictor(predictor)
        image, truth = open_stack_sample(sample)
        with self.segment(image, predictor).labels as labels:
            payload = {"linked": self._scores(truth, _reader(labels), tracks_of_store(labels))}
        stitched = _stitched(predictor, image, truth)
        if stitched is None:
            return payload
        return payload | {"stitched": self._scores(truth, stitched.__getitem__, _tracks_of_frames(stitched))}

    def _scores(self, truth: StackTruth, read: ReadPlane, tracks: TrackTable) -> dict[str, float | None]:
        return tracking_scores(truth, read, tracks, self.tolerance)

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return stack_records(results, method, TRACKING_METRICS)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(results, method), seed)


def volume_scores(truth: StackTruth, read: ReadPlane) -> dict[str, float | None]:
    """Return the scores of a volume, read plane by plane, by the fields of `LabelScores`; None where undefined."""
    overlaps = no_overlaps()
    for plane in range(truth.shape[0]):
        overlaps = overlaps + count_overlaps(truth.plane(plane), read(plane))
    return _defined(asdict(scores_of(overlaps.matching())))


def tracking_scores(truth: StackTruth, read: ReadPlane, tracks: TrackTable, tolerance: int) -> dict[str, float | None]:
    """Return the scores of a movie, read frame by frame, by the fields of `TrackingScores`; None where undefined."""
    comparison = TrackingComparison(truth.tracks, tracks, tolerance)
    for frame in range(truth.shape[0]):
        predicted = tracks.relabel(read(frame), frame)
        comparison.add(truth.tracks.relabel(truth.plane(frame), frame), predicted)
        segmented = truth.segmentation(frame)
        if segmented is not None:
            comparison.add_segmentation(segmented, predicted)
    scores = comparison.scores()
    return _defined({name: getattr(scores, name) for name in TRACKING_METRICS})


def tracks_of_store(labels: LabelStore) -> TrackTable:
    """Return the tracks of a store of shape (t, y, x), with the parents of its table."""
    frames: dict[int, list[int]] = {}
    parents: dict[int, int] = {}
    for row in labels.journal.objects.table_of_planes():
        frames.setdefault(row.label, []).append(int(row.plane))
        if row.parent is not None:
            parents[row.label] = row.parent
    return make_tracks(frames, parents)


def _tracks_of_frames(planes: Sequence[NDArray[np.integer]]) -> TrackTable:
    frames: dict[int, list[int]] = {}
    for frame, plane in enumerate(planes):
        for label in np.unique(plane[plane > 0]).tolist():
            frames.setdefault(label, []).append(frame)
    return make_tracks(frames)


def _reader(labels: LabelStore) -> ReadPlane:
    """Return a function that reads a plane of a store."""
    height, width = labels.shape[-2:]
    return lambda plane: labels.read((0, 0, height, width), plane=(plane,))


def _stitched(predictor: Predictor, image: Image, truth: StackTruth) -> list[NDArray[np.int64]] | None:
    """Return the baseline; None for models that cannot find all objects of a plane at once."""
    return stitch(segment_planes(predictor, image, truth.shape[0])) if predictor.can_dense else None


def _defined(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in scores.items()}


def stack_records(results: Sequence[SampleResult], method: str, names: Mapping[str, str]) -> Iterator[Record]:
    """Yield the values of some stacks; `names` maps the keys of scores to the names of metrics."""
    for result in results:
        for key, protocol in PROTOCOLS.items():
            for name, metric in names.items():
                value = result.payload.get(key, {}).get(name)
                if key in result.payload:
                    number = float("nan") if value is None else value
                    yield Record(result.dataset, result.sample, 0, method, protocol, metric, number)
