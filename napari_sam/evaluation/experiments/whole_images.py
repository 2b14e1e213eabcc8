"""All objects of whole images, by a model or in label images of other programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.automatic.mask_generator import MaskGenerator
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import file_identity, read_rgb
from napari_sam.evaluation.experiments.experiment import Experiment, Record, mean_estimates, require_predictor
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

METRIC_NAMES = {
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
"""Names of the fields of `LabelScores` in tables."""

_LABEL_SUFFIXES = (".tif", ".tiff", ".png")


def segment_sample(predictor: Predictor, sample: Sample) -> NDArray[np.int32]:
    """Segment all objects of an image by the dense decoder, or by a grid of points if the model has none."""
    predictor.set_image(sample.source())
    if predictor.can_dense:
        return predictor.instances()
    settings = GridSettings.for_model(predictor.runner.kind)
    masks = MaskGenerator(predictor, settings).generate(read_rgb(sample))
    labels = np.zeros(predictor.image.shape, np.int32)
    for label, mask in enumerate(sorted(masks, key=lambda mask: -mask.area), start=1):  # small ones on top
        y0, x0, y1, x1 = mask.bbox
        labels[y0:y1, x0:x1][mask.mask] = label
    return labels


def remove_crowd_objects(labels: NDArray[np.integer], truth: GroundTruth) -> NDArray[np.integer]:
    """Return a label image without the objects that lie, by more than half, in crowd regions, which do not count."""
    crowd = np.zeros(truth.shape, bool)
    for o in truth.objects:
        if o.crowd:
            crowd |= o.full_mask(truth.shape)
    if not crowd.any():
        return labels
    values, index = np.unique(labels, return_inverse=True)
    flat = index.ravel()
    is_crowd = np.bincount(flat, crowd.ravel(), len(values)) > 0.5 * np.bincount(flat, minlength=len(values))
    return np.where(is_crowd[index.reshape(labels.shape)], 0, labels)


def _score(truth: GroundTruth, labels: NDArray[np.integer]) -> Payload:
    true, found = truth.labels(), remove_crowd_objects(labels, truth)
    scores = {k: None if np.isnan(v) else v for k, v in asdict(label_scores(true, found)).items()}
    return {"true": len(np.unique(true[true > 0])), "found": len(np.unique(found[found > 0])), "scores": scores}


def _score_records(results: Sequence[SampleResult], method: str) -> Iterator[Record]:
    for result in results:
        for name, score in result.payload["scores"].items():
            value = float("nan") if score is None else score
            yield Record(result.dataset, result.sample, 0, method, "whole image", METRIC_NAMES[name], value)


@dataclass(frozen=True)
class EverythingExperiment(Experiment):
    """mSA, AP50, AP75, panoptic quality and SEG of everything-mode.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    """

    name: ClassVar[str] = "everything"
    title: ClassVar[str] = "Everything"
    max_images: int | None = setting(6, "images per data set, evenly spaced", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        labels = segment_sample(require_predictor(predictor), sample)
        return _score(sample.truth((labels.shape[0], labels.shape[1])), labels)

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return _score_records(results, method)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(results, method), seed)


def find_label_file(folder: Path, sample: Sample) -> Path | None:
    """Find the label image of a sample in a folder, or in its sub-folder named as the data set; None without one."""
    name = Path(sample.name).name
    for parent in (folder / sample.dataset, folder):
        for ending in (*LABEL_ENDINGS, ""):  # the bare name comes last, since it may be the image
            for suffix in _LABEL_SUFFIXES:
                path = parent / f"{name}{ending}{suffix}"
                if path.exists():
                    return path
    return None


def read_label_file(path: Path, sample: Sample, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Read another program's label image of a sample.

    Raises
    ------
    EvaluationError
        If its shape is not `shape`.
    TrainingError
        If the file cannot be read, or does not hold labels.
    """
    labels = checked_labels(read_picture(path, indices=True), str(path))
    if labels.shape != shape:
        raise EvaluationError(
            f"{path}: labels of shape {labels.shape} for {sample.title} of shape {shape}",
            remedy="give labels of the same shape as the image",
        )
    return labels


@dataclass(frozen=True)
class ExternalLabelExperiment(Experiment):
    """The same scores for the label images of another program.

    Attributes
    ----------
    tool : str
        Name of the program in tables.
    folder : Path
        Folder with NAME.tif, NAME_masks.png or the like for each image, or with sub-folders named as the data sets.
    max_images : int or None
        As in `EverythingExperiment`; with the same number the same images are selected.
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
        files = sorted(path for path in self.folder.rglob("*") if path.suffix.lower() in _LABEL_SUFFIXES)
        return {"tool": self.tool, "folder": str(self.folder), "files": file_identity(*files)}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        path = find_label_file(self.folder, sample)
        if path is None:
            name = Path(sample.name).name
            raise EvaluationError(
                f"{self.folder}: no labels of {sample.dataset}/{sample.name}",
                remedy=f"give {name}.tif, {name}_masks.png or {name}_cp_masks.png",
            )
        truth = sample.truth()
        return _score(truth, read_label_file(path, sample, truth.shape))

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return _score_records(results, self.tool)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return mean_estimates(self.records(results, method), seed)


def parse_named_folders(options: Sequence[str]) -> Mapping[str, Path]:
    """Parse options ``NAME=FOLDER``.

    >>> {name: str(folder) for name, folder in parse_named_folders(["cellpose=out/cp"]).items()}
    {'cellpose': 'out/cp'}
    """
    folders = {}
    for option in options:
        name, _, folder = option.partition("=")
        if not name or not folder:
            raise EvaluationError(
                f"{option!r} has no name or no folder", remedy="give NAME=FOLDER, such as cellpose=results/cellpose"
            )
        if name in folders:
            raise EvaluationError(f"{name!r} is given twice", remedy="give each program its own name")
        folders[name] = Path(folder)
    return folders
