"""The command ``napari-sam``: segment, train and evaluate, look at images and models, run the demo.

Exit status 0 is success, 2 bad input (one line on standard error), 1 a fault of ours.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam import __version__
from napari_sam.cli.arguments import (
    ProgressLine,
    add_image_options,
    add_model_options,
    end_line,
    floats,
    in_command_words,
    join_negative_numbers,
    open_chosen,
)
from napari_sam.cli.evaluate_command import add_evaluate
from napari_sam.cli.everything_command import add_everything
from napari_sam.cli.export_command import add_export
from napari_sam.cli.image_commands import add_images
from napari_sam.cli.measure_command import add_measure
from napari_sam.cli.precompute_command import add_precompute
from napari_sam.cli.training_commands import add_training
from napari_sam.errors import NapariSamError, PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(join_negative_numbers(given))
    args.argv = given
    try:
        result = args.run(args)
    except NapariSamError as error:
        end_line()
        sys.stderr.write(f"napari-sam: {in_command_words(' '.join(str(error).split()), args)}\n")
        return 2
    except KeyboardInterrupt:
        end_line(interrupted=True)
        sys.stderr.write("napari-sam: interrupted\n")
        return 130
    if result is not None:
        sys.stdout.write(json.dumps(result) + "\n" if args.json else _as_text(result))
    return int(getattr(args, "status", 0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="napari-sam", description="Segment anything in images of any size.")
    parser.add_argument("--version", action="version", version=f"napari-sam-xl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")

    segment = commands.add_parser("segment", parents=[common], help="segment objects by points and boxes")
    segment.add_argument("image", help="TIFF, OME-Zarr, PNG, JPEG …")
    segment.add_argument(
        "--point", action="append", default=[], type=floats(2), metavar="Y,X", help="a point on the object"
    )
    segment.add_argument(
        "--negative", action="append", default=[], type=floats(2), metavar="Y,X", help="a point beside it"
    )
    segment.add_argument(
        "--box",
        action="append",
        default=[],
        type=floats(4),
        metavar="Y0,X0,Y1,X1",
        help="a box around the object; several boxes are several objects",
    )
    add_image_options(segment)
    add_model_options(segment)
    segment.add_argument("--diameter", type=float, default=None, metavar="PX", help="typical object diameter")
    segment.add_argument("--output", type=Path, default=None, metavar="OUT", help="label image, .tif or .png")
    segment.add_argument("--crop", action="store_true", help="write only the region around the objects")
    segment.set_defaults(run=_segment)

    info = commands.add_parser("info", parents=[common], help="what an image is")
    info.add_argument("image")
    info.set_defaults(run=_info)

    models = commands.add_parser("models", help="list, fetch and describe models")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", parents=[common], help="all models")
    listing.set_defaults(run=_models_list)
    fetch = actions.add_parser("fetch", parents=[common], help="download a model now")
    fetch.add_argument("name")
    fetch.set_defaults(run=_models_fetch)
    about = actions.add_parser("info", parents=[common], help="one model")
    about.add_argument("name")
    about.set_defaults(run=_models_info)

    add_images(commands, common)
    add_evaluate(commands, common)
    add_everything(commands, common)
    add_export(commands, common)
    add_measure(commands, common)
    add_precompute(commands, common)
    add_training(commands, common)

    demo = commands.add_parser("demo", parents=[common], help="segment the sample image, in a window if possible")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder for labels, table and screenshot")
    demo.add_argument("--headless", action="store_true", help="open no window")
    demo.set_defaults(run=_demo)
    return parser


def _segment(args: argparse.Namespace) -> Any:
    from napari_sam.engine.windows import Hints  # noqa: PLC0415 - torch comes with the engine
    from napari_sam.io.labels.object_tables import describe, render_labels, write_labels  # noqa: PLC0415
    from napari_sam.predictor import Predictor  # noqa: PLC0415

    image = open_chosen(args.image, args.channels, args.plane)
    asks: list[dict[str, Any]] = [{"box": box} for box in args.box]
    points = [*args.point, *args.negative]
    if points:
        if len(asks) > 1:
            raise PromptError(f"{len(asks)} boxes with points: give one box with points, or boxes alone")
        labels = [1] * len(args.point) + [0] * len(args.negative)
        asks = [{**(asks[0] if asks else {}), "points": points, "point_labels": labels}]
    if not asks:
        raise PromptError("no prompt: give --point Y,X or --box Y0,X0,Y1,X1")
    predictor = Predictor(args.model, args.device, args.precision)
    predictor.set_image(image)
    predictions = predictor.predict_many(asks, hints=Hints(diameter_px=args.diameter))
    objects = [describe(i, p) for i, p in enumerate(predictions, start=1)]
    if args.output is not None:
        rendered, origin = render_labels(predictions, image.shape, args.crop)
        write_labels(args.output, rendered, origin)
    return {
        "image": args.image,
        "output": None if args.output is None else str(args.output),
        "objects": objects,
    }


def _info(args: argparse.Namespace) -> Any:
    from napari_sam.engine.normalisation import decide  # noqa: PLC0415
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415

    image = open_image(args.image)
    normalisation = decide(image)
    return {
        "image": args.image,
        "shape": list(image.shape),
        "dtype": str(image.dtype),
        "file axes": image.array_axes,
        "channels": list(image.selected),
        "levels": [list(level) for level in image.levels],
        "levels of the file": len(image.arrays),
        "chunk": list(image.chunk),
        "pixel size": list(image.scale),
        "crs": image.crs,
        "transform": None if image.transform is None else list(image.transform),
        "black": list(normalisation.low) or [0],
        "white": list(normalisation.high) or [255],
        "advice": image.advice,
    }


def _models_list(args: argparse.Namespace) -> Any:
    from src_models.checkpoints.registry import is_cached, model_info, model_names  # noqa: PLC0415

    return {
        name: f"{'here' if is_cached(model_info(name)) else 'to download':<12} {model_info(name).description}"
        for name in model_names()
    }


def _models_info(args: argparse.Namespace) -> Any:
    import dataclasses  # noqa: PLC0415

    from src_models.checkpoints.registry import is_cached, model_info  # noqa: PLC0415

    info = model_info(args.name)
    table = {**dataclasses.asdict(info), "path": str(info.path), "here": is_cached(info)}
    return {**table, "decoder": None if info.decoder is None else info.decoder.url}


def _models_fetch(args: argparse.Namespace) -> Any:
    from src_models.checkpoints.download import fetch_model  # noqa: PLC0415
    from src_models.checkpoints.registry import model_info  # noqa: PLC0415

    line = ProgressLine(f"{args.name}: MiB")

    def progress(done: int, total: int | None) -> None:
        if total:
            line(done >> 20, total >> 20)

    info = model_info(args.name)
    paths = [fetch_model(part, progress=progress) for part in (info, info.decoder) if part is not None]
    return {"model": args.name, "path": str(paths[0]), "decoder": str(paths[1]) if paths[1:] else None}


def _demo(args: argparse.Namespace) -> Any:
    from napari_sam.cli.demo_command import run_demo  # noqa: PLC0415

    return run_demo(args.out, headless=args.headless)


def _as_text(result: dict[str, Any]) -> str:
    """A result for people: one line per entry, one per object."""
    lines = []
    for key, value in result.items():
        if key == "objects" and isinstance(value, list):
            lines += [
                f"object {o['label']}: {o['area_px']} px in ({o['y0']}, {o['x0']}, {o['y1']}, {o['x1']}), "
                f"score {o['predicted_iou']:.2f}"
                for o in value
            ]
        elif value is not None:
            lines.append(f"{key}: {value}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
