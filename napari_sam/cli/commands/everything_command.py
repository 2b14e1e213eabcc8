"""The command ``everything``: all objects of an image, or those at many prompts, into a label store."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.batch_settings import asked_of_segmenting
from napari_sam.cli.command import Command, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.label_output import LabelOutput, check_output_path, label_output
from napari_sam.cli.many_inputs import add_out_dir, add_retry_option, batch_of, run_each, single_output
from napari_sam.cli.options import (
    IMAGE_HELP,
    CommandModel,
    add_image_options,
    add_model_options,
    add_region_option,
    open_plane,
)
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.cli.prompt_options import add_prompt_options, read_given_prompts
from napari_sam.cli.run_results import (
    add_existing_options,
    add_worker_options,
    check_workers,
    dask_client,
    list_failures,
    resume_choice,
    summary,
)
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings, settings_from
from napari_sam.cli.stack_options import (
    add_stack_options,
    check_plane,
    check_stack_options,
    run_stack,
    stack_axis,
    stack_kind,
)
from napari_sam.cli.stopped_runs import is_finished, nothing_to_resume
from napari_sam.cli.text_options import add_text_models, add_text_option, check_text_models, text_keywords
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.errors import SettingsError
from napari_sam.jobs.input_pairs import InputPair, pair_inputs
from napari_sam.jobs.job_settings import EverythingSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import pandas as pd

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.jobs.batch.batch import Batch
    from napari_sam.predictor import Predictor

_GRID = {
    "points_per_side": SettingOption(),
    "pred_iou_thresh": SettingOption(default="0.88; with the default model 0.7, with prompts 0"),
    "stability_score_thresh": SettingOption(default="0.95; with the default model 0.7"),
    "min_mask_region_area": SettingOption(),
}
_WORDS = {
    "resume=False": "--discard",
    "overwrite=True": "--overwrite",
    "errors=skip": "--skip-bad",
    "masks": "--prompt-masks",
    "side": "--level",
}


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", help=f"{IMAGE_HELP}; with --out-dir also a pattern or a folder of images")
    command.add_argument(
        "out",
        nargs="*",
        metavar="OUT",
        help="label store, such as cells.ome.zarr; made if missing; or, with --out-dir, images",
    )
    add_out_dir(command, "the label store of each image")
    add_everything_options(command)


def add_everything_options(command: argparse.ArgumentParser) -> None:
    """Add all options but those that name images and outputs."""
    command.add_argument(
        "--method",
        choices=("auto", "grid", "dense", "prompted"),
        default="auto",
        help="dense where the model has a dense decoder, prompted with --prompts (default: auto)",
    )
    add_region_option(command)
    size = command.add_mutually_exclusive_group()
    add_settings(
        size,
        EverythingSettings,
        {
            "level": SettingOption(),
            "diameter_px": SettingOption(help="typical object diameter, instead of --level"),
        },
    )
    command.add_argument(
        "--no-coarser", action="store_true", help="do not search for objects larger than half a window"
    )
    add_image_options(command)
    add_model_options(command)
    _add_grid_options(command)
    add_prompt_options(command)
    words = command.add_argument_group("words")
    add_text_option(words, "keep the objects that fit, such as 'nuclei larger than 10 µm'")
    add_text_models(words)
    overlap = SettingOption(help="keep shared pixels in existing objects, or replace them by new objects")
    border = SettingOption(help="whether objects end at the border of --region, or are followed outside it")
    add_settings(command, EverythingSettings, {"overlap": overlap, "border": border}, defaults=True)
    add_settings(command, EverythingSettings, ("category", "branches", "min_iou"))
    add_existing_options(command)
    add_retry_option(command)
    add_worker_options(command)
    add_stack_options(command)
    command.add_argument(
        "--measure",
        type=Path,
        metavar="TABLE",
        help="also measure all objects, to .csv or .parquet; the objects of many images become one table",
    )


def _add_grid_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("grid mode, as in SAM's automatic mask generator")
    add_settings(group, GridSettings, _GRID)


def _run(args: argparse.Namespace) -> Result:
    if args.out_dir is not None:
        return segment_pairs(args, lambda: pair_inputs([args.image, *args.out], args.out_dir, ".ome.zarr"))
    _check(args)
    args.out = single_output(args, args.out, "OUT")
    result, table = _run_image(args, CommandModel())
    if table is not None:
        from napari_sam.io.labels.measurement.measured_table import write_table  # noqa: PLC0415

        result["table"] = str(write_table(table, args.measure))
    return result


def segment_pairs(
    args: argparse.Namespace,
    find_pairs: Callable[[], Sequence[InputPair]],
    around: Callable[[InputPair], AbstractContextManager[object]] = nullcontext,
    make_batch: Callable[[JsonObject], Batch] | None = None,
) -> dict[str, object]:
    """Segment many images; one that fails does not stop the others.

    Parameters
    ----------
    args : argparse.Namespace
        Options of `add_everything_options`, and ``out_dir``, the folder of the outputs.
    find_pairs : callable
        Returns the images and their label stores; called after the options were checked.
    around : callable
        Returns a context in which an image is segmented.
    make_batch : callable, optional
        Takes what decides the results, and returns the batch; by default its records lie beside the outputs.
    """
    _check(args)
    models = CommandModel()
    tables: list[pd.DataFrame] = []

    def run(copied: argparse.Namespace, pair: InputPair) -> dict[str, object]:
        with around(pair):
            return _run_pair(models, tables, copied, pair)

    pairs = find_pairs()
    asked = asked_of_segmenting(args)
    batch = batch_of(args, "everything", asked) if make_batch is None else make_batch(asked)
    on_done = None if args.measure is None else partial(_measure_pair, tables)
    result = dict(run_each(args, pairs, run, batch, on_done))
    if tables:
        import pandas as pd  # noqa: PLC0415 - slow to import

        from napari_sam.io.labels.measurement.measured_table import write_table  # noqa: PLC0415

        result["table"] = str(write_table(pd.concat(tables, ignore_index=True), args.measure))
    return result


def _run_pair(
    models: CommandModel, tables: list[pd.DataFrame], args: argparse.Namespace, pair: InputPair
) -> dict[str, object]:
    """Segment one of many images, and add its measurements to `tables`."""
    args.image, args.out = pair.source, pair.out
    result, table = _run_image(args, models)
    _add_table(tables, pair, table)
    return result


def _measure_pair(tables: list[pd.DataFrame], args: argparse.Namespace, pair: InputPair) -> None:
    """Add the measurements of an image that is done already to `tables`."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    image = open_plane(pair.source, args.channels, args.plane, series=args.series, axes=args.axes)
    with LabelStore.open(pair.out, "r", like=image) as store:
        _add_table(tables, pair, _measure(args, store, image))


