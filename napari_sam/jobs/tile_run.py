"""A run of everything-mode on disk: which tiles are there, what failed, what was written, and how far it is."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.tiling.find_tiles import TileFailure
from napari_sam.engine.tiling.merge_scales import Scene, enlarge
from napari_sam.engine.tiling.merge_tiles import join
from napari_sam.engine.tiling.tiles import to_label_pixels
from napari_sam.errors import CancelledError, SettingsError, StoreError
from napari_sam.io.tile_files import TileFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.tiling.tiles import Tile, TileGrid, TileResult
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.run_plan import Plan
    from napari_sam.predictor import Predictor

UNFINISHED = ".everything"
"""Folder inside a label store in which a run keeps its tiles until it is finished."""

_FIND_STEPS = 9  # of progress, for finding a tile; writing one is a single step
_THERE = 0.5  # an object that others, written before, cover so far is theirs already
_MERGED = "merged.npz"
_SAMPLED_PX = 1 << 20


class Run:
    """A run's place on disk: which tiles are there, what failed, and what was written."""

    def __init__(self, store: LabelStore, plan: Plan, about: dict[str, Any], resume: bool | None) -> None:
        self.store, self.plan = store, plan
        self.files = TileFiles(store.path / UNFINISHED)
        self.plane = tuple(about["plane"]) if len(store.shape) > 2 else ()
        self.overlap = about["overlap"]
        self.failed: list[TileFailure] = []
        self.first_label = 0
        self._lock = threading.Lock()
        found = self.files.description()
        if found is not None and resume is False:
            _take_back(store, found["run"])
            found = None
        if found is None:
            self.files.clear()
            self.key = uuid.uuid4().hex
            self.about = about
            self.files.describe({"run": self.key, "about": about, "tiles": len(plan.tiles)})
        else:
            _check_same(found, about, resume, store.path, len(self.files.done()))
            self.key, self.about = found["run"], about
        self.writer = store.run_writer(self.key, overlap=self.overlap, plane=self.plane)
        self.done = self.files.done()
        self._read_failed()
        there = self.done | self.files.failed
        self.merged = (self.files.folder / _MERGED).exists() and all(t.name in there for _, t in plan.tiles)
        if not self.merged:  # they are tried again
            self.failed, self.files.failed = [], set()

    def missing(self) -> list[tuple[TileGrid, Tile]]:
        """Tiles that are not done."""
        return [(grid, tile) for grid, tile in self.plan.tiles if tile.name not in self.done]

    def fail(self, tile: Tile, reason: str) -> None:
        """Note that a tile cannot be done."""
        with self._lock:
            self.failed.append(TileFailure(tile.core, reason, tile.name))
            self.files.failed.add(tile.name)

    def _read_failed(self) -> None:
        """What could not be done when the tiles were joined."""
        path = self.files.folder / _MERGED
        if path.exists():
            with np.load(path, allow_pickle=False) as held:
                found = json.loads(str(held["failed"]))
            self.failed = [TileFailure(Box(*box), reason, name) for box, reason, name in found]
            self.files.failed = {f.tile for f in self.failed}

    def check_failures(self) -> None:
        """Raise if not one tile could be done."""
        self.failed.sort(key=lambda f: f.box)
        if len(self.failed) == len(self.plan.tiles):
            raise StoreError(f"not one of {len(self.failed)} tiles could be done; the first: {self.failed[0].reason}")

    def join(self, side: int) -> Scene:
        """Join the tiles; what stands in the store already is looked at once, also if the run is resumed later."""
        path = self.files.folder / _MERGED
        if self.merged:
            with np.load(path, allow_pickle=False) as held:
                blocked = [held[f"blocked{k}"] for k in range(len(self.plan.grids))]
        else:
            blocked = [self._blocked(grid) for grid in self.plan.grids]
            failed = json.dumps([(f.box, f.reason, f.tile) for f in self.failed])
            begun = path.with_name(f".{path.name}.{os.getpid()}.npz")
            try:
                np.savez(begun, failed=np.array(failed), **{f"blocked{k}": b for k, b in enumerate(blocked)})
                begun.replace(path)
            except OSError as error:
                raise StoreError(
                    f"{path}: cannot be written: {error}; make room, then go on with resume=True"
                ) from error
            self.merged = True
        joined = [join(grid, self.files, held) for grid, held in zip(self.plan.grids, blocked, strict=True)]
        return Scene(joined, self.files, side)

    def _blocked(self, grid: TileGrid) -> NDArray[np.bool_]:
        """Which found objects are in the store already, by half of their pixels."""
        found = []
        own = self._own_ids()  # what this run has written before is not in its own way
        for tile in grid.tiles:
            table = self.files.table(tile)
            blocked = np.zeros(len(table), bool)
            if self.overlap == "keep" and len(table) and self._is_occupied(tile.outer):
                labels = self.files.labels(tile)
                there = self._occupied(tile, own)
                covered = np.bincount(labels[there], minlength=len(table) + 1)[1:]
                blocked = covered >= _THERE * np.maximum(table.area, 1)
            found.append(blocked)
        return np.concatenate(found) if found else np.zeros(0, bool)

    def _is_occupied(self, box: Box) -> bool:
        return len(self.store) > 0 and self.store.journal.objects.any_in_box(box, self.plane)

    def _occupied(self, tile: Tile, own: tuple[int, int]) -> NDArray[np.bool_]:
        """Where the store has labels other than from `own[0]` to `own[1]`, one sample per label pixel of a tile."""
        f = tile.factor
        y0, x0, y1, x1 = tile.outer
        out = np.zeros(tile.shape, bool)
        rows = max(1, (1 << 24) // max(1, (x1 - x0) * f))  # a coarse tile is read in bands
        for start in range(0, tile.shape[0], rows):
            stop = min(tile.shape[0], start + rows)
            band = self.store.read((y0 + start * f, x0, min(y1, y0 + stop * f), x1), 0, self.plane)
            seen = band[::f, ::f]
            out[start:stop] = (seen != 0) & ~((seen >= own[0]) & (seen < own[1]))
        return out

    def write(
        self,
        scene: Scene,
        model: str,
        category: str | None,
        steps: Steps,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        """Write the joined objects, one tile after the other; those that are there stay."""
        begin = self.writer.begun()
        written = (
            set() if begin is None else self.writer.written_tiles()
        )  # a tile without objects is never written, and need not be
        grid = self.plan.grids[0]
        if begin is None and not scene.count:  # no change, so nothing to undo
            self.first_label, self.last_label = self.store.next_label, 0
            for _ in grid.tiles:
                steps.wrote()
            return
        if begin is None:
            begin = self.writer.begin(self.about, scene.count)
        elif begin.count != scene.count:
            raise SettingsError(
                f"{self.store.path}: {begin.count} objects were being written, and now there are {scene.count}, since "
                "tiles were found anew; drop the run with resume=False (--discard)"
            )
        first = self.first_label = begin.first_label
        self.last_label = first + scene.count - 1
        erased = self.writer.vanished_objects() if written else set()
        iou, stability = scene.scores()
        for index, tile in enumerate(grid.tiles):
            if cancelled is not None and cancelled():
                raise CancelledError(f"cancelled at {index} of {len(grid.tiles)} tiles written; resume=True goes on")
            if tile.name not in written and not scene.is_empty(index):
                values = _to_pixels(scene, index)
                values = np.where(values > 0, values + (first - 1), 0)
                present = np.unique(values[values > 0])
                values[np.isin(values, [n for n in present.tolist() if n in erased])] = 0
                details = {
                    n: {
                        "predicted_iou": float(iou[n - first]),
                        "stability_score": float(stability[n - first]),
                        "model": model,
                        "category": category,
                    }
                    for n in present.tolist()
                }
                self.writer.write(values, tile.core[:2], tile=tile.name, begin=begin, details=details)
            steps.wrote()

    def _own_ids(self) -> tuple[int, int]:
        """First id of what this run has written, and the one after the last."""
        begin = self.writer.begun()
        return (0, 0) if begin is None else (begin.first_label, begin.first_label + begin.count)

    def objects(self) -> int:
        """How many objects of this run have pixels."""
        count, least = self.store.journal.objects.count_between(self.first_label, self.last_label)
        self.first_label = int(least or self.first_label)  # what is hidden by others has an id, but no pixel
        return count


class Steps:
    """Tells how far a run is."""

    def __init__(
        self,
        progress: Callable[[int, int], None] | None,
        run: Run,
        on_tile: Callable[[Box, NDArray[np.uint32]], None] | None,
    ) -> None:
        self._progress, self._run, self._on_tile = progress, run, on_tile
        self._tiles = {tile.name: tile for _, tile in run.plan.tiles}
        self._finest = run.plan.grids[0].factor
        self._total = _FIND_STEPS * len(self._tiles) + len(run.plan.grids[0].tiles)
        self._done = _FIND_STEPS * (len(self._tiles) if run.merged else len(self._tiles.keys() & run.done))
        self._next_id = 1
        self._lock = threading.Lock()

    def show_done(self) -> None:
        """Tell of the tiles that an earlier call has done."""
        for name in sorted(self._run.done):
            if self._on_tile is not None and name in self._tiles and self._tiles[name].factor == self._finest:
                self._show(self._tiles[name], self._run.files.labels(self._tiles[name]))

    def found(self, tile: Tile, result: TileResult | None, reason: str | None) -> None:
        """A tile was done, or could not be."""
        if result is None:
            self._run.fail(tile, reason or "")
        else:
            self._show(tile, result.labels)
        self._step(_FIND_STEPS)

    def named(self, name: str, reason: str | None) -> None:
        """A worker has done a tile, or could not."""
        tile = self._tiles[name]
        if reason is not None:
            self._run.fail(tile, reason)
        elif self._on_tile is not None:
            self._show(tile, self._run.files.labels(tile))
        self._step(_FIND_STEPS)

    def wrote(self) -> None:
        """A tile was written."""
        self._step(1)

    def _show(self, tile: Tile, labels: NDArray[np.int32]) -> None:
        """Tell of a tile's objects, with ids that no other tile has been given."""
        if self._on_tile is None or tile.factor != self._finest:
            return
        with self._lock:
            first, self._next_id = self._next_id, self._next_id + int(labels.max(initial=0))
        core = _enlarged(np.pad(labels[tile.core_slices].astype(np.int64), 1, mode="edge"), tile)
        self._on_tile(tile.core, np.where(core > 0, core + first - 1, 0).astype(np.uint32))

    def _step(self, steps: int) -> None:
        with self._lock:
            self._done += steps
            if self._progress is not None:
                self._progress(self._done, self._total)


def _to_pixels(scene: Scene, index: int) -> NDArray[np.int64]:
    """Numbers of the objects in the core of a tile, one for each level-0 pixel."""
    tile = scene.joined[0].grid.tiles[index]
    return scene.render(index) if tile.factor == 1 else _enlarged(scene.render_wider(index), tile)


def _enlarged(numbers: NDArray[np.int64], tile: Tile) -> NDArray[np.int64]:
    """A core's label pixels, with one more on each side, as the level-0 pixels of the core."""
    f = tile.factor
    y0, x0, y1, x1 = tile.core
    top, left = ((v - 1) * f for v in to_label_pixels(tile.core, f)[:2])
    return enlarge(numbers, f)[y0 - top : y1 - top, x0 - left : x1 - left]


def _take_back(store: LabelStore, run: str) -> None:
    """Undo what an unfinished run has written, before it is dropped."""
    ops = store.journal.changes.ops_of_run(run, "everything")
    if ops:
        if store.journal.changes.last_op_in_effect() != ops[-1]:
            raise SettingsError(
                f"{store.path}: the unfinished run has written objects, and others were changed after it; undo those "
                "changes first, or go on with resume=True (--resume)"
            )
        store.undo()
    TileFiles(store.path / UNFINISHED).clear()


def about_run(
    predictor: Predictor, finder: ObjectFinder, plan: Plan, overlap: str, category: str | None
) -> dict[str, Any]:
    """Everything that the result depends on, as JSON: what must be the same to go on with a run."""
    image: Any = predictor.image
    lasting = getattr(image, "persistent", False)
    about = {
        "image": image.identity if lasting else _array_name(image),
        "plane": [int(p) for p in getattr(image, "plane", ())],
        "channels": [int(c) for c in getattr(image, "selected", ())],
        "normalisation": asdict(predictor.normalisation),
        "model": predictor.model,
        "weights": predictor.weights,
        "method": finder.method,
        "side": finder.side,
        "settings": finder.settings(),
        "region": [int(v) for v in plan.region],
        "factors": [int(f) for f in plan.factors],
        "overlap": overlap,
        "category": category,
    }
    as_read: dict[str, Any] = json.loads(json.dumps(about))  # to be compared with what was read
    return as_read


def _array_name(image: Any) -> str:
    """An image without a file, by some of its pixels."""
    digest = hashlib.sha256(np.ascontiguousarray(image.sample(_SAMPLED_PX)).tobytes()).hexdigest()[:16]
    return f"array of {image.shape} {image.dtype}, {digest}"


def _check_same(found: dict[str, Any], about: dict[str, Any], resume: bool | None, path: Path, done: int) -> None:
    """Refuse to mix two runs, or to lose one."""
    where = f"{path}: an unfinished run lies here, {done} of {found['tiles']} tiles done"
    if resume is None:
        raise SettingsError(f"{where}; go on with resume=True (--resume), or drop it with resume=False (--discard)")
    for key, value in about.items():
        if found["about"].get(key) != value:
            raise SettingsError(
                f"{where}, but with {key} {found['about'].get(key)!r}, now {value!r}; use the same, or "
                "drop the run with resume=False (--discard)"
            )
