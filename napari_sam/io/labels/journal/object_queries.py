"""Queries of the object table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.row_values import (
    LARGEST_AXIS_PX,
    LATEST_S,
    check_inside,
    format_plane,
    optional_text,
    parse_plane,
    text,
    whole,
)
from napari_sam.io.labels.journal.rows import (
    LARGEST_LABEL,
    OBJECT_COLUMNS,
    PLANE_COLUMNS,
    ObjectPlane,
    ObjectPosition,
    ObjectRow,
    TableRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.journal._database import Database
    from napari_sam.io.labels.journal.rows import Plane

_PAGE = 500  # parameters of one query
_INTEGERS = " AND ".join(f"typeof({name}) = 'integer'" for name in ("area_px", "y0", "x0", "y1", "x1", "op"))
_CREATED = f"typeof(created) IN ('real', 'integer') AND abs(created) < {LATEST_S}"
_OPTIONAL = " AND ".join(
    f"typeof({name}) IN ({kinds})"
    for kinds, names in {
        "'null', 'real', 'integer'": ("predicted_iou", "stability_score"),
        "'null', 'text', 'real', 'integer'": ("category", "model"),
    }.items()
    for name in names
)
_IS_SOUND = (
    f"{_INTEGERS} AND {_CREATED} AND {_OPTIONAL} AND typeof(plane) = 'text' AND plane NOT GLOB '*[^0-9,]*' "
    "AND typeof(n_planes) = 'integer' AND n_planes > 0 AND typeof(parent) IN ('null', 'integer') "
    "AND label BETWEEN 1 AND ? AND area_px >= 0 AND 0 <= y0 AND y0 < y1 AND y1 <= ? AND 0 <= x0 AND x0 < x1 AND x1 <= ?"
)
_PLANE_IS_SOUND = (
    " AND ".join(f"typeof({name}) = 'integer'" for name in ("label", "area_px", "y0", "x0", "y1", "x1"))
    + " AND typeof(plane) = 'text' AND plane <> '' AND plane NOT GLOB '*[^0-9,]*' AND label BETWEEN 1 AND ? "
    "AND typeof(predicted_iou) IN ('null', 'real', 'integer') "
    "AND area_px >= 0 AND 0 <= y0 AND y0 < y1 AND y1 <= ? AND 0 <= x0 AND x0 < x1 AND x1 <= ?"
)
_PLANES = f"SELECT {','.join(PLANE_COLUMNS)} FROM object_planes"  # noqa: S608 - fixed words
_TOTALS = "SELECT label, count(*) AS planes, sum(area_px) AS area FROM object_planes GROUP BY label"
_DIFFERING = (
    f"SELECT label FROM objects LEFT JOIN ({_TOTALS}) USING (label) "  # noqa: S608 - fixed words
    "WHERE n_planes IS NOT planes OR area_px IS NOT area UNION ALL "
    "SELECT label FROM object_planes WHERE label NOT IN (SELECT label FROM objects) LIMIT 1"
)


class ObjectQueries:
    """Queries of the object table; a part of `Journal`."""

    def __init__(self, database: Database, shape: tuple[int, ...] | None) -> None:
        self._database, self._shape = database, shape

    @property
    def _is_stack(self) -> bool:
        """Whether objects can lie on several planes."""
        return self._shape is not None and len(self._shape) > 2

    def _object(self, *values: object) -> ObjectRow:
        """Read the values of `OBJECT_COLUMNS` of an object in the image."""
        row = ObjectRow.from_columns(*values)
        if self._shape is not None:
            check_inside(self._shape, row.plane, row.box)
        return row

    def _object_plane(self, *values: object) -> ObjectPlane:
        """Read the values of `PLANE_COLUMNS` of an object in the image."""
        part = ObjectPlane.from_columns(*values)
        if self._shape is not None:
            check_inside(self._shape, part.plane, part.box)
        return part

    def _check_all(self) -> None:
        """Check the columns of all objects at once, before many are read without a check of each."""
        height, width = (self._shape or (LARGEST_AXIS_PX, LARGEST_AXIS_PX))[-2:]
        sql = f"SELECT label FROM objects WHERE NOT ({_IS_SOUND}) LIMIT 1"  # noqa: S608
        label = self._database.read_one(whole, sql, (LARGEST_LABEL, height, width))
        if label is not None:
            raise self._database.damaged("the object table", ValueError(f"object {label}"))

    def check_planes(self) -> None:
        """Check what lies on single planes of a stack, all of it at once.

        Raises
        ------
        StoreError
            If something is damaged, or differs from the object table.
        """
        if not self._is_stack:
            return
        height, width = (self._shape or ())[-2:]
        unsound = f"SELECT label FROM object_planes WHERE NOT ({_PLANE_IS_SOUND}) LIMIT 1"  # noqa: S608
        label = self._database.read_one(whole, unsound, (LARGEST_LABEL, height, width))
        if label is None:
            label = self._database.read_one(whole, _DIFFERING)
        if label is not None:
            raise self._database.damaged("the table of single planes", ValueError(f"object {label}"))
        leading = (self._shape or ())[:-2]
        for plane in self.planes():
            if len(plane) != len(leading) or any(i >= n for i, n in zip(plane, leading, strict=True)):
                raise self._database.damaged("the table of single planes", ValueError(f"plane {plane}"))

    def rows(self, labels: Sequence[int]) -> dict[int, ObjectRow]:
        """Return the rows of the objects that exist among `labels`, by label."""
        rows: dict[int, ObjectRow] = {}
        for start in range(0, len(labels), _PAGE):
            page = tuple(int(label) for label in labels[start : start + _PAGE])
            marks = ",".join("?" * len(page))
            sql = f"SELECT {','.join(OBJECT_COLUMNS)} FROM objects WHERE label IN ({marks})"  # noqa: S608
            rows |= {row.label: row for row in self._database.read(self._object, sql, page)}
        return rows

    def row(self, label: int) -> ObjectRow | None:
        """Return the row of an object, or None."""
        return self.rows([label]).get(int(label))

    def table(self) -> list[TableRow]:
        """Return all objects, by label."""
        self._check_all()
        return self._database.read(TableRow, f"SELECT {','.join(TableRow._fields)} FROM objects ORDER BY label")  # noqa: S608

    def positions(self, after: ObjectPosition | None, count: int) -> list[ObjectPosition]:
        """Return the positions of `count` objects on their planes, by label and plane's text, from after one on."""
        if after is None:
            self._check_all()
            self.check_planes()
        table = "object_planes" if self._is_stack else "objects"
        sql = f"SELECT label, plane, y0, x0 FROM {table} WHERE (label, plane) > (?, ?) ORDER BY label, plane LIMIT ?"  # noqa: S608
        label, plane = (0, "") if after is None else (after.label, after.plane)
        return self._database.read(ObjectPosition, sql, (label, plane, count))

    def labels_from(self, first: int, page: int = 1000) -> Iterator[int]:
        """Iterate over the ids from `first` on, ascending."""
        last = first - 1
        sql = "SELECT label FROM objects WHERE label > ? ORDER BY label LIMIT ?"
        while labels := self._database.read(whole, sql, (last, page)):
            yield from labels
            last = labels[-1]

    def labels(self) -> set[int]:
        """Return all ids."""
        return set(self._database.read(whole, "SELECT label FROM objects"))

    def any_between(self, first: int, last: int) -> bool:
        """Whether an object has an id from `first` to `last`."""
        sql = "SELECT label FROM objects WHERE label BETWEEN ? AND ? LIMIT 1"
        return self._database.read_one(whole, sql, (first, last)) is not None

    def count_between(self, first: int, last: int) -> tuple[int, int | None]:
        """Return how many objects have an id from `first` to `last`, and the smallest of these."""
        sql = "SELECT count(*), min(label) FROM objects WHERE label BETWEEN ? AND ?"
        ((count, least),) = self._database.read(lambda *row: row, sql, (first, last))
        return whole(count), None if least is None else whole(least)

    def lowest_free_label(self) -> int:
        """Return the lowest unused id that follows a used one."""
        sql = (
            "SELECT label + 1 FROM objects AS a WHERE NOT EXISTS "
            "(SELECT 1 FROM objects AS b WHERE b.label = a.label + 1) ORDER BY label LIMIT 1"
        )
        return self._database.read_one(whole, sql) or 1

    def largest_label(self) -> int:
        """Return the largest id, 0 without objects."""
        return self._database.read_one(whole, "SELECT coalesce(max(label), 0) FROM objects") or 0

    def labelled_px(self) -> int:
        """Return the number of pixels of all objects."""
        return self._database.read_one(whole, "SELECT coalesce(sum(area_px), 0) FROM objects") or 0

    def categories(self) -> list[str | None]:
        """Return the categories in use, sorted, None first."""
        return self._database.read(optional_text, "SELECT DISTINCT category FROM objects ORDER BY category")

    def parts(self, labels: Sequence[int], plane: Plane) -> dict[int, ObjectPlane]:
        """Return what lies on a plane of the objects among `labels`, by label."""
        if not self._is_stack:
            return {label: ObjectPlane.of(row) for label, row in self.rows(labels).items()}
        parts: dict[int, ObjectPlane] = {}
        for start in range(0, len(labels), _PAGE):
            page = tuple(int(label) for label in labels[start : start + _PAGE])
            sql = f"{_PLANES} WHERE plane = ? AND label IN ({','.join('?' * len(page))})"
            found = self._database.read(self._object_plane, sql, (format_plane(plane), *page))
            parts |= {part.label: part for part in found}
        return parts

    def all_parts(self) -> list[ObjectPlane]:
        """Return what lies on each plane of every object of a stack, by label."""
        return self._database.read(self._object_plane, f"{_PLANES} ORDER BY label")

    def planes_of(self, label: int) -> list[ObjectPlane]:
        """Return what lies on each plane of an object, in the order of the planes; empty if it does not exist."""
        if not self._is_stack:
            return list(self.parts([label], ()).values())
        parts = self._database.read(self._object_plane, f"{_PLANES} WHERE label = ?", (int(label),))
        return sorted(parts, key=lambda part: part.plane)

    def planes_of_many(self, labels: Sequence[int]) -> dict[int, list[ObjectPlane]]:
        """Return what lies on each plane of the objects that exist among `labels`, by label, planes in order."""
        if not self._is_stack:
            return {label: [ObjectPlane.of(row)] for label, row in self.rows(labels).items()}
        found: dict[int, list[ObjectPlane]] = {}
        for start in range(0, len(labels), _PAGE):
            page = tuple(int(label) for label in labels[start : start + _PAGE])
            sql = f"{_PLANES} WHERE label IN ({','.join('?' * len(page))})"
            for part in self._database.read(self._object_plane, sql, page):
                found.setdefault(part.label, []).append(part)
        return {label: sorted(parts, key=lambda part: part.plane) for label, parts in found.items()}

    def weakest_plane(self, label: int) -> ObjectPlane | None:
        """Return the plane of an object with the lowest score; the first of those without a score, if none has any."""
        parts = self.planes_of(label)
        scored = [part for part in parts if part.predicted_iou is not None]
        return min(scored, key=lambda part: part.predicted_iou or 0.0, default=next(iter(parts), None))

    def table_of_planes(self) -> list[TableRow]:
        """Return the object table with one row for each plane of each object, by label."""
        if not self._is_stack:
            return self.table()
        self._check_all()
        self.check_planes()
        part = {"plane", "area_px", "y0", "x0", "y1", "x1", "predicted_iou"}
        names = [f"{'object_planes' if name in part else 'objects'}.{name}" for name in TableRow._fields]
        sql = f"SELECT {','.join(names)} FROM objects JOIN object_planes USING (label) ORDER BY objects.label"  # noqa: S608
        return sorted(self._database.read(TableRow, sql), key=lambda row: (row.label, parse_plane(row.plane)))

    def planes(self) -> list[Plane]:
        """Return the planes that have objects, in order."""
        table = "object_planes" if self._is_stack else "objects"
        sql = f"SELECT DISTINCT plane FROM {table}"  # noqa: S608 - fixed words
        return sorted(self._database.read(lambda plane: parse_plane(text(plane)), sql))

    def of_plane(self, plane: Plane) -> list[ObjectPlane]:
        """Return what lies on a plane, by label."""
        if not self._is_stack:
            sql = f"SELECT {','.join(PLANE_COLUMNS)} FROM objects WHERE plane = '' ORDER BY label"  # noqa: S608
            return self._database.read(self._object_plane, sql)
        sql = f"{_PLANES} WHERE plane = ? ORDER BY label"
        return self._database.read(self._object_plane, sql, (format_plane(plane),))

    def any_in_box(self, box: Box | tuple[int, int, int, int], plane: Plane) -> bool:
        """Whether the bounding box of an object on a plane overlaps a box."""
        y0, x0, y1, x1 = box
        table = "object_planes" if self._is_stack else "objects"
        sql = f"SELECT label FROM {table} WHERE y0 < ? AND y1 > ? AND x0 < ? AND x1 > ? AND plane = ? LIMIT 1"  # noqa: S608
        return self._database.read_one(whole, sql, (y1, y0, x1, x0, format_plane(plane))) is not None

    def children(self, labels: Iterable[int]) -> list[ObjectRow]:
        """Return the objects that descend directly from objects among `labels`."""
        sql = f"SELECT {','.join(OBJECT_COLUMNS)} FROM objects WHERE parent = ? ORDER BY label"  # noqa: S608
        found: list[ObjectRow] = []
        for label in labels:
            found += self._database.read(self._object, sql, (int(label),))
        return found
