"""One click on the first frame of an object: how well it is followed through a movie, by J and F."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.evaluation.datasets.stack_truth import MOVIE
from napari_sam.evaluation.datasets.stacks.labelled_stacks import open_stack_sample, select_stack_objects
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates, require_predictor
from napari_sam.evaluation.experiments.stacks.plane_by_plane import object_at, segment_planes, stitch
from napari_sam.evaluation.metrics.stacks.video_scores import boundary_f, j_and_f, region_similarity
from src_models.settings import setting
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.datasets.stack_truth import StackObject, StackTruth
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.evaluation.metrics.stacks.plane_ious import FollowedObject
    from napari_sam.evaluation.metrics.stacks.video_scores import VideoScores
    from napari_sam.predictor import Predictor

PROTOCOLS = {"followed": "followed", "stitched": "stitched frames"}
"""Keys of the payload, and the protocols that they stand for: the model that follows, and the baseline."""

_METRICS = {"j": "J", "f": "F", "j_recall": "J recall", "j_decay": "J decay"}
_MIN_FRAMES = 3


@dataclass(frozen=True)
class MovieExperiment(Experiment):
    """J and F of objects that are followed from one click on their first frame.

    Attributes
    ----------
    max_images, per_image : int or None
        Movies of each data set and objects of each movie, evenly spaced; None for all.
    """

    name: ClassVar[str] = "tracking"
    title: ClassVar[str] = "Objects followed through movies"
    kind: ClassVar[str] = MOVIE
    max_images: int | None = setting(None, "movies per data set, evenly spaced", low=1)
    per_image: int | None = setting(12, "objects per movie, evenly spaced", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"per_image": self.per_image}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor = require_predictor(predictor)
        image, truth = open_stack_sample(sample)
        if truth.has_segmentation:  # its labels are markers, which say nothing of outlines
            return {"labels": [], "objects": []}
        objects = select_stack_objects(truth, self.per_image, _MIN_FRAMES)
        starts = [_first_click(truth, o) for o in objects]
        predictor.set_image(image)
        axis = next(iter(image.plane_axes))
        followed = predictor.propagate_many([{"points": [start]} for start in starts], axis=axis) if objects else []
        stitched = stitch(segment_planes(predictor, image, truth.shape[0])) if predictor.can_dense else None
        payload: Payload = {"labels": [o.label for o in objects], "objects": []}
        for o, start, result in zip(objects, starts, followed, strict=True):
            entry = {"followed": asdict(follow_scores(truth, o, result))}
            if stitched is not None:
                entry["stitched"] = asdict(follow_scores(truth, o, object_at(stitched, start)))
            payload["objects"].append(entry)
        return payload

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            for label, entry in zip(result.payload["labels"], result.payload["objects"], strict=True):
                cell = (result.dataset, result.sample, label, method)
                for key, protocol in PROTOCOLS.items():
                    if key in entry:
                        scores = entry[key]
                        yield Record(*cell, protocol, "J&F", (scores["j"] + scores["f"]) / 2)
                        for name, metric in _METRICS.items():
                            yield Record(*cell, protocol, metric, scores[name])

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(results, method), seed)


def _first_click(truth: StackTruth, target: StackObject) -> tuple[int, int, int]:
    """Return the deepest point (frame, y, x) of an object on its first frame."""
    frame = target.planes[0]
    y, x = deepest_point(truth.plane(frame)[target.box.slices] == target.label)
    return frame, y + target.box.y0, x + target.box.x0


def follow_scores(truth: StackTruth, target: StackObject, followed: FollowedObject) -> VideoScores:
    """Return the scores of an object after the clicked frame, up to the last frame of either object.

    Frames without the true object in which it is followed count as zero; frames that have neither do not count.
    """
    present = set(followed.planes)
    frames = sorted((present | set(target.planes)) - set(range(target.planes[0] + 1)))
    scores = []
    for frame in frames:
        true = truth.plane(frame) == target.label if frame in target.planes else np.zeros(truth.shape[1:], bool)
        predicted = np.zeros_like(true)
        if frame in present:
            mask, box = followed.mask(frame)
            predicted[box.slices] = mask
        crops = _crop(true, predicted)
        scores.append((region_similarity(*crops), boundary_f(*crops, frame_shape=truth.shape[1:])))
    return j_and_f([j for j, _ in scores], [f for _, f in scores])


def _crop(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the part of a frame around both masks, with a margin of one pixel where the frame has it."""
    rows, cols = np.nonzero(true | predicted)
    if not len(rows):
        return true[:1, :1], predicted[:1, :1]
    part = np.s_[max(rows.min() - 1, 0) : rows.max() + 2, max(cols.min() - 1, 0) : cols.max() + 2]
    return true[part], predicted[part]
