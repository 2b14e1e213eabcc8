"""Select the objects of a store by their values, their class, and where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from napari_sam.errors import LabelsError
from napari_sam.io.class_styles import path_in
from napari_sam.io.labels.editing.existing_objects import existing_rows
from napari_sam.io.labels.selection.expression import Expression
from napari_sam.io.labels.selection.object_columns import ObjectColumns
from napari_sam.io.labels.selection.objects_in_region import box_outline, objects_in_region, polygon_outline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike

    from napari_sam.io.labels.journal.rows import Plane
    from napari_sam.io.labels.reading.store_view import StoreView


class SelectOptions(TypedDict, total=False):
    """Further options of a selection.

    Attributes
    ----------
    region : sequence of float
        Box (y0, x0, y1, x1) in level-0 pixels, half-open.
    polygon : array-like
        (P, 2) corners of a lasso as (y, x); whole numbers are the centres of pixels, as in napari.
    plane : tuple of int
        Index along the leading axes: only objects on this plane, and only their pixels there count for the region.
    inside : float
        Least part of an object's pixels that lies in the region, from 0 (any pixel) to 1 (all); 0.5 by default.
    image : object
        Whatever `open_image` opens, if the filter names intensities.
    cancelled : callable
        Called while objects are measured, which stops when it returns True.
    """

    region: Sequence[float] | None
    polygon: ArrayLike | None
    plane: Plane | None
    inside: float
    image: Any
    cancelled: Callable[[], bool] | None


def select_objects(
    store: StoreView,
    where: str | None,
    category: str | Sequence[str] | None,
    labels: Iterable[int] | None,
    options: SelectOptions,
) -> list[int]:
    """Return the ids of the objects that fulfil all conditions, ascending; `LabelStore.select` documents them.

    Raises
    ------
    LabelsError
        If the filter, a class or an option is invalid, or one of `labels` does not exist.
    """
    unknown = options.keys() - SelectOptions.__annotations__.keys()
    if unknown:
        raise LabelsError(f"there is no option {min(unknown)!r}", parameter=min(unknown), remedy="see SelectOptions")
    expression = None if where is None else Expression(where)
    listed = None if labels is None else list(labels)
    chosen = set(existing_rows(store.journal, listed)) if listed else set()
    if listed is None:
        chosen = store.journal.objects.labels()
    if category is not None:
        chosen &= _of_classes(store, category)
    region = _in_region(store, options)
    if region is not None:
        chosen &= region
    if expression is not None and chosen:
        columns = ObjectColumns(store, options.get("image"), options.get("cancelled"))
        fulfilled = expression.evaluate(columns.of(expression), len(columns.labels))
        chosen &= {label for label, kept in zip(columns.labels, fulfilled.tolist(), strict=True) if kept}
    return sorted(chosen)


def _of_classes(store: StoreView, category: str | Sequence[str]) -> set[int]:
    """Return the objects of one or more classes and of the classes below them."""
    names = {category} if isinstance(category, str) else set(category)
    hierarchy = {item.name: item.parent for item in store.journal.classes.all()}
    missing = sorted(names - hierarchy.keys())
    if missing:
        raise LabelsError(
            f"there is no class {missing[0]!r}", parameter="category", remedy="LabelStore.classes lists them"
        )
    wanted = [name for name in hierarchy if not names.isdisjoint(path_in(hierarchy, name))]
    return {label for name in wanted for label in store.journal.classes.objects_of(name)}


def _in_region(store: StoreView, options: SelectOptions) -> set[int] | None:
    """Return the objects on a plane or in a region; None if neither is given."""
    region, polygon, plane = options.get("region"), options.get("polygon"), options.get("plane")
    inside = float(options.get("inside", 0.5))
    if not 0 <= inside <= 1:
        raise LabelsError(f"inside {inside!r}", parameter="inside", remedy="give a part from 0 to 1")
    leading = store.shape[:-2]
    if plane is not None and (
        len(plane) != len(leading) or any(not 0 <= i < n for i, n in zip(plane, leading, strict=True))
    ):
        raise LabelsError(
            f"plane {plane!r} of labels of shape {store.shape}",
            parameter="plane",
            remedy=f"give {len(leading)} indices along the leading axes",
        )
    if region is None and polygon is None:
        if not plane:
            return None
        return {part.label for part in store.journal.objects.of_plane(tuple(plane))}
    outlines = [] if region is None else [box_outline(region)]
    outlines += [] if polygon is None else [polygon_outline(polygon)]
    planes = store.journal.objects.planes() if plane is None else [tuple(int(i) for i in plane)]
    found = [objects_in_region(store, outline, planes, inside) for outline in outlines]
    return set.intersection(*found)


def filter_columns(store: StoreView) -> list[str]:
    """Return the names of columns that a filter can use without measuring, for a list of suggestions."""
    return ObjectColumns(store).names()


__all__ = ["SelectOptions", "filter_columns", "select_objects"]
