"""The command ``evaluate``: the paper's experiments on your labelled images."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, CommandGroup, Result
from napari_sam.cli.evaluate_commands.evaluation_output import agreement_result, evaluation_result, print_evaluation
from napari_sam.cli.evaluate_commands.evaluation_request import EvaluationRequest
from napari_sam.cli.evaluate_commands.experiment_choice import choose_experiments
from napari_sam.cli.evaluate_commands.model_choice import chosen_models
from napari_sam.cli.evaluate_commands.rating_command import HUMAN
from napari_sam.cli.evaluate_commands.sample_options import add_sample_options
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.options import add_device_option, add_precision_option
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.cli.setting_options import SettingOption, add_settings, settings_from
from napari_sam.cli.text_options import add_text_models
from napari_sam.errors import EvaluationError
from napari_sam.evaluation.evaluation_settings import ExperimentSettings, RunSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Experiment
    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite

_LISTED = 3  # images that were left out
_STOP_MESSAGE = "stopping and keeping the finished measurements; continue with the same command"
_EXPERIMENTS = {
    "points": "measure masks from clicks and boxes, next to classical methods",
    "edges": "measure boundaries with Berkeley's benchmark",
    "proposals": "measure the recall of 1000 masks",
    "instances": "measure masks from a detector's boxes with COCO's average precision",
    "everything": "measure all objects of whole images, also of other programs' labels",
    "text": "measure masks from phrases",
    "volumes": "measure volumes from one click, and all objects of volumes, next to plane-by-plane baselines",
    "tracking": "measure objects followed through movies, and all tracks by the Cell Tracking Challenge's measures",
    "groups": "measure points by group: stain, site, sensor …",
    "data": "describe labelled images, and compare automatic with corrected masks",
    "all": "run all experiments that the data allow, with a report",
    "compare": "run all experiments for several models, side by side",
}
_ALIASES = {"everything": ("dense",)}


def _add_options(name: str, command: argparse.ArgumentParser) -> None:
    _add_data_options(command)
    if name != "data":
        _add_model_options(command, several=name in _SUITES)
    _add_experiment_options(command, name)


def _add_data_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, nargs="?", help="labelled images: a folder, a COCO .json, an .npz …")
    command.add_argument("--path", type=Path, metavar="DATA", help="the same, by name")
    add_sample_options(command)
    command.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder for measurements, tables and figures; the same command continues a stopped run",
    )
    add_settings(command, ExperimentSettings, {"max_images": SettingOption()})
    add_settings(command, RunSettings, {"seed": SettingOption(metavar="SEED")}, defaults=True)
    add_settings(command, RunSettings, ("workers",))


def _add_model_options(command: argparse.ArgumentParser, several: bool) -> None:
    text = "name or checkpoint file" + (", or NAME=FILE; give several to compare" if several else "")
    command.add_argument(
        "--model", action="append" if several else "store", metavar="MODEL", help=f"{text} (default: default)"
    )
    add_device_option(command)
    add_precision_option(command)


def _add_experiment_options(command: argparse.ArgumentParser, name: str) -> None:
    for add_options, experiments in _EXPERIMENT_OPTIONS:
        if name in experiments:
            add_options(command)
    command.add_argument("--table", type=Path, metavar="CSV", help="more columns: sample, dataset, stain, latitude …")


def _add_per_image(command: argparse.ArgumentParser) -> None:
    add_settings(command, ExperimentSettings, ("per_image",))


def _add_clicks(command: argparse.ArgumentParser) -> None:
    add_settings(command, ExperimentSettings, ("clicks",), defaults=True)


def _add_no_baselines(command: argparse.ArgumentParser) -> None:
    command.add_argument("--no-baselines", action="store_true", help="leave out classical methods such as GrabCut")


def _add_grid(command: argparse.ArgumentParser) -> None:
    grid = SettingOption(help="points along each side of the grid; the paper uses 16 and 64", default="16")
    add_settings(command, ExperimentSettings, {"grid": grid})


def _add_no_everything(command: argparse.ArgumentParser) -> None:
    command.add_argument("--no-everything", action="store_true", help="leave out all objects of whole stacks")


def _add_maps(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--maps", action="append", default=[], metavar="NAME=FOLDER", help="another program's edge maps, NAME.png"
    )


def _add_boxes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--boxes", type=Path, metavar="JSON", help="detector results (default: the true boxes)")


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--labels", action="append", default=[], metavar="NAME=FOLDER", help="another program's labels"
    )


def _add_automatic(command: argparse.ArgumentParser) -> None:
    command.add_argument("--automatic", type=Path, metavar="FOLDER", help="label images before their correction")


def _add_by(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--by", nargs="+", metavar="COLUMN", help="grouping columns (default: dataset, modality, those of --table)"
    )


_SUITES = ("all", "compare")
_STACKS = ("volumes", "tracking")
_EXPERIMENT_OPTIONS: tuple[tuple[Callable[[argparse.ArgumentParser], None], tuple[str, ...]], ...] = (
    (_add_per_image, ("points", "groups", "instances", *_STACKS, *_SUITES)),
    (_add_clicks, ("points", "groups", "volumes", *_SUITES)),
    (_add_no_everything, _STACKS),
    (_add_no_baselines, ("points", *_SUITES)),
    (_add_grid, ("edges", "proposals", *_SUITES)),
    (_add_maps, ("edges",)),
    (_add_boxes, ("instances",)),
    (_add_labels, ("everything", *_STACKS, *_SUITES)),
    (_add_automatic, ("data",)),
    (_add_by, ("groups", *_SUITES)),
    (add_text_models, ("text",)),
)


def _run(name: str, args: argparse.Namespace) -> Result:
    request = EvaluationRequest(
        name, args, _data_path(args), settings_from(args, ExperimentSettings), settings_from(args, RunSettings)
    )
    experiments, samples = choose_experiments(request, _find_samples(request))
    agreement = agreement_result(request, samples) if name == "data" else {}  # first: it may raise
    if args.out is None and name in _SUITES:
        sys.stderr.write("note: no report will be written and nothing kept; give --out FOLDER\n")
    suite = _measure(request, experiments, samples)
    result = {**evaluation_result(request, suite), **agreement}
    if args.json:
        return result
    print_evaluation(request, result, suite)
    return None


def _data_path(args: argparse.Namespace) -> Path:
    """Return the path of the data, given by position or by name."""
    given: list[Path] = [p for p in (args.data, args.path) if p is not None]
    if len(given) != 1:
        raise EvaluationError(
            f"{len(given)} paths of labelled images are given", remedy="give one: DATA or --path DATA"
        )
    return given[0]


def _find_samples(request: EvaluationRequest) -> list[Sample]:
    """Find the labelled images and give them the table's columns; the text experiment reads its own images."""
    from napari_sam.evaluation.datasets.dataset_formats import find_samples  # noqa: PLC0415 - starts quickly
    from napari_sam.evaluation.datasets.group_columns import add_groups  # noqa: PLC0415

    if request.name == "text":
        return []
    args = request.args
    notes: list[str] = []
    if request.name in _STACKS:
        samples = _find_stacks(request, notes)
    else:
        samples = find_samples(request.data, args.format, args.split, args.only, notes)
    for note in notes[:_LISTED]:
        sys.stderr.write(f"note: left out: {note}\n")
    if len(notes) > _LISTED:
        sys.stderr.write(f"note: and {len(notes) - _LISTED} more\n")
    if args.table is not None:
        samples = add_groups(samples, request.group_table)
    columns = sorted({name for sample in samples for name in sample.groups})
    if missing := [c for c in request.by or () if c not in columns]:
        raise EvaluationError(
            f"by {missing[0]}: no image has this column", parameter="by", remedy=f"choose from {', '.join(columns)}"
        )
    return samples


