"""The commands ``concept`` and ``find``: learn what makes objects alike, and find all objects like them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.cli.batch_settings import asked_of_finding
from napari_sam.cli.command import Command, Result
from napari_sam.cli.interruption import interruptible
from napari_sam.cli.label_output import LabelOutput, check_output_path, label_output
from napari_sam.cli.many_inputs import add_retry_option, batch_of, run_each
from napari_sam.cli.options import (
    IMAGE_HELP,
    CommandModel,
    add_device_option,
    add_image_options,
    add_precision_option,
    add_region_option,
    ints,
    open_plane,
)
from napari_sam.cli.run_results import (
    add_existing_options,
    add_worker_options,
    check_workers,
    dask_client,
    list_failures,
    resume_choice,
)
from napari_sam.cli.setting_options import SettingOption, add_settings, given_settings, settings_from
from napari_sam.cli.stack_options import (
    add_stack_options,
    check_plane,
    check_stack_options,
    chosen_planes,
    stack_axis,
    stack_kind,
)
from napari_sam.cli.stopped_runs import is_finished, nothing_to_resume
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.errors import SettingsError
from napari_sam.io.labels.store_access import JOURNAL_FILE
from napari_sam.jobs.batch.asked import name_file
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.jobs.input_pairs import InputPair, pair_inputs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.concept import Concept
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.find.find import FindReport
    from napari_sam.predictor import Predictor

_STORE_SUFFIX = ".zarr"


def _add_concept_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("image", metavar="IMAGE", help=IMAGE_HELP)
    command.add_argument("labels", metavar="LABELS", help="objects of the image: a label store or a label image")
    command.add_argument(
        "--positive", type=ints, default=(), metavar="L,L,…", help="labels of objects of the kind; one is enough"
    )
    command.add_argument("--negative", type=ints, default=(), metavar="L,L,…", help="labels of objects of other kinds")
    command.add_argument(
        "--from", dest="earlier", metavar="CONCEPT", help="add the examples to those of this concept, of the same model"
    )
    command.add_argument("--name", help="name of the concept, the class of its objects (default: as --out)")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="concept, such as nucleus.concept")
    add_image_options(command)
    _add_model_options(command, "default, or that of --from")


def _add_model_options(command: argparse.ArgumentParser, default: str) -> None:
    """Add ``--model``, ``--device`` and ``--precision``; without ``--model`` it is None."""
    command.add_argument("--model", help=f"name (see 'models list') or checkpoint file (default: {default})")
    add_device_option(command)
    add_precision_option(command)


def _run_concept(args: argparse.Namespace) -> Result:
    from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch

    plane = _plane_of_labels(args.labels) if args.plane is None else args.plane
    image = open_plane(args.image, args.channels, plane, series=args.series, axes=args.axes)
    earlier = None if args.earlier is None else Concept.load(args.earlier)
    if args.model is None:
        args.model = "default" if earlier is None else earlier.layout.model
    predictor = CommandModel().predictor(args) if args.positive or args.negative else None
    with _Labels(args.labels, image) as labels:
        if earlier is None:
            name = args.out.stem if args.name is None else args.name
            concept = Concept.from_examples(image, labels, args.positive, args.negative, predictor, name)
        else:
            concept = earlier
            concept.name = earlier.name if args.name is None else args.name
            concept.add_examples(image, labels, args.positive, args.negative, predictor)
    concept.save(args.out)
    positive, negative = concept.examples
    return {
        "image": args.image,
        "output": str(args.out),
        "name": concept.name,
        "positive": positive,
        "negative": negative,
        "diameter": None if concept.diameter_px is None else round(concept.diameter_px, 1),
        "threshold": concept.threshold,
        "model": concept.layout.model,
        "bytes": args.out.expanduser().stat().st_size,
    }


def _plane_of_labels(path: str) -> tuple[int, ...] | None:
    """Return the plane of a stack that a label store was made on; None where that is not known, or there is none."""
    from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly
    from napari_sam.io.labels.reading.own_plane import plane_of_labels  # noqa: PLC0415

    if not (Path(path).expanduser() / JOURNAL_FILE).is_file():
        return None
    with LabelStore.open(path, "r") as store:
        return plane_of_labels(store.meta) or None


class _Labels:
    """Objects of a label store or of a label image."""

    def __init__(self, path: str, image: Image) -> None:
        from napari_sam.io.labels.label_store import LabelStore  # noqa: PLC0415 - the command line starts quickly

        self._store: LabelStore | None = None
        if (Path(path).expanduser() / JOURNAL_FILE).is_file():
            self._store = LabelStore.open(path, "r", like=image)
        self._path, self._image = path, image

    def __enter__(self) -> LabelStore | NDArray[np.generic]:
        from napari_sam.io.prompts.formats.prompt_files import label_image  # noqa: PLC0415 - the command line starts quickly

        if self._store is not None:
            return self._store
        drawn = label_image(self._path)
        if drawn is None or drawn.dtype.kind not in "biu" or drawn.channel_count > 1:
            kind = "outlines or a table" if drawn is None else f"{drawn.channel_count} channels of {drawn.dtype}"
            raise SettingsError(
                f"{self._path}: {kind}, not labels",
                parameter="labels",
                remedy="give a label store, or a label image of whole numbers",
            )
        if tuple(drawn.shape) != tuple(self._image.shape):
            raise SettingsError(
                f"{self._path}: labels of shape {tuple(drawn.shape)} for an image of shape {tuple(self._image.shape)}",
                parameter="labels",
                remedy="give the labels of this image",
            )
        return drawn.read(0, 0, 0, *drawn.shape)[..., 0]

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.close()


CONCEPT = Command(
    "concept",
    "learn from examples what makes objects of one kind alike",
    _run_concept,
    _add_concept_options,
    details="Find objects of the concept with: napari-sam find CONCEPT IMAGE --out OUT.",
    words={"accepted": "--positive", "path": "--out", "predictor": "--model"},
)


def _add_find_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("concept", metavar="CONCEPT", help="file that 'napari-sam concept' or the dock has written")
    command.add_argument(
        "images", nargs="+", metavar="IMAGE", help=f"{IMAGE_HELP}; or patterns and folders of such images"
    )
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="OUT",
        help="label store, such as cells.ome.zarr; without the ending .zarr, folder with the store of each image",
    )
    add_finding_options(command)


def add_finding_options(command: argparse.ArgumentParser) -> None:
    """Add all options but those that name the concept, images and outputs."""
    add_settings(command, FindSettings, ("threshold", "category"))
    add_region_option(command)
    size = command.add_mutually_exclusive_group()
    diameter = SettingOption(default="that of the examples")
    add_settings(size, FindSettings, {"diameter_px": diameter, "level": SettingOption()})
    overlap = SettingOption(help="keep shared pixels in existing objects, or replace them by new objects")
    border = SettingOption(help="whether objects end at the border of --region, or are followed outside it")
    add_settings(command, FindSettings, {"coarser": SettingOption(), "overlap": overlap, "border": border})
    command.add_argument(
        "--candidates",
        type=Path,
        metavar="DIR",
        help="keep all candidates in this folder, so that another concept or threshold needs no network",
    )
    add_image_options(command)
    _add_model_options(command, "that of the concept")
    add_existing_options(command)
    add_retry_option(command)
    add_worker_options(command)
    add_stack_options(command)


def check_finding(args: argparse.Namespace) -> Concept:
    """Refuse options that do not go together; returns the concept, whose model is the default.

    Raises
    ------
    ConceptError
        If the concept cannot be read.
    """
    from napari_sam.concept import Concept  # noqa: PLC0415 - imports torch

    args.method = "dense"
    check_workers(args.workers)
    check_stack_options(args)
    settings_from(args, FindSettings)
    concept = Concept.load(args.concept)
    if args.model is None:
        args.model = concept.layout.model
    return concept


def _run_find(args: argparse.Namespace) -> Result:
    concept = check_finding(args)
    args.out = args.out.expanduser()
    if args.out.suffix == _STORE_SUFFIX:
        if len(args.images) > 1:
            raise SettingsError(
                f"out is {args.out}, one label store, and {len(args.images)} images are given",
                parameter="out",
                remedy="give a folder, whose name does not end in .zarr",
            )
        args.image = args.images[0]
        return _find_in_image(args, concept, CommandModel())
    pairs = pair_inputs(args.images, args.out, ".ome.zarr")
    args.out_dir = args.out
    batch = batch_of(args, "find", asked_of_finding(args, name_file(args.concept)))
    return run_each(args, pairs, find_pair(concept), batch)


def find_pair(concept: Concept) -> Callable[[argparse.Namespace, InputPair], dict[str, Any]]:
    """Return a function that finds the objects of one of many images; the model is loaded once."""
    return partial(_find_in_pair, concept, CommandModel())


def _find_in_pair(concept: Concept, model: CommandModel, args: argparse.Namespace, pair: InputPair) -> dict[str, Any]:
    """Find the objects of one of many images."""
    args.image, args.out = pair.source, pair.out
    if args.candidates is not None:
        args.candidates = args.candidates / pair.out.name.removesuffix(".ome.zarr")
    return _find_in_image(args, concept, model)


def _find_in_image(args: argparse.Namespace, concept: Concept, model: CommandModel) -> dict[str, Any]:
    """Find the objects of an image; return the result to print."""
    args.out = check_output_path(args.out)
    image = open_plane(
        args.image, args.channels, args.plane, series=args.series, axes=args.axes, along=stack_axis(args)
    )
    check_plane(args, image)
    if is_finished(args, "tiles" if stack_kind(args) is None else "planes"):
        result, store = nothing_to_resume(args, image)
        store.close()
        return result
    predictor = model.predictor(args)
    message = f"stopping; continue in {args.out} with the same command and --resume"
    with interruptible(message) as cancelled, label_output(args.out, image, args.overwrite) as output:
        report = _find(args, image, concept, predictor, output, cancelled)
    report.labels.close()
    unit = "tile" if stack_kind(args) is None else "plane"
    failed = [{unit: getattr(f, unit), "reason": f.reason} for f in report.failed]
    list_failures(args, [f"{unit} {f[unit]}: {f['reason']}" for f in failed], len(failed), f"{unit}s")
    return {
        "image": args.image,
        "output": str(args.out),
        "concept": report.concept,
        "threshold": report.threshold,
        "objects": report.objects,
        **report.counts,
        "failed": failed if args.json else len(failed),
        "seconds": {name: round(value, 2) for name, value in report.seconds.items()},
    }


def _find(
    args: argparse.Namespace,
    image: Image,
    concept: Concept,
    predictor: Predictor,
    output: LabelOutput,
    cancelled: Callable[[], bool],
) -> FindReport:
    from napari_sam.jobs.find.find import find  # noqa: PLC0415 - imports torch

    kind = stack_kind(args)
    linking = {"volume": PlaneLinking, "track": FrameLinking}.get(kind or "")
    planes = None
    if linking is not None and args.planes is not None:
        planes = chosen_planes(args, max(image.plane_axes.values(), default=1))
    with dask_client(args.scheduler) as client:
        return find(
            image,
            concept,
            predictor,
            output.target,
            **given_settings(args, FindSettings),
            candidates=args.candidates,
            linking=None if linking is None else settings_from(args, linking),
            planes=planes,
            resume=resume_choice(args),
            client=client,
            workers=args.workers,
            progress=output.progress("step"),
            cancelled=cancelled,
        )


FIND = Command(
    "find",
    "find all objects of a concept in images of any size",
    _run_find,
    _add_find_options,
    details="Ctrl+C stops and keeps the finished part; --resume continues. Of many images, the same command passes "
    "over those that are done, and continues.",
    words={
        "resume=False": "--discard",
        "overwrite=True": "--overwrite",
        "side": "--level",
        "path": "CONCEPT",
        "predictor": "--model",
    },
)
