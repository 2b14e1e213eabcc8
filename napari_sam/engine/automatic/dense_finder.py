"""Dense mode: maps of the dense decoder over a region, a seeded watershed, and prompts with the objects it suggests."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from napari_sam.engine.automatic.dense_maps import blend, dense_side
from napari_sam.engine.automatic.object_finder import BRANCHES, TileObjects, is_uniform, uses_both_branches
from napari_sam.engine.automatic.object_proposals import propose_objects
from napari_sam.engine.automatic.prompted_objects import EncodedWindow, RegionObject, merge_objects, prompt_objects
from napari_sam.engine.automatic.region_windows import cover_region, even_starts, label_shape, network_record
from napari_sam.engine.automatic.small_parts import without_small_parts
from napari_sam.engine.embeddings.window_objects import used_cells
from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError, SettingsError
from src_models.watershed import scored_objects
from src_models.watershed_settings import WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.embeddings.embedder import EmbedderHolder
    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey

OVERLAP = 1 / 8
"""Overlap of the windows of one region over their side; a quarter or a half gives no more objects (train splits)."""

_MAX_STRETCH = 1.12  # windows may show this much more of the image if fewer are needed then; far less than a rung
_BATCH = 8  # windows encoded together on a GPU

_DEFAULT_MODEL = WatershedSettings(min_predicted_iou=0.4)
_MICRO_SAM = WatershedSettings(centre=0.5, foreground_sigma_px=1.0, sigma_px=1.6)
_MICRO_SAM_LM = WatershedSettings(centre=0.4, min_area_px=100)


def default_settings(predictor: EmbedderHolder) -> WatershedSettings:
    """Return the watershed settings that suit a model.

    For the default model they are the best on the train splits of all data sets; for micro-sam's light-microscopy
    models and for its other models they are micro-sam's own.
    """
    model = predictor.embedder.model
    if model.kind == "default":
        return _DEFAULT_MODEL
    return _MICRO_SAM_LM if model.name.endswith("_lm") else _MICRO_SAM


@dataclass(frozen=True)
class DenseWindow:
    """A window with the pixels that the network sees.

    Attributes
    ----------
    window : Window
        The window.
    shape : (int, int)
        Height and width of the part of the network's input that shows the image; the rest is padding.
    key : EmbeddingKey or None
        Cache key of its embedding; None if prompts see the window at another scale.
    pixels : ndarray of uint8 or None
        (h, w, 3); None where the embedding is in the cache.
    """

    window: Window
    shape: tuple[int, int]
    key: EmbeddingKey | None
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class DenseMaps:
    """The dense maps of a window.

    Attributes
    ----------
    window : Window
        The window.
    maps : ndarray of float32
        (3, h, w) without the padding, at the decoder's resolution.
    network_shape : (int, int)
        The part of the network's input that shows the image.
    embedding : Tensor or None
        (1, 256, h, w), if the mask decoder is to be prompted.
    features : Tensor or None
        (1, c, h, w) of the dense decoder, if they are asked for and it has any.
    """

    window: Window
    maps: NDArray[np.float32]
    network_shape: tuple[int, int]
    embedding: torch.Tensor | None = None
    features: torch.Tensor | None = None


class DenseFinder:
    """Find all objects of a region by the dense decoder, a seeded watershed and prompts; an `ObjectFinder`.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image.
    settings : WatershedSettings, optional
        `default_settings` of the model by default.
    side : int, optional
        Level-0 pixels that one window shows at factor 1: fewer magnify. By default the network's input, or the whole
        image where it is smaller; `estimate_scale` finds the best side.
    keep : bool
        Put embeddings into the predictor's cache. Cached ones are used in any case.
    branches : {"auto", "both", "dense"}
        "both" also prompts the mask decoder with the objects of the watershed, and with candidates below its
        thresholds; the scores of both branches then decide (`prompt_objects`). "auto" is "both" for models that were
        trained with objects of their dense decoder as prompts, such as the default model.
    min_region_px : int
        Fill holes of objects and remove separate parts that have fewer pixels of the network's input.

    Raises
    ------
    SettingsError
        If `branches` is none of these.

    Notes
    -----
    Windows overlap by an eighth or more, and maps are weighted most in a window's middle. Where a window would show
    more than the whole image, the rest of the network's input is empty.
    """

    method = "dense"
    keeps_features = False
    """Whether `compute` also returns the embeddings, and the features of the dense decoder."""

    def __init__(
        self,
        predictor: EmbedderHolder,
        settings: WatershedSettings | None = None,
        side: int | None = None,
        *,
        keep: bool = False,
        branches: str = "auto",
        min_region_px: int = 0,
    ) -> None:
        if branches not in BRANCHES:
            raise SettingsError(
                f"branches is {branches!r}", parameter="branches", remedy=f"choose one of {', '.join(BRANCHES)}"
            )
        self.embedder = predictor.embedder
        self.prompts = uses_both_branches(branches, self.embedder.model.uses_hypotheses)
        self.watershed = settings or default_settings(predictor)
        self._side, self.keep, self.min_region_px = side, keep, min_region_px

    @property
    def side(self) -> int:
        """Level-0 pixels that one window shows at factor 1."""
        return self._side or dense_side(None, self.embedder.img_size, self.embedder.image.shape)

    def settings(self) -> dict[str, Any]:
        """Return everything the result depends on besides the pixels, as JSON holds it."""
        record: dict[str, Any] = {"method": self.method, "side": self.side}
        if self.prompts:  # runs of version 0.1 had no such entry, and continue
            record["branches"] = "both"
        if self.min_region_px:
            record["min_region_px"] = self.min_region_px
        return {**record, **network_record(self.embedder), **asdict(self.watershed)}

    def read(self, region: Box, factor: int) -> list[DenseWindow]:
        """Read the pixels of the region's windows, scaled for the network.

        Raises
        ------
        PromptError
            If the region is empty or not inside the image.
        """
        return [self.read_window(window, factor) for window in self.windows(region, factor)]

    def is_blank(self, read: list[DenseWindow]) -> bool:
        """Return whether every window is uniform, such as the background of a slide."""
        return all(window.pixels is not None and is_uniform(window.pixels) for window in read)

    def windows(self, region: Box, factor: int) -> list[Window]:
        """Return the windows that show a region; raises as `read`."""
        span, shape = self.side * factor, self.embedder.image.shape
        whole = region == (0, 0, *shape)  # all tiles of a larger image must be shown at one scale
        return dense_windows(region, span, factor, shape, self.embedder.img_size, stretch=whole)

    def read_window(self, window: Window, factor: int) -> DenseWindow:
        """Read one of `windows`."""
        embedder, span = self.embedder, self.side * factor
        if span > max(window.shape) + factor:  # the whole image, at a smaller scale than in the window of a prompt
            scale = embedder.img_size / span
            shape = (max(1, round(window.shape[0] * scale)), max(1, round(window.shape[1] * scale)))
            return DenseWindow(window, shape, None, embedder.pixels(window, shape))
        key = embedder.key(window)
        pixels = None if key in embedder.cache else embedder.pixels(window)
        return DenseWindow(window, window.network_shape, key, pixels)

    def compute(
        self, region: Box, factor: int, read: list[DenseWindow], cancelled: Callable[[], bool] | None = None
    ) -> list[DenseMaps]:
        """Encode the windows and compute their maps.

        Raises
        ------
        PromptError
            If the model has no dense decoder.
        CancelledError
            If `cancelled()` returned True.
        """
        embedder, runner = self.embedder, self.embedder.model.runner
        embedder.model.load_dense_decoder()
        size = 1 if runner.device.type == "cpu" else _BATCH
        computed: list[DenseMaps] = []
        for start in range(0, len(read), size):
            if cancelled is not None and cancelled():
                raise CancelledError("finding all objects was cancelled")
            batch = read[start : start + size]
            with embedder.priority_lock.background(cancelled):
                for window, embedding in zip(batch, self._embeddings(batch), strict=True):
                    maps, features = self._maps_of(embedding)
                    rows, cols = used_cells(window.shape, maps.shape[1], embedder.img_size)
                    kept = embedding if self.prompts or self.keeps_features else None
                    computed.append(DenseMaps(window.window, maps[:, :rows, :cols], window.shape, kept, features))
        return computed

    def _maps_of(self, embedding: torch.Tensor) -> tuple[NDArray[np.float32], torch.Tensor | None]:
        """Return the maps of a window, and the features of the dense decoder if they are kept."""
        runner = self.embedder.model.runner
        if not self.keeps_features:
            return runner.dense(embedding).numpy(), None
        maps, features = runner.dense_with_features(embedding)
        return maps.numpy(), features

    def _embeddings(self, windows: list[DenseWindow]) -> list[torch.Tensor]:
        """Return embeddings (1, 256, h, w) of windows, from the cache or computed together."""
        embedder, runner = self.embedder, self.embedder.model.runner
        embeddings = [
            None if window.key is None else embedder.cache.get(window.key, runner.device, runner.dtype)
            for window in windows
        ]
        missing = [i for i, embedding in enumerate(embeddings) if embedding is None]
        if missing:
            pixels = []
            for i in missing:
                window = windows[i]
                read = window.pixels
                pixels.append(embedder.pixels(window.window, window.shape) if read is None else read)
            for i, embedding in zip(missing, runner.encode(pixels).split(1), strict=True):
                embeddings[i] = embedding
                if self.keep and (key := windows[i].key) is not None:
                    embedder.cache.put(key, embedding)
        return [embedding for embedding in embeddings if embedding is not None]

    def finish(self, region: Box, factor: int, computed: list[DenseMaps]) -> TileObjects:
        """Find objects in the maps, prompt the mask decoder with them, and keep those of sufficient predicted IoU."""
        if not self.prompts:
            scored = scored_objects(self.maps(region, factor, computed), self.watershed, self.map_scale)
            return TileObjects(self._tidied(scored.labels), scored.predicted_iou, scored.stability_score)
        found = self.prompted(region, factor, computed)
        found = [one for one in found if one.predicted_iou >= self.watershed.min_predicted_iou]
        labels, kept = merge_objects(label_shape(region, factor), found)
        scores = np.array([(found[i].predicted_iou, found[i].stability_score) for i in kept], np.float32).reshape(-1, 2)
        return TileObjects(self._tidied(labels), scores[:, 0], scores[:, 1])

    def _tidied(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        least = self.min_region_px * self.map_scale**2
        return without_small_parts(labels, least) if least > 0 else labels

    @property
    def map_scale(self) -> float:
        """Label pixels per pixel of the network's input."""
        return self.side / self.embedder.img_size

    def prompted(self, region: Box, factor: int, computed: list[DenseMaps]) -> list[RegionObject]:
        """Return all objects that the maps suggest, as the mask decoder sees them, whatever their scores."""
        return prompt_objects(
            self.embedder.model.runner,
            encoded_windows(region, factor, computed),
            propose_objects(self.maps(region, factor, computed), self.watershed, self.map_scale),
            with_masks=self.embedder.model.uses_hypotheses,
            device_turn=self.embedder.priority_lock.background,
        )

    def maps(self, region: Box, factor: int, computed: list[DenseMaps]) -> NDArray[np.float32]:
        """Return the region's maps (3, h, w), one value per label pixel, blended from those of its windows."""
        maps_of: dict[Window, NDArray[np.float32]] = {}
        windows = []
        for dense in computed:
            window = Window(_label_box(dense.window, region, factor), dense.window.img_size)
            windows.append(window)
            maps_of[window] = dense.maps
        shape = label_shape(region, factor)
        return blend(windows, lambda window: _resized(maps_of[window], window.shape), (0, 0, *shape))


