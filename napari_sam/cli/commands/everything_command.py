"""The command ``everything``: all objects of an image, or those at many prompts, into a label store."""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.command import Command, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.label_output import LabelOutput, check_output_path, label_output
from napari_sam.cli.many_inputs import InputPair, add_out_dir, pair_inputs, run_each, single_output
from napari_sam.cli.options import IMAGE_HELP, add_image_options, add_model_options, add_region_option, open_plane
from napari_sam.cli.progress_line import ProgressLine, end_line
from napari_sam.cli.prompt_options import add_prompt_options, read_given_prompts
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings, settings_from
from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.errors import ImageError, SettingsError, StoreError
from napari_sam.jobs.job_settings import EverythingSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    import pandas as pd

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.prompts.prompt_table import PromptTable
    from napari_sam.predictor import Predictor

_GRID = {
    "points_per_side": SettingOption(),
    "pred_iou_thresh": SettingOption(default="0.88; with the default model 0.75, with prompts 0"),
    "stability_score_thresh": SettingOption(default="0.95; with the default model 0.8"),
    "min_mask_region_area": SettingOption(),
}
_LISTED = 20  # failed tiles
_WORDS = {
    "resume=False": "--discard",
    "overwrite=True": "--overwrite",
    "errors=skip": "--skip-bad",
    "min_iou": "--pred-iou",
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
    overlap = SettingOption(help="keep shared pixels in existing objects, or replace them by new objects")
    border = SettingOption(help="whether objects end at the border of --region, or are followed outside it")
    add_settings(command, EverythingSettings, {"overlap": overlap, "border": border}, defaults=True)
    add_settings(command, EverythingSettings, ("category", "branches"))
    existing = command.add_mutually_exclusive_group()
    existing.add_argument("--add", action="store_true", help="add to the objects of OUT")
    existing.add_argument("--overwrite", action="store_true", help="replace the label store OUT")
    existing.add_argument("--resume", action="store_true", help="continue the stopped run in OUT")
    existing.add_argument("--discard", action="store_true", help="discard the stopped run in OUT, and add to OUT")
    workers = command.add_mutually_exclusive_group()
    workers.add_argument("--workers", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    workers.add_argument("--scheduler", metavar="ADDRESS", help="Dask cluster, such as tcp://host:8786")
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
    from napari_sam.io.labels.measurement.measured_table import check_table_path, write_table  # noqa: PLC0415

    _check(args)
    if args.measure is not None:
        check_table_path(args.measure)
    images = [args.image, *args.out]
    models = _Models()
    if args.out_dir is None:
        args.out = single_output(args, args.out, "OUT")
        result, table = _run_image(args, models)
        if table is not None:
            result["table"] = str(write_table(table, args.measure))
        return result
    tables: list[pd.DataFrame] = []
    result = dict(run_each(args, pair_inputs(images, args.out_dir, ".ome.zarr"), partial(_run_pair, models, tables)))
    if tables:
        import pandas as pd  # noqa: PLC0415 - slow to import

        result["table"] = str(write_table(pd.concat(tables, ignore_index=True), args.measure))
    return result


def _run_pair(
    models: _Models, tables: list[pd.DataFrame], args: argparse.Namespace, pair: InputPair
) -> dict[str, object]:
    """Segment one of many images, and add its measurements to `tables`."""
    args.image, args.out = pair.source, pair.out
    result, table = _run_image(args, models)
    if table is not None:
        table.insert(0, "image", pair.source)
        tables.append(table)
    return result


class _Models:
    """The model of a command, loaded when the first image needs it."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None

    def predictor(self, args: argparse.Namespace) -> Predictor:
        """Return the predictor."""
        from napari_sam.predictor import Predictor  # noqa: PLC0415 - imports torch

        if self._predictor is None:
            self._predictor = Predictor(args.model, args.device, args.precision)
        return self._predictor


def _run_image(args: argparse.Namespace, models: _Models) -> tuple[dict[str, object], pd.DataFrame | None]:
    """Segment an image; return the result to print, and with ``--measure`` the objects' measurements."""
    from napari_sam.io.labels.measurement.measure import measure  # noqa: PLC0415 - starts quickly

    args.out = check_output_path(args.out)
    image = open_plane(args.image, args.channels, args.plane, series=args.series, axes=args.axes)
    _check_plane(args, image)
    prompted = args.method == "prompted"
    if _is_finished(args, prompted):
        result, store = _nothing_to_resume(args, image)
    else:
        prompts = read_given_prompts(args, image) if prompted else None
        predictor = models.predictor(args)
        message = f"stopping; continue in {args.out} with the same command and --resume"
        with interruptible(message) as cancelled, label_output(args.out, image, args.overwrite) as output:
            if prompts is not None:
                result, store = _segment_prompts(args, image, predictor, output, prompts, cancelled)
            else:
                result, store = _segment_tiles(args, image, predictor, output, cancelled)
    with store:
        table = None if args.measure is None else measure(store, image, progress=ProgressLine("measured"))
    return result, table


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is opened."""
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
    if args.workers < 1:
        raise SettingsError(f"workers is {args.workers}", parameter="workers", remedy="give a whole number from 1")
    if prompted:
        _check_prompted(args)


def _check_prompts_option(args: argparse.Namespace) -> None:
    """Refuse ``--prompts`` where it does not go with the method, or with many images."""
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


def _check_plane(args: argparse.Namespace, image: Image) -> None:
    """Refuse a stack of which no plane is chosen: the labels are of one plane."""
    axes = image.plane_axes
    if args.plane is None and math.prod(axes.values()) > 1:
        sizes = " x ".join(f"{size} along {axis}" for axis, size in axes.items())
        raise ImageError(
            f"{args.image}: a stack of {sizes}; the labels would be of a single plane",
            parameter="plane",
            remedy=f"choose it with {{plane}} {','.join('0' for _ in axes)}, counted from 0",
        )


def _check_prompted(args: argparse.Namespace) -> None:
    """Refuse or report options that prompted mode does not use."""
    for name in ("level", "scheduler"):
        if getattr(args, name) is not None:
            raise SettingsError(
                f"{name} is {getattr(args, name)}, which prompted mode does not use",
                parameter=name,
                remedy=f"leave {{{name}}} out",
            )
    for option, given in (("--workers", args.workers > 1), ("--no-coarser", args.no_coarser)):
        if given:
            sys.stderr.write(f"napari-sam: {option} has no effect with --prompts\n")


def _is_finished(args: argparse.Namespace, prompted: bool) -> bool:
    """Whether ``--resume`` finds no stopped run to continue.

    Raises
    ------
    StoreError
        If the output exists and no option says what to do with it, or the stopped run is of the other kind.
    """
    from napari_sam.jobs.segment_image import unfinished_run  # noqa: PLC0415 - imports torch
    from napari_sam.jobs.segment_prompts import unfinished_prompts  # noqa: PLC0415

    if not args.out.exists() or args.overwrite:
        return False
    try:
        tiles, prompts = unfinished_run(args.out), unfinished_prompts(args.out)
    except SettingsError:
        if args.discard:
            return False
        raise
    if tiles is not None or prompts is not None:
        _check_stopped_run(args, prompted, tiles, prompts)
        return False
    if not (args.add or args.resume or args.discard):
        raise StoreError(
            f"{args.out}: exists already", remedy="add objects to it with {add}, or replace it with {overwrite}"
        )
    return bool(args.resume)


def _check_stopped_run(
    args: argparse.Namespace, prompted: bool, tiles: dict[str, Any] | None, prompts: dict[str, Any] | None
) -> None:
    """Refuse a command that neither continues nor drops the stopped run of tiles or prompts in its output."""
    if not (args.resume or args.discard):
        raise StoreError(
            f"{args.out}: holds a stopped run, of {_describe_run(tiles, prompts)}",
            remedy="continue it with {resume}, or drop it with {discard}",
        )
    if args.resume and (prompts if prompted else tiles) is None:
        raise StoreError(
            f"{args.out}: the stopped run there is of the other kind",
            remedy="leave out {prompts} with {resume}" if prompted else "give its {prompts} FILE with {resume}",
        )


def _describe_run(tiles: dict[str, Any] | None, prompts: dict[str, Any] | None) -> str:
    if tiles is not None:
        return f"which {tiles['tiles_done']} of {tiles['tiles']} tiles are done"
    return f"{(prompts or {}).get('prompts', 'some')} prompts"


def _nothing_to_resume(args: argparse.Namespace, image: Image) -> tuple[dict[str, object], LabelStore]:
    """Report an output without a stopped run."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    store = LabelStore.open(args.out, like=image)
    sys.stderr.write(f"napari-sam: nothing to resume in {args.out}: it has {len(store)} objects\n")
    return {"image": args.image, "output": str(args.out), "objects": len(store)}, store


def _resume(args: argparse.Namespace) -> bool | None:
    return True if args.resume else False if args.discard else None


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
        resume=_resume(args),
        progress=output.progress("prompt"),
        cancelled=cancelled,
    )
    failed = [{"prompt": f.number, "reason": f.reason} for f in report.failed]
    _list_failures(args, [f"{prompts.word} {f.number}: {f.reason}" for f in report.failed], report.failures, "prompts")
    counts = {name: getattr(report, name) for name in ("prompts", "objects", "unsure", "duplicates", "covered")}
    result = {
        **_summary(args, "prompted", report.first_label),
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
    from napari_sam.jobs.segment_image import segment_everything  # noqa: PLC0415 - imports torch

    with _client(args.scheduler) as client:
        report = segment_everything(
            image,
            predictor,
            output.target,
            args.method,
            region=args.region,
            diameter_px=args.diameter_px,
            level=args.level,
            grid=_grid(args, predictor.runner.kind),
            branches=args.branches or "auto",
            coarser=not args.no_coarser,
            border=args.border,
            overlap=args.overlap,
            category=args.category,
            resume=_resume(args),
            client=client,
            workers=args.workers,
            progress=output.progress("step"),
            cancelled=cancelled,
        )
    failed = [{"box": [int(v) for v in f.box], "reason": f.reason} for f in report.failed]
    _list_failures(args, [f"tile {tuple(f['box'])}: {f['reason']}" for f in failed], len(failed), "tiles")
    result = {
        **_summary(args, report.method, report.first_label),
        "objects": report.objects,
        "tiles": report.tiles,
        "failed": failed if args.json else len(failed),
        "factors": [int(f) for f in report.factors],
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
    }
    return result, report.labels


def _summary(args: argparse.Namespace, method: str, first_label: int) -> dict[str, object]:
    return {"image": args.image, "output": str(args.out), "method": method, "first label": int(first_label)}


def _grid(args: argparse.Namespace, kind: str) -> GridSettings | None:
    """Return the given settings of grid mode with the model's for the rest; None if none is given."""
    given = given_settings(args, GridSettings)
    return GridSettings.for_model(kind, **given) if given else None


def _list_failures(args: argparse.Namespace, failures: list[str], count: int, units: str) -> None:
    """List failures on standard error and set the exit status to 1; the other objects are written."""
    if not count:
        return
    end_line()
    more = [f"and {count - _LISTED} more"] if count > _LISTED else []
    for line in [f"{count} {units} failed; the rest is in {args.out}:", *failures[:_LISTED], *more]:
        sys.stderr.write(f"napari-sam: {line}\n")
    args.status = 1


@contextlib.contextmanager
def _client(address: str | None) -> Iterator[Any]:
    """Connect to a Dask cluster; None without an address.

    Raises
    ------
    SettingsError
        If `distributed` is not installed, or the scheduler does not answer.
    """
    if address is None:
        yield None
        return
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise SettingsError(
            f"scheduler {address} needs Dask", parameter="scheduler", remedy="run 'pip install napari-sam-xl[cluster]'"
        ) from error
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingsError(
            f"scheduler {address}: no answer ({error})", parameter="scheduler", remedy="check that it is running"
        ) from error
    with client:
        yield client


EVERYTHING = Command(
    "everything",
    "find all objects of an image of any size",
    _run,
    _add_options,
    details="Ctrl+C stops and keeps the finished part; --resume continues.",
    words=_WORDS,
)
