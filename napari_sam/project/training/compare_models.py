"""Compare two models on the same objects, prompted by simulated clicks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_sam.evaluation.datasets.dataset_formats import find_samples
from napari_sam.evaluation.experiments.point_prompts import PointExperiment
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean
from napari_sam.evaluation.runs.experiment_runner import run_experiments
from napari_sam.evaluation.runs.model_spec import ModelSpec
from napari_sam.evaluation.runs.result_store import ResultStore
from napari_sam.project.training.model_versions import Gain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLICKS = 5
_PER_IMAGE = 20
_BEFORE, _AFTER = "before", "after"
_METRICS = ("IoU@1", "NoC85")


def compare_models(
    pairs: Path,
    before: str,
    after: str,
    folder: Path,
    device: str = "auto",
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[Gain, Gain, int]:
    """Click on the objects of labelled images with two models.

    Parameters
    ----------
    pairs : Path
        Folder of pairs of image and label files that neither model was trained on.
    before, after : str
        Names or checkpoint files.
    folder : Path
        Folder for measurements, with which a stopped comparison continues.
    device : str
        As `Predictor` takes it.
    progress : callable, optional
        Called with the number of measurements done and their total.
    cancelled : callable, optional
        Return True to stop.

    Returns
    -------
    iou_1click, clicks_to_085 : Gain
        IoU after one click, and clicks until the IoU is 0.85, of `CLICKS` at most.
    objects : int
        Number of objects compared; at most 20 of each image.

    Raises
    ------
    EvaluationError
        If there is no object of at least 16 pixels.
    CancelledError
        If `cancelled()` returned True.
    """
    experiment = PointExperiment(max_images=None, per_image=_PER_IMAGE, clicks=CLICKS, only_centre=True)
    models = [ModelSpec(_BEFORE, before, device), ModelSpec(_AFTER, after, device)]

    def report(done: int, total: int, _: str) -> None:
        if progress is not None:
            progress(done, total)

    with ResultStore(folder) as store:
        measured = run_experiments(
            [experiment], models, find_samples(pairs), store, workers=0, progress=report, cancelled=cancelled
        )
    values: dict[str, dict[str, dict[tuple[str, int], float]]] = {}
    for name in (_BEFORE, _AFTER):
        results = measured.results[experiment.id, name]
        experiment.summary(results, name, 0)  # refuses images without objects
        for record in experiment.records(results, name):
            if record.metric in _METRICS:
                table = values.setdefault(record.metric, {}).setdefault(name, {})
                table[record.sample, record.object] = record.value
    iou, clicks = (_gain(values[metric][_BEFORE], values[metric][_AFTER]) for metric in _METRICS)
    return iou, clicks, len(values[_METRICS[0]][_BEFORE])


def _gain(before: dict[tuple[str, int], float], after: dict[tuple[str, int], float]) -> Gain:
    """Return the paired difference of two models, with an interval by resampling images."""
    keys = sorted(before)
    interval = bootstrap_mean([after[key] - before[key] for key in keys], [_image(sample) for sample, _ in keys])
    known = math.isfinite(interval.low)
    mean_before = sum(before[key] for key in keys) / len(keys)
    mean_after = sum(after[key] for key in keys) / len(keys)
    return Gain(mean_before, mean_after, interval.low if known else None, interval.high if known else None)


def _image(sample: str) -> str:
    """Return the image that a part of it belongs to: parts of one image are not independent."""
    return sample.split("-")[0]