def encoded_windows(region: Box, factor: int, computed: Sequence[DenseMaps]) -> list[EncodedWindow]:
    """Return the windows whose embeddings were kept, in label pixels of a region."""
    return [
        EncodedWindow(_label_box(dense.window, region, factor), dense.network_shape, dense.embedding)
        for dense in computed
        if dense.embedding is not None
    ]


def _label_box(window: Window, region: Box, factor: int) -> Box:
    """Return the box of a window in label pixels of a region."""
    corner = (window.bbox[0] - region[0]) // factor, (window.bbox[1] - region[1]) // factor
    return Box(0, 0, *label_shape(window.bbox, factor)).shift(*corner)


def dense_windows(
    region: tuple[int, int, int, int],
    span: int,
    factor: int,
    image_shape: tuple[int, int],
    img_size: int,
    *,
    stretch: bool = False,
) -> list[Window]:
    """Return windows that cover a region, aligned with its label pixels, inside the image.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    span : int
        Side of a window, level-0 pixels. Windows are larger than a smaller region, and as large as a smaller image.
    factor : int
        Level-0 pixels per label pixel.
    image_shape : (int, int)
        Height and width of level 0; windows are moved inwards at its border.
    img_size : int
        Side of the network's input.
    stretch : bool
        Let windows show up to an eighth more if fewer are needed then.

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


def _stretched(region: tuple[int, int, int, int], span: int) -> int:
    """Return the side of windows with which as few as possible cover a region.

    >>> _stretched((0, 0, 1024, 700), 512), _stretched((0, 0, 1500, 1500), 512)
    (547, 546)
    """
    best = span
    for size in Box(*region).shape:
        count = 1 + max(0, math.ceil((size - span) / (span * (1 - OVERLAP))))
        if count > 1:
            needed = math.ceil(size / (1 + (count - 2) * (1 - OVERLAP)))  # side for one window less
            if needed <= _MAX_STRETCH * span:
                best = max(best, needed)
    return best


def _window_spans(low: int, high: int, size: int, *, span: int, factor: int) -> list[tuple[int, int]]:
    """Return start and end of windows along an axis: evenly spread, with an overlap of `OVERLAP` or more."""
    if high - low <= span:  # one window, with the region in its middle
        start = min(max(0, (low + high - span) // 2), max(0, size - span))
        start = low - (low - start) // factor * factor
        return [(start, min(start + span, size))]
    count = 1 + math.ceil((high - low - span) / (span - math.ceil(OVERLAP * span)))
    starts = even_starts(low, math.ceil((high - low - span) / factor), count, factor)
    return [(start, min(start + span, size)) for start in starts]


def _resized(maps: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return maps (3, h, w) scaled to a shape."""
    tensor = torch.from_numpy(maps)[None]
    scaled: NDArray[np.float32] = F.interpolate(tensor, size=shape, mode="bilinear", align_corners=False)[0].numpy()
    return scaled
