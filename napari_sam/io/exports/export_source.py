"""What an export reads: protocols that label stores and their objects implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.io.class_styles import ClassStyle
    from napari_sam.io.geo.axis_placement import AxisPlacement
    from napari_sam.io.pixel_runs import PixelRuns


class ExportedObject(Protocol):
    """One object of a label store, on one plane."""

    @property
    def label(self) -> int:
        """Id."""
        ...

    @property
    def plane(self) -> tuple[int, ...]:
        """Index along the leading axes."""
        ...

    @property
    def n_planes(self) -> int:
        """Number of planes on which it lies."""
        ...

    @property
    def box(self) -> Box:
        """Tight box in pixels of level 0."""
        ...

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        ...

    @property
    def parent(self) -> int | None:
        """Id of the object that it descends from."""
        ...

    @property
    def category(self) -> str | None:
        """Category, such as "cell"."""
        ...

    @property
    def predicted_iou(self) -> float | None:
        """Predicted IoU of the mask."""
        ...

    @property
    def stability_score(self) -> float | None:
        """Stability score of the mask."""
        ...

    @property
    def model(self) -> str | None:
        """Model that segmented it."""
        ...

    @property
    def created(self) -> float:
        """Time of its creation, in seconds since 1970."""
        ...


def plane_text(plane: tuple[int, ...]) -> str:
    """Return an index along the leading axes as text; empty for a 2-D image.

    >>> plane_text((0, 3))
    '0,3'
    """
    return ",".join(map(str, plane))


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

    def placement(self, axis: str) -> AxisPlacement:
        """Return pixel size, position of the first pixel and unit along an axis."""
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
    def control_points(self) -> int:
        """Number of ground control points of the image that no affine fits."""
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

    def classes(self) -> list[ClassStyle]:
        """Return the classes, in their order."""
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
