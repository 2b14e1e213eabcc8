"""All objects of whole images, by a model or by any other program whose label images are given."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.mask_generator import MaskGenerator
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import file_identity, read_rgb
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates
from napari_sam.evaluation.metrics.label_matching import label_scores
from src_models.settings import setting
from src_models.training.data.folder_dataset import LABEL_ENDINGS
from src_models.training.data.labelled_images import checked_labels
from src_models.training.data.picture_files import read_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Estimate, Payload, SampleResult
    from napari_sam.predictor import Predictor

METRICS = {
    "msa": "mSA",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap90": "AP90",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "seg": "SEG",
}
"""Names in tables of what `label_scores` gives."""

_ENDINGS = (".tif", ".tiff", ".png")


def segment_sample(predictor: Predictor, sample: Sample) -> NDArray[np.int32]:
    """What everything-mode finds in an image: by the dense decoder, or by a grid of points for models without one."""
    predictor.set_image(sample.source())
    if predictor.can_dense:
        return predictor.instances()
    settings = GridSettings.for_model(predictor.runner.kind)
    found = MaskGenerator(predictor, settings).generate(read_rgb(sample))
    out = np.zeros(predictor.image.shape, np.int32)
    for label, one in enumerate(sorted(found, key=lambda one: -one.area), start=1):  # small ones on top
        y0, x0, y1, x1 = one.bbox
        out[y0:y1, x0:x1][one.mask] = label
    return out


def remove_crowd_objects(found: NDArray[np.integer], truth: GroundTruth) -> NDArray[np.integer]:
    """Label image without what lies, by more than half, in regions that count neither for nor against."""
    crowd = np.zeros(truth.shape, bool)
    for one in truth.objects:
        if one.crowd:
            crowd |= one.full_mask(truth.shape)
    if not crowd.any():
        return found
    labels, number = np.unique(found, return_inverse=True)
    flat = number.ravel()
    inside = np.bincount(flat, crowd.ravel(), len(labels)) > 0.5 * np.bincount(flat, minlength=len(labels))
    return np.where(inside[number.reshape(found.shape)], 0, found)


def _payload(truth: GroundTruth, found: NDArray[np.integer]) -> Payload:
    true, found = truth.labels(), remove_crowd_objects(found, truth)
    scores = {k: None if np.isnan(v) else v for k, v in asdict(label_scores(true, found)).items()}
    return {"true": len(np.unique(true[true > 0])), "found": len(np.unique(found[found > 0])), "scores": scores}


def _records(units: Sequence[SampleResult], method: str) -> Iterator[Record]:
    for unit in units:
        for name, value in unit.payload["scores"].items():
            known = float("nan") if value is None else value
            yield Record(unit.dataset, unit.sample, 0, method, "whole image", METRICS[name], known)


@dataclass(frozen=True)
class EverythingExperiment(Experiment):
    """mSA, AP50, AP75, panoptic quality and SEG of everything-mode.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spread; None for all.
    """

    name: ClassVar[str] = "everything"
    title: ClassVar[str] = "Everything"
    max_images: int | None = setting(6, "images per data set, evenly spaced", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        if predictor is None:
            raise TypeError("needs a predictor")
        found = segment_sample(predictor, sample)
        return _payload(sample.truth((found.shape[0], found.shape[1])), found)

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return _records(units, method)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(units, method), seed)


def find_label_file(folder: Path, sample: Sample) -> Path | None:
    """The label image of a sample in a folder, or in a sub-folder of it called as the data set; None without one."""
    name = Path(sample.name).name
    for place in (folder / sample.dataset, folder):
        for end in (*LABEL_ENDINGS, ""):  # the bare name may be the image
            for suffix in _ENDINGS:
                path = place / f"{name}{end}{suffix}"
                if path.exists():
                    return path
    return None


def read_label_file(path: Path, sample: Sample, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Another program's labels, checked to be of a sample's shape.

    Raises
    ------
    EvaluationError
        If they are not.
    TrainingError
        If they cannot be read, or are no labels.
    """
    found = checked_labels(read_picture(path, indices=True), str(path))
    if found.shape != shape:
        raise EvaluationError(
            f"{path}: labels of shape {found.shape} for {sample.title} of shape {shape}: both must be one"
        )
    return found


@dataclass(frozen=True)
class ExternalLabelExperiment(Experiment):
    """The same numbers for label images that another program made.

    Attributes
    ----------
    tool : str
        What tables call it.
    folder : Path
        With NAME.tif, NAME_masks.png and the like for each image; in sub-folders named as data sets are, or not.
    max_images : int or None
        As in `Everything`: with the same number, the same images.
    """

    tool: str = ""
    folder: Path = field(default_factory=Path)
    max_images: int | None = setting(6, "images per data set, evenly spaced", low=1)
    name: ClassVar[str] = "labels of others"
    title: ClassVar[str] = "Everything, by other programs"
    needs_model: ClassVar[bool] = False

    @property
    def id(self) -> str:  # noqa: D102 - as in Experiment
        return f"{self.name}: {self.tool}"

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        files = sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in _ENDINGS)
        return {"tool": self.tool, "folder": str(self.folder), "files": file_identity(*files)}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        path = find_label_file(self.folder, sample)
        if path is None:
            name = Path(sample.name).name
            raise EvaluationError(
                f"{self.folder}: no labels of {sample.dataset}/{sample.name}; give {name}.tif, {name}_masks.png or "
                f"{name}_cp_masks.png for it"
            )
        truth = sample.truth()
        return _payload(truth, read_label_file(path, sample, truth.shape))

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return _records(units, self.tool)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(units, method), seed)


def parse_named_folders(given: Sequence[str]) -> Mapping[str, Path]:
    """``NAME=FOLDER`` options.

    >>> {name: str(folder) for name, folder in parse_tools(["cellpose=out/cp"]).items()}
    {'cellpose': 'out/cp'}
    """
    out = {}
    for text in given:
        name, _, folder = text.partition("=")
        if not name or not folder:
            raise EvaluationError(f"{text!r}: give NAME=FOLDER, such as cellpose=results/cellpose")
        if name in out:
            raise EvaluationError(f"{name!r} is given twice; give each program a name of its own")
        out[name] = Path(folder)
    return out
