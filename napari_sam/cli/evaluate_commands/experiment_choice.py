"""The experiments that a command of ``evaluate`` runs."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from napari_sam.cli.evaluate_commands.model_choice import chosen_models
from napari_sam.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.cli.evaluate_commands.evaluation_request import EvaluationRequest
    from napari_sam.evaluation.datasets.labelled_samples import Sample
    from napari_sam.evaluation.experiments.experiment import Experiment

_ALL = ("points", "edges", "proposals", "instances", "everything", "data")


def choose_experiments(request: EvaluationRequest, samples: list[Sample]) -> tuple[list[Experiment], list[Sample]]:
    """Build the experiments of a command.

    Parameters
    ----------
    request : EvaluationRequest
        The command line.
    samples : list of Sample
        The labelled images.

    Returns
    -------
    list of Experiment, list of Sample
        The experiments, and the images to measure: for text those of its phrases, otherwise `samples`.

    Raises
    ------
    EvaluationError
        If options or data do not fit the experiment.
    """
    name = request.name
    if name == "text":
        return _text(request)
    if name not in ("all", "compare"):
        return _BUILDERS[name](request), samples
    if name == "compare" and len(request.args.model or []) < 2:
        raise EvaluationError(
            "compare needs at least two models",
            parameter="model",
            remedy="give them as --model default --model runs/mine/model.safetensors",
        )
    kinds = {sample.kind for sample in samples}
    names = [n for n in _ALL if ("boundaries" if n == "edges" else "objects") in kinds]
    return [experiment for n in names for experiment in _BUILDERS[n](request)], samples


def _sizes(request: EvaluationRequest, *names: str) -> dict[str, Any]:
    """Return the given sizes as keywords of an experiment, whose fields differ in type."""
    return dict(request.experiment.arguments(*names))


def _text(request: EvaluationRequest) -> tuple[list[Experiment], list[Sample]]:
    from napari_sam.evaluation.experiments.text_prompts import (  # noqa: PLC0415
        TextExperiment,
        check_phrases,
        find_text_samples,
    )
    from napari_sam.text.text_search import TextSearch  # noqa: PLC0415

    if request.data.suffix.lower() != ".json":
        raise EvaluationError(f"{request.data}: is not a COCO .json, which holds the phrases", remedy="give that file")
    samples, phrases = find_text_samples(request.data)
    detector, ranker = request.args.detector, request.args.ranker
    check_phrases(phrases, TextSearch(detector=detector, ranker=ranker))
    return [TextExperiment(phrases, detector=detector, ranker=ranker, **_sizes(request))], samples


def _points(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.classical_baselines import BaselineExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.point_prompts import PointExperiment  # noqa: PLC0415

    experiments: list[Experiment] = [PointExperiment(**_sizes(request, "per_image", "clicks"))]
    if request.name == "groups" or request.args.no_baselines:
        return experiments
    if importlib.util.find_spec("cv2") is None:
        sys.stderr.write("note: no baselines without OpenCV; run pip install 'napari-sam-xl[evaluate]'\n")
        return experiments
    return [*experiments, BaselineExperiment(**_sizes(request, "per_image"))]


def _edges(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.edge_detection import EdgeBaselineExperiment, EdgeExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.whole_images import parse_named_folders  # noqa: PLC0415

    maps = tuple(parse_named_folders(getattr(request.args, "maps", [])).items())
    return [
        EdgeExperiment(**_sizes(request, "grid")),
        EdgeBaselineExperiment(maps=maps, **_sizes(request)),
    ]


def _proposals(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.proposals import ProposalExperiment  # noqa: PLC0415

    return [ProposalExperiment(**_sizes(request, "grid"))]


def _instances(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.datasets.coco_format import read_coco_ids  # noqa: PLC0415
    from napari_sam.evaluation.datasets.labelled_samples import file_identity  # noqa: PLC0415
    from napari_sam.evaluation.experiments.box_detections import read_detections  # noqa: PLC0415
    from napari_sam.evaluation.experiments.box_instances import InstanceExperiment  # noqa: PLC0415

    boxes = getattr(request.args, "boxes", None)
    if boxes is None:
        names = ("per_image",) if request.name == "instances" else ()
        return [InstanceExperiment(**_sizes(request, *names))]
    if request.data.suffix.lower() != ".json":
        raise EvaluationError(
            f"boxes {boxes} with {request.data}, which is not a COCO file",
            parameter="boxes",
            remedy="give the COCO file that their image ids belong to",
        )
    images, categories = read_coco_ids(request.data)
    detections = read_detections(boxes, categories, images)
    settings = {"per_image": None, **_sizes(request, "per_image")}
    return [InstanceExperiment(detections=detections, source=file_identity(boxes), **settings)]


def _everything(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.whole_images import EverythingExperiment, ExternalLabelExperiment  # noqa: PLC0415

    return [EverythingExperiment(**_sizes(request)), *_of_others(request, ExternalLabelExperiment)]


def _of_others(request: EvaluationRequest, experiment: Callable[..., Experiment]) -> list[Experiment]:
    """Return an experiment for each program of ``--labels``."""
    from napari_sam.evaluation.experiments.whole_images import parse_named_folders  # noqa: PLC0415

    experiments = []
    models = {model.name for model in chosen_models(request.args)}
    for name, folder in parse_named_folders(request.args.labels).items():
        if name in models:
            raise EvaluationError(
                f"labels {name}={folder}: a model has this name", parameter="labels", remedy="give another name"
            )
        if not folder.is_dir():
            raise EvaluationError(
                f"labels {name}={folder}: no such folder", parameter="labels", remedy="check the path"
            )
        experiments.append(experiment(tool=name, folder=folder, **_sizes(request)))
    return experiments


def _data(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.composition import CompositionExperiment  # noqa: PLC0415

    return [CompositionExperiment(**_sizes(request))]


def _volumes(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.stacks.external_stacks import ExternalStackExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.stacks.stack_everything import VolumeEverythingExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.stacks.volume_prompts import VolumeExperiment  # noqa: PLC0415

    experiments: list[Experiment] = [VolumeExperiment(**_sizes(request, "per_image", "clicks"))]
    if not request.args.no_everything:
        experiments.append(VolumeEverythingExperiment(**_sizes(request)))
    return [*experiments, *_of_others(request, ExternalStackExperiment)]


def _tracking(request: EvaluationRequest) -> list[Experiment]:
    from napari_sam.evaluation.experiments.stacks.external_stacks import ExternalTracksExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.stacks.movie_prompts import MovieExperiment  # noqa: PLC0415
    from napari_sam.evaluation.experiments.stacks.stack_everything import TrackingEverythingExperiment  # noqa: PLC0415

    experiments: list[Experiment] = [MovieExperiment(**_sizes(request, "per_image"))]
    if not request.args.no_everything:
        experiments.append(TrackingEverythingExperiment(**_sizes(request)))
    return [*experiments, *_of_others(request, ExternalTracksExperiment)]


_BUILDERS: dict[str, Callable[[EvaluationRequest], list[Experiment]]] = {
    "points": _points,
    "groups": _points,
    "edges": _edges,
    "proposals": _proposals,
    "instances": _instances,
    "everything": _everything,
    "volumes": _volumes,
    "tracking": _tracking,
    "data": _data,
}
