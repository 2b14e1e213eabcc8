"""The command ``evaluate human``, in which people rate masks, and how its models are named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import ProgressLine, interruptible
from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    import argparse

    from napari_sam.evaluation.runs.model_spec import ModelSpec


def chosen_models(args: argparse.Namespace) -> list[ModelSpec]:
    """The networks of a command; a file is called by its name without folder and ending.

    Raises
    ------
    EvaluationError
        If two have one name.
    """
    from napari_sam.evaluation.runs.model_spec import ModelSpec as _Model  # noqa: PLC0415
    from src_models.checkpoints.registry import model_names  # noqa: PLC0415

    given = args.model if isinstance(args.model, list) else [args.model or "default"]
    out: list[ModelSpec] = []
    for text in given or ["default"]:
        name, is_named, source = text.partition("=")
        if not is_named:
            name, source = (text if text in model_names() else Path(text).stem), text
        if name in {one.name for one in out}:
            raise EvaluationError(f"two models are called {name!r}; give them names, --model NAME=FILE")
        out.append(_Model(name, source, args.device, args.precision))
    return out


def add_human(names: Any, common: argparse.ArgumentParser) -> None:
    """Add ``human`` to the experiments.

    Parameters
    ----------
    names
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    human = names.add_parser(
        "human", help="let people rate masks, blind", description="Rate masks from 1 to 10, blind."
    )
    actions = human.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", parents=[common], help="make a study of models and true masks")
    prepare.add_argument("data", type=Path, help="labelled images")
    prepare.add_argument("--study", type=Path, required=True, metavar="FOLDER", help="where to make it")
    prepare.add_argument("--model", action="append", metavar="MODEL", help="name or checkpoint file; several times")
    prepare.add_argument("--objects", type=int, default=100, metavar="N", help="how many objects (100)")
    prepare.add_argument("--format", default="auto", metavar="FORMAT", help="as in the other experiments")
    prepare.add_argument("--split", default="dev", help="as in the other experiments")
    prepare.add_argument("--only", nargs="*", default=None, metavar="DATASET", help="data sets")
    prepare.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    prepare.add_argument("--precision", default="auto", help="auto, float32, bfloat16 or float16")
    prepare.add_argument("--seed", type=int, default=0, help="of the choice of objects (0)")
    prepare.set_defaults(run=_human_prepare)
    rate = actions.add_parser("rate", parents=[common], help="rate masks in a window")
    rate.add_argument("study", type=Path, help="the folder that 'prepare' made")
    rate.add_argument("--rater", required=True, metavar="NAME", help="who rates; each has an order of their own")
    rate.set_defaults(run=_human_rate)
    report = actions.add_parser("report", parents=[common], help="what the ratings say")
    report.add_argument("study", type=Path, help="the folder that 'prepare' made")
    report.set_defaults(run=_human_report)


def _human_prepare(args: argparse.Namespace) -> Any:
    from napari_sam.evaluation.datasets.dataset_formats import find_samples  # noqa: PLC0415
    from napari_sam.evaluation.rating.rating_study import prepare_study  # noqa: PLC0415

    samples = find_samples(args.data, args.format, args.split, args.only)
    line = ProgressLine("objects")
    with interruptible("stopping; no study was made") as cancelled:
        study = prepare_study(
            args.study, samples, chosen_models(args), args.objects, seed=args.seed, progress=line, cancelled=cancelled
        )
    count = len({one.thing for one in study.items})
    if count < args.objects:
        sys.stderr.write(
            f"note: {count} of {args.objects} objects: at most 4 of each image are taken, from 24 x 24 px up\n"
        )
    return {"study": str(study.folder), "masks to rate": len(study.items), "kinds of masks": len(study.sources)}


def _human_rate(args: argparse.Namespace) -> Any:
    from napari_sam.evaluation.rating.rating_study import RatingStudy  # noqa: PLC0415

    study = RatingStudy.open(args.study)
    from napari_sam.widgets.rating_widget import rate_in_window  # noqa: PLC0415 - napari is slow to import

    rated = rate_in_window(study, args.rater)
    return {"study": str(study.folder), "rater": args.rater, "rated": rated, "of": len(study.items)}


def _human_report(args: argparse.Namespace) -> Any:
    from napari_sam.evaluation.rating.rating_study import RatingStudy, rating_report  # noqa: PLC0415

    report = rating_report(RatingStudy.open(args.study))
    if args.json:
        return report
    for name, one in report["sources"].items():
        interval = "interval undefined" if one["low"] is None else f"[{one['low']:.2f}, {one['high']:.2f}]"
        sys.stdout.write(f"{name:<24}{one['mean']:>7.2f}  {interval}  n = {one['n']}\n")
    for one in report["differences"]:
        interval = "undefined" if one["low"] is None else f"99 % [{one['low']:+.2f}, {one['high']:+.2f}]"
        p_value = "undefined" if one["p"] is None else f"{one['p']:.2g}"
        sys.stdout.write(f"{one['first']} - {one['second']}: {one['difference']:+.2f}  {interval}  p = {p_value}\n")
    return None
