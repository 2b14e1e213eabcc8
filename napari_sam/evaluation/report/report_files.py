"""Write a report and its tables to a folder."""

from __future__ import annotations

import importlib.util
import json
import shlex
from typing import TYPE_CHECKING

from napari_sam.errors import StoreError
from napari_sam.evaluation.report.machine_info import machine_info
from napari_sam.evaluation.report.result_tables import write_records, write_summary
from napari_sam.evaluation.report.suite_page import build_page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite


def write_report(suite: EvaluationSuite, folder: Path, title: str) -> list[Path]:
    """Write report.html, report.md with pictures, summary.csv, records.csv and, with pyarrow, records.parquet.

    Parameters
    ----------
    suite : EvaluationSuite
        The results.
    folder : Path
        Folder to write to.
    title : str
        Title of the report.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    StoreError
        If a file cannot be written.
    EvaluationError
        If matplotlib is missing.
    """
    paths = build_page(suite, title).write(folder)
    write_summary(folder / "summary.csv", suite.summary())
    write_records(folder / "records.csv", suite.records())
    paths += [folder / "summary.csv", folder / "records.csv"]
    if importlib.util.find_spec("pyarrow") is not None:
        write_records(folder / "records.parquet", suite.records())
        paths.append(folder / "records.parquet")
    about = folder / "about.json"
    try:
        about.write_text(json.dumps({**machine_info(), **suite.about}, indent=1), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{about}: cannot be written: {error}", remedy="check that the disk is not full") from error
    return [*paths, about]


def command_line(argv: Sequence[str]) -> str:
    """Return a command as it can be typed again."""
    return shlex.join(["napari-sam", *argv])
