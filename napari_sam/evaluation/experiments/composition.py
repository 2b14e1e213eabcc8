"""What a data set is made of: where masks lie, how many and how large they are, how concave, where on Earth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.experiment import OVERALL, Estimate, Experiment, Record, mean_estimates
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Payload, SampleResult
    from napari_sam.predictor import Predictor

CENTER_BINS = 32
"""Cells along each side of the map of mask centres."""

MASKS_PER_IMAGE = ((1, 10), (11, 50), (51, 100), (101, 200), (201, 10**9))
"""Groups of the paper's Figures 2 and 6."""


def concavity(mask: NDArray[np.bool_]) -> float:
    """One minus the mask's area over that of its convex hull (pixels as squares); 0 for a convex mask.

    Parameters
    ----------
    mask : ndarray of bool
        (h, w), not empty.

    Examples
    --------
    >>> corner = np.ones((4, 4), bool)
    >>> corner[2:, 2:] = False
    >>> round(concavity(np.ones((4, 4), bool)), 3), round(concavity(corner), 3)
    (0.0, 0.143)
    """
    rows, first = np.unique(np.nonzero(mask)[0], return_index=True)
    cols = np.nonzero(mask)[1]
    last = np.concatenate([first[1:], [len(cols)]]) - 1
    left, right = cols[first], cols[last] + 1
    corners = np.concatenate([np.column_stack([rows + dy, side]) for side in (left, right) for dy in (0, 1)])
    try:
        hull = float(ConvexHull(corners).volume)
    except QhullError:
        return 0.0
    return max(0.0, 1 - float(np.count_nonzero(mask)) / hull)


@dataclass(frozen=True)
class CompositionExperiment(Experiment):
    """The paper's analyses of a data set, for any labelled images.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spread; None for all.
    """

    name: ClassVar[str] = "data"
    title: ClassVar[str] = "The data"
    needs_model: ClassVar[bool] = False
    max_images: int | None = setting(None, "images per data set, evenly spaced", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        truth = sample.truth()
        h, w = truth.shape
        rows = [_described(one, h, w) for one in truth.scored_objects]
        return {
            "shape": [h, w],
            "position": _position(sample),
            "labels": [one.label for one in truth.scored_objects],
            "center": [row[0] for row in rows],
            "size": [row[1] for row in rows],
            "concavity": [row[2] for row in rows],
        }

    def records(self, units: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for unit in units:
            yield Record(
                unit.dataset, unit.sample, 0, "data", "image", "masks per image", float(len(unit.payload["labels"]))
            )
            for label, size, bent in zip(*(unit.payload[k] for k in ("labels", "size", "concavity")), strict=True):
                yield Record(unit.dataset, unit.sample, label, "data", "mask", "relative size", size)
                yield Record(unit.dataset, unit.sample, label, "data", "mask", "concavity", bent)

    def summary(self, units: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        out = mean_estimates(self.records(units, method), seed)
        for low, high in MASKS_PER_IMAGE:
            inside = [float(low <= len(u.payload["labels"]) <= high) for u in units]
            name = f"images with {low}-{high} masks" if high < 10**9 else f"images with over {low - 1} masks"
            found = bootstrap_mean(inside, [f"{u.dataset}/{u.sample}" for u in units], seed=seed)
            out.append(Estimate.of("data", OVERALL, "image", name, found))
        return out


def _described(one: TrueObject, h: int, w: int) -> tuple[list[float], float, float]:
    """Centre as shares of height and width, size as the root of the share of the image, concavity."""
    ys, xs = np.nonzero(one.mask)
    center = [(float(ys.mean()) + one.origin[0] + 0.5) / h, (float(xs.mean()) + one.origin[1] + 0.5) / w]
    return center, math.sqrt(one.area_px / (h * w)), concavity(one.mask)


def _position(sample: Sample) -> list[float] | None:
    """Latitude and longitude of the middle of a georeferenced image; None where it is not, or pyproj is missing."""
    if sample.image is None or sample.image.suffix.lower() not in (".tif", ".tiff"):
        return None
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - only TIFFs are opened

    image = open_image(sample.image)
    if image.crs is None or image.transform is None:
        return None
    try:
        import pyproj  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    h, w = image.shape
    a, b, c, d, e, f = image.transform[:6]
    x, y = a * w / 2 + b * h / 2 + c, d * w / 2 + e * h / 2 + f
    try:
        to = pyproj.Transformer.from_crs(image.crs, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.ProjError:
        return None
    longitude, latitude = to.transform(x, y)
    return [float(latitude), float(longitude)] if math.isfinite(latitude) and math.isfinite(longitude) else None


def center_map(units: Sequence[SampleResult], bins: int = CENTER_BINS) -> NDArray[np.float64]:
    """Density of mask centres over the image, (bins, bins), mean 1.

    Raises
    ------
    EvaluationError
        If there is no mask.
    """
    centers = np.array([c for u in units for c in u.payload["center"]]).reshape(-1, 2)
    if not len(centers):
        raise EvaluationError(f"no mask in {len(units)} images: centres are not defined")
    counts, _, _ = np.histogram2d(centers[:, 0], centers[:, 1], bins=bins, range=[[0, 1], [0, 1]])
    return np.asarray(counts / counts.mean())
