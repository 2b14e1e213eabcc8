"""What an export reads: the protocol that a label store implements, and the record of one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.pixel_runs import PixelRuns


@dataclass(frozen=True)
class ExportedObject:
    """One object of a label store.

    Attributes
    ----------
    label : int
        Its id.
    plane : tuple of int
        Index along the leading axes.
    box : Box
        Tight box in pixels of level 0.
    area_px : int
        Number of pixels.
    category, model : str or None
        Category, and model that segmented it.
    predicted_iou, stability_score : float or None
        Scores of the model.
    created : float
        Time of its creation, in seconds since 1970.
    """

    label: int
    plane: tuple[int, ...]
    box: Box
    area_px: int
    category: str | None
    predicted_iou: float | None
    stability_score: float | None
    model: str | None
    created: float

    @property
    def plane_text(self) -> str:
        """The plane as text, such as "2" or "0,3"; empty in a 2-D store."""
        return ",".join(map(str, self.plane))


class ObjectSequence(Protocol):
    """Objects of a store with their pixels, in an order that reads each chunk about once."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ids, ascending."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[ExportedObject, PixelRuns]]: ...


class WritableLevel(Protocol):
    """A scale level to write to."""

    def write(self, index: tuple[int | slice, ...], values: NDArray[np.uint32]) -> Future[None]:
        """Start to write a part; `result` of the future waits for it."""
        ...


class ExportSource(Protocol):
    """Labels to export."""

    @property
    def path(self) -> Path:
        """Folder of the store."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of level 0, (..., y, x)."""
        ...

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all scale levels, finest first."""
        ...

    @property
    def axes(self) -> str:
        """Names of the axes, such as "yx" or "zyx"."""
        ...

    @property
    def scale(self) -> tuple[float, float]:
        """Size of a pixel along y and x, in `unit`."""
        ...

    @property
    def unit(self) -> str | None:
        """Unit of `scale`, such as "micrometer"."""
        ...

    @property
    def crs(self) -> str | None:
        """Coordinate reference system of the image."""
        ...

    @property
    def transform(self) -> tuple[float, ...] | None:
        """Affine (a, b, c, d, e, f) from (column, row) to map coordinates."""
        ...

    @property
    def image_uri(self) -> str | None:
        """Path or URL of the image."""
        ...

    def read(self, box: tuple[int, int, int, int], level: int, plane: tuple[int, ...]) -> NDArray[np.uint32]:
        """Read a box of a plane of a scale level, in that level's pixels."""
        ...

    def objects(self, labels: Sequence[int] | None, *, columns: bool = False) -> ObjectSequence:
        """Return the objects with these ids, all by default; `columns` turns the runs to go down the columns.

        Raises
        ------
        LabelsError
            If one of the ids is not a whole number or does not exist.
        """
        ...

    def rows(self, labels: Sequence[int] | None) -> Iterator[ExportedObject]:
        """Iterate over the objects with these ids without their pixels, by label; all by default."""
        ...

    def categories(self) -> list[str | None]:
        """Return the categories in use, sorted, None first."""
        ...

    def largest_label(self) -> int:
        """Return the largest id, 0 without objects."""
        ...

    def labelled_px(self) -> int:
        """Return the number of pixels of all objects."""
        ...

    def revision(self) -> int:
        """Return the number of the last change."""
        ...

    def create_copy(self, folder: Path) -> list[WritableLevel]:
        """Create an empty label image with the same shape and chunks; returns its scale levels to write to."""
        ...

    def script(self, name: str) -> str:
        """Return the history as a Python script; `name` is how its usage calls it."""
        ...
