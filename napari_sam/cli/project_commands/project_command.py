"""The commands ``project create``, ``add``, ``list``, ``improve`` and so on."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.command import Command, CommandGroup, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.json_events import add_events_option, input_closed, write_event
from napari_sam.cli.options import add_device_option
from napari_sam.cli.progress_line import ProgressLine, end_line
from napari_sam.cli.project_commands.audit_command import AUDIT_OF_PROJECT
from napari_sam.cli.project_commands.batch_commands import (
    EVERYTHING_OF_PROJECT,
    FIND_IN_PROJECT,
    MEASURE_PROJECT,
    TRACK_IN_PROJECT,
)
from napari_sam.cli.project_commands.export_command import EXPORT_PROJECT
from napari_sam.cli.project_commands.project_options import STATES, add_folder, add_groups, given_groups, open_project
from napari_sam.cli.run_results import dask_client
from napari_sam.cli.setting_options import add_settings, settings_from
from napari_sam.errors import CancelledError, NapariSamError, SettingsError
from napari_sam.io.projects.image_entry import check_columns
from napari_sam.project.training.improve_settings import ImproveSettings

if TYPE_CHECKING:
    import argparse

    from napari_sam.project.project import Project
    from napari_sam.project.project_image import ProjectImage
    from napari_sam.project.training.model_versions import Gain, ModelVersion

_LISTED = 20  # images that could not be added
_NICENESS = 10  # of training


def _create_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("images", nargs="*", metavar="IMAGE", help="images to add, as for 'project add'")
    command.add_argument("--name", help="name of the project (default: that of the folder)")
    add_groups(command, "column of these images, such as condition=treated")


def _create(args: argparse.Namespace) -> Result:
    from napari_sam.project.project import Project  # noqa: PLC0415

    project = Project.create(args.project, args.name, args.user)
    return {"project": str(project.path), **(_added(project, args) if args.images else {})}


def _add_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, URLs, patterns, folders, and OME-Zarr plates with all fields"
    )
    add_groups(command, "column of these images, such as condition=treated; may be repeated")


def _add(args: argparse.Namespace) -> Result:
    return _added(open_project(args), args)


def _added(project: Project, args: argparse.Namespace) -> dict[str, object]:
    groups = given_groups(args)
    check_columns(groups)  # also of arguments of `add`
    report = project.add(*args.images, progress=ProgressLine("images"), **groups)
    end_line()
    for place, reason in list(report.failed.items())[:_LISTED]:
        sys.stderr.write(f"napari-sam: {place} was left out: {reason}\n")
    for note in report.notes:
        sys.stderr.write(f"napari-sam: {note}\n")
    if report.failed:
        args.status = 1
    return {"added": len(report.added), "known": len(report.known), "failed": len(report.failed)}


def _list_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("--state", action="append", choices=STATES, help="only these; may be repeated")
    add_groups(command, "only images with this value; may be repeated")
    command.add_argument("--out", type=Path, metavar="TABLE", help="write the table, as .csv or .parquet")


def _list(args: argparse.Namespace) -> Result:
    import pandas as pd  # noqa: PLC0415

    project = open_project(args)
    rows = [image.row() for image in project.images(args.state, given_groups(args))]
    if args.out is not None:
        from napari_sam.io.labels.measurement.measured_table import write_table  # noqa: PLC0415

        return {"images": len(rows), "out": str(write_table(pd.DataFrame(rows), args.out))}
    if args.json:
        return {"project": project.name, "counts": project.counts(), "images": rows}
    counts = ", ".join(f"{number} {state}" for state, number in project.counts().items())
    sys.stdout.write(f"{project.name}: {counts}\n")
    for row in rows:
        busy = f"  open for {row['locked_by']}" if row["locked_by"] else ""
        objects = "damaged" if row["objects"] is None else f"{row['objects']} objects"
        sys.stdout.write(f"{row['image_id']:<20} {row['state']:<8} {objects:>12}  {row['image']}{busy}\n")
    return None


def _next_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("--after", metavar="IMAGE", help="id of an image: those behind it come first")
    command.add_argument(
        "--by",
        choices=("order", "usefulness"),
        default="order",
        help="usefulness: the unseen image of which the model is unsure and that is unlike those in work or done",
    )
    add_groups(command, "only images with this value; may be repeated")


def _next(args: argparse.Namespace) -> Result:
    project, groups = open_project(args), given_groups(args)
    image = _most_useful(project, groups) if args.by == "usefulness" else None
    if image is None:
        image = project.next_image(args.after, groups)
    if image is None:
        return {"image_id": None, "left": 0}
    return {"image_id": image.image_id, "image": image.source, "labels": str(image.labels_path), "state": image.state}


def _most_useful(project: Project, groups: dict[str, str]) -> ProjectImage | None:
    """Return the most useful unseen image that nobody works on."""
    chosen = {image.image_id for image in project.images("unseen", groups)}
    if not chosen:
        return None
    with interruptible("stopping; the images that were looked at are kept") as stopped:
        ranked = project.rank_images(progress=ProgressLine("images"), cancelled=stopped)
    end_line()
    return next((image for image in ranked if image.image_id in chosen and image.locked_by is None), None)


def _set_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("image", metavar="IMAGE", help="id, file name or path of an image of the project")
    command.add_argument("--state", choices=STATES, help="how far it is")
    add_groups(command, "column to set; may be repeated")


def _set(args: argparse.Namespace) -> Result:
    project, groups = open_project(args), given_groups(args)
    if args.state is None and not groups:
        raise SettingsError("nothing to set was given", parameter="state", remedy="give {state} or {group}")
    image = project.image(args.image)
    check_columns(groups)
    if groups:
        image = project.set_groups(image.image_id, **groups)
    if args.state is not None:
        image.state = args.state
    return {"image_id": image.image_id, "state": image.state, **image.entry.groups}


def _relocate_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument(
        "places", nargs="+", metavar="FOLDER", help="where moved images may be: folders, files, patterns"
    )


def _relocate(args: argparse.Namespace) -> Result:
    project = open_project(args)
    found = project.relocate(*args.places)
    missing = project.missing()
    if missing:
        args.status = 1
    return {"found": len(found), "missing": [image.entry.source for image in missing]}


def _improve_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    add_settings(command, ImproveSettings, ("encoder", "steps", "learning_rate"), defaults=True)
    add_device_option(command)
    command.add_argument("--use", action="store_true", help="put the new model in use if it is better")
    command.add_argument("--scheduler", metavar="ADDRESS", help="train on this Dask cluster, such as tcp://host:8786")
    add_events_option(command)


def _improve(args: argparse.Namespace) -> Result:
    if hasattr(os, "nice"):
        os.nice(_NICENESS)  # other programs come first
    if args.events:
        _improve_with_events(args)
        return None
    lines: dict[str, ProgressLine] = {}

    def report(part: str, done: int, total: int) -> None:
        lines.setdefault(part, ProgressLine(part))(done, total)

    settings = settings_from(args, ImproveSettings)
    stop_message = "saving and stopping; continue with the same command"
    with dask_client(args.scheduler) as client, interruptible(stop_message) as cancelled:
        project = open_project(args, client)
        version = project.improve(settings, device=args.device, progress=report, cancelled=cancelled)
    end_line()
    result = _finished(project, version, args)
    if args.json:
        return result
    for name in ("iou_1click", "clicks_to_085"):
        result[name] = _gain_text(getattr(version, name))
    return result


def _improve_with_events(args: argparse.Namespace) -> None:
    """Train for a program that reads lines of JSON, and that stops the training by closing standard input."""
    is_closed = input_closed()
    try:
        with dask_client(args.scheduler) as client, interruptible("saving and stopping") as is_interrupted:
            project = open_project(args, client)
            version = project.improve(
                settings_from(args, ImproveSettings),
                device=args.device,
                progress=lambda part, done, total: write_event("progress", part=part, done=done, total=total),
                losses=lambda step, loss: write_event("loss", step=step, loss=loss),
                cancelled=lambda: is_closed() or is_interrupted(),
            )
    except CancelledError as error:
        write_event("stopped", message=str(error))
        args.status = 2
    except NapariSamError as error:
        write_event("failed", message=str(error))
        args.status = 2
    else:
        write_event("finished", **_finished(project, version, args))


def _finished(project: Project, version: ModelVersion, args: argparse.Namespace) -> dict[str, object]:
    """Put a new version in use if it was asked for and is better; return what it gained."""
    if args.use and version.better:
        project.use_model(version.number)
    return asdict(version) | {"model": str(project.versions.path(version.number)), "in_use": project.model}


def _gain_text(gain: Gain) -> str:
    interval = "" if gain.low is None else f" [{gain.low:+.3f}, {gain.high:+.3f}]"
    return f"{gain.before:.3f} -> {gain.after:.3f} ({gain.difference:+.3f}{interval})"


def _models(args: argparse.Namespace) -> Result:
    project = open_project(args)
    versions = [asdict(version) for version in project.versions.all()]
    if args.json:
        return {"in_use": project.versions.current(), "model": project.model, "versions": versions}
    sys.stdout.write(f"in use: {project.model}\n")
    for version in project.versions.all():
        verdict = "better" if version.better else "not better"
        sys.stdout.write(
            f"{version.number:>3}  {verdict:<10}  {version.images} images, {version.objects} objects;  1 click "
            f"{_gain_text(version.iou_1click)};  clicks to 0.85 {_gain_text(version.clicks_to_085)}\n"
        )
    return None


def _use_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("version", metavar="VERSION", help="number of a version, 0 for the first model, or a model")


def _use(args: argparse.Namespace) -> Result:
    project, version = open_project(args), args.version
    project.use_model(int(version) if version.isdecimal() else version)
    return {"in_use": project.model}


PROJECT = CommandGroup(
    "project",
    "keep many images, their objects and how far they are in one folder",
    (
        Command("create", "make a project in a new or empty folder", _create, _create_options),
        Command("add", "add images, which stay where they are", _add, _add_options),
        Command("list", "list images with their states and numbers of objects", _list, _list_options),
        Command("next", "name the next image to annotate that nobody works on", _next, _next_options),
        EVERYTHING_OF_PROJECT,
        FIND_IN_PROJECT,
        TRACK_IN_PROJECT,
        MEASURE_PROJECT,
        EXPORT_PROJECT,
        AUDIT_OF_PROJECT,
        Command("set", "set the state or columns of an image", _set, _set_options),
        Command("improve", "train the model on the accepted objects, and compare it", _improve, _improve_options),
        Command("models", "list the versions of the model and what each gained", _models, add_folder),
        Command("use", "put a version of the model in use, also an earlier one", _use, _use_options),
        Command("relocate", "find images that have moved, by their pixels", _relocate, _relocate_options),
    ),
)
