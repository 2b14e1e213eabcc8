"""The command ``export``: labels into a file for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, Result
from napari_sam.cli.many_inputs import add_out_dir, run_each, single_output
from napari_sam.cli.options import ints
from napari_sam.cli.progress_line import ProgressLine
from napari_sam.cli.setting_options import SettingOption, add_settings
from napari_sam.errors import SettingsError, StoreError
from napari_sam.io.exports.export_settings import ExportSettings, extension_of
from napari_sam.jobs.input_pairs import InputPair, pair_inputs

if TYPE_CHECKING:
    import argparse


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("store", metavar="LABELS", help="label store, such as cells.ome.zarr")
    command.add_argument(
        "out", nargs="*", metavar="OUT", help="file to write; or, with --out-dir, further label stores"
    )
    add_out_dir(command, "the file of each label store")
    add_settings(command, ExportSettings, {"format": SettingOption(convert=str, metavar="FORMAT")})
    add_settings(
        command, ExportSettings, {"labels": SettingOption("--objects", ints, "ID,ID", "objects to export", "all")}
    )
    command.add_argument(
        "--where",
        metavar="CONDITION",
        help="export only objects that fulfil a condition, such as \"area_um2 > 50 and category == 'nucleus'\"",
    )
    add_settings(command, ExportSettings, ("simplify_px", "regularise_px"))
    add_settings(command, ExportSettings, ("smooth",), defaults=True)
    add_settings(command, ExportSettings, ("polygons",))


def _run(args: argparse.Namespace) -> Result:
    if args.out_dir is None:
        result = _export(args, InputPair(args.store, single_output(args, args.out, "OUT")))
        return None if args.out == ["-"] else result  # standard output holds the objects and nothing else
    if args.format is None:
        raise SettingsError("format is missing", parameter="format", remedy="with {out_dir}, give {format} FORMAT")
    pairs = pair_inputs([args.store, *args.out], args.out_dir, extension_of(args.format), stores=True)
    return run_each(args, pairs, _export)


def _export(args: argparse.Namespace, pair: InputPair) -> dict[str, object]:
    """Export one label store."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

    try:
        store = LabelStore.open(pair.source)  # repairs the pixels after a crash
    except StoreError:  # open in another process, or read-only
        store = LabelStore.open(pair.source, "r")
    with store:
        labels = args.labels if args.where is None else store.select(args.where, labels=args.labels)
        count = len(store) if labels is None else len(set(labels))
        path = store.export(
            pair.out,
            format=args.format,
            labels=labels,
            simplify_px=args.simplify_px,
            regularise_px=args.regularise_px,
            smooth=args.smooth,
            polygons=args.polygons,
            progress=ProgressLine("step"),
        )
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return {"output": str(path), "count": count, "bytes": sum(f.stat().st_size for f in files)}


EXPORT = Command(
    "export",
    "write the objects of a label store to a file",
    _run,
    _add_options,
    details="The suffix selects the format: .geojson, .gpkg, .json (COCO), .csv, .parquet, .tif, .cog.tif, .ome.tif, "
    ".png, .zip (ImageJ ROIs), .zarr, .sdata.zarr (SpatialData), .xml (TrackMate), .geff (tracks), .ctc (folder of the "
    "Cell Tracking Challenge), .stl and .ply (surfaces of volumes), .py (a script that makes the same objects again). "
    "- is standard output, for formats that are text. An existing file is replaced once the new one is complete; "
    "devices are not.",
)
