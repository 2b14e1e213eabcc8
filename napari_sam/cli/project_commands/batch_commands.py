"""The commands ``project everything``, ``find``, ``track`` and ``measure``: one job over all images of a project."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.cli.batch_settings import asked_of_finding, asked_of_measuring, asked_of_segmenting
from napari_sam.cli.command import Command, Result
from napari_sam.cli.commands.everything_command import EVERYTHING, add_everything_options, segment_pairs
from napari_sam.cli.commands.find_commands import FIND, add_finding_options, check_finding, find_pair
from napari_sam.cli.commands.measure_command import add_measuring_options, check_measuring, measure_store
from napari_sam.cli.commands.track_command import TRACK, add_tracking_options, check_tracking, track_pair
from napari_sam.cli.many_inputs import batch_of, run_each
from napari_sam.cli.project_commands.project_options import add_folder, add_image_choice, given_groups, open_project
from napari_sam.io.labels.journal.stage_names import SEMI_AUTOMATIC
from napari_sam.jobs.batch.asked import name_file
from napari_sam.project.batch.batch_files import (
    FINDING_STATES,
    batch_folder,
    finding_pairs,
    last_place,
    measuring_pairs,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.batch.batch import Batch
    from napari_sam.jobs.input_pairs import InputPair
    from napari_sam.project.project_image import ProjectImage

    RunPair = Callable[[argparse.Namespace, InputPair], Mapping[str, object]]

_SHOWN = 6  # columns that fit on a line
_AGAIN = "The same command again passes over images that are done, and continues."


class _ProjectBatch:
    """A command over images of a project."""

    def __init__(self, args: argparse.Namespace, command: str, states: tuple[str, ...] | None) -> None:
        self._args, self._command = args, command
        self.project = open_project(args)
        images = self.project.images(args.state or states, given_groups(args))
        path = self.project.path
        self._images = measuring_pairs(images, path) if command == "measure" else finding_pairs(images)
        self._folder = batch_folder(path, command)
        args.out_dir = self._folder.outputs
        if hasattr(args, "model"):
            args.model = args.model or self.project.model

    def pairs(self) -> list[InputPair]:
        """Return the inputs and outputs."""
        return list(self._images)

    def images(self) -> list[ProjectImage]:
        """Return the images."""
        return list(self._images.values())

    def image(self, pair: InputPair) -> ProjectImage:
        """Return the image of an input."""
        return self._images[pair]

    @contextmanager
    def held(self, pair: InputPair) -> Iterator[None]:
        """Hold an image, so that nobody else works on it, while its objects are found."""
        image = self._images[pair]
        with image.hold():
            image.begin()
            yield

    def batch(self, asked: JsonObject) -> Batch:
        """Return the batch, whose records lie in the project."""
        columns = {pair.source: {"name": image.name, **image.entry.groups} for pair, image in self._images.items()}
        return replace(batch_of(self._args, self._command, asked, self._folder), columns=columns)

    def batch_of_confident(self, asked: JsonObject) -> Batch:
        """Return the batch of a run that keeps confident objects, by the score that is learned at the time."""
        return self.batch({name: "learned" if name == "min_iou" else value for name, value in asked.items()})

    def run(self, run: RunPair, asked: JsonObject) -> Result:
        """Run a function on each image, which is held meanwhile."""

        def run_held(args: argparse.Namespace, pair: InputPair) -> Mapping[str, object]:
            with self.held(pair):
                return run(args, pair)

        return run_each(self._args, self.pairs(), run_held, self.batch(asked))


def _everything_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    add_image_choice(command, "unseen and in work")
    add_everything_options(command)
    command.add_argument(
        "--confident",
        action="store_true",
        help="keep the objects of which the model is confident, for you to add the others: --min-score is learned from "
        "what people accepted",
    )
    command.set_defaults(model=None)


def _everything(args: argparse.Namespace) -> Result:
    batch = _ProjectBatch(args, "everything", FINDING_STATES)
    make_batch = batch.batch
    if args.confident:
        args.stage = SEMI_AUTOMATIC
        if not args.min_iou:  # a score that is learned rises and falls, and makes no other setting
            args.min_iou = batch.project.stages.threshold().value
            make_batch = batch.batch_of_confident
    return segment_pairs(args, batch.pairs, batch.held, make_batch)


def _find_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    command.add_argument("concept", metavar="CONCEPT", help="file that 'napari-sam concept' or the dock has written")
    add_image_choice(command, "unseen and in work")
    add_finding_options(command)


def _find(args: argparse.Namespace) -> Result:
    concept = check_finding(args)
    batch = _ProjectBatch(args, "find", FINDING_STATES)
    return batch.run(find_pair(concept), asked_of_finding(args, name_file(args.concept)))


def _track_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    add_image_choice(command, "unseen and in work")
    add_tracking_options(command)
    command.set_defaults(model=None)


def _track(args: argparse.Namespace) -> Result:
    check_tracking(args)
    batch = _ProjectBatch(args, "track", FINDING_STATES)
    return batch.run(track_pair(), asked_of_segmenting(args))


def _measure_options(command: argparse.ArgumentParser) -> None:
    add_folder(command)
    add_image_choice(command, "all")
    command.add_argument(
        "--out", type=Path, metavar="TABLE", help="also write all objects as one table, .csv or .parquet"
    )
    command.add_argument(
        "--by", metavar="COLUMN", help="also compare the values of a column, such as condition: means over images"
    )
    add_measuring_options(command)


def _measure(args: argparse.Namespace) -> Result:
    from napari_sam.io.labels.measurement.measured_table import check_table_path, write_table  # noqa: PLC0415
    from napari_sam.project.batch.measurements import (  # noqa: PLC0415
        check_column,
        means_by_column,
        measured_images,
        measured_objects,
    )

    check_measuring(args)
    if args.out is not None:
        check_table_path(args.out)
    batch = _ProjectBatch(args, "measure", None)
    images = batch.images()
    if args.by is not None:
        check_column(batch.project.images(), args.by)
    args.out_dir.mkdir(exist_ok=True)

    def measure(copied: argparse.Namespace, pair: InputPair) -> Mapping[str, object]:
        return measure_store(copied, pair, image=last_place(batch.image(pair)))

    made = replace(batch.batch(asked_of_measuring(args)), of_stores=True)
    result = dict(run_each(args, batch.pairs(), measure, made))
    if args.out is None and args.by is None:
        return result
    objects = measured_objects(images, batch.project.path)
    if args.out is not None:
        result["table"] = str(write_table(objects, args.out))
    measured = measured_images(images, batch.project.path)
    if args.by is not None and len(measured):
        table = means_by_column(objects, measured, args.by)
        path = batch.project.path / "batch" / f"measure_by_{re.sub(r'[^A-Za-z0-9_-]+', '_', args.by)}.csv"
        result["by"] = str(write_table(table, path))
        if not args.json:
            sys.stdout.write(f"{table.iloc[:, :_SHOWN].to_string(index=False)}\n")
    return result


EVERYTHING_OF_PROJECT = Command(
    "everything",
    "find all objects of all images with the model in use",
    _everything,
    _everything_options,
    details=_AGAIN,
    words=EVERYTHING.words,
)
FIND_IN_PROJECT = Command(
    "find", "find the objects of a concept in all images", _find, _find_options, details=_AGAIN, words=FIND.words
)
TRACK_IN_PROJECT = Command(
    "track", "follow all objects of all movies", _track, _track_options, details=_AGAIN, words=TRACK.words
)
MEASURE_PROJECT = Command(
    "measure",
    "measure the objects of all images, a table of each in the folder 'measurements'",
    _measure,
    _measure_options,
    details=_AGAIN,
)
