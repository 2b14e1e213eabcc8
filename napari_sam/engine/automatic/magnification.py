"""Estimate the magnification at which the dense decoder segments an image best: one decision for the whole image.

The decoder estimates the quality of each object itself, so a few samples are segmented at several magnifications,
starting from full resolution and following the better score. Objects that are too large for a magnification fall
apart, those that are too small merge with their neighbours, and neither look like whole objects in the maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.automatic.dense_finder import DenseFinder, default_settings, dense_windows
from napari_sam.engine.automatic.dense_maps import NATURAL_PX, check_region, dense_side
from napari_sam.engine.geometry import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.object_finder import TileObjects
    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from src_models.watershed_settings import WatershedSettings

_RUNG = math.sqrt(2.0)
_MAX_FACTOR = 4.0  # largest magnification or reduction
_OVERVIEW = 4  # samples are placed by maps at a quarter of the resolution
_MIN_GAIN = 0.02  # gain of the score that justifies a finer rung, which is twice the work
_SIZE_PENALTY = 0.1  # of the score, for each factor of two between objects and the natural size
_CONFIDENT = 0.4  # the diameter is that of objects with at least this predicted IoU
_SAMPLE_CENTRES = ((0.5, 0.5), (0.2, 0.3), (0.8, 0.7), (0.3, 0.8), (0.7, 0.2))  # shares of the region's sides


@dataclass(frozen=True)
class DenseScale:
    """The magnification that suits the dense decoder.

    Attributes
    ----------
    side : int
        Level-0 pixels that one window should show.
    diameter_px : float
        Median diameter of the objects, level-0 pixels: that of a disc of the same area.
    score : float
        Mean predicted IoU of these objects, less a penalty for unusual sizes.
    """

    side: int
    diameter_px: float
    score: float


def estimate_diameter(
    predictor: EmbedderHolder,
    region: tuple[int, int, int, int] | None = None,
    samples: int = 3,
    cancelled: Callable[[], bool] | None = None,
) -> float | None:
    """Estimate the diameter of the typical object, level-0 pixels; None without objects. See `estimate_scale`."""
    scale = estimate_scale(predictor, region, samples=samples, cancelled=cancelled)
    return None if scale is None else scale.diameter_px


def estimate_scale(
    predictor: EmbedderHolder,
    region: tuple[int, int, int, int] | None = None,
    *,
    settings: WatershedSettings | None = None,
    samples: int = 3,
    cancelled: Callable[[], bool] | None = None,
) -> DenseScale | None:
    """Find the magnification at which the dense decoder is most confident of its objects.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image and a dense decoder.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1), level-0 pixels; the whole image by default.
    settings : WatershedSettings, optional
        As in `DenseFinder`.
    samples : int
        Largest number of windows that are segmented at each magnification.
    cancelled : callable, optional
        Called between windows; return True to stop.

    Returns
    -------
    DenseScale or None
        None if the samples show no objects.

    Raises
    ------
    PromptError
        If the region lies outside the image, or the model has no dense decoder.
    CancelledError
        If `cancelled()` returned True.
    """
    box = check_region(region, predictor.embedder.image.shape, None)
    search = _ScaleSearch(predictor, box, settings or default_settings(predictor), samples, cancelled)
    best, rung = search.scale_at(0), 0
    for direction, gain in ((1, 0.0), (-1, _MIN_GAIN)):
        while (scale := search.scale_at(rung + direction)) is not None and (
            best is None or scale.score > best.score + gain
        ):
            best, rung = scale, rung + direction
    return best


def find_instances(
    predictor: EmbedderHolder,
    region: Box,
    diameter_px: float | None = None,
    settings: WatershedSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    branches: str = "auto",
) -> NDArray[np.int32]:
    """Find all objects of a region that fits into memory; see `Predictor.instances`."""
    if diameter_px is None:
        scale = estimate_scale(predictor, region, settings=settings, cancelled=cancelled)
        side = None if scale is None else scale.side
    else:
        side = dense_side(diameter_px, predictor.embedder.img_size, predictor.embedder.image.shape)
    finder = DenseFinder(predictor, settings, side, keep=True, branches=branches)
    windows = finder.windows(region, 1)
    computed = []
    for i, window in enumerate(windows):
        computed += finder.compute(region, 1, [finder.read_window(window, 1)], cancelled)
        if progress is not None:
            progress(i + 1, len(windows))
    return finder.finish(region, 1, computed).labels


class _ScaleSearch:
    """Segments the samples of a region at one magnification after the other."""

    def __init__(
        self,
        predictor: EmbedderHolder,
        region: Box,
        settings: WatershedSettings,
        samples: int,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.predictor, self.region, self.cancelled = predictor, region, cancelled
        self.settings = replace(settings, min_predicted_iou=0.0)
        self.samples = samples
        self.img_size, self.image_shape = predictor.embedder.img_size, predictor.embedder.image.shape
        self.first_side = dense_side(None, self.img_size, self.image_shape)
        self._centres: list[tuple[int, int]] | None = None
        self._scales: dict[int, DenseScale | None] = {}

    def scale_at(self, rung: int) -> DenseScale | None:
        """Return the scale at which windows show 2^(rung / 2) times as much as at first; None beyond the limits."""
        side = round(self.first_side * _RUNG**rung)
        if not 1 / _MAX_FACTOR <= side / self.img_size * 1.001 <= _MAX_FACTOR * 1.01:
            return None
        if rung not in self._scales:
            self._scales[rung] = self._score(side)
        return self._scales[rung]

    def _score(self, side: int) -> DenseScale | None:
        factor = 1 << max(0, int(math.log2(side / self.img_size) + 1e-6))
        finder = DenseFinder(self.predictor, self.settings, side // factor, keep=True, branches="dense")
        diameters: list[NDArray[np.float64]] = []
        scores: list[NDArray[np.float32]] = []
        for box in self._sample_boxes(side):
            objects = finder.finish(box, factor, finder.compute(box, factor, finder.read(box, factor), self.cancelled))
            whole = ~self._cut(objects, box)
            area = np.bincount(objects.labels.ravel(), minlength=len(whole) + 1)[1:]
            diameters.append(2 * factor * np.sqrt(area[whole] / np.pi))
            scores.append(objects.predicted_iou[whole])
        d, q = np.concatenate(diameters), np.concatenate(scores)
        if not len(d):
            return None
        confident = d[q >= _CONFIDENT] if (q >= _CONFIDENT).any() else d
        octaves = abs(math.log2(np.median(d) * self.img_size / side / NATURAL_PX))
        score = float((d * q).sum() / d.sum()) - _SIZE_PENALTY * octaves
        return DenseScale(side, float(np.median(confident)), score)

    def _sample_boxes(self, side: int) -> list[Box]:
        """Return the region, or samples of it that are one window large."""
        whole = self.region == (0, 0, *self.image_shape)
        windows = dense_windows(self.region, side, 1, self.image_shape, self.img_size, stretch=whole)
        if len(windows) <= self.samples + 1:
            return [self.region]
        if self._centres is None:
            self._centres = self._sample_centres()
        return list(dict.fromkeys(_square_around(centre, side, self.region) for centre in self._centres))

    def _cut(self, objects: TileObjects, box: Box) -> NDArray[np.bool_]:
        """Return which objects, from the first on, are cut by a side of the box inside the region."""
        labels = objects.labels
        cut = np.zeros(int(labels.max(initial=0)) + 1, bool)
        edges = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
        for edge, inner, outer in zip(edges, box, self.region, strict=True):
            if inner != outer:
                cut[edge] = True
        return cut[1:]

    def _sample_centres(self) -> list[tuple[int, int]]:
        """Return centres of samples with much foreground, from maps at a low resolution."""
        y0, x0 = self.region[:2]
        height, width = self.region.shape
        views = list(
            dict.fromkeys(
                _square_around(
                    (round(y0 + fy * height), round(x0 + fx * width)), _OVERVIEW * self.img_size, self.region
                )
                for fy, fx in _SAMPLE_CENTRES[: max(1, self.samples)]
            )
        )
        finder = DenseFinder(self.predictor, self.settings, self.img_size, branches="dense")
        centres: list[tuple[int, int]] = []
        for i, view in enumerate(views):
            computed = finder.compute(view, _OVERVIEW, finder.read(view, _OVERVIEW), self.cancelled)
            maps = finder.maps(view, _OVERVIEW, computed)
            count = self.samples // len(views) + (i < self.samples % len(views))
            centres += [
                (view.y0 + y * _OVERVIEW, view.x0 + x * _OVERVIEW)
                for y, x in _densest(maps[0], self.img_size // _OVERVIEW, count)
            ]
        return centres


def _square_around(centre: tuple[int, int], side: int, region: Box) -> Box:
    """Return a square around a point, moved into the region and clipped to it."""
    spans = []
    for axis in (0, 1):
        low, high = region[axis], region[axis + 2]
        start = max(low, min(centre[axis] - side // 2, high - side))
        spans.append((start, min(start + side, high)))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)


def _densest(foreground: NDArray[np.float32], size: int, count: int) -> list[tuple[int, int]]:
    """Return the centres of the squares with most foreground, none inside another one."""
    mean = ndimage.uniform_filter(foreground, size, mode="constant")
    centres = []
    for _ in range(count):
        y, x = np.unravel_index(int(mean.argmax()), mean.shape)
        centres.append((int(y), int(x)))
        mean[max(0, y - size // 2) : y + size // 2 + 1, max(0, x - size // 2) : x + size // 2 + 1] = -1
    return centres
