"""Tables of results: the tidy ones that files hold, and the short ones that people read."""

from __future__ import annotations

import csv
import importlib
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from napari_sam.errors import StoreError
from napari_sam.evaluation.experiments.experiment import OVERALL, Estimate, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Column = tuple[str, str, str]
"""Heading, protocol and metric."""

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
    "data": (
        ("masks/image", "image", "masks per image"),
        ("rel. size", "mask", "relative size"),
        ("concavity", "mask", "concavity"),
    ),
}
"""What the short table of each experiment shows."""

_OTHERS = {"box": (("AP", "box filled", "AP"), ("AP50", "box filled", "AP50"), ("AP75", "box filled", "AP75"))}


@dataclass(frozen=True)
class ShortTable:
    """Rows are data sets, columns are what an experiment reports.

    Attributes
    ----------
    method : str
        Who answered.
    headings : tuple of str
        Of the columns.
    rows : dict of str to dict of str to Estimate
        By data set and heading.
    """

    method: str
    headings: tuple[str, ...]
    rows: dict[str, dict[str, Estimate]]

    def text(self) -> str:
        """For a terminal."""
        width = max(18, *(len(name) for name in self.rows)) + 2
        lines = [f"{self.method:<{width}}" + "".join(f"{h:>12}" for h in self.headings) + f"{'n':>8}{'images':>8}"]
        for name, cells in self.rows.items():
            values = "".join(f"{format_number(cells[h].value) if h in cells else '-':>12}" for h in self.headings)
            first = next(iter(cells.values()))
            lines.append(f"{name:<{width}}{values}{first.n:>8}{first.images:>8}")
        return "\n".join(lines)

    def plain(self) -> dict[str, dict[str, float | int | None]]:
        """Numbers alone, as JSON holds them."""
        out: dict[str, dict[str, float | int | None]] = {}
        for name, cells in self.rows.items():
            first = next(iter(cells.values()))
            row: dict[str, float | int | None] = {"objects": first.n, "images": first.images}
            out[name] = row | {h: None if math.isnan(e.value) else e.value for h, e in cells.items()}
        return out


def short_tables(experiment: str, estimates: Sequence[Estimate]) -> list[ShortTable]:
    """One table for each method of an experiment, the model's first."""
    out = []
    for method in dict.fromkeys(one.method for one in estimates):
        known = {(e.dataset, e.protocol, e.metric): e for e in estimates if e.method == method}
        columns = COLUMNS[experiment]
        if not any((p, m) == key[1:] for key in known for _, p, m in columns):
            columns = _OTHERS.get(method, columns)
        used = [c for c in columns if any(c[1:] == key[1:] for key in known)]
        rows: dict[str, dict[str, Estimate]] = {}
        for dataset in _ordered(key[0] for key in known):
            cells = {h: known[dataset, p, m] for h, p, m in used if (dataset, p, m) in known}
            if cells:
                rows[dataset] = cells
        if rows:
            out.append(ShortTable(method, tuple(h for h, _, _ in used), rows))
    return out


def _ordered(names: Iterable[str]) -> list[str]:
    """Data sets by name, all together last."""
    return sorted(set(names), key=lambda name: (name == OVERALL, name))


def format_number(value: float) -> str:
    """Three digits behind the point; what is not defined is said to be.

    >>> number(0.12345), number(float("nan"))
    ('0.123', 'undefined')
    """
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def format_interval(one: Estimate) -> str:
    """A number and its interval.

    >>> with_interval(Estimate("m", "d", "p", "IoU", 0.5, 0.4, 0.6, 10, 3))
    '0.500 [0.400, 0.600]'
    """
    if math.isnan(one.low):
        return format_number(one.value)
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def write_summary(path: Path, rows: Sequence[tuple[str, Estimate]]) -> None:
    """All numbers of all experiments with their intervals, as CSV."""
    names = ["experiment", *(one.name for one in fields(Estimate))]
    _write_csv(path, names, ({"experiment": name, **one.as_dict()} for name, one in rows))


def write_records(path: Path, rows: Iterable[tuple[str, str, Record]]) -> None:
    """Every measured value as a tidy table: experiment, model, and the fields of `Record`.

    Parameters
    ----------
    path : Path
        Ending in .csv or .parquet.
    rows : iterable of (str, str, Record)
        Experiment, model, value.

    Raises
    ------
    StoreError
        If it cannot be written, or pyarrow is missing for Parquet.
    """
    names = ["experiment", "model", *(one.name for one in fields(Record))]
    table = ({"experiment": e, "model": m, **asdict(one)} for e, m, one in rows)
    if path.suffix == ".csv":
        _write_csv(path, names, table)
        return
    try:
        pa, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise StoreError(f"{path}: Parquet needs pyarrow: pip install pyarrow, or read the CSV file") from error
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row in table:
        for name in names:
            columns[name].append(row[name])
    kinds = {"object": pa.int64(), "value": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    try:
        parquet.write_table(pa.table(columns, schema=schema), path, compression="zstd")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}; is the disk full?") from error


def _write_csv(path: Path, names: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}; is the disk full?") from error
