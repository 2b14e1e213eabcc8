"""Make a rating study: pictures and masks of some objects, by every model and by people."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_sam.engine.geometry import Box
from napari_sam.errors import CancelledError, EvaluationError, StoreError
from napari_sam.evaluation.datasets.labelled_samples import evenly_spaced, read_rgb, samples_by_dataset
from napari_sam.evaluation.experiments.simulated_clicks import crop_box
from napari_sam.evaluation.rating.rating_study import RatingItem, RatingStudy
from src_models.training.prompt_simulation import deepest_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth, TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.runs.model_spec import ModelSpec
    from napari_sam.predictor import Predictor

    _CroppedMask = tuple[NDArray[np.bool_], tuple[int, int]]

GROUND_TRUTH = "ground truth"
"""Source of the true masks."""

_MIN_SIDE_PX = 24
_MIN_CONTEXT_PX = 64
_MAX_PER_IMAGE = 4


def prepare_study(
    folder: str | Path,
    samples: Sequence[Sample],
    models: Sequence[ModelSpec],
    objects: int = 100,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RatingStudy:
    """Make a study of every model's masks of some objects, clicked at their centres, and of the true masks.

    Parameters
    ----------
    folder : str or Path
        Folder to make.
    samples : sequence of Sample
        Labelled images; objects of at least 24 x 24 px are chosen from all of them.
    models : sequence of ModelSpec
        Models whose masks are rated.
    objects : int
        Number of objects.
    seed : int
        Random seed of the choice.
    progress : callable, optional
        Called with the number of objects done and their total.
    cancelled : callable, optional
        Polled between images; if it returns True, no study is made.

    Returns
    -------
    RatingStudy
        The new study.

    Raises
    ------
    EvaluationError
        If the folder exists, or no object is large enough.
    CancelledError
        If `cancelled()` returned True.
    """
    folder = Path(folder).expanduser()
    if folder.exists():
        raise EvaluationError(f"{folder}: exists already", remedy="rate it, or give another folder")
    if objects < 1:
        raise EvaluationError(f"objects is {objects}", parameter="objects", remedy="give a whole number from 1")
    choices = _choose_objects(samples, objects, seed)
    if not choices:
        raise EvaluationError(
            f"none of {len(samples)} images has an object of {_MIN_SIDE_PX} x {_MIN_SIDE_PX} px or more",
            remedy="use other data",
        )
    predictors = [(spec.name, spec.load()) for spec in models]
    temporary = folder.with_name(f".{folder.name}.partial")
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        writer = _ItemWriter(temporary, predictors)
        done, total = 0, sum(len(choice.labels) for choice in choices)
        for choice in choices:
            if cancelled is not None and cancelled():
                raise CancelledError("stopped; no study was made")
            writer.add(choice)
            done += len(choice.labels)
            if progress is not None:
                progress(done, total)
        study = RatingStudy(folder, tuple(writer.items))
        study.save(temporary)
        temporary.rename(folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: the study cannot be written: {error}", remedy="check that the disk is not full"
        ) from error
    return study


@dataclass(frozen=True)
class _ObjectChoice:
    """The objects of one image that are rated."""

    sample: Sample
    truth: GroundTruth
    labels: list[int]

    @property
    def objects(self) -> list[TrueObject]:
        return [o for o in self.truth.scored_objects if o.label in self.labels]


def _choose_objects(samples: Sequence[Sample], limit: int, seed: int) -> list[_ObjectChoice]:
    """Choose objects from random images of each data set in turn, at most four of each image."""
    rng = np.random.default_rng([seed, zlib.crc32(b"rating")])
    groups = samples_by_dataset([sample for sample in samples if sample.kind == "objects"])
    remaining = [[group[i] for i in rng.permutation(len(group))] for _, group in sorted(groups.items())]
    choices: list[_ObjectChoice] = []
    count = 0
    while count < limit and any(remaining):
        for group in remaining:
            if not group or count >= limit:
                continue
            sample = group.pop()
            truth = sample.truth()
            large = [o.label for o in truth.scored_objects if o.area_px >= _MIN_SIDE_PX**2]
            labels = [large[i] for i in evenly_spaced(len(large), min(_MAX_PER_IMAGE, limit - count))]
            if labels:
                choices.append(_ObjectChoice(sample, truth, labels))
                count += len(labels)
    return choices


@dataclass
class _ItemWriter:
    """Write pictures and masks, and collect the items of a study.

    Attributes
    ----------
    folder : Path
        Folder of the files.
    predictors : sequence of (str, Predictor)
        Names and predictors of the models.
    items : list of RatingItem
        Items written so far.
    """

    folder: Path
    predictors: Sequence[tuple[str, Predictor]]
    items: list[RatingItem] = field(default_factory=list)

    def add(self, choice: _ObjectChoice) -> None:
        """Write the items of an image.

        Raises
        ------
        EvaluationError
            If the labels are of another shape than the image.
        """
        sample, truth = choice.sample, choice.truth
        rgb = read_rgb(sample)
        sample.truth((rgb.shape[0], rgb.shape[1]))  # raises an error for labels of another shape
        image = f"{sample.dataset}/{sample.name}"
        objects = choice.objects
        clicks = [np.add(deepest_point(o.mask), o.origin).tolist() for o in objects]
        masks = self._masks(sample, objects, clicks)
        for i, (o, click) in enumerate(zip(objects, clicks, strict=True)):
            region = _surroundings(o, truth.shape)
            picture = f"picture-{len(self.items) + 1:05d}.png"
            Image.fromarray(rgb[region.slices]).save(self.folder / picture)
            point = (int(click[0]) - region.y0, int(click[1]) - region.x0)
            for source, of_source in masks.items():
                number = len(self.items) + 1
                mask_file = f"mask-{number:05d}.png"
                pixels = _cut(of_source[i], region) * np.uint8(255)
                Image.fromarray(pixels).save(self.folder / mask_file)
                self.items.append(RatingItem(number, f"{image}/{o.label}", image, source, picture, mask_file, point))

    def _masks(
        self, sample: Sample, objects: Sequence[TrueObject], clicks: Sequence[Sequence[int]]
    ) -> dict[str, list[_CroppedMask]]:
        """Return the true masks and those of each model with their (y, x), by source."""
        masks: dict[str, list[_CroppedMask]] = {GROUND_TRUTH: [(o.mask, o.origin) for o in objects]}
        for name, predictor in self.predictors:
            predictor.set_image(sample.source())
            predictions = predictor.predict_many([{"points": [click], "point_labels": [1]} for click in clicks])
            masks[name] = [(p.mask, (p.bbox[0], p.bbox[1])) for p in predictions]
        return masks


def _surroundings(true_object: TrueObject, shape: tuple[int, int]) -> Box:
    """Return the object's box, grown by its own size on each side and by at least 64 px, inside the image."""
    y0, x0, y1, x1 = true_object.box
    dy, dx = max(y1 - y0, _MIN_CONTEXT_PX), max(x1 - x0, _MIN_CONTEXT_PX)
    return Box(y0 - dy, x0 - dx, y1 + dy, x1 + dx).clip(shape)


def _cut(cropped: _CroppedMask, region: Box) -> NDArray[np.bool_]:
    """Return the part of a cropped mask that lies in a region, in pixels of the region."""
    mask, origin = cropped
    frame = crop_box(mask, origin)
    cut = np.zeros(region.shape, bool)
    common = frame.intersection(region)
    if not common.is_empty:
        cut[common.slices_in(region)] = mask[common.slices_in(frame)]
    return cut
