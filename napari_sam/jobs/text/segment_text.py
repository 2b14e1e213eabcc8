"""Segment the objects of a whole image that fit a phrase."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_sam.concept import Concept
from napari_sam.errors import SettingsError
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.jobs.concept_search.concept_spec import ConceptSearch
from napari_sam.jobs.segment_image import segment_image
from napari_sam.jobs.text.text_finder import TextFinder
from napari_sam.text.text_filter import PixelSize
from napari_sam.text.text_prompt import search_with

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam.engine.concepts.concept_model import ConceptModel
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.jobs.run_options import RunOptions
    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.predictor import Predictor
    from napari_sam.text.text_detector import TextDetector
    from napari_sam.text.text_search import TextPlan, TextSearch


def segment_text(
    image: Any,
    asked: tuple[str, TextSearch | TextDetector | str | Path | None],
    predictor: Predictor | str | Path,
    output: LabelStore | str | Path | None,
    settings: EverythingSettings,
    options: RunOptions,
) -> EverythingReport:
    """Segment the objects that fit a phrase; `segment_everything` with its arguments in few objects.

    Parameters
    ----------
    image, predictor, output
        As in `segment_everything`.
    asked : (str, object)
        The phrase, and the detector or search for it.
    settings : EverythingSettings
        Region, sizes, category; how objects are found depends on what answers the phrase.
    options : RunOptions
        How to carry it out.

    Raises
    ------
    PromptError
        If the phrase cannot be answered.
    SettingsError
        If a detector is to run on a cluster or in several processes.
    """
    source = image if isinstance(image, Image) else open_image(image)
    search = search_with(asked[1])
    plan = search.plan(asked[0])
    where = plan.query.where(PixelSize.of_image(source))  # fails before anything is computed
    settings = replace(settings, category=settings.category or (plan.name if plan.query.words else None))
    if plan.detector is not None:
        report = _by_detector(source, (plan, search), predictor, output, settings, options)
    else:
        wanted = None if plan.concept is None else _concept_search(plan.concept)
        if wanted is not None:
            sizes = (settings.diameter_px, settings.side, settings.level)
            diameter = wanted.concept.diameter_px if all(size is None for size in sizes) else settings.diameter_px
            settings = replace(settings, method="dense", diameter_px=diameter, coarser=settings.coarser or False)
        report = segment_image(source, predictor, output, settings, options, search=wanted)
    return report if where is None else _keep(report, where)


def _concept_search(concept: ConceptModel) -> ConceptSearch:
    """Return what to look for."""
    if not isinstance(concept, Concept):
        whole = Concept(concept.layout, concept.name)
        whole.__dict__.update(concept.__dict__)
        concept = whole
    return ConceptSearch(concept, float(concept.threshold))


def _by_detector(
    image: Image,
    answered: tuple[TextPlan, TextSearch],
    predictor: Predictor | str | Path,
    output: LabelStore | str | Path | None,
    settings: EverythingSettings,
    options: RunOptions,
) -> EverythingReport:
    """Segment what the detector of a plan finds."""
    plan, search = answered
    detector = plan.detector
    if detector is None:
        raise ValueError("the phrase is not answered by a detector")
    if options.is_distributed:
        raise SettingsError(
            f"text {plan.query.text!r} is answered by {detector.name}, which runs in this process only",
            parameter="workers",
            remedy="leave {workers} and {client} out",
        )
    chosen = replace(
        settings,
        method="grid",
        side=None if settings.level is not None or settings.diameter_px is not None else settings.side or detector.side,
    )
    asked = {"text": plan.query.words, "detector": detector.name}
    report = segment_image(
        image,
        predictor,
        output,
        chosen,
        options,
        build_finder=lambda spec, own: TextFinder(own, plan, search, spec.side),
        asked_text=asked,
    )
    return replace(report, method="text")


def _keep(report: EverythingReport, where: str) -> EverythingReport:
    """Delete the objects of a run that do not meet a filter expression, as one change."""
    store = report.labels
    ids = list(itertools.islice(store.journal.objects.labels_from(report.first_label), report.objects))
    kept = set(store.select(where=where, labels=ids)) if ids else set()
    others = [label for label in ids if label not in kept]
    if others:
        store.delete(others)
    return replace(report, objects=len(kept), first_label=min(kept, default=report.first_label))
