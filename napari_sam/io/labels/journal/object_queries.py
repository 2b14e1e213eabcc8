"""Queries of the object table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.io.labels.journal.rows import (
    LARGEST_AXIS_PX,
    LARGEST_LABEL,
    LATEST_S,
    OBJECT_COLUMNS,
    ObjectPosition,
    ObjectRow,
    TableRow,
    check_inside,
    format_plane,
    optional_text,
    parse_plane,
    text,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    "AND label BETWEEN 1 AND ? AND area_px >= 0 AND 0 <= y0 AND y0 < y1 AND y1 <= ? AND 0 <= x0 AND x0 < x1 AND x1 <= ?"
)


class ObjectQueries:
    """Queries of the object table; a part of `Journal`."""

    def __init__(self, database: Database, shape: tuple[int, ...] | None) -> None:
        self._database, self._shape = database, shape

    def _object(self, *values: object) -> ObjectRow:
        """Read the values of `OBJECT_COLUMNS` of an object in the image."""
        row = ObjectRow.from_columns(*values)
        if self._shape is not None:
            check_inside(self._shape, row.plane, row.box)
        return row

    def _check_all(self) -> None:
        """Check the columns of all objects at once, before many are read without a check of each."""
        height, width = (self._shape or (LARGEST_AXIS_PX, LARGEST_AXIS_PX))[-2:]
        sql = f"SELECT label FROM objects WHERE NOT ({_IS_SOUND}) LIMIT 1"  # noqa: S608
        label = self._database.read_one(whole, sql, (LARGEST_LABEL, height, width))
        if label is not None:
            raise self._database.damaged("the object table", ValueError(f"object {label}"))

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

    def positions(self, after: int, count: int) -> list[ObjectPosition]:
        """Return the positions of the first `count` objects with ids above `after`, by label."""
        if after == 0:
            self._check_all()
        sql = "SELECT label, plane, y0, x0 FROM objects WHERE label > ? ORDER BY label LIMIT ?"
        return self._database.read(ObjectPosition, sql, (after, count))

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

    def planes(self) -> list[Plane]:
        """Return the planes that have objects, in the order of their text."""
        sql = "SELECT DISTINCT plane FROM objects ORDER BY plane"
        return self._database.read(lambda plane: parse_plane(text(plane)), sql)

    def of_plane(self, plane: Plane) -> list[ObjectRow]:
        """Return the objects of a plane, by label."""
        sql = f"SELECT {','.join(OBJECT_COLUMNS)} FROM objects WHERE plane = ? ORDER BY label"  # noqa: S608
        return self._database.read(self._object, sql, (format_plane(plane),))

    def any_in_box(self, box: Box | tuple[int, int, int, int], plane: Plane) -> bool:
        """Whether the bounding box of an object overlaps a box of a plane."""
        y0, x0, y1, x1 = box
        sql = "SELECT label FROM objects WHERE y0 < ? AND y1 > ? AND x0 < ? AND x1 > ? AND plane = ? LIMIT 1"
        return self._database.read_one(whole, sql, (y1, y0, x1, x0, format_plane(plane))) is not None
