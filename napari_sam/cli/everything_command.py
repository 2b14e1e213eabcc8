"""The command ``everything``: all objects of an image, or those at many prompts, into a label store."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.arguments import (
    ProgressLine,
    add_image_options,
    add_model_options,
    end_line,
    interruptible,
    open_chosen,
    region,
)
from napari_sam.cli.output_path import Place, checked_place, place_of
from napari_sam.errors import PromptError, SettingsError, StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from napari_sam.io.labels.label_store import LabelStore

_GRID = {
    "points_per_side": "points_per_side",
    "pred_iou": "pred_iou_thresh",
    "stability": "stability_score_thresh",
    "min_area": "min_mask_region_area",
}
_SHOWN = 20  # failed tiles that are listed


def add_everything(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command to the command line.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` returned.
    common : argparse.ArgumentParser
        Arguments of every command.
    """
    what = "find all objects of an image of any size"
    about = f"{what.capitalize()}. Ctrl+C stops, nothing is lost: --resume goes on."
    command = commands.add_parser("everything", parents=[common], help=what, description=about)
    command.add_argument("image", help="TIFF, OME-Zarr, PNG, JPEG …")
    command.add_argument("out", type=Path, metavar="OUT", help="label store, such as cells.ome.zarr; made if missing")
    command.add_argument("--method", choices=("auto", "grid", "dense", "prompted"), default="auto")
    command.add_argument("--region", type=region, metavar="Y0,X0,Y1,X1", help="level-0 pixels; the whole image if not")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--level", type=int, metavar="N", help="look at the image reduced 2^N times")
    size.add_argument("--diameter", type=float, metavar="PX", help="typical object diameter, instead of --level")
    command.add_argument("--no-coarser", action="store_true", help="do not look for objects larger than half a window")
    add_image_options(command)
    add_model_options(command)
    _add_grid_options(command)
    _add_prompt_options(command)
    command.add_argument("--overlap", choices=("keep", "replace"), default="keep", help="who keeps shared pixels")
    command.add_argument("--category", metavar="NAME", help="what kind of objects they are")
    there = command.add_mutually_exclusive_group()
    there.add_argument("--add", action="store_true", help="add to the objects of OUT")
    there.add_argument("--overwrite", action="store_true", help="replace the label store OUT")
    there.add_argument("--resume", action="store_true", help="go on with the run in OUT that was stopped")
    there.add_argument("--discard", action="store_true", help="forget such a run, and add to OUT")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, metavar="N", help="processes on this machine (1)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, such as tcp://host:8786")
    command.add_argument("--measure", type=Path, metavar="TABLE", help="then measure all objects: .csv or .parquet")
    command.set_defaults(run=_everything)


def _add_grid_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("grid mode, as in SAM's automatic mask generator")
    group.add_argument("--points-per-side", type=int, metavar="N", help="points along each side of a window (32)")
    group.add_argument(
        "--pred-iou", type=float, metavar="V", help="least predicted IoU (0.88; default model 0.7; prompts 0)"
    )
    group.add_argument("--stability", type=float, metavar="V", help="least stability score (0.95; default model 0.9)")
    group.add_argument("--min-area", type=int, metavar="PX", help="drop smaller parts and holes (0)")


def _add_prompt_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("prompted mode")
    group.add_argument(
        "--prompts", metavar="FILE", help="boxes or points: .csv, .parquet, COCO .json, .geojson, labels of others"
    )
    group.add_argument("--prompt-masks", action="store_true", help="show the network the masks of such labels, too")
    group.add_argument("--skip-bad", action="store_true", help="leave out prompts that are empty or outside the image")


