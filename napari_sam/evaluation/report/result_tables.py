"""Tables of results: tidy tables in files, and short ones to read."""

from __future__ import annotations

import csv
import importlib
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.evaluation.experiments.experiment import OVERALL, SUMMARY_COLUMNS, Estimate, Record
from napari_sam.io.table_cells import plain_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Column = tuple[str, str, str]
"""Heading, protocol and metric."""

CellValue = str | float | int | None

COLUMNS: dict[str, tuple[Column, ...]] = {
    "points": (
        ("1 click", "center", "IoU@1"),
        ("oracle", "center", "oracle@1"),
        ("2 clicks", "center", "IoU@2"),
        ("3 clicks", "center", "IoU@3"),
        ("5 clicks", "center", "IoU@5"),
        ("9 clicks", "center", "IoU@9"),
        ("1 random", "random", "IoU@1"),
        ("9 random", "random", "IoU@9"),
        ("box", "box", "IoU"),
        ("noisy box", "noisy box", "IoU"),
        ("box + 1", "box + 1 point", "IoU"),
        ("NoC85", "center", "NoC85"),
        ("NoC90", "center", "NoC90"),
        ("iou error", "center", "score error@1"),
    ),
    "edges": tuple((name, "boundaries", name) for name in ("ODS", "OIS", "AP", "R50")),
    "proposals": (
        *((f"AR {size}", f"multimask, {size}", "AR@1000") for size in ("all", "small", "medium", "large")),
        *((f"AR {kind}", f"multimask, {kind}", "AR@1000") for kind in ("frequent", "common", "rare")),
        ("AR single", "single output, all", "AR@1000"),
    ),
    "instances": (
        *((name, "refined", name) for name in ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")),
        *((name, "refined", name) for name in ("AP frequent", "AP common", "AP rare")),
        ("one pass AP", "one pass", "AP"),
    ),
    "everything": tuple((name, "whole image", name) for name in ("mSA", "AP50", "AP75", "F1", "PQ", "SEG")),
    "text": (("text", "text", "IoU"), ("text + 1", "text + 1 point", "IoU")),
    "volumes": (
        ("IoU 3-D", "followed", "IoU"),
        ("same click", "same click on every plane", "IoU"),
        ("stitched", "stitched planes", "IoU"),
        *((f"{n} planes off", "planes", f"IoU@{n}") for n in (1, 4, 16)),
        ("NoC85", "clicks", "NoC85"),
        ("corrected", "clicks", "IoU"),
    ),
    "volumes everything": (
        *((name, "linked", name) for name in ("mSA", "AP50", "AP75", "PQ", "SEG")),
        *((f"stitched {name}", "stitched planes", name) for name in ("mSA", "AP50")),
    ),
    "tracking": (
        *((name, "followed", name) for name in ("J&F", "J", "F", "J decay")),
        ("stitched J&F", "stitched frames", "J&F"),
    ),
    "tracking everything": (
        *((name, "linked", name) for name in ("SEG", "DET", "TRA", "LNK", "division F1")),
        *((f"stitched {name}", "stitched planes", name) for name in ("SEG", "TRA")),
    ),
    "data": (
        ("masks/image", "image", "masks per image"),
        ("rel. size", "mask", "relative size"),
        ("concavity", "mask", "concavity"),
    ),
}
"""Columns of the short table of each experiment."""

_METHOD_COLUMNS: dict[str, tuple[Column, ...]] = {
    "box": tuple((name, "box filled", name) for name in ("AP", "AP50", "AP75"))
}
"""Columns of methods that have none of their experiment's."""


@dataclass(frozen=True)
class ShortTable:
    """A table with a row for each data set and a column for each reported metric.

    Attributes
    ----------
    method : str
        The model or baseline.
    headings : tuple of str
        Headings of the columns.
    rows : dict of str to dict of str to Estimate
        Estimates by data set and heading.
    """

    method: str
    headings: tuple[str, ...]
    rows: dict[str, dict[str, Estimate]]

    def text(self) -> str:
        """Return the table for a terminal."""
        width = max(18, *(len(name) for name in self.rows)) + 2
        lines = [f"{self.method:<{width}}" + "".join(f"{h:>14}" for h in self.headings) + f"{'n':>8}{'images':>8}"]
        for name, cells in self.rows.items():
            values = (format_number(cells[h].value) if h in cells else "-" for h in self.headings)
            n, images = _counts(cells)
            lines.append(f"{name:<{width}}{''.join(f'{value:>12}' for value in values)}{n:>8}{images:>8}")
        return "\n".join(lines)

    def plain(self) -> dict[str, dict[str, float | int | None]]:
        """Return the numbers alone, as JSON stores them."""
        table = {}
        for name, cells in self.rows.items():
            n, images = _counts(cells)
            row: dict[str, float | int | None] = {"objects": n, "images": images}
            table[name] = row | {h: None if math.isnan(e.value) else e.value for h, e in cells.items()}
        return table

    def interval_rows(self) -> list[list[str]]:
        """Return rows of data set, n, images, and every estimate with its interval."""
        rows = []
        for dataset, cells in self.rows.items():
            n, images = _counts(cells)
            values = [format_interval(cells[h]) if h in cells else "-" for h in self.headings]
            rows.append([dataset, str(n), str(images), *values])
        return rows


def _counts(cells: Mapping[str, Estimate]) -> tuple[int, int]:
    """Return the numbers of values and of images of a row, from its first estimate."""
    interval = next(iter(cells.values())).interval
    return interval.n, interval.images


def short_tables(experiment: str, estimates: Sequence[Estimate]) -> list[ShortTable]:
    """Return a table for each method of an experiment, the model's first."""
    tables = []
    for method in dict.fromkeys(estimate.method for estimate in estimates):
        known = {(e.dataset, e.protocol, e.metric): e for e in estimates if e.method == method}
        available = {key[1:] for key in known}
        columns = COLUMNS[experiment]
        if not any(column[1:] in available for column in columns):
            columns = _METHOD_COLUMNS.get(method, columns)
        columns = tuple(column for column in columns if column[1:] in available)
        rows: dict[str, dict[str, Estimate]] = {}
        for dataset in sort_datasets(key[0] for key in known):
            cells = {h: known[dataset, p, m] for h, p, m in columns if (dataset, p, m) in known}
            if cells:
                rows[dataset] = cells
        if rows:
            tables.append(ShortTable(method, tuple(heading for heading, _, _ in columns), rows))
    return tables


def sort_datasets(names: Iterable[str]) -> list[str]:
    """Return the distinct data sets by name, with `OVERALL` last."""
    return sorted(set(names), key=lambda name: (name == OVERALL, name))


def format_number(value: float) -> str:
    """Return a number with three decimals, or "undefined".

    >>> format_number(0.12345), format_number(float("nan"))
    ('0.123', 'undefined')
    """
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def format_interval(estimate: Estimate) -> str:
    """Return an estimate and its interval.

    >>> from napari_sam.evaluation.metrics.bootstrap import Interval
    >>> format_interval(Estimate("m", "d", "p", "IoU", Interval(0.5, 0.4, 0.6, 10, 3)))
    '0.500 [0.400, 0.600]'
    """
    interval = estimate.interval
    if math.isnan(interval.low):
        return format_number(interval.value)
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def write_summary(path: Path, rows: Iterable[tuple[str, Estimate]]) -> None:
    """Write all estimates of all experiments with their intervals as CSV."""
    names = ["experiment", *SUMMARY_COLUMNS]
    _write_csv(path, names, ({"experiment": name, **estimate.as_row()} for name, estimate in rows))


def write_records(path: Path, rows: Iterable[tuple[str, str, Record]]) -> None:
    """Write every measured value as a tidy table: experiment, model, and the fields of `Record`.

    Parameters
    ----------
    path : Path
        File ending in .csv or .parquet.
    rows : iterable of (str, str, Record)
        Experiment, model and value.

    Raises
    ------
    StoreError
        If the file cannot be written, or pyarrow is missing for Parquet.
    """
    names = ["experiment", "model", *(f.name for f in fields(Record))]
    table = ({"experiment": experiment, "model": model, **asdict(record)} for experiment, model, record in rows)
    if path.suffix == ".csv":
        _write_csv(path, names, table)
    else:
        _write_parquet(path, names, table)


def _write_parquet(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, CellValue]]) -> None:
    try:
        pa, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise StoreError(
            f"{path}: Parquet needs pyarrow", remedy="pip install pyarrow, or read the CSV file"
        ) from error
    columns: dict[str, list[CellValue]] = {name: [] for name in names}
    for row in rows:
        for name in names:
            columns[name].append(row[name])
    types = {"object": pa.int64(), "value": pa.float64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    try:
        parquet.write_table(pa.table(columns, schema=schema), path, compression="zstd")
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, CellValue]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be written: {error}", remedy="check that the disk is not full")
