"""Opening, locking and reading a label store, its history, and how a change reaches journal and pixels."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from napari_sam.engine.memory import trim_heap
from napari_sam.errors import LabelsError, StoreError, StoreLockedError
from napari_sam.io.labels.edits import Edit, box_of, next_free, plane_of
from napari_sam.io.labels.journal import DONE, UNDONE, Journal
from napari_sam.io.labels.label_pyramid import LabelArray, LabelPyramid, level_shapes, register
from src_models.checkpoints.locking import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.io.labels.journal import Change, Patch, Row
    from napari_sam.io.labels.label_pyramid import Box

_JOURNAL, _LOCK, _HOLDER = "journal.sqlite", "writer.lock", "writer.json"
_MAX_AXIS = 1 << 31


class StoreBase:
    """Files, history and tables of a `LabelStore`, which adds the changes a user can make."""

    def __init__(self, path: Path, writable: bool) -> None:
        self.path = path = path.absolute()
        self.writable = writable
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        self._lock: FileLock | None = None
        self._closed = False
        self._listeners: list[Callable[[tuple[int, ...], Box], None]] = []
        if not path.is_dir():
            raise StoreError(f"{path}: there is no label store here; use LabelStore.create")
        if not (path / _JOURNAL).is_file():
            raise StoreError(f"{path}: the journal is missing, so this is not a label store, or not a whole one")
        if writable:
            self._lock = _hold(path)
            self._unlock = weakref.finalize(self, _let_go, self._lock, self._pid)
        try:
            self._journal = Journal(path / _JOURNAL, writable)
            self._pyramid = LabelPyramid(path, writable)
            if list(self._pyramid.shape) != self._journal.meta("shape"):
                raise StoreError(
                    f"{path}: pixels of shape {self._pyramid.shape} but a journal of {self._journal.meta('shape')}; "
                    "the folder holds parts of two stores, restore one from a backup"
                )
            self._rendered = int(self._journal.meta("rendered"))
            if writable:
                self._catch_up()
        except BaseException:
            self._release()
            raise

    # ---- opening and closing ------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        like: Any = None,
        *,
        shape: tuple[int, ...] | None = None,
        scale: tuple[float, float] = (1.0, 1.0),
        overwrite: bool = False,
    ) -> Self:
        """Make an empty store and open it for writing.

        Parameters
        ----------
        path : str or Path
            Folder to make, by custom ending in ``.ome.zarr``; in the ``labels`` folder of an OME-Zarr 0.5 image it
            is registered there.
        like : Image, optional
            The image that the labels belong to: its height, width and pixel size.
        shape : tuple of int, optional
            Instead: (y, x), or (t, z, y, x) and the like.
        scale : (float, float)
            Size of a pixel along y and x, where no image says it.
        overwrite : bool
            Delete a store that lies there. It never deletes anything else.

        Returns
        -------
        LabelStore

        Raises
        ------
        StoreError
            If the folder exists, or cannot be written.
        LabelsError
            If the shape means nothing.
        """
        path = Path(path).expanduser().absolute()
        like = _as_image(like)
        if like is not None:
            shape, scale = shape or tuple(like.shape), tuple(like.scale)
        shape = _checked_shape(shape)
        if path.exists():
            if not overwrite:
                raise StoreError(f"{path}: exists already; use LabelStore.open, or overwrite=True")
            _delete(path)
        axes = "tczyx"[-len(shape) :]
        image = None if like is None else {"identity": like.identity, "uri": getattr(like, "uri", None)}
        meta = {"shape": list(shape), "scale": list(scale), "axes": axes, "image": image, "created": time.time()}
        if like is not None:
            meta |= {
                "unit": getattr(like, "unit", None),
                "crs": like.crs,
                "transform": None if like.transform is None else list(like.transform),
            }
        begun = path.with_name(f".{path.name}.{os.getpid()}.partial")  # never half a store under its own name
        shutil.rmtree(begun, ignore_errors=True)  # of an earlier try
        try:
            LabelPyramid.create(begun, shape, axes, scale, getattr(like, "uri", None))
            Journal.create(begun / _JOURNAL, meta)
            begun.replace(path)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{path}: cannot be created: {error}; choose a folder you may write to") from error
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        register(path)
        return cls(path, writable=True)

    @classmethod
    def repair(cls, path: str | Path) -> Self:
        """Open a store whose pixel files are damaged or missing: they are all drawn again from the journal.

        Parameters
        ----------
        path : str or Path
            Its folder.

        Returns
        -------
        LabelStore
            Open for writing.

        Raises
        ------
        StoreError
            If the journal is missing or damaged.
        StoreLockedError
            If another process writes to it.
        """
        path = Path(path).expanduser().absolute()
        if not (path / _JOURNAL).is_file():
            raise StoreError(f"{path}: the journal is missing, so there is nothing to draw from")
        lock = _hold(path)
        try:
            journal = Journal(path / _JOURNAL, writable=True)
            try:
                _reset_pixels(path, journal)
            finally:
                journal.close()
        finally:
            lock.release()
        return cls(path, writable=True)

    @classmethod
    def open(cls, path: str | Path, mode: str = "r+", *, like: Any = None) -> Self:
        """Open a store; what a crash left undrawn is drawn.

        Parameters
        ----------
        path : str or Path
            Its folder.
        mode : {"r+", "r"}
            For writing, or for reading beside another writer.
        like : Image, optional
            The image it should belong to.

        Returns
        -------
        LabelStore

        Raises
        ------
        StoreError
            If there is none, it is damaged, it was written by a newer version, or belongs to an image of another
            shape.
        StoreLockedError
            If another process writes to it; the message says which.
        """
        if mode not in ("r", "r+"):
            raise LabelsError(f"mode {mode!r}: use 'r+' to write or 'r' to read")
        store = cls(Path(path).expanduser(), mode == "r+")
        like = _as_image(like)
        if like is not None and tuple(like.shape) != store.shape[-2:]:
            store.close()
            raise StoreError(f"{path}: labels of shape {store.shape[-2:]} do not fit the image {tuple(like.shape)}")
        return store

    def close(self) -> None:
        """Close the files and let others write; the store cannot be used afterwards."""
        with self._mutex:
            if self._closed:
                return
            if self.writable and self._pid == os.getpid():
                with contextlib.suppress(StoreError):  # only saves the next opening some drawing
                    self._journal.set_rendered(self._rendered)
            self._release()

    def _release(self) -> None:
        self._closed = True
        if hasattr(self, "_journal") and self._pid == os.getpid():  # a forked child must not touch its parent's
            self._journal.close()
        if self._lock is not None:
            self._unlock()
            self._lock = None

    def __repr__(self) -> str:
        if self._closed:
            return f"<LabelStore {self.path}, closed>"
        return f"<LabelStore {self.path}, {len(self)} objects, {' x '.join(map(str, self.shape))} px>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ---- what there is ------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the label image, (..., y, x)."""
        return self._pyramid.shape

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def array(self) -> LabelArray:
        """Level 0; index it to read."""
        return self._pyramid.levels[0]

    @property
    def levels(self) -> list[LabelArray]:
        """All scale levels, finest first."""
        return list(self._pyramid.levels)

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a level-0 pixel along y and x."""
        y, x = self._journal.meta("scale")
        return float(y), float(x)

    @property
    def next_label(self) -> int:
        """Id of the next object: one more than the highest so far, or the lowest that is free."""
        return next_free(self._journal)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self._journal.last(DONE) is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return self._journal.last(UNDONE) is not None

    def __len__(self) -> int:
        """Number of objects."""
        return int(self._journal.meta("objects"))

    def meta(self, key: str) -> Any:
        """What the store knows of its image: "image", "crs", "transform", "axes"."""
        return self._journal.meta(key)

    def read(self, box: Box, level: int = 0, plane: tuple[int, ...] = ()) -> NDArray[np.uint32]:
        """Labels of a box (y0, x0, y1, x1) in a level's pixels, half-open."""
        return self._pyramid.read(self._plane(plane), box, level)

    def object(self, label: int) -> Row:
        """An object's row of the table.

        Raises
        ------
        LabelsError
            If there is none of this id.
        """
        found = self._journal.objects([int(label)])
        if not found:
            raise LabelsError(f"there is no object {label}; table() lists those there are")
        return found[int(label)]

    def mask(self, label: int) -> tuple[NDArray[np.bool_], Box]:
        """An object's visible pixels, (h, w), and their (y0, x0, y1, x1)."""
        row = self.object(label)
        box = box_of(row)
        return self._pyramid.read(plane_of(row), box) == label, box

    def table(self) -> pd.DataFrame:
        """All objects: label, area, box, category, scores, model and when they were made; pixels of level 0."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        columns = "label area_px y0 x0 y1 x1 category predicted_iou stability_score model created".split()
        if len(self.shape) > 2:
            columns.insert(1, "plane")
        rows = self._journal.query(f"SELECT {','.join(columns)} FROM objects ORDER BY label")  # noqa: S608
        table = pd.DataFrame(rows, columns=columns)
        table["created"] = pd.to_datetime(table["created"].astype(float), unit="s", utc=True)
        return table

    def history(self) -> pd.DataFrame:
        """Every change there ever was: number, kind, state (done, undone, dropped), time and its record."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        rows = self._journal.query("SELECT id, kind, state, time, record FROM ops ORDER BY id")
        table = pd.DataFrame(rows, columns=["op", "kind", "state", "time", "record"])
        table["time"] = pd.to_datetime(table["time"].astype(float), unit="s", utc=True)
        table["record"] = [json.loads(r) for r in table["record"]]
        return table

    def rows_of(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT on the journal, whose tables are described in `napari_sam.io.labels.journal`."""
        return self._journal.query(sql, values)

    def add_indexes(self, statements: Iterable[str]) -> None:
        """Make queries on the journal quick, by ``CREATE INDEX IF NOT EXISTS``."""
        with self._writing(catch_up=False):
            self._journal.add_indexes(statements)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let no other thread change the store in here."""
        with self._mutex:
            yield

    def patches_of(self, op: int) -> Iterator[Patch]:
        """Pixels that a change of the history wrote, before and after."""
        return self._journal.patches(op)

    def on_drawn(self, listener: Callable[[tuple[int, ...], Box], None]) -> None:
        """Call `listener` with plane and box (level-0 pixels) whenever pixels were changed."""
        self._listeners.append(listener)

    def undo(self) -> dict[str, Any] | None:
        """Take the last change back, from whichever session; returns its record, or None if there is none.

        What one run of everything-mode wrote is one change, as is its being made again by `redo`.
        """
        return self._step_run(back=True)

    def redo(self) -> dict[str, Any] | None:
        """Make the change that was last taken back again; returns its record, or None if there is none."""
        return self._step_run(back=False)

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Draw all pixels again from the journal, for instance after files were damaged or deleted.

        Parameters
        ----------
        progress : callable, optional
            Called with changes drawn and their number.
        """
        with self._writing(catch_up=False):
            self._rendered = 0
            _reset_pixels(self.path, self._journal)
            self._pyramid = LabelPyramid(self.path, writable=True)
            ops = [op for (op,) in self._journal.query("SELECT id FROM ops WHERE state = ? ORDER BY id", (DONE,))]
            for done, op in enumerate(ops, start=1):
                patches = list(self._journal.patches(op))
                self._draw(patches, back=False)
                self._tell(patches)
                if progress is not None:
                    progress(done, len(ops))
            self._rendered = int(self._journal.query("SELECT coalesce(max(seq), 0) FROM log")[0][0])
            self._journal.set_rendered(self._rendered)

    # ---- how ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, catch_up: bool = True) -> Iterator[None]:
        """Hold the store for one change, with everything before it drawn."""
        with self._mutex:
            if self._closed:
                raise StoreError(f"{self.path}: the store is closed; open it again")
            if self._pid != os.getpid():
                raise StoreError(
                    f"{self.path}: was opened by process {self._pid}, of which this is a fork; open it here"
                )
            if not self.writable:
                raise StoreError(f'{self.path}: opened for reading; use LabelStore.open(path, "r+")')
            if catch_up:
                self._catch_up()
            yield

    def _edit(self, kind: str, record: dict[str, Any], plane: tuple[int, ...]) -> Edit:
        return Edit(self._pyramid, self._journal, self._plane(plane), kind, record)

    def _write(self, change: Change) -> None:
        """Put a change into the journal, then draw it."""
        if not change.patches and not change.rows:
            raise LabelsError("nothing would change")
        _, seq = self._journal.add(change, self._rendered)
        self._draw_logged(seq, change.patches, back=False)
        trim_heap(sum((p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) for p in change.patches))

    def _step_run(self, back: bool) -> dict[str, Any] | None:
        with self._mutex:
            record = self._step(back)
            while record is not None and record.get("run") is not None:
                following = self._journal.last(DONE if back else UNDONE)
                if following is None or following[1].get("run") != record["run"]:
                    break
                record = self._step(back)
            return record

    def _step(self, back: bool) -> dict[str, Any] | None:
        with self._writing():
            found = self._journal.last(DONE if back else UNDONE)
            if found is None:
                return None
            op, record = found
            record.pop("mask", None)  # long; history() has it
            patches = list(self._journal.patches(op))
            for patch in patches:
                patch.labels(after=not back)  # a damaged one is found before anything is written
            seq = self._journal.step(op, back, self._rendered)
            self._draw_logged(seq, patches, back)
            return record

    def _draw_logged(self, seq: int, patches: list[Patch], back: bool) -> None:
        try:
            self._draw(patches, back)
        except StoreError as error:
            raise StoreError(
                f"the change is safe in the journal, but its pixels are not drawn yet: {error}; they will be with "
                "the next change, or when the store is opened again"
            ) from error
        self._rendered = seq
        self._tell(patches)

    def _draw(self, patches: list[Patch], back: bool) -> None:
        """Write the pixels of one change, the last first when it is taken back."""
        for patch in reversed(patches) if back else patches:
            self._pyramid.draw(patch.plane, patch.box, patch.labels(after=not back))

    def _tell(self, patches: list[Patch]) -> None:
        """Tell listeners what was drawn."""
        for patch in patches:
            for listener in self._listeners:
                listener(patch.plane, patch.box)

    def _catch_up(self) -> None:
        """Draw what the journal has and the pixels may not."""
        for seq, op, action in self._journal.undrawn(self._rendered):
            patches = list(self._journal.patches(op))
            self._draw(patches, back=action == "undo")
            self._rendered = seq
            self._tell(patches)

    def _whole(self) -> Box:
        return (0, 0, self.shape[-2], self.shape[-1])

    def _plane(self, plane: tuple[int, ...]) -> tuple[int, ...]:
        leading = self.shape[:-2]
        if len(plane) != len(leading) or any(not 0 <= p < n for p, n in zip(plane, leading, strict=False)):
            raise LabelsError(
                f"plane {tuple(plane)} does not fit a store of shape {self.shape}; give one index per axis"
            )
        return tuple(int(p) for p in plane)


def _hold(path: Path) -> FileLock:
    """Become the store's writer, or say who is."""

    def refuse() -> None:
        who, remedy = "another process", "close it there, or open it with mode 'r'"
        with contextlib.suppress(OSError, ValueError, KeyError):
            holder = json.loads((path / _HOLDER).read_text())
            mine = holder["pid"] == os.getpid() and holder["host"] == socket.gethostname()
            who = "this process" if mine else f"process {holder['pid']} on {holder['host']}"
            who += f", since {holder['since']},"
            if mine:
                remedy = "use the store that is open (such as report.labels), or close() that one first"
        raise StoreLockedError(f"{path}: {who} writes to it; {remedy}")

    lock = FileLock(path / _LOCK)
    try:
        lock.acquire(refuse)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        (path / _HOLDER).write_text(json.dumps(holder))
    except StoreLockedError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}; use mode 'r', or make it writable") from error
    return lock


