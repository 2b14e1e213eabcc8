"""The command ``measure``: shape and intensity of every object as a table."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.batch_settings import asked_of_measuring
from napari_sam.cli.command import Command, Result, command_words
from napari_sam.cli.many_inputs import add_out_dir, add_retry_option, batch_of, run_each
from napari_sam.cli.options import add_source_options, at_plane, ints, open_chosen
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.errors import ImageError, LabelsError, SettingsError
from napari_sam.jobs.input_pairs import InputPair, pair_inputs

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("labels", metavar="LABELS", help="label store, such as cells.ome.zarr")
    command.add_argument(
        "image",
        metavar="IMAGE",
        nargs="*",
        default=[],
        help="image (default: measure shapes only); or, with --out-dir, further label stores",
    )
    out = command.add_mutually_exclusive_group(required=True)
    out.add_argument("--out", type=Path, metavar="TABLE", help="table to write, .csv or .parquet")
    add_out_dir(out, "a .csv table of each label store, with the intensities in the image that it was made on,")
    add_measuring_options(command)


def add_measuring_options(command: argparse.ArgumentParser) -> None:
    """Add all options but those that name label stores, images and tables."""
    command.add_argument(
        "--properties",
        type=lambda text: text.split(","),
        metavar="NAME,NAME",
        help="properties, such as area,centroid (default: all)",
    )
    command.add_argument("--channels", type=ints, metavar="C,C", help="channels to measure (default: all)")
    command.add_argument(
        "--volumes", action="store_true", help="measure objects through z: volume, surface and shape in 3-D"
    )
    command.add_argument(
        "--z-step",
        type=float,
        metavar="LENGTH",
        help="distance of planes for --volumes, in the unit of the pixel size (default: that of the image)",
    )
    command.add_argument("--plane", type=ints, metavar="T,Z", help="plane of a stack that the labels belong to")
    add_retry_option(command)
    add_source_options(command)


def check_measuring(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if args.z_step is not None and not args.volumes:
        raise SettingsError(
            f"z_step is {args.z_step}, and areas are measured", parameter="z_step", remedy="give {volumes} too"
        )

    if args.volumes and args.properties is not None:
        raise SettingsError(
            f"properties {','.join(args.properties)}: with volumes, all are measured",
            parameter="properties",
            remedy="leave {properties} out",
        )


def _run(args: argparse.Namespace) -> Result:
    from napari_sam.io.labels.measurement.measured_table import check_table_path  # noqa: PLC0415

    check_measuring(args)
    if args.out_dir is not None:
        pairs = pair_inputs([args.labels, *args.image], args.out_dir, ".csv", stores=True)
        batch = replace(batch_of(args, "measure", asked_of_measuring(args)), of_stores=True)
        return run_each(args, pairs, partial(measure_store, image=None, own_image=True), batch)
    check_table_path(args.out)
    if args.out.resolve().is_relative_to(Path(args.labels).resolve()):
        raise SettingsError(
            f"out {args.out} lies in the label store", parameter="out", remedy="choose a path outside the store"
        )
    if len(args.image) > 1:
        raise SettingsError(
            f"{len(args.image)} images were given, of one label store",
            parameter="image",
            remedy="give {out_dir} DIR to measure several label stores, without images",
        )
    return measure_store(args, InputPair(args.labels, args.out), image=next(iter(args.image), None))


def measure_store(
    args: argparse.Namespace, pair: InputPair, *, image: str | None, own_image: bool = False
) -> dict[str, object]:
    """Measure one label store in an image, with `own_image` in the one that it was made on; return what to print."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.labels.measurement.measure import measure  # noqa: PLC0415
    from napari_sam.io.labels.measurement.measured_table import write_table  # noqa: PLC0415
    from napari_sam.io.labels.measurement.properties import PROPERTIES  # noqa: PLC0415

    with LabelStore.open(pair.source, "r") as store:
        image = _own_image(store) if own_image else image
        opened = None if image is None else _open(args, image, store)
        if args.volumes:
            table = _measure_volumes(args, store, opened)
        else:
            names = PROPERTIES if args.properties is None else args.properties
            table = measure(store, opened, names, args.channels, progress=ProgressLine("object"))
    path = write_table(table, pair.out)
    return {"labels": str(pair.source), "image": image, "output": str(path), "count": len(table)}


def _measure_volumes(args: argparse.Namespace, store: LabelStore, image: Image | None) -> pd.DataFrame:
    """Measure a stack in three dimensions."""
    from napari_sam.io.labels.label_layout import LabelLayout  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.labels.measurement.measure_volumes import measure_volumes, voxel_size  # noqa: PLC0415

    note = voxel_size(LabelLayout.from_meta(store.meta), args.z_step).note
    if note:
        problem = LabelsError(f"{note}, so lengths are in voxels", remedy="give {z_step} to tell it")
        sys.stderr.write(f"note: {command_words(problem, args.words)}\n")
    progress = ProgressLine("parts of the stack")
    return measure_volumes(store, image, args.channels, z_step=args.z_step, progress=progress)


def _open(args: argparse.Namespace, path: str, store: LabelStore) -> Image:
    """Open an image, at the plane that the labels are of if no other is chosen."""
    from napari_sam.io.labels.reading.own_plane import at_own_plane  # noqa: PLC0415 - the command line starts quickly

    image = open_chosen(path, args.series, args.axes)
    if args.plane is None:
        return at_own_plane(image, store)
    if len(store.shape) > 2:
        raise SettingsError(
            f"plane {','.join(map(str, args.plane))}: {store.path} holds labels of a whole stack, and all are measured",
            parameter="plane",
            remedy="leave {plane} out",
        )
    return at_plane(image, args.plane)


def _own_image(store: LabelStore) -> str | None:
    """Return the path of the image that a store was made on; None for an array in memory.

    Raises
    ------
    ImageError
        If it is a URL: only what the user names is fetched.
    """
    uri = (store.meta("image") or {}).get("uri")
    if uri is not None and "://" in str(uri):
        raise ImageError(
            f"{store.path}: the store names an image on the web, {uri}",
            remedy=f"if you trust it, measure this store alone: napari-sam measure {store.path} {uri} {{out}} TABLE",
        )
    return None if uri is None else str(uri)


MEASURE = Command("measure", "measure shape and intensity of all objects", _run, _add_options)
