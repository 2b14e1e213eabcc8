"""The command ``track``: objects through a movie or a stack, all of them or those at points and boxes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from napari_sam.cli.batch_settings import asked_of_segmenting
from napari_sam.cli.command import Command, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.label_output import LabelOutput, check_output_path, label_output
from napari_sam.cli.many_inputs import add_out_dir, add_retry_option, batch_of, run_each, single_output
from napari_sam.cli.options import IMAGE_HELP, CommandModel, add_image_options, add_model_options, floats, open_plane
from napari_sam.cli.run_results import (
    add_existing_options,
    add_worker_options,
    check_existing,
    check_stopped_run,
    check_workers,
    list_failures,
    summary,
)
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings, settings_from
from napari_sam.cli.stack_options import add_linking_options, chosen_planes, describe_stopped, run_stack
from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.errors import SettingsError
from napari_sam.jobs.input_pairs import InputPair, pair_inputs
from napari_sam.jobs.job_settings import EverythingSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam.engine.propagation.propagation import Propagation
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.predictor import Predictor

_WORDS = {"resume=False": "--discard", "overwrite=True": "--overwrite"}


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", metavar="MOVIE", help=f"{IMAGE_HELP}; with --out-dir also a pattern or a folder")
    command.add_argument(
        "out",
        nargs="*",
        metavar="OUT",
        help="label store, such as tracks.ome.zarr; made if missing; or, with --out-dir, movies",
    )
    add_out_dir(command, "the label store of each movie")
    prompts = command.add_argument_group("objects (default: all of them)")
    prompts.add_argument(
        "--point", action="append", default=[], type=floats(3), metavar="T,Y,X",
        help="follow the object at a point; several points give several objects",
    )  # fmt: skip
    prompts.add_argument(
        "--box", action="append", default=[], type=floats(5), metavar="T,Y0,X0,Y1,X1",
        help="follow the object in a box; several boxes give several objects",
    )  # fmt: skip
    prompts.add_argument(
        "--carry", choices=("auto", "memory", "prompt"), default="auto",
        help="carry objects at points and boxes by the network's memory, or by their mask (default: auto)",
    )  # fmt: skip
    prompts.add_argument(
        "--axis", default="t", help="axis along which objects at points and boxes are followed (default: t)"
    )
    add_tracking_options(command)


def add_tracking_options(command: argparse.ArgumentParser) -> None:
    """Add all options but those that name movies, outputs and prompts."""
    add_linking_options(command.add_argument_group("linking of all objects"))
    size = command.add_mutually_exclusive_group()
    diameter = SettingOption(help="typical object diameter, instead of --level")
    add_settings(size, EverythingSettings, {"level": SettingOption(), "diameter_px": diameter})
    add_settings(command, EverythingSettings, ("method",))
    add_settings(command, EverythingSettings, {"overlap": SettingOption()}, defaults=True)
    add_settings(command, EverythingSettings, ("category",))
    add_image_options(command)
    add_model_options(command)
    add_existing_options(command)
    add_retry_option(command)
    add_worker_options(command)


def _run(args: argparse.Namespace) -> Result:
    prompts = _prompts(args)
    check_tracking(args)
    if args.out_dir is None:
        args.out = single_output(args, args.out, "OUT")
        return _track(CommandModel(), prompts, args)
    pairs = pair_inputs([args.image, *args.out], args.out_dir, ".ome.zarr")
    return run_each(args, pairs, track_pair(), batch_of(args, "track", asked_of_segmenting(args)))


def check_tracking(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    args.volume, args.track = False, True
    check_workers(args.workers)
    settings_from(args, FrameLinking)
    settings_from(args, EverythingSettings)


def track_pair() -> Callable[[argparse.Namespace, InputPair], dict[str, object]]:
    """Return a function that follows all objects of one of many movies; the model is loaded once."""
    models = CommandModel()

    def run(args: argparse.Namespace, pair: InputPair) -> dict[str, object]:
        args.image, args.out = pair.source, pair.out
        return _track(models, [], args)

    return run


def _track(models: CommandModel, prompts: list[dict[str, object]], args: argparse.Namespace) -> dict[str, object]:
    """Follow the objects of a movie; return the result to print."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    settings = settings_from(args, EverythingSettings)
    args.out = check_output_path(args.out)
    axis = args.axis if prompts else "t"
    image = open_plane(args.image, args.channels, args.plane, series=args.series, axes=args.axes, along=axis)
    args.progress_folder = _progress_folder(args) if prompts else None
    continues = prompts and args.resume
    if not continues and _is_finished(args, bool(prompts)):
        with LabelStore.open(args.out, like=image) as store:
            return {"image": args.image, "output": str(args.out), "objects": len(store)}
    predictor = models.predictor(args)
    message = f"stopping; continue in {args.out} with the same command and --resume"
    with interruptible(message) as cancelled, label_output(args.out, image, args.overwrite) as output:
        if prompts:
            result, store = _follow(args, image, predictor, output, prompts, cancelled)
        else:
            result, store = run_stack(args, image, predictor, output, settings, cancelled)
    store.close()
    return result


