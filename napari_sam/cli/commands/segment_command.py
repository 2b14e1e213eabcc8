"""The command ``segment``: objects at points and boxes, or by words."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.command import Command, Result
from napari_sam.cli.options import IMAGE_HELP, add_image_options, add_model_options, floats, open_plane
from napari_sam.cli.text_options import add_text_models, add_text_option, check_text_models, text_keywords
from napari_sam.errors import LabelsError, PromptError, SettingsError

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", help=IMAGE_HELP)
    command.add_argument(
        "--point",
        action="append",
        default=[],
        type=floats(2, 3),
        metavar="Y,X",
        help="point on the object; PLANE,Y,X in a stack with one axis besides y and x",
    )
    command.add_argument(
        "--negative", action="append", default=[], type=floats(2, 3), metavar="Y,X", help="point on the background"
    )
    command.add_argument(
        "--box",
        action="append",
        default=[],
        type=floats(4, 5),
        metavar="Y0,X0,Y1,X1",
        help="box around the object; several boxes give several objects; PLANE,Y0,X0,Y1,X1 in a stack",
    )
    add_text_option(
        command, "the object that fits best, such as 'nucleus touching the border'; points correct the choice"
    )
    add_text_models(command)
    add_image_options(command)
    add_model_options(command)
    command.add_argument("--diameter", type=float, dest="diameter_px", metavar="PX", help="typical object diameter")
    command.add_argument("--output", type=Path, default=None, metavar="OUT", help="label image, .tif or .png")
    command.add_argument("--crop", action="store_true", help="write only the region around the objects")


def _take_plane(args: argparse.Namespace) -> None:
    """Take the plane out of points and boxes that begin with one, as if ``--plane`` had given it.

    Raises
    ------
    PromptError
        If they lie on different planes.
    """
    given = {v[0] for v in (*args.point, *args.negative) if len(v) == 3} | {box[0] for box in args.box if len(box) == 5}
    if not given:
        return
    if args.plane is not None and len(args.plane) != 1:
        raise PromptError(
            f"points and boxes name a plane, and plane is {','.join(map(str, args.plane))}",
            parameter="plane",
            remedy="give points as Y,X with {plane}",
        )
    planes = sorted(given | {float(plane) for plane in args.plane or ()})
    if len(planes) > 1:
        raise PromptError(
            f"points, boxes and plane name the planes {', '.join(f'{plane:g}' for plane in planes)}",
            remedy="give those of one plane; napari-sam track follows objects through planes, with --axis z or t",
        )
    if not planes[0].is_integer():
        raise PromptError(f"plane {planes[0]:g} is not a whole number", remedy="give points as PLANE,Y,X")
    args.plane = (int(planes[0]),)
    args.point, args.negative = ([v[-2:] for v in points] for points in (args.point, args.negative))
    args.box = [box[-4:] for box in args.box]


def _prompts(args: argparse.Namespace) -> list[dict[str, object]]:
    """Build one prompt per object."""
    prompts: list[dict[str, object]] = [{"box": box} for box in args.box]
    points = [*args.point, *args.negative]
    if points:
        if len(prompts) > 1:
            raise PromptError(
                f"{len(prompts)} boxes with points", remedy="give one box with points, or boxes without points"
            )
        labels = [1] * len(args.point) + [0] * len(args.negative)
        prompts = [{**(prompts[0] if prompts else {}), "points": points, "point_labels": labels}]
    if args.text is not None and len(prompts) > 1:
        raise PromptError(f"{len(prompts)} boxes with a text", parameter="text", remedy="give one box, to search in")
    if not prompts and args.text is None:
        raise PromptError("no prompt", remedy="give --point Y,X, --box Y0,X0,Y1,X1 or --text WORDS")
    return prompts


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.engine.windows import Hints  # noqa: PLC0415 - imports torch
    from napari_sam.io.labels.object_tables import describe, render_labels, write_labels  # noqa: PLC0415
    from napari_sam.predictor import Predictor  # noqa: PLC0415

    _take_plane(args)
    if args.diameter_px is not None and not 0 < args.diameter_px < math.inf:
        raise SettingsError(
            f"diameter_px is {args.diameter_px}", parameter="diameter_px", remedy="give a positive number of pixels"
        )
    if args.output is not None and args.output.exists() and args.output.resolve() == Path(args.image).resolve():
        raise LabelsError(f"{args.output}: is the image itself", parameter="output", remedy="choose another path")
    image = open_plane(args.image, args.channels, args.plane, series=args.series, axes=args.axes)
    prompts = _prompts(args)
    check_text_models(args)
    predictor = Predictor(args.model, args.device, args.precision)
    predictor.set_image(image)
    hints = Hints(diameter_px=args.diameter_px)
    if args.text is None:
        predictions = predictor.predict_many(prompts, hints=hints)
    else:
        given: dict[str, Any] = prompts[0] if prompts else {}
        predictions = [predictor.predict(**given, **text_keywords(args), hints=hints)]
    objects = [describe(i, p) for i, p in enumerate(predictions, start=1)]
    if args.output is not None:
        rendered, origin = render_labels(predictions, image.shape, args.crop)
        write_labels(args.output, rendered, origin, image.position)
    elif not args.json:
        sys.stderr.write("napari-sam: the masks were not written; give --output MASKS.tif or .png to keep them\n")
    return {
        "image": args.image,
        "output": None if args.output is None else str(args.output),
        "objects": objects,
    }


SEGMENT = Command(
    "segment",
    "segment objects at points and boxes",
    _run,
    _add_options,
    words={"points": "--point", "point_labels": "--negative", "boxes": "--box"},
)