def _delete(path: Path) -> None:
    """Delete a label store, and nothing else."""
    if not (path / _JOURNAL).is_file():
        raise StoreError(f"{path}: is not a label store, so it is not overwritten; choose another path")
    _hold(path).release()  # nobody writes to it
    aside = path.with_name(f".{path.name}.{os.getpid()}.deleted")
    try:
        path.replace(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise StoreError(f"{path}: cannot be deleted: {error}") from error


def _reset_pixels(path: Path, journal: Journal) -> None:
    """Make the pixels empty again, their metadata too, so that opening draws everything from the journal."""
    journal.set_rendered(0)
    shape = tuple(int(n) for n in journal.meta("shape"))
    for k in range(len(level_shapes(shape))):
        shutil.rmtree(path / str(k), ignore_errors=True)
    y, x = journal.meta("scale")
    image = journal.meta("image") or {}
    LabelPyramid.create(path, shape, journal.meta("axes"), (y, x), image.get("uri"))


def _let_go(lock: FileLock, pid: int) -> None:
    """Give a writer's lock back; a forked child leaves it to its parent."""
    if pid == os.getpid():
        lock.release()


def _as_image(like: Any) -> Any:
    """What `like` may be: an opened image, or whatever `open_image` opens."""
    if like is None or all(hasattr(like, name) for name in ("shape", "scale", "identity")):
        return like
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - slow to import

    return open_image(like)


def _checked_shape(shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None or not 2 <= len(shape) <= 5 or any(not 0 < int(n) < _MAX_AXIS for n in shape):
        raise LabelsError(f"shape {shape}: give like=image, or (y, x) with up to three axes before them")
    return tuple(int(n) for n in shape)
