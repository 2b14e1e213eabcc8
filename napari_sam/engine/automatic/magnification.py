"""Estimate the magnification at which the dense decoder segments an image best: one decision for the whole image.

The decoder estimates the quality of each object itself, so a sample of the image is segmented at several
magnifications. Objects that are too large for a magnification fall apart, those that are too small merge with their
neighbours, and neither look like whole objects in the maps. The sample at four magnifications fits into one input of
the network, as four cells of a sheet: a second sheet then holds the magnifications around the best of the first. On the
train splits of nine data sets, the mSA at this magnification is 0.051 below that at the best one, in two windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam.engine.automatic.contact_sheet import Sample, Sheet
from napari_sam.engine.automatic.dense_finder import DenseFinder, default_settings
from napari_sam.engine.automatic.dense_maps import NATURAL_PX, check_region, dense_side
from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError
from src_models.watershed import scored_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from src_models.watershed import ScoredObjects
    from src_models.watershed_settings import WatershedSettings

_RUNG = math.sqrt(2.0)
_FIRST_RUNGS = (-2, 0, 2, 4)  # the first sheet; rungs are half octaves
_NEXT_RUNGS = (-2, -1, 1, 2)  # the second one, from the best of the first
_MAX_FACTOR = 4.0  # largest magnification or reduction
_VIEW = 4  # a view in which the sample is chosen is so many inputs of the network wide
_VIEW_PX = 256  # and read in so many pixels
_FEW_PX, _USUAL_IOU = 80.0, 0.4  # few objects say little: they are averaged with one of this diameter and this quality
_SIZE_PENALTY = 0.15  # of the score, for each factor of two between objects and the natural size
_CONFIDENT = 0.4  # the diameter is that of objects with at least this predicted IoU
_VIEW_CENTRES = ((0.5, 0.5), (0.2, 0.3), (0.8, 0.7), (0.3, 0.8), (0.7, 0.2))  # shares of the region's sides


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
        Mean predicted IoU of the objects, weighted by their diameters, less a penalty for unusual sizes.
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
        Places of a large region in which the one with most contrast is looked for; it is the one segmented.
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
    predictor.embedder.model.load_dense_decoder()
    search = _ScaleSearch(predictor, box, settings or default_settings(predictor), samples, cancelled)
    scales = search.scales_at(_FIRST_RUNGS)
    middle = max(scales, key=lambda rung: scales[rung].score, default=0)
    scales |= search.scales_at([middle + step for step in _NEXT_RUNGS if middle + step not in _FIRST_RUNGS])
    return max(scales.values(), key=lambda scale: scale.score, default=None)


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
    """Segments a sample of a region at several magnifications at once."""

    def __init__(
        self,
        predictor: EmbedderHolder,
        region: Box,
        settings: WatershedSettings,
        samples: int,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.embedder, self.region, self.cancelled = predictor.embedder, region, cancelled
        self.settings = replace(settings, min_predicted_iou=0.0)
        self.img_size = self.embedder.img_size
        self.first_side = dense_side(None, self.img_size, self.embedder.image.shape)
        self.centre = self._sample_centre(samples)

    def scales_at(self, rungs: Sequence[int]) -> dict[int, DenseScale]:
        """Return the scales at which windows show 2^(rung / 2) times as much as at first, those with objects."""
        sides = {rung: round(self.first_side * _RUNG**rung) for rung in rungs}
        allowed = {
            rung: side
            for rung, side in sides.items()
            if 1 / _MAX_FACTOR <= side / self.img_size * 1.001 <= _MAX_FACTOR * 1.01
        }
        if not allowed:
            return {}
        if self.cancelled is not None and self.cancelled():
            raise CancelledError("choosing the magnification was cancelled")
        samples = [self._sample(side) for side in allowed.values()]
        sheet, runner = Sheet(samples, self.img_size), self.embedder.model.runner
        with self.embedder.priority_lock.background(self.cancelled):
            maps = runner.dense(runner.encode([sheet.pixels])).numpy()
        pitch = maps.shape[1] / self.img_size
        scales = {}
        for (rung, side), sample, part in zip(allowed.items(), samples, sheet.split(maps), strict=True):
            scale = self._scale(side, sample, scored_objects(part, self.settings, pitch), pitch)
            if scale is not None:
                scales[rung] = scale
        return scales

    def _scale(self, side: int, sample: Sample, objects: ScoredObjects, pitch: float) -> DenseScale | None:
        """Score a magnification by the whole objects of its sample; None without any."""
        whole = ~_cut(objects.labels, sample.box, self.region)
        area = np.bincount(objects.labels.ravel(), minlength=len(whole) + 1)[1:][whole]
        if not len(area):
            return None
        d = 2 * np.sqrt(area / np.pi) / pitch  # pixels of the network's input
        q = objects.predicted_iou[whole]
        octaves = abs(math.log2(np.median(d) / NATURAL_PX))
        mean = ((d * q).sum() + _FEW_PX * _USUAL_IOU) / (d.sum() + _FEW_PX)
        confident = d[q >= _CONFIDENT] if (q >= _CONFIDENT).any() else d
        diameter = float(np.median(confident)) * side / self.img_size
        return DenseScale(side, diameter, float(mean) - _SIZE_PENALTY * octaves)

    def _sample(self, side: int) -> Sample:
        """Read the sample in a cell, at the scale at which a window shows `side` level-0 pixels."""
        cell, scale = Sheet.cell_side(self.img_size), self.img_size / side
        box = _square_around(self.centre, max(1, round(cell / scale)), self.region)
        shape = (min(cell, max(1, round(box.height * scale))), min(cell, max(1, round(box.width * scale))))
        return Sample(box, self.embedder.pixels(Window(box, self.img_size), shape))

    def _sample_centre(self, samples: int) -> tuple[int, int]:
        """Return the place with most contrast in some views of the region."""
        y0, x0 = self.region[:2]
        height, width = self.region.shape
        best, centre = -1.0, (y0, x0)
        for view in dict.fromkeys(
            _square_around((round(y0 + fy * height), round(x0 + fx * width)), _VIEW * self.img_size, self.region)
            for fy, fx in _VIEW_CENTRES[: max(1, samples)]
        ):
            window = Window(view, _VIEW_PX)
            contrast, (y, x) = _most_contrast(self.embedder.pixels(window, window.network_shape))
            if contrast > best:
                scale = window.scale
                best, centre = contrast, (view.y0 + int((y + 0.5) / scale[0]), view.x0 + int((x + 0.5) / scale[1]))
        return centre


def _cut(labels: NDArray[np.int32], box: Box, region: Box) -> NDArray[np.bool_]:
    """Return which objects, from the first on, are cut by a side of the box inside the region."""
    cut = np.zeros(int(labels.max(initial=0)) + 1, bool)
    edges = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
    for edge, inner, outer in zip(edges, box, region, strict=True):
        if inner != outer:
            cut[edge] = True
    return cut[1:]


def _most_contrast(pixels: NDArray[np.uint8]) -> tuple[float, tuple[int, int]]:
    """Return the largest local standard deviation of a view, averaged over a quarter of its width, and its place."""
    grey = pixels.astype(np.float32).mean(-1)
    mean = ndimage.uniform_filter(grey, 9)
    deviation = np.sqrt(np.maximum(ndimage.uniform_filter(grey**2, 9) - mean**2, 0))
    smooth = ndimage.uniform_filter(deviation, _VIEW_PX // 4, mode="constant")
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return float(smooth[y, x]), (int(y), int(x))


def _square_around(centre: tuple[int, int], side: int, region: Box) -> Box:
    """Return a square around a point, moved into the region and clipped to it."""
    spans = []
    for axis in (0, 1):
        low, high = region[axis], region[axis + 2]
        start = max(low, min(centre[axis] - side // 2, high - side))
        spans.append((start, min(start + side, high)))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)
