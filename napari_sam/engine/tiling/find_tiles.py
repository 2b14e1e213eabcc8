"""Find the objects of many tiles, with reading, network and post-processing running in parallel."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.tiles import make_tile_result
from napari_sam.errors import CancelledError, DeviceError, NapariSamError, SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileResult

_READ_AHEAD = 2  # tiles that are read while another is on the device
_POST_PROCESSING = 2  # tiles that are post-processed and written at the same time
FATAL_ERRORS = (StoreError, CancelledError, SettingsError, DeviceError)
"""Errors that would stop every other tile as well, so that they end the run."""
TILE_ERRORS = (NapariSamError, RuntimeError, ValueError, ArithmeticError, OSError, MemoryError)
"""Errors that may concern a single tile, unless they are `FATAL_ERRORS`."""


@dataclass(frozen=True)
class TileFailure:
    """A tile that failed.

    Attributes
    ----------
    box : (int, int, int, int)
        (y0, x0, y1, x1) of its core, level-0 pixels.
    reason : str
        Why it failed.
    tile : str
        Name of the tile.
    """

    box: Box | tuple[int, int, int, int]
    reason: str
    tile: str = ""


class TileWriter(Protocol):
    """Stores the results of tiles."""

    def write(self, tile: Tile, result: TileResult) -> None:
        """Store a result; returns when it is durable."""


class TileListener(Protocol):
    """Told of each tile that is finished, from several threads."""

    def __call__(self, tile: Tile, result: TileResult | None, reason: str | None) -> None:
        """Take the result of a tile, or the reason why there is none."""


def find_tiles(
    finder: ObjectFinder,
    tiles: Iterable[tuple[TileGrid, Tile]],
    writer: TileWriter,
    on_tile: TileListener,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Find the objects of tiles and store them.

    Parameters
    ----------
    finder : ObjectFinder
        Finds the objects of one tile.
    tiles : iterable of (TileGrid, Tile)
        The tiles, in any order.
    writer : TileWriter
        Stores the results.
    on_tile : callable
        Called with each tile and its result, or the reason why it failed; from several threads.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.

    Raises
    ------
    CancelledError
        If `cancelled()` returned True; the tiles that `on_tile` was told of are stored.
    NapariSamError
        One of `FATAL_ERRORS`: a full disk, a missing device, another image.
    """
    pipeline = _TilePipeline(finder, writer, on_tile, cancelled)
    try:
        for grid, tile, pixels in pipeline.read_ahead(tiles):
            if cancelled is not None and cancelled():
                raise CancelledError("cancelled", remedy="finished tiles are kept; continue with {resume=True}")
            pipeline.compute(grid, tile, pixels)
    finally:
        pipeline.stop()
    pipeline.wait(for_all=True)


def find_tile(
    finder: ObjectFinder, grid: TileGrid, tile: Tile, cancelled: Callable[[], bool] | None = None
) -> TileResult:
    """Find the objects of one tile, step by step."""
    pixels = finder.read(tile.outer, tile.factor)
    if finder.is_blank(pixels):
        return make_tile_result(tile, _no_objects(tile), grid)
    computed = finder.compute(tile.outer, tile.factor, pixels, cancelled)
    return make_tile_result(tile, finder.finish(tile.outer, tile.factor, computed), grid)


def is_tile_error(error: BaseException) -> bool:
    """Whether an error concerns only the tile in which it occurred, and not the whole run."""
    return isinstance(error, TILE_ERRORS) and not isinstance(error, FATAL_ERRORS)


def failure_reason(error: BaseException) -> str:
    """Return the text that a report shows for an error: one line, with the type unless it is one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, NapariSamError) else f"{type(error).__name__}: {text}"


class _TilePipeline:
    """One thread reads ahead, the caller's thread runs the network, further threads post-process and write."""

    def __init__(
        self,
        finder: ObjectFinder,
        writer: TileWriter,
        on_tile: TileListener,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._finder, self._writer, self._on_tile, self._cancelled = finder, writer, on_tile, cancelled
        self._reader = ThreadPoolExecutor(1, "everything-read")
        self._finishers = ThreadPoolExecutor(_POST_PROCESSING, "everything-finish")
        self._finishing: deque[Future[None]] = deque()

    def read_ahead(self, tiles: Iterable[tuple[TileGrid, Tile]]) -> Iterator[tuple[TileGrid, Tile, Future[Any]]]:
        """Yield each tile with its pixels, which may still be being read."""
        remaining = iter(tiles)
        ahead: deque[tuple[TileGrid, Tile, Future[Any]]] = deque()
        while True:
            for grid, tile in islice(remaining, _READ_AHEAD + 1 - len(ahead)):
                ahead.append((grid, tile, self._reader.submit(self._finder.read, tile.outer, tile.factor)))
            if not ahead:
                return
            yield ahead.popleft()

    def compute(self, grid: TileGrid, tile: Tile, read: Future[Any]) -> None:
        """Run the network on a tile, and hand it to the threads that post-process."""
        self.wait()
        try:
            pixels = read.result()
            if self._finder.is_blank(pixels):
                self._finishing.append(self._finishers.submit(self._store, grid, tile, _no_objects(tile)))
                return
            computed = self._finder.compute(tile.outer, tile.factor, pixels, self._cancelled)
        except TILE_ERRORS as error:
            self._fail(tile, error)
            return
        self._finishing.append(self._finishers.submit(self._finish, grid, tile, computed))

    def wait(self, for_all: bool = False) -> None:
        """Wait until few tiles are being post-processed, or none; raises their first error."""
        while self._finishing and (for_all or len(self._finishing) > _POST_PROCESSING or self._finishing[0].done()):
            self._finishing.popleft().result()

    def stop(self) -> None:
        """End the threads; tiles that are being post-processed are completed."""
        self._reader.shutdown(cancel_futures=True)
        self._finishers.shutdown()

    def _finish(self, grid: TileGrid, tile: Tile, computed: Any) -> None:
        try:
            objects = self._finder.finish(tile.outer, tile.factor, computed)
        except TILE_ERRORS as error:
            self._fail(tile, error)
            return
        self._store(grid, tile, objects)

    def _store(self, grid: TileGrid, tile: Tile, objects: TileObjects) -> None:
        result = make_tile_result(tile, objects, grid)
        self._writer.write(tile, result)
        self._on_tile(tile, result, None)

    def _fail(self, tile: Tile, error: Exception) -> None:
        """Report a tile that failed; raises errors that would stop every tile."""
        if not is_tile_error(error):
            raise error
        self._on_tile(tile, None, failure_reason(error))


def _no_objects(tile: Tile) -> TileObjects:
    """Return an empty result."""
    none = np.zeros(0, np.float32)
    return TileObjects(np.zeros(tile.shape, np.int32), none, none)
