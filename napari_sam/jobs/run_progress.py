"""Progress of a whole-image run: steps done, and preview labels of tiles."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.tiling.merged_objects import enlarge_core

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.tiling.tiles import Tile, TileResult
    from napari_sam.jobs.image_run import ImageRun

_FIND_STEPS = 9  # steps for finding a tile; writing a tile is a single step


class RunProgress:
    """Reports steps and preview labels, and records tiles that fail.

    Parameters
    ----------
    run : ImageRun
        The run.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    on_tile : callable, optional
        Called with box (level-0 pixels) and labels of each tile of the finest factor, from several threads.
    """

    def __init__(
        self,
        run: ImageRun,
        progress: Callable[[int, int], None] | None,
        on_tile: Callable[[Box, NDArray[np.uint32]], None] | None,
    ) -> None:
        self._run, self._progress, self._on_tile = run, progress, on_tile
        self._finest = run.plan.grids[0].factor
        self._total = _FIND_STEPS * run.plan.tile_count + len(run.plan.grids[0].tiles)
        finished = run.plan.tile_count if run.merged else sum(run.plan.named(name) is not None for name in run.done)
        self._done = _FIND_STEPS * finished
        self._next_label = 1
        self._lock = threading.Lock()

    def preview_done(self) -> None:
        """Preview the tiles that an earlier call has finished."""
        for name in sorted(self._run.done):
            found = self._run.plan.named(name)
            if found is not None:
                self._preview_file(found[1])

    def tile_finished(self, tile: Tile, result: TileResult | None, reason: str | None) -> None:
        """Take the result of a tile, or the reason why it failed."""
        if result is None:
            self._run.fail(tile, reason or "")
        else:
            self._preview(tile, result.labels)
        self._step(_FIND_STEPS)

    def on_result(self, task: str, result: str | None) -> None:
        """Take what another process reported of a tile: why it failed, or None."""
        found = self._run.plan.named(task)
        if found is None:
            raise ValueError(f"no tile is named {task!r}")
        tile = found[1]
        if result is not None:
            self._run.fail(tile, result)
        else:
            self._preview_file(tile)
        self._step(_FIND_STEPS)

    def on_abandoned(self, task: str, attempts: int) -> None:
        """Take a tile whose process died at every attempt."""
        reason = f"the process that worked on it died {attempts} times; is there enough memory?"
        self.on_result(task, reason)

    def tile_written(self) -> None:
        """Count a tile that is written."""
        self._step(1)

    def _preview_file(self, tile: Tile) -> None:
        if self._on_tile is not None and tile.factor == self._finest:
            self._preview(tile, self._run.files.labels(tile))

    def _preview(self, tile: Tile, labels: NDArray[np.int32]) -> None:
        """Show a tile's objects, with ids that no other tile has."""
        if self._on_tile is None or tile.factor != self._finest:
            return
        with self._lock:
            first, self._next_label = self._next_label, self._next_label + int(labels.max(initial=0))
        core = enlarge_core(np.pad(labels[tile.core_slices].astype(np.int64), 1, mode="edge"), tile)
        self._on_tile(tile.core, np.where(core > 0, core + first - 1, 0).astype(np.uint32))

    def _step(self, steps: int) -> None:
        with self._lock:
            self._done += steps
            if self._progress is not None:
                self._progress(self._done, self._total)
