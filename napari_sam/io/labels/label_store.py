"""Labels on disk: an OME-Zarr label image and a journal of every change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from napari_sam.errors import LabelsError
from napari_sam.io.labels.editing.commit_planes import FollowedObject, ObjectOptions
from napari_sam.io.labels.editing.many_objects import ManyObjects
from napari_sam.io.labels.editing.object_editor import ObjectEditor
from napari_sam.io.labels.editing.run_writer import RunWriter
from napari_sam.io.labels.importing.import_objects import import_objects
from napari_sam.io.labels.importing.import_settings import ImportSettings
from napari_sam.io.labels.open_store import OpenStore
from napari_sam.io.labels.reading.replay import to_snippet
from napari_sam.io.labels.store_files import create_folder, describe_store
from napari_sam.io.step_counter import StepCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike

    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.labels.editing.commit_many import NewObject
    from napari_sam.io.labels.editing.commit_planes import PlaneMasks
    from napari_sam.io.labels.journal.rows import Plane, Record


class LabelStore(OpenStore):
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
        super().__init__(path, writable, repair, like)
        writer = self._parts.writer
        self._editor = ObjectEditor(writer, self.journal, self.shape)
        self._many = ManyObjects(writer, self.journal)

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
        classes: Sequence[ClassStyle] = (),
    ) -> list[int]:
        """Write several objects of one plane as one change, about a hundred times faster than one by one.

        Where they overlap, the first keeps its pixels. See `place_objects` for `overlap`, `nms` and `since`, and
        `commit` for the errors; `source` is the origin of the objects, as JSON, kept in the history, and
        `classes` are added with colours and parents where the store does not have them. Returns the id of each object;
        0 if no pixel was free for it, -1 if `nms` left it out.
        """
        return self._editor.commit_many(objects, overlap, plane, nms, since, source, classes)

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

    def relabel(
        self, old: int | Mapping[int, int], new: int | None = None, planes: Sequence[Plane] | None = None
    ) -> None:
        """Give an object, or its pixels on some planes, another id, which must be unused.

        A mapping of old to new ids gives many objects other ids in one step.
        """
        if isinstance(old, Mapping):
            self._many.relabel(old)
        else:
            self._editor.relabel(old, 0 if new is None else new, planes)

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

    def set_category(self, labels: int | Iterable[int] | Mapping[int, str | None], category: str | None = None) -> None:
        """Give an object, or many in one step, a class; None for none. A mapping gives each object its own.

        A name that is new becomes one of the `classes`.
        """
        self._many.set_category(labels, category)

    def delete(self, labels: int | Iterable[int]) -> int:
        """Remove many objects in one step, on all of their planes; returns their number."""
        return self._many.delete(labels)

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

    def to_python(self, *, last: bool = False) -> str:
        """Return Python lines that repeat the changes in effect, to paste into a notebook or a script.

        Prompts are predicted again, drawings are repeated. Undone changes are left out.

        Parameters
        ----------
        last : bool
            Repeat only the last change, or whole-image run, in this store as it was before, instead of all changes in
            a new store.

        Raises
        ------
        LabelsError
            If there is nothing to repeat.
        """
        return to_snippet(self, last=last)

    def undo(self) -> Record | None:
        """Undo the last change, or a whole-image run in one step; returns its record, or None if there is none."""
        return self._history.undo()

    def redo(self) -> Record | None:
        """Redo the change that was undone last; returns its record, or None if there is none."""
        return self._history.redo()

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Draw all pixels again from the journal; `progress` is called with the changes drawn and their number."""
        self._parts.rebuild(progress)
