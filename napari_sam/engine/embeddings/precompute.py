"""Encode the windows of a region before anybody clicks there."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from napari_sam.engine.embeddings.window_objects import detect_objects
from napari_sam.engine.geometry import Box
from napari_sam.engine.windows import Hints, Window, click_window, grid_window, ladder_side, whole_window
from napari_sam.errors import CancelledError, PromptError, SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam.engine.embeddings.embedder import Embedder, EmbedderHolder
    from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey

_AHEAD = 3  # batches that are read while one is encoded
_BATCH = 8  # windows encoded together on a GPU
_ROOM = 0.9  # of a store's limit: it drops a little more than it must
_FINISHERS = 2  # threads for the watershed and the copies to the host


@dataclass(frozen=True)
class PrecomputeReport:
    """What was done.

    Attributes
    ----------
    windows : int
        How many cover the region.
    encoded : int
        How many of them were encoded now; the others were there.
    sides_px : tuple of int
        Sides of the windows, level-0 pixels, finest first.
    """

    windows: int
    encoded: int
    sides_px: tuple[int, ...]


def grid_windows(
    bbox: tuple[float, float, float, float], side: int, image_shape: tuple[int, int], img_size: int
) -> list[Window]:
    """Every window that `grid_window` may answer with for a centre in a region, row by row.

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
        return [whole_window(image_shape, img_size)]
    centres = []
    for axis in (0, 1):
        low, high = bbox[axis] - 0.5, bbox[axis + 2] - 0.5
        step = side / 2
        middles = (k * step for k in range(int(low // step), int(high // step) + 2))
        centres.append([low, *(m for m in middles if low < m < high), high])
    found = (grid_window((y, x), side, image_shape, img_size) for y in centres[0] for x in centres[1])
    return list(dict.fromkeys(found))


def click_side(image_shape: tuple[int, int], img_size: int, diameter_px: float | None = None) -> int:
    """Side of the windows that answer a click, level-0 pixels; `diameter_px` as in `Hints`."""
    middle = (image_shape[0] // 2, image_shape[1] // 2)
    return max(click_window(middle, image_shape, img_size, Hints(diameter_px=diameter_px)).shape)


def plan_windows(
    region: tuple[int, int, int, int], side: int, image_shape: tuple[int, int], img_size: int, coarser: bool
) -> list[Window]:
    """Windows for all clicks in a region, then those that objects cut by them are seen whole in.

    Parameters
    ----------
    region : (int, int, int, int)
        (y0, x0, y1, x1), level-0 pixels, half-open.
    side, image_shape, img_size
        As in `grid_windows`.
    coarser : bool
        Add windows of twice the side, four times the side and so on, up to the whole image: a third more.
    """
    found = grid_windows(region, side, image_shape, img_size)
    h, w = image_shape
    while coarser and side < max(h, w):
        y0, x0, y1, x1 = region
        reach = side // 2  # the middle of what a window shows of an object lies this far from the click at most
        region = max(0, y0 - reach), max(0, x0 - reach), min(h, y1 + reach), min(w, x1 + reach)
        side = ladder_side(2 * side, img_size)
        found += grid_windows(region, side, image_shape, img_size)
    return list(dict.fromkeys(found))


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
    """Encode all windows that clicks in a region ask for, and keep them in the predictor's cache.

    Windows that are there are left alone: a run that was cancelled or killed goes on where it was, and ends with the
    same bytes. Clicks on the same predictor come first.

    Parameters
    ----------
    predictor : EmbedderHolder
        With an image, and a cache on disk unless everything fits into memory.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    side : int, optional
        Side of the windows, level-0 pixels; the next larger one that clicks use is taken.
    diameter_px : float, optional
        Typical diameter of the objects, as clicks will be given it; decides the side if that is not given.
    coarser : bool
        Also the coarser windows in which objects larger than a window are seen whole.
    progress : callable, optional
        Called with windows done and their number.
    cancelled : callable, optional
        Asked between windows; when it returns True the work stops, and what was done is kept.

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
        If `cancelled` said so.

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
            raise SettingsError(f"{name} {value}: give a positive number of level-0 pixels")
    chosen = click_side(shape, img_size, diameter_px) if side is None else ladder_side(side, img_size)
    windows = plan_windows(_checked(region, shape), chosen, shape, img_size, coarser)
    run = _Run(embedder, len(windows))
    size = _BATCH if embedder.model.runner.device.type == "cuda" else 1
    # The same batches in every run, whatever is there already: a network may round differently in another batch.
    batches = [windows[i : i + size] for i in range(0, len(windows), size)]
    try:
        done = 0
        for batch, prepared in run.read_ahead(batches):
            if cancelled is not None and cancelled():
                raise CancelledError(f"cancelled at {done} of {len(windows)} windows; what was done is kept")
            if prepared:
                run.encode(prepared, cancelled)
            done += len(batch)
            if progress is not None:
                progress(done, len(windows))
    finally:
        run.finish()
    run.check()
    return PrecomputeReport(len(windows), run.encoded, tuple(sorted({max(w.shape) for w in windows})))


class _Run:
    """One run: reading ahead in a thread, encoding here, the rest in threads behind."""

    def __init__(self, embedder: Embedder, windows: int) -> None:
        self.embedder, self.windows = embedder, windows
        self.encoded = 0
        self.reader = ThreadPoolExecutor(1, "precompute-read")
        self.finishers = ThreadPoolExecutor(_FINISHERS, "precompute-finish")
        self.behind: deque[Future[None]] = deque()

    def read_ahead(self, batches: list[list[Window]]) -> Iterator[tuple[list[Window], list[_Prepared]]]:
        """Each batch with what was read of it; nothing if all of it is there."""
        ahead: deque[tuple[list[Window], Future[list[_Prepared]]]] = deque()
        rest = iter(batches)
        while True:
            for batch in islice(rest, _AHEAD + 1 - len(ahead)):
                ahead.append((batch, self.reader.submit(self._read, batch)))
            if not ahead:
                return
            batch, reading = ahead.popleft()
            yield batch, reading.result()

    def encode(self, prepared: list[_Prepared], cancelled: Callable[[], bool] | None) -> None:
        """Encode a batch when no click wants to be answered."""
        self.check()
        with self.embedder.priority_lock.background(cancelled):
            embeddings = self.embedder.model.runner.encode([p.pixels for p in prepared])
        if not self.encoded:
            self._check_room(prepared[0].key, embeddings)
        self.encoded += sum(p.wanted for p in prepared)
        self.behind.append(self.finishers.submit(self._keep, prepared, embeddings))
        while len(self.behind) > _FINISHERS + 1:
            self.behind.popleft().result()

    def finish(self) -> None:
        """Write what is on its way."""
        self.reader.shutdown(cancel_futures=True)
        self.finishers.shutdown()
        self.embedder.cache.flush()

    def check(self) -> None:
        """Raise what went wrong behind."""
        while self.behind and self.behind[0].done():
            self.behind.popleft().result()
        if self.embedder.cache.problem is not None:
            raise StoreError(self.embedder.cache.problem)

    def _read(self, batch: list[Window]) -> list[_Prepared]:
        wanted = [not self._is_there(self.embedder.key(w)) for w in batch]
        if not any(wanted):
            return []
        return [_Prepared(w, *self.embedder.read(w), want) for w, want in zip(batch, wanted, strict=True)]

    def _is_there(self, key: EmbeddingKey) -> bool:
        keys = [key, self.embedder.objects_key(key)] if self.embedder.hypotheses else [key]
        there = [self.embedder.cache.touch(k) for k in keys]  # each, so that room is not made at its cost
        return all(there)

    def _keep(self, prepared: list[_Prepared], embeddings: Tensor) -> None:
        """Put a batch into the cache, with the objects that the dense decoder sees there."""
        embedder, cache = self.embedder, self.embedder.cache
        for i, p in enumerate(prepared):
            if not p.wanted:
                continue
            embedding = embeddings[i : i + 1].clone()  # a slice would keep the whole batch in memory
            cache.put(p.key, embedding, memory=False, wait=True)
            if embedder.hypotheses:
                labels = torch.from_numpy(detect_objects(embedder.model.runner, p.window, embedding))
                cache.put(embedder.objects_key(p.key), labels, memory=False, wait=True)

    def _check_room(self, key: EmbeddingKey, embeddings: Tensor) -> None:
        """Refuse what would drop its own beginning before it ends."""
        cache = self.embedder.cache
        on_disk = cache.store is not None and cache.has_disk(key)
        limit = cache.store.limit_bytes if on_disk and cache.store is not None else cache.limit_bytes
        needed = self.windows * embeddings[:1].numel() * (2 if on_disk else embeddings.element_size())
        needed += needed // 8 if self.embedder.hypotheses and not on_disk else 0  # the objects seen there
        if needed > (_ROOM * limit if on_disk else limit):
            where = "on disk" if on_disk else "in memory (this image or predictor has no cache on disk)"
            raise SettingsError(
                f"{self.windows} windows need up to {needed >> 20} MiB, and the cache {where} holds {limit >> 20} MiB: "
                "give a smaller region, or a cache with a higher limit"
            )


@dataclass(frozen=True)
class _Prepared:
    """A window that was read, and whether it is wanted or only fills its batch."""

    window: Window
    key: EmbeddingKey
    pixels: NDArray[np.uint8]
    wanted: bool


def _checked(region: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> Box:
    y0, x0, y1, x1 = (0, 0, *shape) if region is None else region
    found = Box(int(y0), int(x0), int(y1), int(x1)).clip(shape)
    if found.is_empty:
        raise PromptError(f"region {region}: outside the image of shape {shape}; give (y0, x0, y1, x1) in it")
    return found
