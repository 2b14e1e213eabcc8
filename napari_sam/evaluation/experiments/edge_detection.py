"""Edges without having learned edges: SAM's second experiment, on the Berkeley benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - resolved by `validate`
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_sam.engine.automatic.grid_filters import box_nms, point_grid
from napari_sam.engine.automatic.grid_logits import enlarge, measure
from napari_sam.engine.interactive.prediction import tidy_mask
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import file_identity, read_rgb
from napari_sam.evaluation.experiments.experiment import Estimate, Experiment, Record
from napari_sam.evaluation.experiments.proposals import window_grid
from napari_sam.evaluation.metrics.bootstrap import bootstrap_statistic
from napari_sam.evaluation.metrics.edge_maps import canny_edges, edge_nms, sobel_edges
from napari_sam.evaluation.metrics.edge_matching import edge_counts
from napari_sam.evaluation.metrics.edge_scores import (
    areas_under_curve,
    best_f_measure,
    counts_at_best_threshold,
    f_measure,
    recall_at_half,
    recall_precision,
)
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Payload, SampleResult
    from napari_sam.predictor import Predictor

_NMS = 0.7
_OFFSET = 4.0  # logits below minus this are as good as none
_CROSS = np.ones((3, 3), bool)


def mask_edges(predictor: Predictor, grid: int = 16) -> NDArray[np.float64]:
    """Edges of everything that a grid of points finds: (H, W) in [0, 1], thinned.

    Parameters
    ----------
    predictor : Predictor
        With an image, which its network sees whole.
    grid : int
        Points along each side.

    Returns
    -------
    ndarray of float64

    Notes
    -----
    As in the paper's appendix D.2: three masks of each point, none filtered by its scores; non-maximum suppression of
    their boxes; Sobel's gradient of each mask's probability, kept on the pixels around the mask; the maximum over
    masks, scaled to [0, 1]; non-maximum suppression across edges. Masks of a tidy predictor are tidied first, as in all
    its answers.
    """
    slots, frame = window_grid(predictor, grid, slice(1, 4), _OFFSET)
    found = [one for slot in slots for c in slot if (one := measure(c, frame, 1.0)) is not None]
    edges = np.zeros(predictor.image.shape)
    points = point_grid(grid) * predictor.image.shape
    if not found:
        return edges
    boxes, scores = np.array([one.box for one in found]), np.array([one.candidate.predicted_iou for one in found])
    for i in box_nms(boxes, scores, _NMS):
        (y0, x0, y1, x1), logits = enlarge(found[i].candidate, frame)
        padded = np.pad(logits.numpy().astype(np.float64), 1, mode="edge")
        probability = 1 / (1 + np.exp(-padded))
        size = np.hypot(*(ndimage.sobel(probability, axis=axis) for axis in (0, 1)))
        inside = padded > 0
        if predictor.tidy:
            inside = tidy_mask(
                inside, points[found[i].candidate.point : found[i].candidate.point + 1] - (y0 - 1, x0 - 1)
            )
        size[~(ndimage.binary_dilation(inside, _CROSS) & ~inside)] = 0
        part = edges[y0:y1, x0:x1]
        np.maximum(part, size[1:-1, 1:-1], out=part)
    top = float(edges.max())
    return edge_nms(edges / top) if top > 0 else edges


def _summary(units: Sequence[SampleResult], key: str, method: str, seed: int) -> list[Estimate]:
    """The benchmark's numbers; the threshold of ODS is chosen anew in each resample of the images."""
    out = []
    for dataset in sorted({one.dataset for one in units}):
        counts = np.array([one.payload[key] for one in units if one.dataset == dataset])
        numbers = {
            "ODS": (best_f_measure, counts),
            "OIS": (lambda sums: f_measure(*recall_precision(sums))[:, 0], counts_at_best_threshold(counts)),
            "AP": (areas_under_curve, counts),
            "R50": (recall_at_half, counts),
        }
        for name, (statistic, per_image) in numbers.items():
            found = bootstrap_statistic(statistic, per_image, seed=seed)
            out.append(Estimate.of(method, dataset, "boundaries", name, found))
    return out


def _records(units: Sequence[SampleResult], key: str, method: str) -> Iterator[Record]:
    """Each image's best F."""
    for one in units:
        value = float(best_f_measure(np.array([one.payload[key]]))[0])
        yield Record(one.dataset, one.sample, 0, method, "boundaries", "best F", value)


@dataclass(frozen=True)
class EdgeExperiment(Experiment):
    """ODS, OIS, AP and R50 of the edges of all masks.

    Attributes
    ----------
    max_images : int or None
        Images, evenly spread; None for all.
    grid : int
        Points along each side.
    """

    name: ClassVar[str] = "edges"
    title: ClassVar[str] = "Edge detection"
    kind: ClassVar[str] = "boundaries"
    max_images: int | None = setting(16, "images per data set, evenly spaced", low=1)
    grid: int = setting(16, "points along each side of the grid", low=1, high=256)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"grid": self.grid}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        if predictor is None:
            raise TypeError("needs a predictor")
        predictor.set_image(sample.source())
        drawn = _boundaries(sample, sample.truth(predictor.image.shape))
        return {"masks": edge_counts(mask_edges(predictor, self.grid), drawn).as_array().tolist()}

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return _records(units, "masks", method)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return _summary(units, "masks", method, seed)


def _boundaries(sample: Sample, truth: GroundTruth) -> NDArray[np.bool_]:
    if truth.boundaries is None or not len(truth.boundaries):
        raise EvaluationError(f"{sample.title}: nobody drew boundaries on it; give data such as BSDS500")
    return truth.boundaries


@dataclass(frozen=True)
class EdgeBaselineExperiment(Experiment):
    """Sobel and Canny, and with a folder of PNG maps another program's edges.

    Attributes
    ----------
    max_images : int or None
        Images, evenly spread; None for all.
    maps : tuple of (str, Path)
        Names and folders of NAME.png, grey, brighter is surer.
    """

    name: ClassVar[str] = "edge baselines"
    title: ClassVar[str] = "Edges without a network"
    kind: ClassVar[str] = "boundaries"
    needs_model: ClassVar[bool] = False
    max_images: int | None = setting(16, "images per data set, evenly spaced", low=1)
    maps: tuple[tuple[str, Path], ...] = ()

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"maps": [(name, file_identity(*sorted(folder.glob("*.png")))) for name, folder in self.maps]}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        rgb = read_rgb(sample)
        grey = np.asarray(Image.fromarray(rgb).convert("L"), np.float64) / 255
        drawn = _boundaries(sample, sample.truth(grey.shape))
        maps = {"sobel": sobel_edges(grey), "canny": canny_edges(grey)}
        for name, folder in self.maps:
            maps[name] = _edge_map(folder / f"{sample.name}.png", grey.shape)
        return {name: edge_counts(one, drawn).as_array().tolist() for name, one in maps.items()}

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for name in units[0].payload if units else ():
            yield from _records(units, name, name)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return [one for name in units[0].payload for one in _summary(units, name, name, seed)]


def _edge_map(path: Path, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Another program's map in [0, 1]."""
    try:
        with Image.open(path) as file:
            wide = file.mode.startswith("I")  # 16 bit: converting would clip it
            found = np.asarray(file if wide else file.convert("L"), np.float64) / (65535 if wide else 255)
    except OSError as error:
        raise EvaluationError(f"{path}: no edge map: {error}; give NAME.png for each image") from error
    if found.shape != shape:
        raise EvaluationError(f"{path}: an edge map of shape {found.shape} for an image of shape {shape}: must be one")
    return found