def _everything(args: argparse.Namespace) -> Any:
    from napari_sam.io.labels.measure import check_table_path, measure, write_table  # noqa: PLC0415 - starts quickly
    from napari_sam.predictor import Predictor  # noqa: PLC0415 - torch comes with the engine

    _check(args)
    args.out = checked_place(args.out)
    if args.measure is not None:
        check_table_path(args.measure)
    image = open_chosen(args.image, args.channels, args.plane)
    prompted = args.method == "prompted"
    if _is_done(args, prompted):
        result, store = _nothing_to_resume(args, image)
    else:
        prompts = _prompts(args, image) if prompted else None
        predictor = Predictor(args.model, args.device, args.precision)
        run = _run_prompts if prompted else _run_tiles
        promise = f"stopping; the same command with --resume goes on in {args.out}"
        with interruptible(promise) as cancelled, place_of(args.out, image, args.overwrite) as place:
            result, store = run(args, image, predictor, place, prompts, cancelled)
    with store:
        if args.measure is not None:
            write_table(measure(store, image, progress=ProgressLine("measured")), args.measure)
            result["table"] = str(args.measure)
    return result


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is opened."""
    if args.prompts is not None and args.method == "auto":
        args.method = "prompted"
    prompted = args.method == "prompted"
    if prompted != (args.prompts is not None):
        wrong = f"--prompts with --method {args.method}: leave one of them out"
        raise SettingsError("prompted mode needs --prompts FILE" if prompted else wrong)
    refused = {"level": "a level", "scheduler": "a cluster"} if prompted else {}
    for name, words in refused.items():
        if getattr(args, name) is not None:
            raise SettingsError(f"--{name}: prompted mode has no use for {words}; leave it out")
    given = [name for name in _GRID if getattr(args, name) is not None and not (prompted and name == "pred_iou")]
    if given and args.method not in ("auto", "grid"):
        raise SettingsError(f"--{given[0].replace('_', '-')}: a setting of grid mode; use --method grid")
    _check_numbers(args)
    for option, used in (("--workers", args.workers > 1), ("--no-coarser", args.no_coarser)):
        if prompted and used:
            sys.stderr.write(f"napari-sam: {option} has no effect with --prompts\n")


def _check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing."""
    if args.level is not None and args.level < 0:
        raise SettingsError(f"--level {args.level}: give 0 or more")
    if args.diameter is not None and not 0 < args.diameter < float("inf"):
        raise SettingsError(f"--diameter {args.diameter:g}: give a positive number of level-0 pixels")
    if args.workers < 1:
        raise SettingsError(f"--workers {args.workers}: give 1 or more")


def _is_done(args: argparse.Namespace, prompted: bool) -> bool:
    """Whether a run is to go on where none was stopped; refuses to touch what is there unless told to."""
    from napari_sam.jobs.segment_image import unfinished_run  # noqa: PLC0415 - torch comes with the engine
    from napari_sam.jobs.segment_prompts import unfinished_prompts  # noqa: PLC0415

    if not args.out.exists() or args.overwrite:
        return False
    tiles, prompts = unfinished_run(args.out), unfinished_prompts(args.out)
    if tiles is None and prompts is None:
        if not (args.add or args.resume or args.discard):
            raise StoreError(f"{args.out}: is there already: --add adds objects to it, --overwrite replaces it")
        return bool(args.resume)
    if not (args.resume or args.discard):
        of = f"{(prompts or {}).get('prompts', 'some')} prompts"
        done = of if tiles is None else f"which {tiles['tiles_done']} of {tiles['tiles']} tiles are done"
        raise StoreError(
            f"{args.out}: holds a run that was stopped, of {done}: --resume goes on with it, --discard forgets it"
        )
    if args.resume and (prompts if prompted else tiles) is None:
        remedy = "leave out --prompts" if prompted else "give its --prompts FILE"
        raise StoreError(f"{args.out}: the run that was stopped there is another one: {remedy} with --resume")
    return False