def _prompts(args: argparse.Namespace) -> list[dict[str, object]]:
    """Return one prompt for each object that is given.

    Raises
    ------
    SettingsError
        If an option does not go with prompts.
    """
    prompts: list[dict[str, object]] = [{"points": [point]} for point in args.point]
    prompts += [{"box": box} for box in args.box]
    if not prompts:
        _check_all_objects(args)
        return prompts
    unused = {
        **given_settings(args, FrameLinking),
        "method": args.method,
        "workers": args.workers if args.workers > 1 else None,
        "scheduler": args.scheduler,
        "level": args.level,
        "diameter_px": args.diameter_px,
        "out_dir": args.out_dir,
    }
    if unused.pop("divisions", None) is not None:
        unused["no_divisions"] = True
    for name, value in unused.items():
        if value is not None:
            raise SettingsError(
                f"{name} is {value}, which following objects at points and boxes does not use",
                parameter=name,
                remedy=f"leave {{{name}}} out",
            )
    return prompts


def _check_all_objects(args: argparse.Namespace) -> None:
    """Refuse options of objects at points and boxes where there are none."""
    for name, default in (("axis", "t"), ("carry", "auto")):
        value = getattr(args, name)
        if value != default:
            raise SettingsError(
                f"{name} is {value!r}, a setting of objects at points and boxes",
                parameter=name,
                remedy="give {point} or {box}, too; all objects of a volume: {napari_sam.segment_volume}",
            )


def _progress_folder(args: argparse.Namespace) -> Path:
    """Return the folder beside the output that keeps the progress of objects at points and boxes.

    Raises
    ------
    SettingsError
        If it holds a stopped run, and no option says what to do with it; or if there is none to continue.
    """
    folder: Path = args.out.with_name(f".{args.out.name}.following")
    stopped = folder.exists()
    if args.resume and not stopped:
        raise SettingsError(
            f"resume is True, and no stopped run for {args.out} was found",
            parameter="resume",
            remedy="leave {resume} out",
        )
    if stopped and not args.resume:
        if not (args.discard or args.overwrite):
            raise SettingsError(
                f"{folder} holds objects that were being followed for {args.out}",
                parameter="resume",
                remedy="continue with {resume=True}, or drop them with {resume=False}",
            )
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def _is_finished(args: argparse.Namespace, prompted: bool) -> bool:
    """Whether ``--resume`` finds no stopped run to continue.

    Raises
    ------
    StoreError
        If the output exists and no option says what to do with it.
    """
    from napari_sam.jobs.stacks.stack_run import read_unfinished_stack  # noqa: PLC0415 - imports torch

    if not args.out.exists() or args.overwrite:
        return False
    try:
        unfinished = read_unfinished_stack(args.out)
    except SettingsError:
        if args.discard:
            return False
        raise
    if unfinished is not None:
        remedy = "leave out {point} and {box} with {resume}"
        check_stopped_run(args, not prompted, describe_stopped("planes", unfinished), remedy=remedy)
        return False
    return check_existing(args)


def _follow(
    args: argparse.Namespace,
    image: Image,
    predictor: Predictor,
    output: LabelOutput,
    prompts: list[dict[str, object]],
    cancelled: Callable[[], bool],
) -> tuple[dict[str, Any], LabelStore]:
    """Follow the objects at prompts, and write each under an id of its own."""
    from napari_sam.io.images.image_stack import ImageStack  # noqa: PLC0415 - imports torch
    from napari_sam.jobs.stacks.stack_store import stack_store  # noqa: PLC0415

    stack = ImageStack(image, args.axis)
    predictor.set_source(image)
    found = predictor.propagate_many(
        prompts,
        axis=args.axis,
        planes=chosen_planes(args, stack.count),
        carry=args.carry,
        progress=output.progress("plane"),
        cancelled=cancelled,
        resume_folder=args.progress_folder,
    )
    store, _ = stack_store(output.target, stack)
    tracks = [
        _describe(store.commit_planes(object_, overlap=args.overlap, category=args.category), object_)
        for object_ in found
    ]
    failures = sorted({(plane, reason) for object_ in found for plane, reason in object_.missing.items()})
    list_failures(args, [f"plane {plane}: {reason}" for plane, reason in failures], len(failures), "planes")
    return {**summary(args, "prompted", tracks[0]["label"]), "tracks": tracks}, store


def _describe(label: int, found: Propagation) -> dict[str, Any]:
    """Return where an object was followed to, and why no farther."""
    return {
        "label": label,
        "planes": [int(found.planes[0]), int(found.planes[-1])],
        "weakest": int(found.weakest),
        "stopped": dict(found.stopped),
    }


TRACK = Command(
    "track",
    "follow all objects of a movie, or those at points and boxes",
    _run,
    _add_options,
    details="Ctrl+C stops and keeps the finished frames; --resume continues. With --out-dir, the same command "
    "passes over movies that are done, and continues.",
    words=_WORDS,
)