def _find_stacks(request: EvaluationRequest, notes: list[str]) -> list[Sample]:
    """Find the labelled volumes or movies."""
    from napari_sam.evaluation.datasets.stack_truth import MOVIE, VOLUME  # noqa: PLC0415
    from napari_sam.evaluation.datasets.stacks.labelled_stacks import find_stack_samples  # noqa: PLC0415 - starts quickly

    kind = VOLUME if request.name == "volumes" else MOVIE
    return find_stack_samples(request.data, request.args.split, kind, request.args.only, notes)


def _measure(
    request: EvaluationRequest, experiments: Sequence[Experiment], samples: Sequence[Sample]
) -> EvaluationSuite:
    from napari_sam.evaluation.report.evaluation_suite import EvaluationSuite  # noqa: PLC0415
    from napari_sam.evaluation.report.report_files import command_line  # noqa: PLC0415
    from napari_sam.evaluation.runs.experiment_runner import result_folder, run_experiments  # noqa: PLC0415
    from napari_sam.evaluation.runs.result_store import ResultStore  # noqa: PLC0415

    args = request.args
    models = chosen_models(args) if any(e.needs_model for e in experiments) else []
    line = ProgressLine("measurements")
    with ExitStack() as stack:
        if args.out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="napari-sam-evaluate-")))
        else:
            folder = result_folder(args.out)
        store = stack.enter_context(ResultStore(folder))
        message = _STOP_MESSAGE if args.out else "stopping; give --out FOLDER to keep finished measurements"
        with interruptible(message) as cancelled:
            results = run_experiments(
                experiments,
                models,
                samples,
                store,
                request.run,
                progress=lambda done, total, name: line(done, total, f"  {name}"),
                cancelled=cancelled,
            )
    if results.resumed:
        total = results.resumed + results.measured
        sys.stderr.write(f"note: {results.resumed} of {total} measurements were read from {args.out}\n")
    about = {"command": command_line(args.argv), "data": f"{request.data} ({args.split})"}
    return EvaluationSuite(list(experiments), models, results, request.run.seed, request.group_columns(samples), about)


EVALUATE = CommandGroup(
    "evaluate",
    "measure models on labelled images: the paper's experiments",
    (
        *(
            Command(name, summary, partial(_run, name), partial(_add_options, name), aliases=_ALIASES.get(name, ()))
            for name, summary in _EXPERIMENTS.items()
        ),
        HUMAN,
    ),
    metavar="NAME",
    dest="experiment",
)
