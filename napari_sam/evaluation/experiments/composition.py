"""The composition of a data set: where masks lie, how many, how large and how concave they are, where on Earth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.experiments.experiment import OVERALL, Estimate, Experiment, Record, mean_estimates
from napari_sam.evaluation.metrics.bootstrap import bootstrap_mean
from napari_sam.io.geo.map_coordinates import LON_LAT, projection, to_map
from napari_sam.io.images.open_image import open_image
from src_models.settings import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam.evaluation.datasets.ground_truth import TrueObject
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Payload, SampleResult
    from napari_sam.predictor import Predictor

CENTER_BINS = 32
"""Bins along each side of the map of mask centres."""

MASKS_PER_IMAGE = ((1, 10), (11, 50), (51, 100), (101, 200), (201, 10**9))
"""Ranges of the paper's Figures 2 and 6; the last one is open."""

_METHOD = "data"


def concavity(mask: NDArray[np.bool_]) -> float:
    """Return one minus the ratio of the areas of a mask and its convex hull, of pixels as squares; 0 if convex.

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
        hull_area = float(ConvexHull(corners).volume)
    except QhullError:
        return 0.0
    return max(0.0, 1 - float(np.count_nonzero(mask)) / hull_area)


@dataclass(frozen=True)
class CompositionExperiment(Experiment):
    """The paper's analyses of a data set, for any labelled images.

    Attributes
    ----------
    max_images : int or None
        Images of each data set, evenly spaced; None for all.
    """

    name: ClassVar[str] = "data"
    title: ClassVar[str] = "The data"
    needs_model: ClassVar[bool] = False
    max_images: int | None = setting(None, "images per data set, evenly spaced", low=1)

    def settings(self) -> dict[str, Any]:  # noqa: D102 - as in Experiment
        return {}

    def measure(self, sample: Sample, predictor: Predictor | None, seed: int) -> Payload:  # noqa: D102
        truth = sample.truth()
        objects = truth.scored_objects
        return {
            "shape": list(truth.shape),
            "position": read_position(sample),
            "labels": [o.label for o in objects],
            "center": [_relative_centre(o, truth.shape) for o in objects],
            "size": [_relative_size(o, truth.shape) for o in objects],
            "concavity": [concavity(o.mask) for o in objects],
        }

    def records(self, results: Sequence[SampleResult], method: str) -> Iterator[Record]:  # noqa: D102
        for result in results:
            payload, image = result.payload, (result.dataset, result.sample)
            yield Record(*image, 0, _METHOD, "image", "masks per image", float(len(payload["labels"])))
            columns = (payload["labels"], payload["size"], payload["concavity"])
            for label, size, concave in zip(*columns, strict=True):
                yield Record(*image, label, _METHOD, "mask", "relative size", size)
                yield Record(*image, label, _METHOD, "mask", "concavity", concave)

    def summary(self, results: Sequence[SampleResult], method: str, seed: int) -> list[Estimate]:  # noqa: D102
        estimates = mean_estimates(self.records(results, method), seed)
        images = [f"{result.dataset}/{result.sample}" for result in results]
        for low, high in MASKS_PER_IMAGE:
            in_range = [float(low <= len(result.payload["labels"]) <= high) for result in results]
            metric = f"images with {low}-{high} masks" if high < 10**9 else f"images with over {low - 1} masks"
            interval = bootstrap_mean(in_range, images, seed=seed)
            estimates.append(Estimate(_METHOD, OVERALL, "image", metric, interval))
        return estimates


def _relative_centre(true_object: TrueObject, shape: tuple[int, int]) -> list[float]:
    """Return the centre of a mask as shares of the image's height and width."""
    ys, xs = np.nonzero(true_object.mask)
    y0, x0 = true_object.origin
    return [(float(ys.mean()) + y0 + 0.5) / shape[0], (float(xs.mean()) + x0 + 0.5) / shape[1]]


def _relative_size(true_object: TrueObject, shape: tuple[int, int]) -> float:
    """Return the square root of a mask's share of the image."""
    return math.sqrt(true_object.area_px / (shape[0] * shape[1]))


def read_position(sample: Sample) -> list[float] | None:
    """Return latitude and longitude of the centre of a georeferenced TIFF.

    Returns
    -------
    list of float or None
        Degrees; None if the image is not georeferenced, or its CRS is unknown.
    """
    if sample.image is None or sample.image.suffix.lower() not in (".tif", ".tiff"):
        return None
    image = open_image(sample.image)
    if image.crs is None or image.transform is None:
        return None
    try:
        project = projection(image.crs, LON_LAT)
    except ValueError:
        return None
    h, w = image.shape
    longitude, latitude = project(*to_map(image.transform, np.array([w / 2]), np.array([h / 2])))
    position = [float(latitude[0]), float(longitude[0])]
    return position if np.isfinite(position).all() else None


def center_map(results: Sequence[SampleResult], bins: int = CENTER_BINS) -> NDArray[np.float64]:
    """Return the density of mask centres over the image, (bins, bins) with mean 1.

    Raises
    ------
    EvaluationError
        If there is no mask.
    """
    centers = np.array([center for result in results for center in result.payload["center"]]).reshape(-1, 2)
    if not len(centers):
        raise EvaluationError(
            f"no mask in {len(results)} images: centres are not defined",
            remedy="evaluate images with objects, or lower the score thresholds",
        )
    counts, _, _ = np.histogram2d(centers[:, 0], centers[:, 1], bins=bins, range=[[0, 1], [0, 1]])
    return np.asarray(counts / counts.mean())
