"""An open label store as its readers see it: facts, pixels, tables, selections, exports."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self, Unpack

from napari_sam.errors import StoreWarning
from napari_sam.io.exports.export_settings import ExportSettings
from napari_sam.io.labels.changes.edit_history import EditHistory
from napari_sam.io.labels.classes.class_table import ClassTable
from napari_sam.io.labels.editing.existing_objects import existing_part, existing_parts, existing_row
from napari_sam.io.labels.reading.data_frames import change_frame, object_frame, plane_frame
from napari_sam.io.labels.reading.provenance import provenance_frame
from napari_sam.io.labels.store_parts import StoreParts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.journal.rows import ObjectRow, Plane, Record
    from napari_sam.io.labels.label_pyramid import LabelArray
    from napari_sam.io.labels.selection.select import SelectOptions


class OpenStore:
    """The part of `LabelStore` that changes no object.

    Parameters
    ----------
    path : Path
        Folder of the store.
    writable : bool
        Open for writing.
    repair : bool
        Draw the pixels again from the journal.
    like : Image, optional
        An image that the labels must fit.
    """

    def __init__(self, path: Path, writable: bool, repair: bool = False, like: Any = None) -> None:
        self.path = path.absolute()
        parts = self._parts = StoreParts.open(self.path, writable, repair, like)
        self._access, self._pyramid, self.journal = parts.access, parts.pyramid, parts.journal
        self._history = EditHistory(parts.journal, parts.writer)
        self.classes = ClassTable(parts.writer, parts.journal)
        for notice in parts.notices:
            warnings.warn(notice, StoreWarning, stacklevel=4)

    def close(self) -> None:
        """Close the files and release the lock; the store cannot be used afterwards."""
        self._parts.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self)} objects, {' x '.join(map(str, self.shape))} px"
        return f"<LabelStore {self.path}, {state}>"

    def _repr_html_(self) -> str:
        from napari_sam.io.labels.reading.label_view import closed_html, store_html  # noqa: PLC0415 - slow to import

        return closed_html(self.path) if self.closed else store_html(self, "Label store")

    def plot(
        self,
        ax: Axes | None = None,
        *,
        region: tuple[int, int, int, int] | None = None,
        plane: Plane | None = None,
        image: Any = None,
    ) -> Axes:
        """Draw the objects over the image with matplotlib (extra "plot"), from a scale level that suffices.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; those of a new figure by default.
        region : (int, int, int, int), optional
            Part (y0, x0, y1, x1), level-0 pixels; everything by default.
        plane : tuple of int, optional
            Index along the leading axes; the plane in the middle by default.
        image : optional
            Whatever `open_image` accepts; by default the image that the store names, if it is a file on this machine.

        Returns
        -------
        matplotlib.axes.Axes
            In coordinates of level-0 pixels.

        Raises
        ------
        LabelsError
            If the region lies outside the store, or the image has another shape.
        NapariSamError
            If matplotlib is not installed.
        """
        from napari_sam.io.labels.reading.label_view import LabelView  # noqa: PLC0415 - slow to import

        return LabelView(self, region, plane, image).plot(ax)

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
        """Return a table of the planes of an object: plane (tuple of int), area_px, y0, x0, y1, x1, predicted_iou.

        ``propagated`` tells where a run over the stack did not find the object, but followed it from other planes, and
        nothing has changed since.
        """
        parts = existing_parts(self.journal, label)
        return plane_frame(parts, self.journal.changes.propagated_planes(label))

    def table(self, *, by_plane: bool = False) -> pd.DataFrame:
        """Return a table of all objects: label, area, box, category, scores, model and time of creation.

        In a stack also ``plane`` (the first), ``n_planes`` and ``parent``; area, box and the lowest score are of all,
        or with `by_plane` of each plane, a row of its own.
        """
        objects = self.journal.objects
        return object_frame(objects.table_of_planes() if by_plane else objects.table(), len(self.shape) > 2)

    def provenance(self) -> pd.DataFrame:
        """Return a table of how each object came: stage, who and when, model, prompts, seconds, and who accepted it.

        The stage is "manual" (drawn), "assisted" (prompted by a person), "semi-automatic" (filled in, see `Project`),
        "automatic" (found by a run), "imported" or "edited" (a part of, or a new id for, an object). Of objects made
        before version 0.2, what was not noted is missing.
        """
        return provenance_frame(self.journal.provenance, len(self.shape) > 2)

    def history(self) -> pd.DataFrame:
        """Return a table of all changes: number, kind, state (done, undone, dropped), time and record."""
        return change_frame(self.journal.changes.all())

    def reviewed(self) -> set[int]:
        """Return the ids of the objects that a person has reviewed and kept; see `review_queue`."""
        return self.journal.reviews.reviewed()

    def select(
        self,
        where: str | None = None,
        *,
        category: str | Sequence[str] | None = None,
        labels: Iterable[int] | None = None,
        **options: Unpack[SelectOptions],
    ) -> list[int]:
        """Return the ids of the objects that fulfil all conditions given, ascending.

        Parameters
        ----------
        where : str, optional
            Condition on columns, such as ``"area_um2 > 50 and category == 'nucleus' and not touches_border"``: the
            columns of `table`, ``touches_border``, ``reviewed``, ``height_px``, ``width_px``, and those of `measure`,
            which are measured if the condition names them. `Expression` lists what it may hold.
        category : str or sequence of str, optional
            One or more classes; the objects of the classes below them count too.
        labels : iterable of int, optional
            Select among these objects only.
        **options
            ``region``, ``polygon``, ``plane``, ``inside``, ``image`` and ``cancelled``; see `SelectOptions`.

        Raises
        ------
        LabelsError
            If the condition cannot be parsed, or names a column, a class or an object that does not exist.
        """
        from napari_sam.io.labels.selection.select import select_objects  # noqa: PLC0415 - slow to import

        return select_objects(self, where, category, labels, options)

    def export(  # noqa: PLR0913 - the public contract
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002 - the plainest word
        labels: Sequence[int] | None = None,
        simplify_px: float | None = None,
        regularise_px: float | None = None,
        smooth: int = 0,
        polygons: bool = False,
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
        settings = ExportSettings(format, chosen, simplify_px, regularise_px, smooth, polygons)
        return export_store(self, path, settings, progress, cancelled)

    def measure(self, image: Any = None, *, volumes: bool = False, **choice: Any) -> pd.DataFrame:
        """Measure shapes and, with an image, intensities, on planes (`measure`) or in 3-D (`measure_volumes`)."""
        from napari_sam.io.labels.measurement.measure_volumes import measure_store  # noqa: PLC0415 - slow to import

        return measure_store(self, image, volumes=volumes, **choice)

    @property
    def user(self) -> str:
        """Name that is noted with every change; that of the machine's user by default."""
        return self._parts.writer.notes.user

    @user.setter
    def user(self, name: str) -> None:
        self._parts.writer.notes.user = name

    def noting(self, **facts: str | float) -> AbstractContextManager[None]:
        """Return a context in which facts are noted with every change by this thread: ``stage``, ``seconds``."""
        return self._parts.writer.notes.noting(facts)

    def held(self) -> AbstractContextManager[None]:
        """Return a context in which other threads cannot change the store."""
        return self._access.held()

    def on_drawn(self, listener: Callable[[Plane, Box], None]) -> None:
        """Call `listener` with plane and box (level-0 pixels) whenever pixels were changed."""
        self._parts.writer.on_drawn(listener)
