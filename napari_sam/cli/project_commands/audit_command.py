"""The command ``project audit``: how good the automatic objects of a project are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.project_commands.project_options import add_folder, open_project

if TYPE_CHECKING:
    import argparse

    from napari_sam.project.stages.audit import Agreement


def _options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("--new", action="store_true", help="draw a new sample, also if there is one")
    command.add_argument("--sample", type=int, default=None, metavar="N", help="objects of a new sample (default: 50)")
    command.add_argument("--seed", type=int, help="seed of the draw (default: the number of the audit)")


def _audit(args: argparse.Namespace) -> Result:
    from napari_sam.project.stages.stages import AUDIT_SIZE  # noqa: PLC0415 - the command line starts quickly

    stages = open_project(args).stages
    found = None if args.new else stages.agreement()
    if found is None:
        stages.begin_audit(AUDIT_SIZE if args.sample is None else args.sample, args.seed)
        found = stages.agreement()
    if found is None:
        return None  # somebody has just deleted it
    return {**asdict(found), "left": found.left} if args.json else _summary(found)


def _summary(found: Agreement) -> dict[str, object]:
    summary: dict[str, object] = {
        "audit": found.number,
        "sample": f"{found.sample} of {found.population} automatic objects",
        "judged": found.judged,
        "over_0.9_iou": found.right,
    }
    if found.share is not None and found.low is not None and found.high is not None:
        summary["agreement"] = f"{found.share:.1%} [{found.low:.1%}, {found.high:.1%}]"
    return {**summary, "to_review": found.left, "gone": found.gone}


AUDIT_OF_PROJECT = Command(
    "audit",
    "draw a random sample of automatic objects, and report how many of those reviewed were right",
    _audit,
    _options,
    details="A mask is right if its IoU with the corrected one is above 0.9. The page Project of the window reviews "
    "the sample; the same command again then reports the agreement with its 95 % interval.",
)