def _add_table(tables: list[pd.DataFrame], pair: InputPair, table: pd.DataFrame | None) -> None:
    if table is not None:
        table.insert(0, "image", pair.source)
        tables.append(table)


def _measure(args: argparse.Namespace, store: LabelStore, image: Image) -> pd.DataFrame | None:
    if args.measure is None:
        return None
    through_z = {"volumes": True} if stack_kind(args) == "volume" else {}
    return store.measure(image, progress=ProgressLine("measured"), **through_z)


def _run_image(args: argparse.Namespace, models: CommandModel) -> tuple[dict[str, object], pd.DataFrame | None]:
    """Segment an image; return the result to print, and with ``--measure`` the objects' measurements."""
    args.out = check_output_path(args.out)
    image = open_plane(
        args.image, args.channels, args.plane, series=args.series, axes=args.axes, along=stack_axis(args)
    )
    check_plane(args, image)
    prompted = args.method == "prompted"
    if is_finished(args, _kind(args)):
        result, store = nothing_to_resume(args, image)
    else:
        prompts = read_given_prompts(args, image) if prompted else None
        predictor = models.predictor(args)
        message = f"stopping; continue in {args.out} with the same command and --resume"
        with interruptible(message) as cancelled, label_output(args.out, image, args.overwrite) as output:
            if stack_kind(args) is not None:
                settings = EverythingSettings(**_found(args, predictor))
                result, store = run_stack(args, image, predictor, output, settings, cancelled)
            elif prompts is not None:
                result, store = _segment_prompts(args, image, predictor, output, prompts, cancelled)
            else:
                result, store = _segment_tiles(args, image, predictor, output, cancelled)
    with store:
        return result, _measure(args, store, image)


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is opened."""
    if args.measure is not None:
        from napari_sam.io.labels.measurement.measured_table import check_table_path  # noqa: PLC0415

        check_table_path(args.measure)
        if args.prompts is not None and args.measure.resolve() == Path(args.prompts).resolve():
            raise SettingsError(
                f"measure {args.measure} is the file of the prompts", parameter="measure", remedy="choose another path"
            )
    if args.prompts is not None and args.method == "auto":
        args.method = "prompted"
    prompted = args.method == "prompted"
    _check_prompts_option(args)
    grid = ("pred_iou_thresh",) if prompted else tuple(_GRID) if args.method in ("auto", "grid") else ()
    for name in _GRID:
        if getattr(args, name) is not None and name not in grid:
            raise SettingsError(
                f"{name} is {getattr(args, name)}, a setting of grid mode", parameter=name, remedy="use {method=grid}"
            )
    settings_from(args, EverythingSettings, method="auto")
    settings_from(args, GridSettings)
    check_workers(args.workers)
    check_stack_options(args)
    if args.border == "whole" and (prompted or args.region is None):
        raise SettingsError(
            "border is 'whole', a setting of a region in which all objects are found",
            parameter="border",
            remedy="leave {border} or {prompts} out" if prompted else "give {region}, too",
        )
    if prompted:
        _check_prompted(args)
    _check_text(args)


def _check_text(args: argparse.Namespace) -> None:
    """Refuse ``--text`` where another option says what to find, and its models without it."""
    if args.text is None:
        check_text_models(args)
    elif args.method == "prompted" or stack_kind(args) is not None:
        other = stack_kind(args) or "prompts"
        raise SettingsError(
            f"text {args.text!r} with --{other}", parameter="text", remedy=f"leave {{text}} or {{{other}}} out"
        )


def _check_prompts_option(args: argparse.Namespace) -> None:
    """Refuse ``--prompts`` where it does not go with the method or with many images, and its options without it."""
    given = {"prompt_masks": args.prompt_masks, "image_id": args.image_id, "skip_bad": args.skip_bad}
    given["coordinates"] = args.coordinates if args.coordinates != "auto" else None
    for name, value in given.items():
        if value and args.prompts is None and args.method != "prompted":
            raise SettingsError(
                f"{name} is {value}, a setting of prompts", parameter=name, remedy="give {prompts} FILE, too"
            )
    if args.prompts is not None and args.out_dir is not None:
        raise SettingsError(
            f"prompts {args.prompts} belong to one image",
            parameter="prompts",
            remedy="leave {out_dir} out, and segment one image at a time",
        )
    if args.method == "prompted" and args.prompts is None:
        raise SettingsError("method is 'prompted'", parameter="method", remedy="give its {prompts} FILE, too")
    if args.prompts is not None and args.method != "prompted":
        raise SettingsError(
            f"prompts {args.prompts} with method {args.method!r}",
            parameter="prompts",
            remedy="leave out {prompts} or {method}",
        )


def _check_prompted(args: argparse.Namespace) -> None:
    """Refuse or report options that prompted mode does not use."""
    for name in ("level", "scheduler", "branches", "min_iou"):
        if getattr(args, name) is not None:
            raise SettingsError(
                f"{name} is {getattr(args, name)}, which prompted mode does not use",
                parameter=name,
                remedy="give {pred_iou_thresh} instead" if name == "min_iou" else f"leave {{{name}}} out",
            )
    args.words = {**args.words, "min_iou": args.words["pred_iou_thresh"]}  # the same setting of prompted mode
    for option, given in (("--workers", args.workers > 1), ("--no-coarser", args.no_coarser)):
        if given:
            sys.stderr.write(f"napari-sam: {option} has no effect with --prompts\n")


def _kind(args: argparse.Namespace) -> str:
    """Return what the run consists of."""
    return "planes" if stack_kind(args) else "prompts" if args.method == "prompted" else "tiles"


def _segment_prompts(
    args: argparse.Namespace,
    image: Image,
    predictor: Predictor,
    output: LabelOutput,
    prompts: PromptTable,
    cancelled: Callable[[], bool],
) -> tuple[dict[str, Any], LabelStore]:
    from napari_sam.jobs.segment_prompts import segment_prompts  # noqa: PLC0415 - imports torch

    report = segment_prompts(
        image,
        prompts,
        predictor,
        output.target,
        overlap=args.overlap,
        min_iou=args.pred_iou_thresh or 0.0,
        category=args.category,
        diameter_px=args.diameter_px,
        resume=resume_choice(args),
        progress=output.progress("prompt"),
        cancelled=cancelled,
    )
    failed = [{"prompt": f.number, "reason": f.reason} for f in report.failed]
    list_failures(args, [f"{prompts.word} {f.number}: {f.reason}" for f in report.failed], report.failures, "prompts")
    counts = {name: getattr(report, name) for name in ("prompts", "objects", "unsure", "duplicates", "covered")}
    result = {
        **summary(args, "prompted", report.first_label),
        **counts,
        "skipped": sum(report.skipped.values()),
        "failed": failed if args.json else report.failures,
        "seconds": round(report.seconds, 2),
    }
    return result, report.labels


def _segment_tiles(
    args: argparse.Namespace,
    image: Image,
    predictor: Predictor,
    output: LabelOutput,
    cancelled: Callable[[], bool],
) -> tuple[dict[str, Any], LabelStore]:
    from napari_sam.jobs.segment_everything import segment_everything  # noqa: PLC0415 - imports torch

    with dask_client(args.scheduler) as client:
        report = segment_everything(
            image,
            predictor,
            output.target,
            **_found(args, predictor),
            **text_keywords(args),
            resume=resume_choice(args),
            client=client,
            workers=args.workers,
            progress=output.progress("step"),
            cancelled=cancelled,
        )
    failed = [{"box": [int(v) for v in f.box], "reason": f.reason} for f in report.failed]
    list_failures(args, [f"tile {tuple(f['box'])}: {f['reason']}" for f in failed], len(failed), "tiles")
    result = {
        **summary(args, report.method, report.first_label),
        "objects": report.objects,
        "tiles": report.tiles,
        "failed": failed if args.json else len(failed),
        "factors": [int(f) for f in report.factors],
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
    }
    return result, report.labels


def _found(args: argparse.Namespace, predictor: Predictor) -> dict[str, Any]:
    """Return what to find in an image, or in each plane of a stack: the fields of `EverythingSettings`."""
    return {
        "method": args.method,
        "region": args.region,
        "diameter_px": args.diameter_px,
        "level": args.level,
        "grid": _grid(args, predictor.runner.kind),
        "branches": args.branches or "auto",
        "coarser": not args.no_coarser,
        "border": args.border,
        "overlap": args.overlap,
        "category": args.category,
        "min_iou": args.min_iou or 0.0,
        "stage": getattr(args, "stage", "automatic"),
    }


def _grid(args: argparse.Namespace, kind: str) -> GridSettings | None:
    """Return the given settings of grid mode with the model's for the rest; None if none is given."""
    given = given_settings(args, GridSettings)
    return GridSettings.for_model(kind, **given) if given else None


EVERYTHING = Command(
    "everything",
    "find all objects of an image of any size",
    _run,
    _add_options,
    details="Ctrl+C stops and keeps the finished part; --resume continues. With --out-dir, the same command passes "
    "over images that are done, and continues.",
    words=_WORDS,
)