def _nothing_to_resume(args: argparse.Namespace, image: Any) -> tuple[dict[str, Any], LabelStore]:
    """What to say where no run was stopped."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    store = LabelStore.open(args.out, like=image)
    sys.stderr.write(f"napari-sam: nothing to resume in {args.out}: it has {len(store)} objects\n")
    return {"image": args.image, "output": str(args.out), "objects": len(store)}, store


def _resume(args: argparse.Namespace) -> bool | None:
    return True if args.resume else False if args.discard else None


def _prompts(args: argparse.Namespace, image: Any) -> Any:
    from napari_sam.engine.automatic.dense_maps import check_region  # noqa: PLC0415 - torch comes with the engine
    from napari_sam.io.prompts.prompt_region import prompts_within  # noqa: PLC0415
    from napari_sam.io.prompts.read_prompts import read_prompts  # noqa: PLC0415

    errors = "skip" if args.skip_bad else "raise"
    table = read_prompts(args.prompts, image, masks=args.prompt_masks, errors=errors)
    if args.region is None:
        return table
    inside = prompts_within(table, check_region(args.region, image.shape, most_px=None))
    if not len(inside):
        raise PromptError(f"--region {','.join(map(str, args.region))}: no prompt has its middle there; give another")
    out = len(table) - len(inside)
    sys.stderr.write(
        f"napari-sam: {out} of {len(table)} prompts lie outside --region and are left out\n" if out else ""
    )
    return inside


def _run_prompts(
    args: argparse.Namespace, image: Any, predictor: Any, place: Place, prompts: Any, cancelled: Any
) -> tuple[dict[str, Any], LabelStore]:
    from napari_sam.jobs.segment_prompts import segment_prompts  # noqa: PLC0415 - torch comes with the engine

    report = segment_prompts(
        image,
        prompts,
        predictor,
        place.output,
        overlap=args.overlap,
        min_iou=args.pred_iou or 0.0,
        category=args.category,
        diameter_px=args.diameter,
        resume=_resume(args),
        progress=place.progress("prompt"),
        cancelled=cancelled,
    )
    failed = [{"prompt": f.number, "reason": f.reason} for f in report.failed]
    _tell_failed(args, [f"{prompts.word} {f.number}: {f.reason}" for f in report.failed], report.failures, "prompts")
    counts = {name: getattr(report, name) for name in ("prompts", "objects", "unsure", "duplicates", "covered")}
    result = {
        **_head(args, "prompted", report.first_label),
        **counts,
        "skipped": sum(report.skipped.values()),
        "failed": failed if args.json else report.failures,
        "seconds": round(report.seconds, 2),
    }
    return result, report.labels


def _run_tiles(
    args: argparse.Namespace, image: Any, predictor: Any, place: Place, prompts: Any, cancelled: Any
) -> tuple[dict[str, Any], LabelStore]:
    from napari_sam.jobs.segment_image import segment_everything  # noqa: PLC0415 - torch comes with the engine

    with _client(args.scheduler) as client:
        report = segment_everything(
            image,
            predictor,
            place.output,
            args.method,
            region=args.region,
            diameter_px=args.diameter,
            level=args.level,
            grid=_grid(args, predictor.runner.kind),
            coarser=not args.no_coarser,
            overlap=args.overlap,
            category=args.category,
            resume=_resume(args),
            client=client,
            workers=args.workers,
            progress=place.progress("step"),
            cancelled=cancelled,
        )
    failed = [{"box": [int(v) for v in f.box], "reason": f.reason} for f in report.failed]
    _tell_failed(args, [f"tile {tuple(f['box'])}: {f['reason']}" for f in failed], len(failed), "tiles")
    result = {
        **_head(args, report.method, report.first_label),
        "objects": report.objects,
        "tiles": report.tiles,
        "failed": failed if args.json else len(failed),
        "factors": [int(f) for f in report.factors],
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
    }
    return result, report.labels


def _head(args: argparse.Namespace, method: str, first_label: int) -> dict[str, Any]:
    return {"image": args.image, "output": str(args.out), "method": method, "first label": int(first_label)}


def _grid(args: argparse.Namespace, kind: str) -> Any:
    """Settings of grid mode that were given, the model's own beside them; None if none was."""
    from napari_sam.engine.automatic.grid_finder import GridSettings  # noqa: PLC0415 - torch comes with the engine

    given = {theirs: getattr(args, ours) for ours, theirs in _GRID.items() if getattr(args, ours) is not None}
    return GridSettings.for_model(kind, **given) if given else None


def _tell_failed(args: argparse.Namespace, failed: list[str], count: int, what: str) -> None:
    """List what could not be done on standard error; the command fails then, though the rest is there."""
    if not count:
        return
    end_line()
    more = [f"and {count - _SHOWN} more"] if count > _SHOWN else []
    for line in [f"{count} {what} could not be done; the rest is in {args.out}:", *failed[:_SHOWN], *more]:
        sys.stderr.write(f"napari-sam: {line}\n")
    args.status = 1


@contextlib.contextmanager
def _client(address: str | None) -> Iterator[Any]:
    """A client of a Dask cluster; None without an address.

    Raises
    ------
    SettingsError
        If `distributed` is missing, or nobody answers.
    """
    if address is None:
        yield None
        return
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise SettingsError("--scheduler needs Dask; run 'pip install napari-sam-xl[cluster]'") from error
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingsError(f"--scheduler {address}: nobody answers ({error}); is it running?") from error
    with client:
        yield client
