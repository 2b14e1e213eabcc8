"""The commands ``evaluate human``: people rate masks without knowing their source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, CommandGroup, Result
from napari_sam.cli.evaluate_commands.model_choice import chosen_models
from napari_sam.cli.evaluate_commands.sample_options import add_sample_options
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.options import add_device_option, add_precision_option
from napari_sam.cli.progress_line import ProgressLine

if TYPE_CHECKING:
    import argparse

    from napari_sam.evaluation.rating.rating_summary import RatingDifference, SourceSummary


def _add_prepare_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, help="labelled images")
    command.add_argument("--study", type=Path, required=True, metavar="FOLDER", help="folder to make")
    command.add_argument("--model", action="append", metavar="MODEL", help="name or checkpoint file; can be repeated")
    command.add_argument("--objects", type=int, default=100, metavar="N", help="number of objects (default: 100)")
    add_sample_options(command)
    add_device_option(command)
    add_precision_option(command)
    command.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")


def _add_study(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, help="folder that 'prepare' made")


def _add_rate_options(command: argparse.ArgumentParser) -> None:
    _add_study(command)
    command.add_argument("--rater", required=True, metavar="NAME", help="name of the rater")


def _prepare(args: argparse.Namespace) -> Result:
    from napari_sam.evaluation.datasets.dataset_formats import find_samples  # noqa: PLC0415 - imports torch
    from napari_sam.evaluation.rating.study_preparation import prepare_study  # noqa: PLC0415

    samples = find_samples(args.data, args.format, args.split, args.only)
    line = ProgressLine("objects")
    with interruptible("stopping; no study was made") as cancelled:
        study = prepare_study(
            args.study, samples, chosen_models(args), args.objects, seed=args.seed, progress=line, cancelled=cancelled
        )
    count = len({item.object_id for item in study.items})
    if count < args.objects:
        sys.stderr.write(f"note: {count} of {args.objects} objects: at most 4 per image, of at least 24 x 24 px\n")
    return {"study": str(study.folder), "masks to rate": len(study.items), "kinds of masks": len(study.sources)}


def _rate(args: argparse.Namespace) -> Result:
    from napari_sam.evaluation.rating.rating_study import RatingStudy  # noqa: PLC0415 - imports torch

    study = RatingStudy.open(args.study)
    from napari_sam.widgets.rating_widget import rate_in_window  # noqa: PLC0415 - imports napari

    rated = rate_in_window(study, args.rater)
    return {"study": str(study.folder), "rater": args.rater, "rated": rated, "of": len(study.items)}


def _report(args: argparse.Namespace) -> Result:
    from napari_sam.evaluation.rating.rating_study import RatingStudy  # noqa: PLC0415 - imports torch
    from napari_sam.evaluation.rating.rating_summary import summarise_ratings  # noqa: PLC0415 - imports torch

    report = summarise_ratings(RatingStudy.open(args.study))
    if args.json:
        return report
    for name, source in report["sources"].items():
        interval = _interval(source, "{:.2f}", "interval undefined")
        sys.stdout.write(f"{name:<24}{source['mean']:>7.2f}  {interval}  n = {source['n']}\n")
    for pair in report["differences"]:
        interval = "undefined" if pair["low"] is None else "99 % " + _interval(pair, "{:+.2f}", "")
        p_value = "undefined" if pair["p"] is None else f"{pair['p']:.2g}"
        sys.stdout.write(f"{pair['first']} - {pair['second']}: {pair['difference']:+.2f}  {interval}  p = {p_value}\n")
    return None


def _interval(row: SourceSummary | RatingDifference, number: str, undefined: str) -> str:
    if row["low"] is None:
        return undefined
    return f"[{number.format(row['low'])}, {number.format(row['high'])}]"


HUMAN = CommandGroup(
    "human",
    "let people rate masks from 1 to 10 without knowing their source",
    (
        Command("prepare", "make a study of models' and true masks", _prepare, _add_prepare_options),
        Command("rate", "rate masks in a window", _rate, _add_rate_options),
        Command("report", "summarise the ratings", _report, _add_study),
    ),
)
