"""Labels on disk: an OME-Zarr label image and a journal of every change."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from napari_sam.errors import LabelsError, StoreWarning
from napari_sam.io.exports.export_settings import ExportSettings
from napari_sam.io.labels.changes.edit_history import EditHistory
from napari_sam.io.labels.editing.commit_planes import FollowedObject, ObjectOptions
from napari_sam.io.labels.editing.existing_objects import existing_part, existing_parts, existing_row
from napari_sam.io.labels.editing.object_editor import ObjectEditor
from napari_sam.io.labels.editing.run_writer import RunWriter
from napari_sam.io.labels.importing.import_objects import import_objects
from napari_sam.io.labels.importing.import_settings import ImportSettings
from napari_sam.io.labels.reading.data_frames import change_frame, object_frame, plane_frame
from napari_sam.io.labels.store_files import create_folder, describe_store
from napari_sam.io.labels.store_parts import StoreParts
from napari_sam.io.step_counter import StepCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.labels.editing.commit_many import NewObject
    from napari_sam.io.labels.editing.commit_planes import PlaneMasks
    from napari_sam.io.labels.journal.rows import ObjectRow, Plane, Record
    from napari_sam.io.labels.label_pyramid import LabelArray


class LabelStore:
    """Objects of one image: a uint32 label image of any size, an object table, and unlimited undo.

    Every change is written to the journal before its pixels, so that a change whose method has returned is never
    lost; opening a store completes pixels that a crash interrupted. One process can write, any number can read.

    Make one with `create` or `open`, and close it or use it in a ``with`` statement.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> folder = tempfile.mkdtemp()
    >>> with LabelStore.create(f"{folder}/cells.ome.zarr", shape=(100, 100)) as labels:
    ...     changed = labels.paint(np.full((4, 5), 1), (10, 20))
    ...     labels.table()[["label", "area_px", "y0", "x0"]].values.tolist(), labels.array[12, 22]
    ([[1, 20, 10, 20]], np.uint32(1))
    """

    def __init__(self, path: Path, writable: bool, repair: bool = False, like: Any = None) -> None:
        self.path = path.absolute()
        parts = self._parts = StoreParts.open(self.path, writable, repair, like)
        self._access, self._pyramid, self.journal = parts.access, parts.pyramid, parts.journal
        self._editor = ObjectEditor(parts.writer, parts.journal, parts.pyramid.shape)
        self._history = EditHistory(parts.journal, parts.writer)
        for notice in parts.notices:
            warnings.warn(notice, StoreWarning, stacklevel=3)

    @classmethod
    def create(
        cls,
        path: str | Path,
        like: Any = None,
        *,
        stack: bool | None = None,
        shape: tuple[int, ...] | None = None,
        scale: Sequence[float] = (1.0, 1.0),
        axes: str | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Make an empty store and open it for writing.

        Parameters
        ----------
        path : str or Path
            Folder to make, usually with the ending ``.ome.zarr``. In the ``labels`` folder of an OME-Zarr 0.5 image,
            the store is also registered with the image.
        like : Image, optional
            The image that the labels belong to, or whatever `open_image` opens: its shape and pixel size.
        stack : bool, optional
            Labels for all planes of a stack or movie, where an object keeps its id from plane to plane, or for a single
            plane. By default for all planes, if the image has more than one.
        shape, scale, axes : optional
            Without an image: (y, x), or with leading axes such as (t, z, y, x); size of a pixel along y and x, or along
            all axes; names of the axes, such as "tyx".
        overwrite : bool
            Delete an existing store at `path`. Anything else at `path` is never deleted.

        Raises
        ------
        StoreError, LabelsError
            If the folder exists or cannot be written; if the shape is invalid.
        """
        path = Path(path).expanduser().absolute()
        create_folder(path, describe_store(like, shape, scale, axes, stack=stack), overwrite)
        return cls(path, writable=True)

    @classmethod
    def open(cls, path: str | Path, mode: str = "r+", *, like: Any = None) -> Self:
        """Open a store.

        Parameters
        ----------
        path : str or Path
            Folder of the store.
        mode : {"r+", "r"}
            Open for writing, or for reading, which is possible while another process writes.
        like : Image, optional
            An image that the labels must fit.

        Raises
        ------
        StoreError
            If the store is missing, damaged, written by a newer version, or of another shape than the image. If
            another process writes to it, a StoreLockedError that names the process. A StoreWarning tells what was
            mended after the last process that wrote to it was killed.
        """
        if mode not in ("r", "r+"):
            raise LabelsError(f"mode {mode!r}", parameter="mode", remedy="use 'r+' to write or 'r' to read")
        return cls(Path(path).expanduser(), mode == "r+", like=like)

    @classmethod
    def repair(cls, path: str | Path) -> Self:
        """Draw the pixels again from the journal, of which what is sound is saved first, and open for writing."""
        return cls(Path(path).expanduser(), writable=True, repair=True)

    def close(self) -> None:
        """Close the files and release the lock; the store cannot be used afterwards."""
        self._parts.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self)} objects, {' x '.join(map(str, self.shape))} px"
        return f"<LabelStore {self.path}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        """Whether the store is open for writing."""
        return self._access.writable

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._access.closed

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the label image, (..., y, x)."""
        return self._pyramid.shape

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
        y, x = self.meta("scale")
        return float(y), float(x)

    @property
    def next_label(self) -> int:
        """Id of the next object: one more than the highest so far, or the lowest that is free."""
        return self.journal.next_label()

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return self._history.can_redo

    def __len__(self) -> int:
        """Return the number of objects."""
        return int(self.meta("objects"))

    def meta(self, key: str) -> Any:
        """Return a fact about the image, or None: "image", "crs", "transform", "axes", "unit"."""
        return self.journal.meta(key)

    def read(self, box: tuple[int, int, int, int], level: int = 0, plane: Plane = ()) -> NDArray[np.uint32]:
        """Return the labels of a box (y0, x0, y1, x1) in a level's pixels, half-open."""
        self._access.check_place()
        return self._pyramid.read(self._pyramid.checked_plane(plane), box, level)

    def row(self, label: int) -> ObjectRow:
        """Return the row of an object, or raise LabelsError if it does not exist."""
        return existing_row(self.journal, label)

    def object(self, label: int) -> Record:
        """Return the row of an object as a dict of its columns."""
        return self.row(label).as_dict()

    def mask(self, label: int, plane: Plane | None = None) -> tuple[NDArray[np.bool_], Box]:
        """Return an object's pixels on a plane as a mask (h, w), and the mask's box (y0, x0, y1, x1).

        `plane` is the index along the leading axes, which an object on a single plane does not need.
        """
        part = existing_part(self.journal, label, plane)
        return self._pyramid.read(part.plane, part.box) == label, part.box

    def planes(self, label: int) -> pd.DataFrame:
        """Return a table of the planes of an object: plane (tuple of int), area_px, y0, x0, y1, x1, predicted_iou."""
        return plane_frame(existing_parts(self.journal, label))

    def table(self, *, by_plane: bool = False) -> pd.DataFrame:
        """Return a table of all objects: label, area, box, category, scores, model and time of creation.

        In a stack also ``plane`` (the first), ``n_planes`` and ``parent``; area, box and the lowest score are of all,
        or with `by_plane` of each plane, a row of its own.
        """
        objects = self.journal.objects
        return object_frame(objects.table_of_planes() if by_plane else objects.table(), len(self.shape) > 2)

    def history(self) -> pd.DataFrame:
        """Return a table of all changes: number, kind, state (done, undone, dropped), time and record."""
        return change_frame(self.journal.changes.all())

    def reviewed(self) -> set[int]:
        """Return the ids of the objects that a person has reviewed and kept; see `review_queue`."""
        return self.journal.reviews.reviewed()

    def import_(
        self,
        path: str | Path,
        *,
        overlap: str = "keep",
        category: str | None = None,
        plane: Plane = (),
        coordinates: str = "auto",
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[int]:
        """Add the objects of a file: a label image, polygons, COCO, ImageJ ROIs, or a ``_seg.npy`` of Cellpose.

        See `import_objects` for the path, the plane, the returned ids and the errors, and `ImportSettings` for the
        settings; `progress` and `cancelled` are as in `export`, but what is written stays.
        """
        counter = StepCounter(progress, cancelled, task="import", consequence="what is written stays")
        return import_objects(self, path, plane, ImportSettings(overlap, category, coordinates), counter)

    def export(
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 - the plainest word
        labels: Sequence[int] | None = None,
        simplify_px: float | None = None,
        smooth: int = 0,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Path:
        """Write objects to a file that other programs read, piece by piece, however large the image is.

        The ending of `path` selects the format (`EXTENSIONS` in `export_settings`); "-" is standard output. See
        `ExportSettings` for the settings, and `export_store` for progress, cancelling and the errors.
        """
        from napari_sam.io.labels.reading.store_export_source import export_store  # noqa: PLC0415 - slow to import

        if self.writable:
            with self._parts.writer.writing():
                pass  # draws what a full disk left undrawn
        chosen = None if labels is None else tuple(labels)
        return export_store(self, path, ExportSettings(format, chosen, simplify_px, smooth), progress, cancelled)

    def measure(self, image: Any = None, *, volumes: bool = False, **choice: Any) -> pd.DataFrame:
        """Measure shapes and, with an image, intensities, on planes (`measure`) or in 3-D (`measure_volumes`)."""
        from napari_sam.io.labels.measurement.measure_volumes import measure_store  # noqa: PLC0415 - slow to import

        return measure_store(self, image, volumes=volumes, **choice)

    def commit(
        self,
        prediction: Prediction,
        label: int | None = None,
        overlap: str = "keep",
        category: str | None = None,
        *,
        plane: Plane = (),
        candidate: int | None = None,
    ) -> int:
        """Write an object; returns its id, or with "erase" `label` or 0.

        Parameters
        ----------
        prediction : Prediction
            The masks.
        label : int, optional
            Id of the object; the next free one by default. If the object exists, its mask is replaced.
        overlap : {"keep", "replace", "erase"}
            Whether other objects keep or lose the pixels that they share with the new one. "erase" writes no object
            but makes the pixels under the mask background: of object `label`, or of all objects by default.
        category : str, optional
            Category of the object.
        plane : tuple of int
            Index along the leading axes, if the store has any; by default that of the plane that was segmented.
        candidate : int, optional
            Index of the mask; the best by default.

        Raises
        ------
        LabelsError
            If an argument is invalid, or no pixel would change.
        StoreError
            If it cannot be written. If the message says that the change is in the journal, it is not lost.
        """
        return self._editor.commit(prediction, label, overlap, category, plane, candidate)

    def commit_planes(
        self,
        planes: PlaneMasks | FollowedObject,
        label: int | None = None,
        overlap: str = "keep",
        category: str | None = None,
        *,
        parent: int | None = None,
        source: Record | None = None,
    ) -> int:
        """Write an object that lies on several planes, as one change; returns its id.

        Parameters
        ----------
        planes : mapping or Propagation
            What `Predictor.propagate` returns, or (mask, box) or (mask, box, score) by plane: mask (h, w), box
            (y0, x0, y1, x1) in level-0 pixels, predicted IoU. A plane is named by its index along all leading axes, or
            along the only one. Of an object that exists, these planes are replaced, and an empty mask clears one.
        label, overlap, category : optional
            As in `commit`, like the errors.
        parent : int, optional
            Object that it descends from.
        source : dict, optional
            Origin of the object, as JSON, kept in the history; its ``model`` goes into the table.
        """
        options = ObjectOptions(label, overlap, category, parent, source or {})
        return self._editor.commit_planes(planes, options)

    def commit_many(
        self,
        objects: Sequence[Prediction | NewObject],
        overlap: str = "keep",
        *,
        plane: Plane = (),
        nms: float | None = None,
        since: int | None = None,
        source: Record | None = None,
    ) -> list[int]:
        """Write several objects of one plane as one change, about a hundred times faster than one by one.

        Where they overlap, the first keeps its pixels. See `place_objects` for `overlap`, `nms` and `since`, and
        `commit` for the errors; `source` is the origin of the objects, as JSON, kept in the history. Returns the id of
        each object; 0 if no pixel was free for it, -1 if `nms` left it out.
        """
        return self._editor.commit_many(objects, overlap, plane, nms, since, source)

    def erase(self, label: int, plane: Plane | None = None) -> None:
        """Remove an object, or its pixels on one plane."""
        self._editor.erase(label, plane)

    def paint(self, labels: ArrayLike, origin: tuple[int, int], *, plane: Plane = (), kind: str = "paint") -> int:
        """Replace the labels of a region; returns the number of pixels that changed, 0 if nothing was written.

        `labels` (h, w) of whole numbers, 0 is background, lie at `origin` (y, x); new ids become objects. `plane` is as
        in `commit`, and `kind` is the name of the change in the history.
        """
        return self._editor.paint(labels, origin, plane, kind)

    def merge(self, labels: Sequence[int], into: int | None = None) -> int:
        """Merge objects, on all of their planes; returns the id of the result, `into` or the smallest."""
        return self._editor.merge(labels, into)

    def relabel(self, old: int, new: int, planes: Sequence[Plane] | None = None) -> None:
        """Give an object, or its pixels on some planes, another id, which must be unused."""
        self._editor.relabel(old, new, planes)

    def split(self, label: int, points: ArrayLike | None = None, plane: Plane | None = None) -> list[int]:
        """Split an object into several; returns the ids of the parts, largest first, which keeps the object's id.

        With `points` (P, 2) as (y, x), one in each part, it is cut at the narrowest places between them; without, its
        separate pieces become objects. An object on several planes is split through them, by points with an index along
        every axis, or on one of them, `plane`.
        """
        return self._editor.split(label, points, plane)

    def set_parent(self, child: int, parent: int | None) -> None:
        """Set the object of a stack or movie that another one descends from, such as a cell before its division."""
        self._editor.set_parent(child, parent)

    def set_category(self, label: int, category: str | None) -> None:
        """Set the category of an object; None for unknown."""
        self._editor.set_category(label, category)

    def review(self, label: int, verdict: str = "accepted") -> None:
        """Record a person's verdict on an object, "accepted" or "rejected"; a rejected object is also erased.

        `review_queue` defines what counts as reviewed.
        """
        self._editor.review(label, verdict)

    def run_writer(self, run_id: str, *, overlap: str = "keep", plane: Plane = ()) -> RunWriter:
        """Return a writer for a run over an image or stack, whose changes are undone in one step.

        Without `plane`, every call of its method `write` names one.
        """
        return RunWriter(
            self._parts.writer, self.journal, run_id, overlap, self._pyramid.checked_plane(plane) if plane else ()
        )

    def undo(self) -> Record | None:
        """Undo the last change, or a whole-image run in one step; returns its record, or None if there is none."""
        return self._history.undo()

    def redo(self) -> Record | None:
        """Redo the change that was undone last; returns its record, or None if there is none."""
        return self._history.redo()

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Draw all pixels again from the journal; `progress` is called with the changes drawn and their number."""
        self._parts.rebuild(progress)

    def held(self) -> AbstractContextManager[None]:
        """Return a context in which other threads cannot change the store."""
        return self._access.held()

    def on_drawn(self, listener: Callable[[Plane, Box], None]) -> None:
        """Call `listener` with plane and box (level-0 pixels) whenever pixels were changed."""
        self._parts.writer.on_drawn(listener)
