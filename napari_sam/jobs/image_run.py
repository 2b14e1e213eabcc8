"""State of a whole-image run on disk: which tiles are found, which failed, and what is written."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.tiling.find_tiles import TileFailure
from napari_sam.engine.tiling.low_scores import drop_low_scores
from napari_sam.engine.tiling.merge_tiles import merge_tiles
from napari_sam.engine.tiling.merged_objects import MergedObjects
from napari_sam.engine.tiling.region_border import drop_cut_objects
from napari_sam.errors import NothingSegmentedError
from napari_sam.io.tile_files import TileFiles, named_write_errors, read_member
from napari_sam.jobs.store_use import record_to_continue
from src_models.atomic import replacing
from src_models.run_record import RunRecord, as_json, damaged_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.tiling.merge_tiles import MergedTiles
    from napari_sam.engine.tiling.tiles import Tile, TileGrid
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.tile_plan import TilePlan
    from napari_sam.predictor import Predictor

UNFINISHED = ".everything"
"""Folder inside a label store in which a run keeps its tiles until it is finished."""

_RECORD = "run.json"
_LATER_SETTINGS: JsonObject = {
    "border": "cut",
    "branches": "dense",
    "min_iou": 0.0,
    "min_stability": 0.0,
    "min_region_px": 0,
    "stage": "automatic",
}  # that version 0.1 did not have, with what it did
_MERGED = "merged.npz"
_EXISTING_SHARE = 0.5  # a new object is dropped if existing objects cover at least this share of it
_SAMPLED_PX = 1 << 20
_BAND_PX = 1 << 24  # pixels of the store that are read at a time


class ImageRun:
    """A run that is being carried out, or continued.

    Parameters
    ----------
    store : LabelStore
        Receives the objects; a folder inside it holds the tiles.
    plan : TilePlan
        The tiles.
    asked : dict
        What `describe_run` returned, and "call", the arguments with which the run can be repeated.
    resume : bool, optional
        True continues an unfinished run, False drops it; by default it is an error.

    Attributes
    ----------
    files : TileFiles
        Results of tiles.
    writer : RunWriter
        Writes the objects into the store, and knows what the run has written.
    done : set of str
        Names of the tiles that were found before this call.
    merged : bool
        Whether the tiles have been merged, after which none is searched again.
    left_out : int
        Number of objects that reach beyond what was searched around the region, known after `merge`.

    Raises
    ------
    SettingsError
        If there is an unfinished run that `resume` does not allow to continue or drop, or its settings differ.
    """

    def __init__(self, store: LabelStore, plan: TilePlan, asked: JsonObject, resume: bool | None) -> None:
        self.store, self.plan, self.left_out = store, plan, 0
        self.files = TileFiles(store.path / UNFINISHED)
        self.plane = tuple(asked["plane"]) if len(store.shape) > 2 else ()
        self.overlap = str(asked["overlap"])
        self.record = self._open_record(asked, resume)
        self.writer = store.run_writer(self.record.run_id, overlap=self.overlap, plane=self.plane)
        self._lock = threading.Lock()
        self._merged_path = self.files.folder / _MERGED
        self.done = self.files.done()
        failed = self._failed_when_merged()
        self.merged = self._merged_path.exists() and not any(
            tile.name not in self.done and tile.name not in failed for _, tile in plan.tiles()
        )
        # Tiles that failed are tried again, unless the tiles have been merged without them.
        self.record.failed = failed if self.merged else {}
        self.files.failed = set(self.record.failed)

    @property
    def failed(self) -> list[TileFailure]:
        """Tiles that failed, by position."""
        planned = ((self.plan.named(name), name, reason) for name, reason in self.record.failed.items())
        failures = [TileFailure(found[1].core, reason, name) for found, name, reason in planned if found is not None]
        return sorted(failures, key=lambda failure: failure.box)

    def missing(self) -> Iterator[tuple[TileGrid, Tile]]:
        """Iterate over the tiles that are not found yet."""
        return ((grid, tile) for grid, tile in self.plan.tiles() if tile.name not in self.done)

    def fail(self, tile: Tile, reason: str) -> None:
        """Record that a tile failed."""
        with self._lock:
            self.record.fail(tile.name, reason)
            self.files.failed.add(tile.name)

    def check_failures(self) -> None:
        """Raise `NothingSegmentedError` if every tile failed."""
        failed = self.failed
        if len(failed) == self.plan.tile_count:
            raise NothingSegmentedError(
                f"not one of {len(failed)} tiles could be segmented; the first: {failed[0].reason}",
                remedy="mend the cause, then continue with {resume=True}",
            )

    def merge(self, side: int) -> MergedObjects:
        """Merge the tiles.

        Existing objects in the store are compared only once, also if the run is continued later.

        Parameters
        ----------
        side : int
            Level-0 pixels that one window covers at factor 1.
        """
        blocked = self._blocked()
        levels = [merge_tiles(grid, self.files, held) for grid, held in zip(self.plan.grids, blocked, strict=True)]
        return MergedObjects(levels, self.files, side, self._drop_unwanted)

    def _drop_unwanted(self, levels: Sequence[MergedTiles]) -> None:
        """Leave out objects of low scores, and those that a region that does not cut objects leaves out."""
        call = self.record.asked.get("call")
        asked = call if isinstance(call, dict) else {}
        lowest = [asked.get(name) for name in ("min_iou", "min_stability")]
        min_iou, min_stability = (value if isinstance(value, int | float) else 0.0 for value in lowest)
        if min_iou > 0 or min_stability > 0:
            drop_low_scores(levels, min_iou, min_stability)
        if self.plan.searched != self.plan.region:
            self.left_out = drop_cut_objects(levels, self.plan.region, self.plan.searched)

    def finish(self) -> None:
        """Delete the tiles and the record."""
        self.files.clear()

    def _open_record(self, asked: JsonObject, resume: bool | None) -> RunRecord:
        """Read the record of an unfinished run, or begin a new one."""
        path = self.files.folder / _RECORD
        record = record_to_continue(
            self.store, lambda: _load_record(self.files), asked, resume, lambda: len(self.files.done())
        )
        if record is not None:
            return record
        self.files.clear()
        with named_write_errors(path):
            return RunRecord.begin(path, asked, unit="tiles", total=self.plan.tile_count)

    def _failed_when_merged(self) -> dict[str, str]:
        """Return the tiles that had failed when the tiles were merged, with reasons."""
        if self.record.failed or not self._merged_path.exists():
            return self.record.failed
        failures = json.loads(str(read_member(self._merged_path, "failed")))  # a run of version 0.1
        return {name: reason for _, reason, name in failures}

    def _blocked(self) -> list[NDArray[np.bool_]]:
        """Return which objects of each grid are dropped because existing objects cover half of them."""
        names = [f"blocked{k}" for k in range(len(self.plan.grids))]
        if self.merged:
            return [read_member(self._merged_path, name) for name in names]
        blocked = [self._blocked_of(grid) for grid in self.plan.grids]
        failures = json.dumps([(f.box, f.reason, f.tile) for f in self.failed])  # version 0.1 reads them here
        with named_write_errors(self._merged_path):
            self.record.save()
            with replacing(self._merged_path) as temporary, temporary.open("wb") as file:
                arrays: dict[str, Any] = dict(zip(names, blocked, strict=True))
                np.savez(file, failed=np.array(failures), **arrays)
        self.merged = True
        return blocked

    def _blocked_of(self, grid: TileGrid) -> NDArray[np.bool_]:
        blocked = []
        written = self._written_labels()  # objects of this run do not block it
        occupied = self.store.journal.objects.any_in_box
        for tile in grid.tiles:
            table = self.files.table(tile)
            is_blocked = np.zeros(len(table), bool)
            if self.overlap == "keep" and len(table) and occupied(tile.outer, self.plane):
                covered = self.files.labels(tile)[self._existing(tile, written)]
                covered_px = np.bincount(covered, minlength=len(table) + 1)[1:]
                is_blocked = covered_px >= _EXISTING_SHARE * np.maximum(table.area, 1)
            blocked.append(is_blocked)
        return np.concatenate(blocked) if blocked else np.zeros(0, bool)

    def _written_labels(self) -> range:
        """Return the ids that are reserved for the run's objects; empty before it began to write."""
        begin = self.writer.begun()
        return range(0) if begin is None else range(begin.first_label, begin.first_label + begin.count)

    def _existing(self, tile: Tile, ignored: range) -> NDArray[np.bool_]:
        """Return where the store has other labels than `ignored`, sampled once per label pixel of a tile."""
        f = tile.factor
        y0, x0, y1, x1 = tile.outer
        out = np.zeros(tile.shape, bool)
        rows = max(1, _BAND_PX // max(1, (x1 - x0) * f))
        for start in range(0, tile.shape[0], rows):
            stop = min(tile.shape[0], start + rows)
            band = self.store.read((y0 + start * f, x0, min(y1, y0 + stop * f), x1), 0, self.plane)
            labels = band[::f, ::f]
            out[start:stop] = (labels != 0) & ~((labels >= ignored.start) & (labels < ignored.stop))
        return out


def describe_run(
    predictor: Predictor, finder: ObjectFinder, plan: TilePlan, overlap: str, category: str | None
) -> JsonObject:
    """Return everything that decides the result, as JSON: what must be equal to continue a run."""
    return as_json(
        {
            **describe_source(predictor),
            "method": finder.method,
            "side": finder.side,
            "settings": finder.settings(),
            "region": [int(v) for v in plan.region],
            "factors": [int(f) for f in plan.factors],
            "overlap": overlap,
            "category": category,
            **({} if plan.searched == plan.region else {"searched": [int(v) for v in plan.searched]}),
        }
    )


def describe_source(predictor: Predictor, *, whole_stack: bool = False) -> JsonObject:
    """Return the image, its normalisation and the model of a run, as JSON.

    Parameters
    ----------
    predictor : Predictor
        Looks at the image.
    whole_stack : bool
        Name the file without the plane that the image shows.
    """
    image: Any = predictor.image
    identity = getattr(image, "file_identity", "") if whole_stack else image.identity
    return as_json(
        {
            "image": identity if getattr(image, "persistent", False) else _array_identity(image),
            "plane": [int(p) for p in getattr(image, "plane", ())],
            "channels": [int(c) for c in getattr(image, "selected", ())],
            "normalisation": asdict(predictor.normalisation),
            "model": predictor.model,
            "weights": predictor.weights,
        }
    )


def read_unfinished_run(path: Path) -> JsonObject | None:
    """Return settings, ``tiles_done`` and ``tiles`` of the unfinished run in a store's folder; None without one.

    Raises
    ------
    SettingsError
        If there is one whose record is damaged.
    """
    folder = path / UNFINISHED
    record = _load_record(TileFiles(folder))
    if record is None:
        return None
    return {**record.asked, "tiles": record.total, "tiles_done": len(TileFiles(folder).done())}


def _load_record(files: TileFiles) -> RunRecord | None:
    """Read the record of a run; None if there is none.

    Raises
    ------
    SettingsError
        If it is damaged, or missing although there are tiles.
    """
    path = files.folder / _RECORD
    record = RunRecord.load(path, unit="tiles")
    if record is None and files.done():
        raise damaged_record(path, "tiles", "the file is missing")
    if record is not None and isinstance(record.asked.get("call"), dict):
        record.asked["call"] = {**_LATER_SETTINGS, **record.asked["call"]}  # type: ignore[dict-item]  # checked
    return record


def _array_identity(image: Any) -> str:
    """Identify an image without a file by a sample of its pixels."""
    digest = hashlib.sha256(np.ascontiguousarray(image.sample(_SAMPLED_PX)).tobytes()).hexdigest()[:16]
    return f"array of {image.shape} {image.dtype}, {digest}"
