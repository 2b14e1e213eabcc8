"""The command ``import``: objects of other programs, or of our own exports, into a label store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.label_output import check_output_path, label_output
from napari_sam.cli.options import IMAGE_HELP, ints, open_plane
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings
from napari_sam.errors import SettingsError
from napari_sam.io.labels.importing.import_settings import ImportSettings

if TYPE_CHECKING:
    import argparse

    from napari_sam.io.labels.label_store import LabelStore


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file",
        metavar="FILE",
        help="label image, .geojson, .gpkg, COCO .json, YOLO .txt with outlines, ImageJ ROIs (.roi, .zip), or _seg.npy "
        "of Cellpose",
    )
    command.add_argument("out", type=Path, metavar="OUT", help="label store; made for --image if it is missing")
    command.add_argument("--image", metavar="IMAGE", help=f"the image that the objects lie on: {IMAGE_HELP}")
    command.add_argument(
        "--plane",
        type=ints,
        metavar="T,Z",
        help="plane of a stack that the objects lie on (default: all planes, for labels and outlines of a whole stack)",
    )
    add_settings(
        command,
        ImportSettings,
        {"overlap": SettingOption(), "category": SettingOption(), "coordinates": SettingOption()},
        defaults=True,
    )


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.io.images.open_image import open_image  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.labels.importing.import_objects import is_of_whole_stack  # noqa: PLC0415
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415

    args.out = check_output_path(args.out)
    if args.image is None:
        if not args.out.exists():
            raise SettingsError(f"{args.out}: is missing", parameter="out", remedy="give the image with {image} IMAGE")
        with LabelStore.open(args.out) as store:
            return _import(args, store)
    stack = args.plane is None and is_of_whole_stack(args.file, open_image(args.image))
    image = open_plane(args.image, None, args.plane, along="tcz" if stack else "")
    with label_output(args.out, image, overwrite=False) as output:
        target = output.target
        store = LabelStore.create(target, like=image, stack=stack) if isinstance(target, Path) else target
        with store:
            return _import(args, store)


def _import(args: argparse.Namespace, store: LabelStore) -> dict[str, object]:
    plane = args.plane if args.plane is not None and len(store.shape) > 2 else ()
    with interruptible("stopping; what is written stays") as cancelled:
        ids = store.import_(
            args.file,
            plane=plane,
            progress=ProgressLine("object"),
            cancelled=cancelled,
            **given_settings(args, ImportSettings),
        )
    covered = ids.count(0)
    return {"file": args.file, "output": str(args.out), "objects": len(ids) - covered, "covered": covered}


IMPORT = Command(
    "import", "add the objects of a file of another program, or of an export, to a label store", _run, _add_options
)
