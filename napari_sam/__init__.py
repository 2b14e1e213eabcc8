"""Segment huge microscopy and satellite images with points and boxes, in napari, Jupyter or a script.

>>> import napari_sam as ns
>>> predictor = ns.Predictor()                            # doctest: +SKIP
>>> predictor.set_image("cells.ome.zarr")                 # doctest: +SKIP
>>> mask = predictor.predict(points=[(120, 340)]).mask    # doctest: +SKIP

Importing this package is quick: torch, napari and Qt come only with what needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sam.moved_modules import register
from src_models.thread_waiting import set_passive_waiting

if TYPE_CHECKING:
    from napari_sam.concept import Concept
    from napari_sam.engine.automatic.grid_settings import GridSettings
    from napari_sam.engine.concepts.object_classifier import ObjectClassifier
    from napari_sam.engine.interactive.prediction import Prediction
    from napari_sam.engine.interactive.prompts import MaskPrompt
    from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
    from napari_sam.io.images.open_image import open_image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.classify.classify_objects import ClassifyReport, classify_objects
    from napari_sam.jobs.find.find import FindReport, find
    from napari_sam.jobs.find.find_in_images import find_in_images
    from napari_sam.jobs.find.find_settings import FindSettings
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.jobs.segment_everything import segment_everything
    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.jobs.segment_prompts import segment_prompts
    from napari_sam.jobs.stacks.segment_volume import segment_volume
    from napari_sam.jobs.stacks.stack_report import StackReport
    from napari_sam.jobs.stacks.track import track
    from napari_sam.predictor import Predictor
    from napari_sam.project.batch.batch_options import BatchOptions
    from napari_sam.project.project import Project
    from napari_sam.widgets.launch import launch
    from src_models.watershed_settings import WatershedSettings

register()
set_passive_waiting()  # before anything loads torch

__version__ = "0.1.0"
__all__ = [
    "BatchOptions",
    "ClassifyReport",
    "Concept",
    "EverythingReport",
    "EverythingSettings",
    "FindReport",
    "FindSettings",
    "FrameLinking",
    "GridSettings",
    "LabelStore",
    "MaskPrompt",
    "ObjectClassifier",
    "PlaneLinking",
    "Prediction",
    "Predictor",
    "Project",
    "StackReport",
    "WatershedSettings",
    "classify_objects",
    "find",
    "find_in_images",
    "launch",
    "open_image",
    "segment_everything",
    "segment_prompts",
    "segment_volume",
    "track",
]

_HOMES = {
    "BatchOptions": "napari_sam.project.batch.batch_options",
    "ClassifyReport": "napari_sam.jobs.classify.classify_objects",
    "Concept": "napari_sam.concept",
    "EverythingReport": "napari_sam.jobs.segment_image",
    "EverythingSettings": "napari_sam.jobs.job_settings",
    "FindReport": "napari_sam.jobs.find.find",
    "FindSettings": "napari_sam.jobs.find.find_settings",
    "FrameLinking": "napari_sam.engine.linking.link_settings",
    "GridSettings": "napari_sam.engine.automatic.grid_settings",
    "LabelStore": "napari_sam.io.labels.label_store",
    "MaskPrompt": "napari_sam.engine.interactive.prompts",
    "ObjectClassifier": "napari_sam.engine.concepts.object_classifier",
    "PlaneLinking": "napari_sam.engine.linking.link_settings",
    "Prediction": "napari_sam.engine.interactive.prediction",
    "Predictor": "napari_sam.predictor",
    "Project": "napari_sam.project.project",
    "StackReport": "napari_sam.jobs.stacks.stack_report",
    "WatershedSettings": "src_models.watershed_settings",
    "classify_objects": "napari_sam.jobs.classify.classify_objects",
    "find": "napari_sam.jobs.find.find",
    "find_in_images": "napari_sam.jobs.find.find_in_images",
    "launch": "napari_sam.widgets.launch",
    "open_image": "napari_sam.io.images.open_image",
    "segment_everything": "napari_sam.jobs.segment_everything",
    "segment_prompts": "napari_sam.jobs.segment_prompts",
    "segment_volume": "napari_sam.jobs.stacks.segment_volume",
    "track": "napari_sam.jobs.stacks.track",
    "errors": "",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("napari_sam.errors")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "errors"])
