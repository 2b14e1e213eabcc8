"""The fairness table: whether a model segments every group of images equally well."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bootstrap import CONFIDENCE, Interval, bootstrap_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_sam.evaluation.experiments.experiment import SampleResult

POINT_COUNTS = (1, 3)
"""Numbers of random points, as in the paper's Table 2."""

_MAX_LISTED_PAIRS = 6


@dataclass(frozen=True)
class GroupRow:
    """One row of the table.

    Attributes
    ----------
    column, group : str
        Grouping column and value, such as "stain" and "H&E".
    by_points : dict of int to Interval
        Mean IoU with its interval, by number of points.
    apart_from : dict of int to tuple of str
        Groups of the same column whose intervals do not overlap with this one, by number of points.
    undefined : tuple of str
        Groups for which overlap is undefined, since an interval is.
    """

    column: str
    group: str
    by_points: dict[int, Interval]
    apart_from: dict[int, tuple[str, ...]]
    undefined: tuple[str, ...] = ()

    @property
    def first(self) -> Interval:
        """The interval at the smallest number of points."""
        return next(iter(self.by_points.values()))


def group_table(
    results: Sequence[SampleResult], columns: Sequence[str], *, seed: int = 0, confidence: float = CONFIDENCE
) -> list[GroupRow]:
    """Compute mean IoU at one and three random points for every group of some columns.

    Parameters
    ----------
    results : sequence of SampleResult
        Results of `PointExperiment`.
    columns : sequence of str
        Grouping columns; images without a value are left out of that column.
    seed, confidence
        Seed and confidence level of the bootstrap over images.

    Returns
    -------
    list of GroupRow
        Column by column, groups sorted by name.

    Raises
    ------
    EvaluationError
        If no image has a column, or there is no object.
    """
    existing = sorted({name for result in results for name in result.groups})
    rows: list[GroupRow] = []
    for column in columns:
        if column not in existing:
            raise EvaluationError(
                f"grouping column {column!r}: none of the images has it; there are {', '.join(existing)}",
                remedy="choose one of these",
            )
        members: dict[str, list[SampleResult]] = {}
        for result in results:
            if column in result.groups:
                members.setdefault(result.groups[column], []).append(result)
        intervals = {name: _by_points(members[name], seed, confidence) for name in sorted(members)}
        intervals = {name: by_points for name, by_points in intervals.items() if by_points}
        if not intervals:
            raise EvaluationError(
                f"grouping column {column!r}: no object in {len(results)} images", remedy="label some objects"
            )
        rows += [_row(column, name, intervals) for name in intervals]
    return rows


def _by_points(results: Sequence[SampleResult], seed: int, confidence: float) -> dict[int, Interval]:
    intervals = {}
    for n in POINT_COUNTS:
        values: list[float] = []
        images: list[str] = []
        for result in results:
            for curve in result.payload.get("random", {"iou": []})["iou"]:
                if len(curve) >= n:
                    values.append(curve[n - 1])
                    images.append(f"{result.dataset}/{result.sample}")
        if values:
            intervals[n] = bootstrap_mean(values, images, seed=seed, confidence=confidence)
    return intervals


def _row(column: str, name: str, intervals: Mapping[str, dict[int, Interval]]) -> GroupRow:
    apart: dict[int, list[str]] = {n: [] for n in intervals[name]}
    undefined = set()
    for other in intervals:
        if other == name:
            continue
        for n, interval in intervals[name].items():
            overlap = interval.overlaps(intervals[other][n]) if n in intervals[other] else None
            if overlap is None:
                undefined.add(other)
            elif not overlap:
                apart[n].append(other)
    apart_from = {n: tuple(names) for n, names in apart.items()}
    return GroupRow(column, name, intervals[name], apart_from, tuple(sorted(undefined)))


def all_overlap(rows: Iterable[GroupRow], column: str, points: int) -> bool | None:
    """Whether all groups of a column overlap with each other; None if undefined for all pairs."""
    intervals = [row.by_points[points] for row in rows if row.column == column and points in row.by_points]
    overlaps = [a.overlaps(b) for a, b in combinations(intervals, 2)]
    known = [overlap for overlap in overlaps if overlap is not None]
    return all(known) if known else None


def format_table(rows: Sequence[GroupRow]) -> str:
    """Return the table in the paper's layout, as text."""
    lines = [f"{'':<34}{'mIoU at':^26}", f"{'':<34}{'1 point':>13}{'3 points':>13}  images  objects"]
    column = None
    for row in rows:
        if row.column != column:
            column = row.column
            lines += ["-" * 76, column]
        cells = "".join(f"{cell:>13}" for cell in point_cells(row))
        lines.append(f"  {row.group:<32}{cells}{row.first.images:>8}{row.first.n:>9}")
    lines.append("-" * 76)
    lines += [overlap_sentence(rows, name) for name in dict.fromkeys(row.column for row in rows)]
    return "\n".join(lines)


def point_cells(row: GroupRow) -> list[str]:
    """Return the mean IoU at each number of points as text; "-" if there is none."""
    return [plus_minus(row.by_points[n]) if n in row.by_points else "-" for n in POINT_COUNTS]


def overlap_sentence(rows: Sequence[GroupRow], column: str) -> str:
    """Return a sentence about which intervals of a column do not overlap."""
    parts = [f"at {n} point{'s' if n > 1 else ''} {_describe_overlap(rows, column, n)}" for n in POINT_COUNTS]
    return f"{column}: {'; '.join(parts)}."


def _describe_overlap(rows: Sequence[GroupRow], column: str, points: int) -> str:
    if all_overlap(rows, column, points) is None:
        return "it is not defined whether intervals overlap (one group, or one image each)"
    members = [row for row in rows if row.column == column]
    apart = sorted({tuple(sorted((row.group, other))) for row in members for other in row.apart_from.get(points, ())})
    if not apart:
        return "all intervals overlap"
    listed = ", ".join(f"{a} and {b}" for a, b in apart[:_MAX_LISTED_PAIRS])
    more = len(apart) - _MAX_LISTED_PAIRS
    return f"these do not overlap: {listed}" + (f" and {more} more" if more > 0 else "")


def plus_minus(interval: Interval) -> str:
    """Return percent with half the interval's width, as the paper prints it.

    >>> plus_minus(Interval(0.544, 0.527, 0.561, 100, 10))
    '54.4 ± 1.7'
    """
    if interval.overlaps(interval) is None:
        return f"{100 * interval.value:.1f} ± ?"
    return f"{100 * interval.value:.1f} ± {50 * (interval.high - interval.low):.1f}"
