"""State of a run over a stack on disk: which planes are segmented, which failed, and how they are linked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_sam.errors import NothingSegmentedError, SettingsError
from napari_sam.io.plane_files import PlaneFiles
from napari_sam.io.tile_files import named_write_errors
from napari_sam.jobs.stacks.stack_report import PlaneFailure
from napari_sam.jobs.store_use import record_to_continue
from src_models.run_record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.label_store import LabelStore

UNFINISHED_STACK = ".stack"
"""Folder inside a label store in which a run keeps its planes until it is finished."""

_RECORD = "run.json"
_PART = re.compile(r"(\d+)(:\d+)?")  # a plane, or one of its tiles that failed


class StackRun:
    """A run over the planes of a stack that is being carried out, or continued.

    Parameters
    ----------
    store : LabelStore
        Receives the objects; a folder inside it holds the planes.
    planes : sequence of int
        The planes to segment.
    asked : dict
        Everything that decides the result.
    resume : bool, optional
        True continues an unfinished run, False drops it; by default it is an error.

    Attributes
    ----------
    files : PlaneFiles
        Objects of the planes.
    linked : bool
        Whether the planes are linked, after which none is segmented again.

    Raises
    ------
    SettingsError
        If there is an unfinished run that `resume` does not allow to continue or drop, or its settings differ.
    """

    def __init__(self, store: LabelStore, planes: Sequence[int], asked: JsonObject, resume: bool | None) -> None:
        self.store, self.planes = store, list(planes)
        self.files = PlaneFiles(store.path / UNFINISHED_STACK)
        self.record = self._open_record(asked, resume)
        self.linked = self.files.links() is not None
        done = set(self.files.planes())
        if not self.linked:  # planes that failed are tried again
            self.record.failed = {
                part: reason for part, reason in self.record.failed.items() if _plane_of(part) in done
            }

    @property
    def failed(self) -> list[PlaneFailure]:
        """Planes that failed, and tiles of planes, by position."""
        failures = [
            PlaneFailure(_plane_of(part), reason, ":" not in part) for part, reason in self.record.failed.items()
        ]
        return sorted(failures, key=lambda failure: (failure.plane, failure.reason))

    def missing(self) -> list[int]:
        """Return the planes that are not segmented yet."""
        done = set(self.files.planes())
        return [plane for plane in self.planes if plane not in done]

    def fail(self, plane: int, reason: str, tile: int | None = None) -> None:
        """Record that a plane failed, or one of its tiles."""
        self.record.fail(str(plane) if tile is None else f"{plane}:{tile}", reason)
        with named_write_errors(self.record.path):
            self.record.save()

    def check_failures(self) -> None:
        """Raise `NothingSegmentedError` if every plane failed."""
        failed = self.failed
        if self.planes and not self.files.planes():
            raise NothingSegmentedError(
                f"not one of {len(self.planes)} planes could be segmented; plane {failed[0].plane}: {failed[0].reason}",
                remedy="mend the cause, then continue with {resume=True}",
            )

    def finish(self) -> None:
        """Delete the planes and the record."""
        self.files.clear()

    def _open_record(self, asked: JsonObject, resume: bool | None) -> RunRecord:
        """Read the record of an unfinished run, or begin a new one."""
        path = self.files.folder / _RECORD
        record = record_to_continue(
            self.store,
            lambda: RunRecord.load(path, unit="planes"),
            asked,
            resume,
            lambda: len(self.files.planes()),
        )
        if record is not None:
            return record
        self.files.clear()
        with named_write_errors(path):
            return RunRecord.begin(path, asked, unit="planes", total=len(self.planes))


def read_unfinished_stack(path: Path) -> JsonObject | None:
    """Return settings, ``planes_done`` and ``planes`` of the unfinished run over a stack in a store's folder.

    Parameters
    ----------
    path : Path
        Folder of the store.

    Returns
    -------
    dict or None
        None without such a run.

    Raises
    ------
    SettingsError
        If there is one whose record is damaged.
    """
    folder = path / UNFINISHED_STACK
    record = RunRecord.load(folder / _RECORD, unit="planes")
    if record is None:
        return None
    return {**record.asked, "planes": record.total, "planes_done": len(PlaneFiles(folder).planes())}


def _plane_of(part: str) -> int:
    match = _PART.fullmatch(part)
    if match is None:
        raise SettingsError(
            f"the record of an unfinished run names a part {part!r}", remedy="drop it with {resume=False}"
        )
    return int(match[1])
