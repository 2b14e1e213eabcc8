"""Finding the objects of many tiles: reading, the device and the processor work at the same time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_sam.engine.automatic.object_finder import TileObjects
from napari_sam.engine.tiling.tiles import keep_tile
from napari_sam.errors import CancelledError, DeviceError, NapariSamError, SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileResult

_AHEAD = 2  # tiles that are read while one is computed
_BEHIND = 2  # tiles that are finished and written meanwhile
_OUR_FAULTS = (StoreError, CancelledError, SettingsError, DeviceError)  # another tile would fare no better
TILE_ERRORS = (NapariSamError, RuntimeError, ValueError, ArithmeticError, OSError, MemoryError)


@dataclass(frozen=True)
class TileFailure:
    """A tile that could not be done; the others were.

    Attributes
    ----------
    box : (int, int, int, int)
        (y0, x0, y1, x1) of its core, level-0 pixels.
    reason : str
        Why.
    tile : str
        Name of the tile.
    """

    box: Box
    reason: str
    tile: str = ""


class TileWriter(Protocol):
    """Where results of tiles go."""

    def write(self, tile: Tile, result: TileResult) -> None:
        """Keep a result; returns when it cannot be lost."""


def find_tiles(
    finder: ObjectFinder,
    tiles: Iterable[tuple[TileGrid, Tile]],
    files: TileWriter,
    done: Callable[[Tile, TileResult | None, str | None], None],
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Find the objects of tiles and keep them.

    Parameters
    ----------
    finder : ObjectFinder
        Finds the objects of one.
    tiles : iterable of (TileGrid, Tile)
        Which, in any order.
    files : TileWriter
        Where results go.
    done : callable
        Called with each tile, and its result or else the reason why there is none; from several threads.
    cancelled : callable, optional
        Asked between the steps.

    Raises
    ------
    CancelledError
        If `cancelled` said so; tiles of which `done` was told are kept.
    NapariSamError
        What would stop every tile: a full disk, a missing device, another image.
    """
    run = _Run(finder, files, done, cancelled)
    try:
        for grid, tile, read in run.read_ahead(tiles):
            if cancelled is not None and cancelled():
                raise CancelledError("cancelled; the tiles that are done are kept")
            run.compute(grid, tile, read)
    finally:
        run.stop()
    run.check(everything=True)


def find_tile(
    finder: ObjectFinder, grid: TileGrid, tile: Tile, cancelled: Callable[[], bool] | None = None
) -> TileResult:
    """Find the objects of one tile, step after step."""
    read = finder.read(tile.outer, tile.factor)
    if finder.sees_nothing(read):
        return keep_tile(tile, _nothing(tile), grid)
    computed = finder.compute(tile.outer, tile.factor, read, cancelled)
    return keep_tile(tile, finder.finish(tile.outer, tile.factor, computed), grid)


def is_a_tiles_fault(error: BaseException) -> bool:
    """Whether an error concerns the tile in which it came up, and not the whole run."""
    return isinstance(error, TILE_ERRORS) and not isinstance(error, _OUR_FAULTS)


def reason_of(error: BaseException) -> str:
    """What is said of an error in a report."""
    text = " ".join(str(error).split())
    return text if isinstance(error, NapariSamError) else f"{type(error).__name__}: {text}"


class _Run:
    """One run: a thread that reads ahead, the device in the caller's thread, threads that finish and write."""

    def __init__(
        self,
        finder: ObjectFinder,
        files: TileWriter,
        done: Callable[[Tile, TileResult | None, str | None], None],
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.finder, self.files, self.done, self.cancelled = finder, files, done, cancelled
        self.reader = ThreadPoolExecutor(1, "everything-read")
        self.finishers = ThreadPoolExecutor(_BEHIND, "everything-finish")
        self.behind: deque[Future[None]] = deque()

    def read_ahead(self, tiles: Iterable[tuple[TileGrid, Tile]]) -> Iterator[tuple[TileGrid, Tile, Future[Any]]]:
        """Each tile with what is being read of it."""
        rest = iter(tiles)
        ahead: deque[tuple[TileGrid, Tile, Future[Any]]] = deque()
        while True:
            for grid, tile in islice(rest, _AHEAD + 1 - len(ahead)):
                ahead.append((grid, tile, self.reader.submit(self.finder.read, tile.outer, tile.factor)))
            if not ahead:
                return
            yield ahead.popleft()

    def compute(self, grid: TileGrid, tile: Tile, read: Future[Any]) -> None:
        """Run the network on a tile, and leave the rest to the threads behind."""
        self.check()
        try:
            pixels = read.result()
            if self.finder.sees_nothing(pixels):
                self.behind.append(self.finishers.submit(self._keep, grid, tile, _nothing(tile)))
                return
            computed = self.finder.compute(tile.outer, tile.factor, pixels, self.cancelled)
        except TILE_ERRORS as error:
            if not is_a_tiles_fault(error):
                raise
            self.done(tile, None, reason_of(error))
            return
        self.behind.append(self.finishers.submit(self._finish, grid, tile, computed))

    def check(self, everything: bool = False) -> None:
        """Wait until few tiles are behind; raise what went wrong there."""
        while self.behind and (everything or len(self.behind) > _BEHIND or self.behind[0].done()):
            self.behind.popleft().result()

    def stop(self) -> None:
        """Let the threads end; what they have in hand is finished."""
        self.reader.shutdown(cancel_futures=True)
        self.finishers.shutdown()

    def _finish(self, grid: TileGrid, tile: Tile, computed: Any) -> None:
        try:
            objects = self.finder.finish(tile.outer, tile.factor, computed)
        except TILE_ERRORS as error:
            if not is_a_tiles_fault(error):
                raise
            self.done(tile, None, reason_of(error))
            return
        self._keep(grid, tile, objects)

    def _keep(self, grid: TileGrid, tile: Tile, objects: TileObjects) -> None:
        result = keep_tile(tile, objects, grid)
        self.files.write(tile, result)
        self.done(tile, result, None)


def _nothing(tile: Tile) -> TileObjects:
    """No object at all."""
    none = np.zeros(0, np.float32)
    return TileObjects(np.zeros(tile.shape, np.int32), none, none)
