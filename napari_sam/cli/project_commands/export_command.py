"""The command ``project export``: the accepted objects of a project as a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.progress_line import ProgressLine, end_line
from napari_sam.cli.project_commands.project_options import add_folder, add_image_choice, given_groups, open_project

if TYPE_CHECKING:
    import argparse

_FORMATS = ("pairs", "coco", "ome-zarr")
_LISTED = 20


def _add_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("out", type=Path, metavar="OUT", help="folder of the data set, new or empty")
    for name, text in zip(
        _FORMATS,
        ("pictures with label images", "a COCO instances file of pictures", "whole images with their labels"),
        strict=True,
    ):
        command.add_argument(
            f"--{name}", action="append_const", dest="formats", const=name, help=f"{text}; may be combined"
        )
    add_image_choice(command, "all with accepted objects")


def _run(args: argparse.Namespace) -> Result:
    project = open_project(args)
    progress = ProgressLine("images")
    report = project.export(
        args.out, args.formats or ("pairs",), state=args.state, groups=given_groups(args), progress=progress
    )
    end_line()
    for place, reason in list(report.failed.items())[:_LISTED]:
        sys.stderr.write(f"napari-sam: {place} was left out: {reason}\n")
    for note in report.notes:
        sys.stderr.write(f"napari-sam: {note}\n")
    args.status = 1 if report.failed else 0
    return {
        "output": str(report.path),
        "images": report.images,
        "pictures": report.pictures,
        "objects": report.objects,
        "failed": list(report.failed) if args.json else len(report.failed),
        "card": str(report.path / "README.md"),
    }


EXPORT_PROJECT = Command(
    "export",
    "write the accepted objects as a data set with a card, to train on or to publish",
    _run,
    _add_options,
    details="Of images that are done or checked all objects count, of others those that a person drew, prompted or "
    "accepted. Without a format, pairs are written, which 'napari-sam train' reads.",
    words={"format": "--pairs"},
)
