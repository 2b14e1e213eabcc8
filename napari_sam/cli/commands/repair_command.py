"""The command ``repair``: bring a damaged label store into order."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("store", metavar="LABELS", help="label store, such as cells.ome.zarr")


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with LabelStore.repair(args.store) as store:
            count = len(store)
    notices = [str(warning.message) for warning in caught]
    for notice in notices:
        sys.stderr.write(f"napari-sam: {notice}\n")
    return {"labels": str(args.store), "objects": count, "mended": notices}


REPAIR = Command(
    "repair",
    "repair a damaged label store",
    _run,
    _add_options,
    details="What is sound of a damaged journal is saved, the rest is named, and the pixels are drawn again from it. "
    "The damaged journal is kept.",
)
