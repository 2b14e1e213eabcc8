"""Dense mode for whole images: the dense decoder's maps of a region's windows, blended, then a seeded watershed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from napari_sam.engine.automatic.dense_maps import blend, dense_side
from napari_sam.engine.automatic.object_finder import TileObjects, is_even
from napari_sam.engine.automatic.region_windows import cover_region, even_starts, label_shape, network_record
from napari_sam.engine.embeddings.window_objects import used_cells
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError
from src_models.watershed import scored_objects
from src_models.watershed_settings import WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey
    from napari_sam.engine.geometry import Box

OVERLAP = 1 / 8
"""Of windows of one region, over their side; a quarter or a half finds no more (train splits)."""

_STRETCH = 1.12  # windows may show so much more of the image where fewer of them do then; far less than a rung of scale
_BATCH = 8  # windows encoded together where that is faster

_DEFAULT_MODEL = WatershedSettings(min_predicted_iou=0.4)
_MICRO_SAM = WatershedSettings(centre=0.5, foreground_sigma_px=1.0, sigma_px=1.6)
_MICRO_SAM_LM = WatershedSettings(centre=0.4, min_area_px=100)


def default_settings(predictor: EmbedderHolder) -> WatershedSettings:
    """How a model's maps become objects unless somebody says otherwise.

    For the default model what was best on the train splits of all data sets; for micro-sam's light-microscopy models
    and for the rest of its models, micro-sam's own.
    """
    model = predictor.embedder.model
    if model.kind == "default":
        return _DEFAULT_MODEL
    return _MICRO_SAM_LM if model.name.endswith("_lm") else _MICRO_SAM


@dataclass(frozen=True)
class DenseWindow:
    """A window, and what the network sees of it.

    Attributes
    ----------
    window : Window
        Where.
    shape : (int, int)
        Height and width of what shows the image in the network's input; the rest is padding.
    key : EmbeddingKey or None
        Name of its embedding, if prompts see the window in the same way.
    pixels : ndarray of uint8 or None
        (h, w, 3); None where the embedding is in the cache.
    """

    window: Window
    shape: tuple[int, int]
    key: EmbeddingKey | None
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class DenseMaps:
    """A window's maps.

    Attributes
    ----------
    window : Window
        Where.
    maps : ndarray of float32
        (3, h, w) without the padding, as fine as the decoder gives them.
    """

    window: Window
    maps: NDArray[np.float32]


class DenseFinder:
    """Find all objects of a region by the dense decoder and a seeded watershed; an `ObjectFinder`.

    Parameters
    ----------
    predictor : EmbedderHolder
        With an image.
    settings : WatershedSettings, optional
        `default_settings` of the model by default.
    side : int, optional
        Level-0 pixels that one window shows at factor 1: fewer magnify. By default the network's input, or the
        whole image where it is smaller; `estimate_side` finds the best.
    keep : bool
        Put embeddings into the predictor's cache. Those that are there already are used in any case.

    Notes
    -----
    Windows overlap by an eighth or more, and maps count most in a window's middle. Where a window
    would show more than the whole image, the rest of the network's input is empty.
    """

    method = "dense"

    def __init__(
        self,
        predictor: EmbedderHolder,
        settings: WatershedSettings | None = None,
        side: int | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self.embedder = predictor.embedder
        self.watershed = settings or default_settings(predictor)
        self._side, self.keep = side, keep

    @property
    def side(self) -> int:
        """Level-0 pixels that one window shows at factor 1."""
        return self._side or dense_side(None, self.embedder.img_size, self.embedder.image.shape)

    def settings(self) -> dict[str, Any]:
        """Everything the answer depends on besides the pixels, as JSON holds it."""
        return {"method": self.method, "side": self.side, **network_record(self.embedder), **asdict(self.watershed)}

    def read(self, region: Box, factor: int) -> list[DenseWindow]:
        """Read the pixels of the region's windows, scaled for the network.

        Raises
        ------
        PromptError
            If the region is empty or not inside the image.
        """
        return [self.read_window(window, factor) for window in self.windows(region, factor)]

    def sees_nothing(self, read: list[DenseWindow]) -> bool:
        """Whether every window is even: background of a slide, or what was never scanned."""
        return all(one.pixels is not None and is_even(one.pixels) for one in read)

    def windows(self, region: Box, factor: int) -> list[Window]:
        """The windows that show a region. Raises as `read`."""
        span, shape = self.side * factor, self.embedder.image.shape
        whole = region == (0, 0, *shape)  # tiles of a larger image are to be seen alike
        return dense_windows(region, span, factor, shape, self.embedder.img_size, stretch=whole)

    def read_window(self, window: Window, factor: int) -> DenseWindow:
        """Read one of `windows`."""
        embedder, span = self.embedder, self.side * factor
        if span > max(window.shape) + factor:  # the whole image, and smaller than a prompt's window would show it
            scale = embedder.img_size / span
            seen = (max(1, round(window.shape[0] * scale)), max(1, round(window.shape[1] * scale)))
            return DenseWindow(window, seen, None, embedder.pixels(window, seen))
        key = embedder.key(window)
        return DenseWindow(
            window, window.network_shape, key, None if key in embedder.cache else embedder.pixels(window)
        )

    def compute(
        self, region: Box, factor: int, read: list[DenseWindow], cancelled: Callable[[], bool] | None = None
    ) -> list[DenseMaps]:
        """Encode the windows and draw their maps.

        Raises
        ------
        PromptError
            If the model has no dense decoder.
        CancelledError
            If `cancelled` said so.
        """
        embedder, runner = self.embedder, self.embedder.model.runner
        embedder.model.load_dense_decoder()
        size = 1 if runner.device.type == "cpu" else _BATCH
        out: list[DenseMaps] = []
        for start in range(0, len(read), size):
            if cancelled is not None and cancelled():
                raise CancelledError("finding all objects was cancelled")
            some = read[start : start + size]
            with embedder.priority_lock.background(cancelled):
                for one, embedding in zip(some, self._embeddings(some), strict=True):
                    maps = runner.dense(embedding).numpy()
                    rows, cols = used_cells(one.shape, maps.shape[1], embedder.img_size)
                    out.append(DenseMaps(one.window, maps[:, :rows, :cols]))
        return out

    def _embeddings(self, windows: list[DenseWindow]) -> list[torch.Tensor]:
        """Embeddings (1, 256, h, w) of windows, from the cache or computed together."""
        embedder, runner = self.embedder, self.embedder.model.runner
        found = [None if w.key is None else embedder.cache.get(w.key, runner.device, runner.dtype) for w in windows]
        missing = [i for i, embedding in enumerate(found) if embedding is None]
        if missing:
            pixels = []
            for i in missing:
                one = windows[i]
                pixels.append(embedder.pixels(one.window, one.shape) if one.pixels is None else one.pixels)
            for i, embedding in zip(missing, runner.encode(pixels).split(1), strict=True):
                found[i] = embedding
                if self.keep and (key := windows[i].key) is not None:
                    embedder.cache.put(key, embedding)
        return [embedding for embedding in found if embedding is not None]

    def finish(self, region: Box, factor: int, computed: list[DenseMaps]) -> TileObjects:
        """Flood the maps, and keep the objects that they are sure enough of."""
        maps = self.maps(region, factor, computed)
        scored = scored_objects(maps, self.watershed, self.side / self.embedder.img_size)
        return TileObjects(scored.labels, scored.predicted_iou, scored.stability_score)

    def maps(self, region: Box, factor: int, computed: list[DenseMaps]) -> NDArray[np.float32]:
        """The region's maps (3, h, w), one value per label pixel, blended from those of its windows."""
        y0, x0 = region[:2]
        shape = label_shape(region, factor)
        maps_of = {}
        windows = []
        for one in computed:
            a, b, c, d = one.window.bbox
            top, left = (a - y0) // factor, (b - x0) // factor
            own = Window((top, left, top + -(-(c - a) // factor), left + -(-(d - b) // factor)), one.window.img_size)
            windows.append(own)
            maps_of[own] = one.maps
        return blend(windows, lambda window: _resized(maps_of[window], window.shape), (0, 0, *shape))


def dense_windows(
    region: Box, span: int, factor: int, image_shape: tuple[int, int], img_size: int, *, stretch: bool = False
) -> list[Window]:
    """Windows that cover a region, on its grid of label pixels, inside the image.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    span : int
        Side of a window, level-0 pixels. Windows are larger than a smaller region, and as large as a smaller image.
    factor : int
        Level-0 pixels per label pixel.
    image_shape : (int, int)
        Windows are moved inwards at the image's border.
    img_size : int
        Side of the network's input.
    stretch : bool
        Let windows show up to an eighth more where fewer are enough then.

    Raises
    ------
    PromptError
        If the region is empty or lies outside the image.

    Examples
    --------
    >>> [w.bbox for w in dense_windows((0, 0, 900, 512), 512, 1, (4000, 4000), 512)]
    [(0, 0, 512, 512), (388, 0, 900, 512)]
    >>> [w.bbox for w in dense_windows((100, 0, 200, 90), 512, 1, (400, 4000), 512)]
    [(0, 0, 400, 512)]
    """
    span = _stretched(region, span) if stretch else span
    return cover_region(region, image_shape, img_size, partial(_window_spans, span=span, factor=factor))


def _stretched(region: Box, span: int) -> int:
    """The side of windows, so that as few as possible cover a region.

    >>> _stretched((0, 0, 1024, 700), 512), _stretched((0, 0, 1500, 1500), 512)
    (547, 546)
    """
    best = span
    for size in (region[2] - region[0], region[3] - region[1]):
        count = 1 + max(0, math.ceil((size - span) / (span * (1 - OVERLAP))))
        if count > 1:
            needed = math.ceil(size / (1 + (count - 2) * (1 - OVERLAP)))  # for one window less
            if needed <= _STRETCH * span:
                best = max(best, needed)
    return best


def _window_spans(low: int, high: int, size: int, *, span: int, factor: int) -> list[tuple[int, int]]:
    """Return start and end of windows along an axis: evenly spread, `OVERLAP` or more in common."""
    if high - low <= span:  # one window, with the region in its middle
        start = min(max(0, (low + high - span) // 2), max(0, size - span))
        start = low - (low - start) // factor * factor
        return [(start, min(start + span, size))]
    count = 1 + math.ceil((high - low - span) / (span - math.ceil(OVERLAP * span)))
    starts = even_starts(low, math.ceil((high - low - span) / factor), count, factor)
    return [(start, min(start + span, size)) for start in starts]


def _resized(maps: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Maps (3, h, w) scaled to a shape."""
    tensor = torch.from_numpy(maps)[None]
    out: NDArray[np.float32] = F.interpolate(tensor, size=shape, mode="bilinear", align_corners=False)[0].numpy()
    return out
