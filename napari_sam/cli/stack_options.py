"""Options of commands that segment whole stacks: volumes and movies."""

from __future__ import annotations

import argparse
import math
import re
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from napari_sam.cli.run_results import dask_client, list_failures, resume_choice, summary
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings, settings_from
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.errors import ImageError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.cli.label_output import LabelOutput
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.predictor import Predictor

_RANGE = re.compile(r"(\d*):(\d*)")
_OF_VOLUMES, _OF_MOVIES = ("min_overlap", "min_planes"), ("max_distance_px", "divisions", "min_frames")


def plane_range(text: str) -> tuple[int, int | None]:
    """Parse a range of planes, such as ``10:50``, ``10:`` or ``:50``.

    >>> plane_range("10:50"), plane_range(":")
    ((10, 50), (0, None))
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of planes such as 10:50")
    return int(match[1] or 0), int(match[2]) if match[2] else None


def add_stack_options(command: argparse.ArgumentParser) -> None:
    """Add ``--volume`` and ``--track``, and the options of linking."""
    group = command.add_argument_group("stacks: objects get one id through all planes")
    kind = group.add_mutually_exclusive_group()
    kind.add_argument("--volume", action="store_true", help="segment all planes, and link their objects through z")
    kind.add_argument("--track", action="store_true", help="segment all frames, and link their objects through time")
    add_linking_options(group)
    add_settings(group, PlaneLinking, _OF_VOLUMES)


def add_linking_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of linking frames, which tracking has as well."""
    group.add_argument(
        "--planes",
        type=plane_range,
        metavar="A:B",
        help="planes or frames to segment, from 0, B excluded (default: all)",
    )
    gap = SettingOption(help="planes or frames in which an object may be missing", default="1")
    follow = SettingOption(
        help="planes or frames through which an object that was not found again is followed by its mask",
        default="1; in movies 2",
    )
    fill = SettingOption(help="draw linked objects on the planes or frames of their gaps, by following them")
    add_settings(group, PlaneLinking, {"max_gap": gap, "follow": follow, "fill_gaps": fill})
    add_settings(group, FrameLinking, _OF_MOVIES)


def stack_kind(args: argparse.Namespace) -> str | None:
    """Return "volume" or "track"; None if a single plane is segmented."""
    return "volume" if args.volume else "track" if args.track else None


def stack_axis(args: argparse.Namespace) -> str:
    """Return the axis of which all planes are segmented.

    If a single plane is, every letter: `check_plane` refuses a stack of which no plane was chosen, and nothing else is
    to be told about its planes.
    """
    return {"volume": "z", "track": "t"}.get(stack_kind(args) or "", ascii_lowercase)


def check_stack_options(args: argparse.Namespace) -> None:
    """Refuse options of stacks that do not go together, before anything is opened.

    Raises
    ------
    SettingsError
        If one is given without its mode, or has a wrong value.
    """
    kind = stack_kind(args)
    given = {**given_settings(args, PlaneLinking), **given_settings(args, FrameLinking)}
    if args.planes is not None:
        given["planes"] = "{}:{}".format(*("" if n is None else n for n in args.planes))
    for name, value in given.items():
        mode = "volume" if name in _OF_VOLUMES else "track" if name in _OF_MOVIES else None
        if kind is None or (mode is not None and mode != kind):
            remedy = "give {volume} or {track}" if mode is None else f"give {{{mode}}}"
            raise SettingsError(f"{name} is {value}, a setting of linking", parameter=name, remedy=remedy)
    if kind and args.method == "prompted":
        raise SettingsError(
            f"{kind} with prompts", parameter=kind, remedy="leave one of them out; 'napari-sam track' follows prompts"
        )
    settings_from(args, PlaneLinking)
    settings_from(args, FrameLinking)


