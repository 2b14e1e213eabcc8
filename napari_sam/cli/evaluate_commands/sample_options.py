"""Options that select labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_FORMATS = "auto, collection, pairs, coco, lvis, livecell, bsds, dsb2018, cellpose, tissuenet, labelstore"


def add_sample_options(command: argparse.ArgumentParser) -> None:
    """Add ``--format``, ``--split`` and ``--only``."""
    command.add_argument("--format", default="auto", metavar="FORMAT", help=f"data format: {_FORMATS} (default: auto)")
    command.add_argument("--split", default="dev", help="part of the data, where each has a folder (default: dev)")
    command.add_argument("--only", nargs="*", default=None, metavar="DATASET", help="data sets (default: all)")
