"""SAM's second experiment: edges from masks, without training on edges, scored by the Berkeley benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - resolved by `validate`
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_sam.engine.automatic.grid_filters import box_nms, point_grid
from napari_sam.engine.automatic.grid_logits import measure_candidate, upsample_candidate
from napari_sam.engine.interactive.mask_cleanup import tidy_mask
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.datasets.labelled_samples import file_identity, read_rgb
from napari_sam.evaluation.experiments.experiment import Estimate, Experiment, Record, open_sample
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

    from napari_sam.engine.automatic.grid_logits import MaskCandidate, MaskFrame
    from napari_sam.evaluation.datasets.ground_truth import GroundTruth
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Payload, SampleResult
    from napari_sam.predictor import Predictor

_NMS_IOU = 0.7
_LOGIT_OFFSET = 4.0  # logits below minus this do not contribute
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
_MASK_SLOTS = slice(1, 4)  # the three masks of each point, without the single one


def mask_edges(predictor: Predictor, grid: int = 16) -> NDArray[np.float64]:
    """Return the edges (H, W) of all masks that a grid of points finds.

    Parameters
    ----------
    predictor : Predictor
        A predictor with an image that its network sees as a whole. If it removes specks from its answers, they are
        removed from these masks, too.
    grid : int
        Points along each side.
    """
    slots, frame = window_grid(predictor, grid, _MASK_SLOTS, _LOGIT_OFFSET)
    shape = predictor.image.shape
    points = point_grid(grid) * shape if predictor.tidy else None
    return edges_of_masks([candidate for slot in slots for candidate in slot], frame, shape, points)


def edges_of_masks(
    candidates: Sequence[MaskCandidate],
    frame: MaskFrame,
    shape: tuple[int, int],
    points: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Combine the outlines of masks into one edge map.

    Parameters
    ----------
    candidates : sequence of MaskCandidate
        Masks.
    frame : MaskFrame
        Frame of the masks.
    shape : (int, int)
        Height and width of the image.
    points : ndarray of float64, optional
        (N, 2) points of the grid; specks that do not contain a mask's point are removed from it.

    Returns
    -------
    ndarray of float64
        (H, W) edge strength in [0, 1], thinned.

    Notes
    -----
    As in the paper's appendix D.2: three masks of each point, none filtered by its scores; non-maximum suppression of
    their boxes; Sobel's gradient of each mask's probability, kept on the pixels around the mask; the maximum over
    masks, scaled to [0, 1]; non-maximum suppression across edges.
    """
    masks = [mask for candidate in candidates if (mask := measure_candidate(candidate, frame, 1.0)) is not None]
    edges = np.zeros(shape)
    if not masks:
        return edges
    boxes = np.array([mask.box for mask in masks])
    scores = np.array([mask.candidate.predicted_iou for mask in masks])
    for i in box_nms(boxes, scores, _NMS_IOU):
        candidate = masks[i].candidate
        (y0, x0, y1, x1), logits = upsample_candidate(candidate, frame)
        padded = np.pad(logits.numpy().astype(np.float64), 1, mode="edge")
        strength = _gradient_magnitude(1 / (1 + np.exp(-padded)))
        inside = padded > 0
        if points is not None:
            inside = tidy_mask(inside, points[candidate.point : candidate.point + 1] - (y0 - 1, x0 - 1))
        strength[~(ndimage.binary_dilation(inside, _EIGHT_NEIGHBOURS) & ~inside)] = 0
        part = edges[y0:y1, x0:x1]
        np.maximum(part, strength[1:-1, 1:-1], out=part)
    strongest = float(edges.max())
    return edge_nms(edges / strongest) if strongest > 0 else edges


def _gradient_magnitude(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.hypot(*(ndimage.sobel(values, axis=axis) for axis in (0, 1))))