def check_plane(args: argparse.Namespace, image: Image) -> None:
    """Refuse a stack of which no plane is chosen, and a plane along the axis of which all planes are segmented.

    Raises
    ------
    ImageError
        If it has several planes, and the labels would be of one.
    SettingsError
        If all planes are segmented along an axis, and one is chosen there.
    """
    axes = image.plane_axes
    if stack_kind(args) is not None:
        axis = stack_axis(args)
        index = dict(zip(axes, args.plane or (), strict=False)).get(axis)
        if index or (index is not None and len(axes) == 1):
            raise SettingsError(
                f"plane is {','.join(map(str, args.plane))}, and all planes along {axis} are segmented",
                parameter="plane",
                remedy="leave {plane} out, or choose planes with {planes} A:B"
                if len(axes) == 1
                else f"give 0 along {axis}, or choose planes there with {{planes}} A:B",
            )
        return
    if args.plane is None and math.prod(axes.values()) > 1:
        sizes = " x ".join(f"{size} along {axis}" for axis, size in axes.items())
        raise ImageError(
            f"{args.image}: a stack of {sizes}; the labels would be of a single plane",
            parameter="plane",
            remedy=f"choose it with {{plane}} {','.join('0' for _ in axes)}, counted from 0; or segment the whole "
            "stack with {volume}, or with {track} if it is a movie",
        )


def describe_stopped(kind: str, unfinished: Mapping[str, Any]) -> str:
    """Describe a stopped run of "tiles", "planes" or "prompts"."""
    if kind == "prompts":
        return f"{unfinished.get('prompts', 'some')} prompts"
    return f"which {unfinished[f'{kind}_done']} of {unfinished[kind]} {kind} are done"


def run_stack(
    args: argparse.Namespace,
    image: Image,
    predictor: Predictor,
    output: LabelOutput,
    settings: EverythingSettings,
    cancelled: Callable[[], bool],
) -> tuple[dict[str, Any], LabelStore]:
    """Segment and link all planes; return the result to print, and the store.

    Parameters
    ----------
    args : argparse.Namespace
        Parsed with `add_stack_options` and the options of `run_results`.
    image : Image
        The stack.
    predictor, output, settings, cancelled
        What segments its planes, where to, how, and whether to stop.
    """
    from napari_sam.jobs.run_options import RunOptions  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.jobs.stacks.open_stack import open_stack  # noqa: PLC0415
    from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack  # noqa: PLC0415

    is_movie = stack_kind(args) == "track"
    stack = open_stack(image, "t" if is_movie else "z")
    linking = settings_from(args, FrameLinking) if is_movie else settings_from(args, PlaneLinking)
    request = StackRequest(stack, chosen_planes(args, stack.count), linking, settings)
    with dask_client(args.scheduler) as client:
        progress = output.progress("step")
        options = RunOptions(resume_choice(args), client, args.workers, progress, cancelled=cancelled)
        report = segment_stack(request, predictor, output.target, options)
    units = "frames" if is_movie else "planes"
    failed = [{"plane": f.plane, "reason": f.reason} for f in report.failed]
    list_failures(args, [f"plane {f['plane']}: {f['reason']}" for f in failed], len(failed), units)
    result = {
        **summary(args, report.method, report.first_label),
        "objects": report.objects,
        units: report.planes,
        "found": report.found,
        "gaps": report.gaps,
        **({"divisions": report.divisions} if is_movie else {}),
        "failed": failed if args.json else len(failed),
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
    }
    return result, report.labels


def chosen_planes(args: argparse.Namespace, count: int) -> range | None:
    """Return the planes that ``--planes`` chooses of `count`.

    Raises
    ------
    SettingsError
        If it chooses none, or one that does not exist.
    """
    if args.planes is None:
        return None
    start, stop = args.planes
    if not 0 <= start < (count if stop is None else stop) <= count:
        raise SettingsError(
            f"planes is {start}:{'' if stop is None else stop}, and the stack has planes 0 to {count - 1}",
            parameter="planes",
            remedy=f"give A:B, B excluded, inside 0:{count}",
        )
    return range(start, count if stop is None else stop)
