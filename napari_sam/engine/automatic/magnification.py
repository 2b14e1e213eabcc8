"""At which magnification the dense decoder sees an image's objects best: one decision for the whole image.

The decoder says itself how sure it is of each object, so a few samples are looked at in several magnifications, from
full resolution uphill. An object that is too large for a magnification falls apart there, one that is too small runs
into its neighbours, and neither looks like a whole object to the maps.
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

    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from src_models.watershed_settings import WatershedSettings

_RUNG = math.sqrt(2.0)
_FARTHEST = 4.0  # magnified or reduced at most so much
_OVERVIEW = 4  # samples are placed by what is seen at a quarter of the resolution
_WORTH = 0.02  # what a finer rung, which is twice the work, must add to the score
_STRANGE = 0.1  # of the score, for each doubling away from objects of the natural size
_CERTAIN = 0.4  # objects with this predicted IoU tell the diameter


@dataclass(frozen=True)
class DenseScale:
    """How an image is best shown to the dense decoder.

    Attributes
    ----------
    side : int
        Level-0 pixels that one window should show.
    diameter_px : float
        Median diameter of the objects found so, level-0 pixels: that of a disc of the same area.
    score : float
        Mean predicted IoU of these objects, less what unusual sizes cost.
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
    """Diameter of the typical object, level-0 pixels; None where nothing is found. As `estimate_scale`."""
    found = estimate_scale(predictor, region, samples=samples, cancelled=cancelled)
    return None if found is None else found.diameter_px


def estimate_scale(
    predictor: EmbedderHolder,
    region: tuple[int, int, int, int] | None = None,
    *,
    settings: WatershedSettings | None = None,
    samples: int = 3,
    cancelled: Callable[[], bool] | None = None,
) -> DenseScale | None:
    """The magnification at which the dense decoder is surest of what it finds.

    Parameters
    ----------
    predictor : EmbedderHolder
        With an image and a dense decoder.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1), level-0 pixels; the whole image by default.
    settings : WatershedSettings, optional
        As `DenseFinder` takes them.
    samples : int
        Windows that are looked at in each magnification, where there is more to see than so many.
    cancelled : callable, optional
        Asked between windows.

    Returns
    -------
    DenseScale or None
        None where nothing is found in the samples.

    Raises
    ------
    PromptError
        If the region lies outside the image, or the model has no dense decoder.
    CancelledError
        If `cancelled` said so.
    """
    box = check_region(region, predictor.embedder.image.shape, None)
    look = _Looker(predictor, box, settings or default_settings(predictor), samples, cancelled)
    best, rung = look.at(0), 0
    for way, worth in ((1, 0.0), (-1, _WORTH)):
        while (step := look.at(rung + way)) is not None and (best is None or step.score > best.score + worth):
            best, rung = step, rung + way
    return best