def _edge_estimates(results: Sequence[SampleResult], key: str, method: str, seed: int) -> list[Estimate]:
    """Estimate the benchmark's scores; each resample of the images has its own best threshold for ODS."""
    estimates = []
    for dataset in sorted({result.dataset for result in results}):
        counts = np.array([result.payload[key] for result in results if result.dataset == dataset])
        metrics = {
            "ODS": (best_f_measure, counts),
            "OIS": (lambda sums: f_measure(*recall_precision(sums))[:, 0], counts_at_best_threshold(counts)),
            "AP": (areas_under_curve, counts),
            "R50": (recall_at_half, counts),
        }
        for metric, (statistic, per_image) in metrics.items():
            interval = bootstrap_statistic(statistic, per_image, seed=seed)
            estimates.append(Estimate(method, dataset, "boundaries", metric, interval))
    return estimates


def _edge_records(results: Sequence[SampleResult], key: str, method: str) -> Iterator[Record]:
    """Yield the best F-measure of each image."""
    for result in results:
        value = float(best_f_measure(np.array([result.payload[key]]))[0])
        yield Record(result.dataset, result.sample, 0, method, "boundaries", "best F", value)


@dataclass(frozen=True)
class EdgeExperiment(Experiment):
    """ODS, OIS, AP and R50 of the edges of all masks.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    grid : int
        Points along each side of the grid.
    """

    name: ClassVar[str] = "edges"
    title: ClassVar[str] = "Edge detection"
    kind: ClassVar[str] = "boundaries"
    max_images: int | None = setting(16, "images per data set, evenly spaced", low=1)
    grid: int = setting(16, "points along each side of the grid", low=1, high=256)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {"grid": self.grid}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        predictor, truth = open_sample(predictor, sample)
        boundaries = _require_boundaries(sample, truth)
        return {"masks": edge_counts(mask_edges(predictor, self.grid), boundaries).as_array().tolist()}

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        return _edge_records(results, "masks", method)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return _edge_estimates(results, "masks", method, seed)


def _require_boundaries(sample: Sample, truth: GroundTruth) -> NDArray[np.bool_]:
    if truth.boundaries is None or not len(truth.boundaries):
        raise EvaluationError(f"{sample.title}: has no drawn boundaries", remedy="give data such as BSDS500")
    return truth.boundaries


@dataclass(frozen=True)
class EdgeBaselineExperiment(Experiment):
    """Edges by Sobel and Canny, and those of other programs, given as folders of PNG maps.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    maps : tuple of (str, Path)
        Names of programs, and folders of NAME.png: grey edge maps in which bright edges are strong.
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
        grey = np.asarray(Image.fromarray(read_rgb(sample)).convert("L"), np.float64) / 255
        boundaries = _require_boundaries(sample, sample.truth((grey.shape[0], grey.shape[1])))
        maps = {"sobel": sobel_edges(grey), "canny": canny_edges(grey)}
        for name, folder in self.maps:
            maps[name] = _read_edge_map(folder / f"{sample.name}.png", grey.shape)
        return {name: edge_counts(edges, boundaries).as_array().tolist() for name, edges in maps.items()}

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for name in results[0].payload if results else ():
            yield from _edge_records(results, name, name)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        return [estimate for name in results[0].payload for estimate in _edge_estimates(results, name, name, seed)]


def _read_edge_map(path: Path, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Read another program's edge map, scaled to [0, 1]."""
    try:
        with Image.open(path) as file:
            is_16_bit = file.mode.startswith("I")  # converting it to grey would clip it
            edges = np.asarray(file if is_16_bit else file.convert("L"), np.float64) / (65535 if is_16_bit else 255)
    except OSError as error:
        raise EvaluationError(f"{path}: no edge map: {error}", remedy="give NAME.png for each image") from error
    if edges.shape != shape:
        raise EvaluationError(
            f"{path}: an edge map of shape {edges.shape} for an image of shape {shape}", remedy="give both of one shape"
        )
    return edges
