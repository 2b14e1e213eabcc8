"""Grouping columns from a table: stain, site, sensor, position."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_sam.evaluation.datasets.labelled_samples import Sample

POSITION_COLUMNS = ("latitude", "longitude")
"""Columns that give the position of an image, and no group."""

_KEY_COLUMNS = ("sample", "dataset")
_NEEDS_SAMPLE = "give a CSV file with a column 'sample'"


def read_group_table(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Read grouping columns from a CSV file with a column ``sample`` and, optionally, ``dataset``.

    Returns
    -------
    dict of (str, str) to dict of str to str
        Columns by data set (empty if not given) and sample, for `add_groups`.

    Raises
    ------
    EvaluationError
        If the file has no column ``sample``, or no grouping column.
    """
    rows, columns = _read_csv(path)
    if not columns:
        raise EvaluationError(f"{path}: the file is empty", remedy=_NEEDS_SAMPLE)
    if "sample" not in columns:
        raise EvaluationError(
            f"{path}: no column 'sample', only {', '.join(columns)}", remedy="name the images in a column 'sample'"
        )
    if not set(columns) - set(_KEY_COLUMNS):
        raise EvaluationError(
            f"{path}: no grouping column beside 'sample'", remedy="add a column such as stain or site"
        )
    table = {}
    for row in rows:
        groups = {name: (value or "").strip() for name, value in row.items() if name and name not in _KEY_COLUMNS}
        table[(row.get("dataset") or "", row["sample"])] = groups
    return table


def _read_csv(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows and column names of a CSV file separated by commas or semicolons."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if ";" in header and "," not in header else ",")
            return list(reader), [name for name in reader.fieldnames or [] if name]
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: no such file", remedy=_NEEDS_SAMPLE) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path}: cannot be read as CSV: {error}", remedy="save it as UTF-8") from error


def add_groups(samples: Iterable[Sample], table: Mapping[tuple[str, str], Mapping[str, str]]) -> list[Sample]:
    """Return samples with the columns of a table, looked up by data set and name, or by name alone.

    Raises
    ------
    EvaluationError
        If no row of the table belongs to a sample, or a position is invalid.
    """
    samples = list(samples)
    if not any((s.dataset, s.name) in table or ("", s.name) in table for s in samples):
        first_row = next((name for _, name in table), "nothing")
        first_image = samples[0].name if samples else "nothing"
        raise EvaluationError(
            f"no row of the table belongs to an image: it names {first_row!r}, and the images are called "
            f"{first_image!r}",
            remedy="use these names in the column 'sample'",
        )
    grouped = []
    for sample in samples:
        columns = table.get((sample.dataset, sample.name)) or table.get(("", sample.name)) or {}
        groups = {k: v for k, v in columns.items() if k not in POSITION_COLUMNS and v != ""}
        position = _position(columns) or sample.position
        grouped.append(replace(sample, groups={**sample.groups, **groups}, position=position))
    return grouped


def _position(columns: Mapping[str, str]) -> tuple[float, float] | None:
    """Return latitude and longitude, if both are given."""
    latitude, longitude = (columns.get(name) for name in POSITION_COLUMNS)
    if not latitude or not longitude:
        return None
    try:
        position = float(latitude), float(longitude)
    except ValueError as error:
        raise EvaluationError(f"latitude and longitude {columns!r}: {error}", remedy="give degrees") from error
    if not (abs(position[0]) <= 90 and abs(position[1]) <= 360):
        raise EvaluationError(
            f"latitude {position[0]} and longitude {position[1]}", remedy="give degrees, latitude from -90 to 90"
        )
    return position