def find_instances(
    predictor: EmbedderHolder,
    region: Box,
    diameter_px: float | None = None,
    settings: WatershedSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> NDArray[np.int32]:
    """All objects of a region that fits into memory; see `EmbedderHolder.instances`."""
    if diameter_px is None:
        scale = estimate_scale(predictor, region, settings=settings, cancelled=cancelled)
        side = None if scale is None else scale.side
    else:
        side = dense_side(diameter_px, predictor.embedder.img_size, predictor.embedder.image.shape)
    finder = DenseFinder(predictor, settings, side, keep=True)
    windows = finder.windows(region, 1)
    computed = []
    for i, window in enumerate(windows):
        computed += finder.compute(region, 1, [finder.read_window(window, 1)], cancelled)
        if progress is not None:
            progress(i + 1, len(windows))
    return finder.finish(region, 1, computed).labels


class _Looker:
    """Looks at the samples of a region in one magnification after the other."""

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
        self.first = dense_side(None, self.img_size, self.image_shape)
        self._centres: list[tuple[int, int]] | None = None
        self._seen: dict[int, DenseScale | None] = {}

    def at(self, rung: int) -> DenseScale | None:
        """What is found when the windows show 2^(rung / 2) times as much as they do at first."""
        side = round(self.first * _RUNG**rung)
        if not 1 / _FARTHEST <= side / self.img_size * 1.001 <= _FARTHEST * 1.01:
            return None
        if rung not in self._seen:
            self._seen[rung] = self._judge(side)
        return self._seen[rung]

    def _judge(self, side: int) -> DenseScale | None:
        factor = 1 << max(0, int(math.log2(side / self.img_size) + 1e-6))
        finder = DenseFinder(self.predictor, self.settings, side // factor, keep=True)
        diameters: list[NDArray[np.float64]] = []
        sure: list[NDArray[np.float32]] = []
        for box in self._boxes(side):
            found = finder.finish(box, factor, finder.compute(box, factor, finder.read(box, factor), self.cancelled))
            whole = ~self._cut(found.labels, box)
            area = np.bincount(found.labels.ravel(), minlength=len(whole) + 1)[1:]
            diameters.append(2 * factor * np.sqrt(area[whole] / np.pi))
            sure.append(found.predicted_iou[whole])
        d, q = np.concatenate(diameters), np.concatenate(sure)
        if not len(d):
            return None
        certain = d[q >= _CERTAIN] if (q >= _CERTAIN).any() else d
        strange = abs(math.log2(np.median(d) * self.img_size / side / NATURAL_PX))
        score = float((d * q).sum() / d.sum()) - _STRANGE * strange
        return DenseScale(side, float(np.median(certain)), score)

    def _boxes(self, side: int) -> list[Box]:
        """What is looked at: the region, or samples of it one window large."""
        shape, size = self.image_shape, self.img_size
        whole = self.region == (0, 0, *shape)
        if len(dense_windows(self.region, side, 1, shape, size, stretch=whole)) <= self.samples + 1:
            return [self.region]
        if self._centres is None:
            self._centres = self._places()
        return list(dict.fromkeys(_box_at(centre, side, self.region) for centre in self._centres))

    def _cut(self, labels: NDArray[np.int32], box: Box) -> NDArray[np.bool_]:
        """Which objects, from the first on, a box cuts off where the region goes on."""
        out = np.zeros(int(labels.max(initial=0)) + 1, bool)
        edges = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
        for edge, own, outer in zip(edges, box, self.region, strict=True):
            if own != outer:
                out[edge] = True
        return out[1:]

    def _places(self) -> list[tuple[int, int]]:
        """Centres of the samples: where most of the foreground is, seen from afar."""
        y0, x0, y1, x1 = self.region
        size = self.img_size
        span = _OVERVIEW * size
        middles = [(0.5, 0.5), (0.2, 0.3), (0.8, 0.7), (0.3, 0.8), (0.7, 0.2)][: max(1, self.samples)]
        views = list(
            dict.fromkeys(
                _box_at((round(y0 + fy * (y1 - y0)), round(x0 + fx * (x1 - x0))), span, self.region)
                for fy, fx in middles
            )
        )
        finder = DenseFinder(self.predictor, self.settings, size)
        out: list[tuple[int, int]] = []
        for i, view in enumerate(views):
            maps = finder.maps(
                view, _OVERVIEW, finder.compute(view, _OVERVIEW, finder.read(view, _OVERVIEW), self.cancelled)
            )
            wanted = self.samples // len(views) + (i < self.samples % len(views))
            out += [
                (view[0] + y * _OVERVIEW, view[1] + x * _OVERVIEW)
                for y, x in _densest(maps[0], size // _OVERVIEW, wanted)
            ]
        return out


def _box_at(centre: tuple[int, int], side: int, region: Box) -> Box:
    """A square around a place, or as much of it as the region has."""
    spans = []
    for axis in (0, 1):
        low, high = region[axis], region[axis + 2]
        start = max(low, min(centre[axis] - side // 2, high - side))
        spans.append((start, min(start + side, high)))
    (y0, y1), (x0, x1) = spans
    return Box(y0, x0, y1, x1)


def _densest(foreground: NDArray[np.float32], size: int, count: int) -> list[tuple[int, int]]:
    """Middles of the squares of a side with most foreground, none in another one."""
    mean = ndimage.uniform_filter(foreground, size, mode="constant")
    out = []
    for _ in range(count):
        y, x = np.unravel_index(int(mean.argmax()), mean.shape)
        out.append((int(y), int(x)))
        mean[max(0, y - size // 2) : y + size // 2 + 1, max(0, x - size // 2) : x + size // 2 + 1] = -1
    return out
