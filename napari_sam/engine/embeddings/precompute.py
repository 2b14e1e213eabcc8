"""Encode the windows of a region before the user clicks there."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from napari_sam.engine.embeddings.window_objects import detect_objects
from napari_sam.engine.embeddings.window_plan import WindowGrid, WindowPlan
from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Hints, Window, click_window, grid_window, ladder_side
from napari_sam.errors import CancelledError, PromptError, SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.embeddings.embedder import Embedder, EmbedderHolder
    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey

_READ_AHEAD = 3  # batches that are read while one is encoded
_BATCH = 8  # windows encoded together on a GPU
_USABLE = 0.9  # share of a store's limit that a run may fill: eviction frees a little more than it must
_FINISHERS = 2  # threads for the watershed and the copies to the host


@dataclass(frozen=True)
class PrecomputeReport:
    """The result of a precompute run.

    Attributes
    ----------
    windows : int
        Number of windows that cover the region.
    encoded : int
        Number of them that were encoded in this run; the others were cached already.
    sides_px : tuple of int
        Sides of the windows, level-0 pixels, finest first.
    """

    windows: int
    encoded: int
    sides_px: tuple[int, ...]


def grid_windows(
    bbox: tuple[float, float, float, float], side: int, image_shape: tuple[int, int], img_size: int
) -> WindowGrid:
    """Return every window that `grid_window` may return for a centre in a region, row by row.

    Parameters
    ----------
    bbox : (float, float, float, float)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    side : int
        Side of the windows, level-0 pixels.
    image_shape : (int, int)
        Height and width of level 0.
    img_size : int
        Side of the network's input.

    Examples
    --------
    >>> [w.bbox for w in grid_windows((0, 0, 700, 100), 512, (4000, 4000), 512)]
    [(0, 0, 512, 512), (256, 0, 768, 512), (512, 0, 1024, 512)]
    """
    if max(image_shape) <= max(side, img_size):
        return WindowGrid([(0, image_shape[0])], [(0, image_shape[1])], img_size)
    spans = []
    for axis in (0, 1):
        low, high = bbox[axis] - 0.5, bbox[axis + 2] - 0.5
        step = side / 2
        middles = (k * step for k in range(int(low // step), int(high // step) + 2))
        centres = [low, *(m for m in middles if low < m < high), high]
        along_axis = (grid_window((c, c), side, image_shape, img_size).bbox[axis::2] for c in centres)
        spans.append(list(dict.fromkeys((int(start), int(stop)) for start, stop in along_axis)))
    return WindowGrid(spans[0], spans[1], img_size)


def click_side(image_shape: tuple[int, int], img_size: int, diameter_px: float | None = None) -> int:
    """Return the side of the windows that answer a click, level-0 pixels; `diameter_px` as in `Hints`."""
    middle = (image_shape[0] // 2, image_shape[1] // 2)
    return max(click_window(middle, image_shape, img_size, Hints(diameter_px=diameter_px)).shape)


def plan_windows(
    region: tuple[int, int, int, int], side: int, image_shape: tuple[int, int], img_size: int, coarser: bool
) -> WindowPlan:
    """Return the windows of all clicks in a region, then the coarser ones that show larger objects whole.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    side, image_shape, img_size
        As in `grid_windows`.
    coarser : bool
        Add windows of twice the side, four times the side and so on, up to the whole image: a third more.
    """
    grids = [grid_windows(region, side, image_shape, img_size)]
    while coarser and side < max(image_shape):
        reach = side // 2  # largest distance from a click to the centre of what its window shows of an object
        region = Box(*region).grow(reach).clip(image_shape)
        side = ladder_side(2 * side, img_size)
        grids.append(grid_windows(region, side, image_shape, img_size))
    return WindowPlan(grids)


def precompute(
    predictor: EmbedderHolder,
    region: tuple[int, int, int, int] | None = None,
    *,
    side: int | None = None,
    diameter_px: float | None = None,
    coarser: bool = True,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PrecomputeReport:
    """Encode all windows that clicks in a region need, and keep them in the predictor's cache.

    Cached windows are left alone: a run that was cancelled or killed resumes where it stopped, and ends with the same
    bytes. Clicks on the same predictor have priority.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image, and a cache on disk unless everything fits into memory.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    side : int, optional
        Side of the windows, level-0 pixels; the next larger one that clicks use is taken.
    diameter_px : float, optional
        Typical diameter of the objects, as clicks will get it; decides the side if that is not given.
    coarser : bool
        Also encode the coarser windows that show objects larger than a window.
    progress : callable, optional
        Called with the number of windows done and their total.
    cancelled : callable, optional
        Called between windows; return True to stop, and finished windows are kept.

    Returns
    -------
    PrecomputeReport

    Raises
    ------
    NoImageError
        If no image was set.
    PromptError
        If the region lies outside the image.
    SettingsError
        If side or diameter is not positive, or the cache is too small for all windows.
    StoreError
        If the disk fails.
    CancelledError
        If `cancelled()` returned True.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_sam import Predictor
    >>> predictor = Predictor(device="cpu")
    >>> predictor.set_image(np.zeros((300, 900), np.uint8))
    >>> precompute(predictor, region=(0, 0, 300, 200), coarser=False)
    PrecomputeReport(windows=1, encoded=1, sides_px=(512,))
    """
    embedder = predictor.embedder
    shape, img_size = embedder.image.shape, embedder.img_size
    for name, value in (("side", side), ("diameter_px", diameter_px)):
        if value is not None and not value > 0:
            raise SettingsError(f"{name} is {value}", parameter=name, remedy="give a positive number of level-0 pixels")
    chosen_side = click_side(shape, img_size, diameter_px) if side is None else ladder_side(side, img_size)
    windows = plan_windows(_clip_region(region, shape), chosen_side, shape, img_size, coarser)
    encoder = _PrecomputeRun(embedder, len(windows))
    size = _BATCH if embedder.model.runner.device.type == "cuda" else 1
    # The same batches in every run, whatever is cached: a network may round differently in another batch.
    try:
        done = 0
        for batch, prepared in encoder.read_ahead(_batches(windows, size)):
            if cancelled is not None and cancelled():
                raise CancelledError(f"cancelled at {done} of {len(windows)} windows; finished windows are kept")
            if prepared:
                encoder.encode(prepared, cancelled)
            done += len(batch)
            if progress is not None:
                progress(done, len(windows))
    finally:
        encoder.finish()
    encoder.check()
    return PrecomputeReport(len(windows), encoder.encoded, windows.sides())


def _batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    remaining = iter(windows)
    while batch := list(islice(remaining, size)):
        yield batch


@dataclass(frozen=True)
class _PreparedWindow:
    """A window with its pixels, and whether it is missing in the cache or only fills its batch."""

    window: Window
    key: EmbeddingKey
    pixels: NDArray[np.uint8]
    missing: bool


class _PrecomputeRun:
    """One run: a thread reads ahead, the caller's thread encodes, other threads write the results."""

    def __init__(self, embedder: Embedder, windows: int) -> None:
        self.embedder, self.windows = embedder, windows
        self.encoded = 0
        self.reader = ThreadPoolExecutor(1, "precompute-read")
        self.finishers = ThreadPoolExecutor(_FINISHERS, "precompute-finish")
        self.pending: deque[Future[None]] = deque()

    def read_ahead(self, batches: Iterable[list[Window]]) -> Iterator[tuple[list[Window], list[_PreparedWindow]]]:
        """Yield each batch with its pixels; without any if all of it is cached."""
        ahead: deque[tuple[list[Window], Future[list[_PreparedWindow]]]] = deque()
        remaining = iter(batches)
        while True:
            for batch in islice(remaining, _READ_AHEAD + 1 - len(ahead)):
                ahead.append((batch, self.reader.submit(self._read, batch)))
            if not ahead:
                return
            batch, reading = ahead.popleft()
            yield batch, reading.result()

    def encode(self, prepared: list[_PreparedWindow], cancelled: Callable[[], bool] | None) -> None:
        """Encode a batch when no click waits."""
        self.check()
        with self.embedder.priority_lock.background(cancelled):
            embeddings = self.embedder.model.runner.encode([p.pixels for p in prepared])
        if not self.encoded:
            self._check_space(prepared[0].key, embeddings)
        self.encoded += sum(p.missing for p in prepared)
        self.pending.append(self.finishers.submit(self._store, prepared, embeddings))
        while len(self.pending) > _FINISHERS + 1:
            self.pending.popleft().result()

    def finish(self) -> None:
        """Wait until everything that was encoded is written."""
        self.reader.shutdown(cancel_futures=True)
        self.finishers.shutdown()
        self.embedder.cache.flush()

    def check(self) -> None:
        """Raise the errors of the other threads."""
        while self.pending and self.pending[0].done():
            self.pending.popleft().result()
        if self.embedder.cache.problem is not None:
            raise StoreError(self.embedder.cache.problem)

    def _read(self, batch: list[Window]) -> list[_PreparedWindow]:
        missing = [not self._is_cached(self.embedder.key(w)) for w in batch]
        if not any(missing):
            return []
        return [_PreparedWindow(w, *self.embedder.read(w), m) for w, m in zip(batch, missing, strict=True)]

    def _is_cached(self, key: EmbeddingKey) -> bool:
        keys = [key, self.embedder.objects_key(key)] if self.embedder.needs_objects else [key]
        cached = [self.embedder.cache.touch(k) for k in keys]  # all of them, so that none is evicted
        return all(cached)

    def _store(self, prepared: list[_PreparedWindow], embeddings: Tensor) -> None:
        """Put a batch into the cache, with the objects that the dense decoder sees in it."""
        embedder, cache = self.embedder, self.embedder.cache
        for i, p in enumerate(prepared):
            if not p.missing:
                continue
            embedding = embeddings[i : i + 1].clone()  # a slice would keep the whole batch in memory
            cache.put(p.key, embedding, memory=False, wait=True)
            if embedder.needs_objects:
                found = detect_objects(embedder.model.runner, p.window, embedding)
                cache.put(embedder.objects_key(p.key), found.packed(), memory=False, wait=True)

    def _check_space(self, key: EmbeddingKey, embeddings: Tensor) -> None:
        """Refuse a run that would evict its own first windows before it ends."""
        cache = self.embedder.cache
        on_disk = cache.store is not None and cache.has_disk(key)
        limit = cache.store.limit_bytes if on_disk and cache.store is not None else cache.limit_bytes
        needed = self.windows * embeddings[:1].numel() * (2 if on_disk else embeddings.element_size())
        needed += needed // 8 if self.embedder.needs_objects and not on_disk else 0  # the detected objects
        if needed > (_USABLE * limit if on_disk else limit):
            place = "on disk" if on_disk else "in memory (this image or predictor has no cache on disk)"
            raise SettingsError(
                f"{self.windows} windows need up to {needed >> 20} MiB, and the cache {place} holds {limit >> 20} MiB",
                remedy="give a smaller region, or a cache with a higher limit",
            )


def _clip_region(region: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> Box:
    y0, x0, y1, x1 = (0, 0, *shape) if region is None else region
    clipped = Box(int(y0), int(x0), int(y1), int(x1)).clip(shape)
    if clipped.is_empty:
        raise PromptError(
            f"region {region} lies outside the image of shape {shape}",
            parameter="region",
            remedy="give (y0, x0, y1, x1) inside the image",
        )
    return clipped
