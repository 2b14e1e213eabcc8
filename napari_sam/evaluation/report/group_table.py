"""The fairness table: whether a model serves every group of images alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError
from napari_sam.evaluation.metrics.bootstrap import CONFIDENCE, Interval, bootstrap_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.evaluation.experiments.experiment import SampleResult

POINT_COUNTS = (1, 3)
"""Numbers of random points, as in the paper's Table 2."""


@dataclass(frozen=True)
class GroupRow:
    """One row of the table.

    Attributes
    ----------
    column, group : str
        Such as "stain" and "H&E".
    by_points : dict of int to Interval
        Mean IoU with its interval at each number of points.
    apart_from : dict of int to tuple of str
        Groups of the same column whose intervals do not overlap with this one's.
    undefined : tuple of str
        Groups with which that cannot be said, since an interval is not defined.
    """

    column: str
    group: str
    by_points: dict[int, Interval]
    apart_from: dict[int, tuple[str, ...]]
    undefined: tuple[str, ...] = ()


def group_table(
    units: Sequence[SampleResult], columns: Sequence[str], *, seed: int = 0, confidence: float = CONFIDENCE
) -> list[GroupRow]:
    """Mean IoU at one and three random points for every group of some columns.

    Parameters
    ----------
    units : sequence of Unit
        Of `Points`.
    columns : sequence of str
        Grouping columns; objects of images without a value are left out of that column.
    seed, confidence
        Of the bootstrap over images.

    Returns
    -------
    list of GroupRow
        Column by column, groups by name.

    Raises
    ------
    EvaluationError
        If a column is missing everywhere, or there is no object.
    """
    there = sorted({name for one in units for name in one.groups})
    rows: list[GroupRow] = []
    for column in columns:
        if column not in there:
            raise EvaluationError(
                f"grouping column {column!r}: none of the images has it; there are {', '.join(there)}"
            )
        names = sorted({one.groups[column] for one in units if column in one.groups})
        found = {
            name: _by_points([u for u in units if u.groups.get(column) == name], seed, confidence) for name in names
        }
        found = {name: one for name, one in found.items() if one}
        if not found:
            raise EvaluationError(f"grouping column {column!r}: no object in {len(units)} images; label some")
        rows += [_row(column, name, found) for name in found]
    return rows


def _by_points(units: Sequence[SampleResult], seed: int, confidence: float) -> dict[int, Interval]:
    out = {}
    for n in POINT_COUNTS:
        curves = [(c, f"{u.dataset}/{u.sample}") for u in units for c in u.payload.get("random", {"iou": []})["iou"]]
        values = [(curve[n - 1], image) for curve, image in curves if len(curve) >= n]
        if values:
            out[n] = bootstrap_mean(*zip(*values, strict=True), seed=seed, confidence=confidence)
    return out


def _row(column: str, name: str, found: dict[str, dict[int, Interval]]) -> GroupRow:
    apart: dict[int, list[str]] = {n: [] for n in found[name]}
    undefined = set()
    for other in found:
        if other == name:
            continue
        for n in found[name]:
            overlap = found[name][n].overlaps(found[other][n]) if n in found[other] else None
            if overlap is None:
                undefined.add(other)
            elif not overlap:
                apart[n].append(other)
    return GroupRow(column, name, found[name], {n: tuple(v) for n, v in apart.items()}, tuple(sorted(undefined)))


def all_overlap(rows: Sequence[GroupRow], column: str, points: int) -> bool | None:
    """Whether all groups of a column overlap with one another; None where that is not defined for any pair."""
    some = [one for one in rows if one.column == column and points in one.by_points]
    pairs = [a.by_points[points].overlaps(b.by_points[points]) for a, b in combinations(some, 2)]
    known = [one for one in pairs if one is not None]
    return all(known) if known else None


def format_table(rows: Sequence[GroupRow]) -> str:
    """The table in the paper's layout, as text."""
    lines = [f"{'':<34}{'mIoU at':^26}", f"{'':<34}{'1 point':>13}{'3 points':>13}  images  objects"]
    column = None
    for row in rows:
        if row.column != column:
            column = row.column
            lines += ["-" * 76, column]
        cells = "".join(f"{plus_minus(row.by_points[n]) if n in row.by_points else '-':>13}" for n in POINT_COUNTS)
        first = next(iter(row.by_points.values()))
        lines.append(f"  {row.group:<32}{cells}{first.images:>8}{first.n:>9}")
    lines.append("-" * 76)
    for name in dict.fromkeys(one.column for one in rows):
        lines.append(overlap_sentence(rows, name))
    return "\n".join(lines)


def overlap_sentence(rows: Sequence[GroupRow], column: str) -> str:
    """Which intervals of a column do not overlap, in words."""
    parts = []
    for n in POINT_COUNTS:
        some = [one for one in rows if one.column == column]
        apart = sorted({tuple(sorted((one.group, other))) for one in some for other in one.apart_from.get(n, ())})
        at = f"at {n} point{'s' if n > 1 else ''}"
        if all_overlap(rows, column, n) is None:
            parts.append(f"{at} it is not defined whether intervals overlap (one group, or one image each)")
        elif apart:
            shown = ", ".join(f"{a} and {b}" for a, b in apart[:6]) + (
                f" and {len(apart) - 6} more" if apart[6:] else ""
            )
            parts.append(f"{at} these do not overlap: {shown}")
        else:
            parts.append(f"{at} all intervals overlap")
    return f"{column}: {'; '.join(parts)}."


def plus_minus(interval: Interval) -> str:
    """Percent with half the interval's width, as the paper prints it.

    >>> plus_minus(Interval(0.544, 0.527, 0.561, 100, 10))
    '54.4 ± 1.7'
    """
    if interval.overlaps(interval) is None:
        return f"{100 * interval.value:.1f} ± ?"
    return f"{100 * interval.value:.1f} ± {50 * (interval.high - interval.low):.1f}"
