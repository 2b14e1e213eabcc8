"""Segment all objects of an image of any size and write them into a label store."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.engine.automatic.dense_maps import check_region
from napari_sam.engine.cluster.dask_client import check_client
from napari_sam.engine.geometry import Box
from napari_sam.engine.tiling.find_tiles import TileFailure, find_tiles
from napari_sam.errors import SettingsError
from napari_sam.image_predictor import predictor_for_image
from napari_sam.io.candidates.candidate_files import WINDOW
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.concept_search.concept_finder import ConceptFinder
from napari_sam.jobs.dask_pool import DaskPool
from napari_sam.jobs.image_run import ImageRun, describe_run, describe_source, read_unfinished_run
from napari_sam.jobs.process_pool import ProcessPool
from napari_sam.jobs.report_html import failure_text, report_html, time_text
from napari_sam.jobs.run_output import close_after_error, output_store
from napari_sam.jobs.run_progress import RunProgress
from napari_sam.jobs.store_use import exclusive_use
from napari_sam.jobs.tile_plan import (
    FinderSpec,
    choose_branches,
    choose_factors,
    choose_method,
    choose_side,
    estimate_side,
    plan_run,
    split_side,
)
from napari_sam.jobs.tile_task import TileJob, check_shareable, find_tile_by_name
from napari_sam.jobs.write_objects import CommonDetails, write_objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.concept_search.concept_spec import ConceptSearch
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.jobs.process_pool import TaskPool
    from napari_sam.jobs.run_options import RunOptions
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class EverythingReport:
    """Result of `segment_everything`.

    Attributes
    ----------
    method : str
        "grid" or "dense".
    objects : int
        Number of objects that have pixels.
    first_label : int
        Id of the first object; the others follow.
    tiles : int
        Number of tiles at all factors.
    failed : list of TileFailure
        Tiles that failed; segment their region again to find the objects there.
    factors : list of int
        Level-0 pixels per pixel of the labels as they were found, finest first.
    seconds : dict of str to float
        Time for "find", "join" and "write" in this call.
    labels : LabelStore
        The store with the objects, open for writing.
    left_out : int
        With the border "whole": number of objects of the region that reach too far outside it to be followed.
    """

    method: str
    objects: int
    first_label: int
    tiles: int
    failed: list[TileFailure]
    factors: list[int]
    seconds: dict[str, float]
    labels: LabelStore = field(repr=False)
    left_out: int = 0

    def _repr_html_(self) -> str:
        facts = {
            "objects found": self.objects,
            "method": self.method,
            "tiles": self.tiles,
            "failed": failure_text(self.failed, self.tiles, "tiles"),
            "left out": self.left_out or "",
            "time": time_text(self.seconds),
        }
        return report_html("All objects", facts, self.labels)


def segment_image(
    image: Any,
    predictor: Predictor | str | Path,
    output: LabelStore | str | Path | None,
    settings: EverythingSettings,
    options: RunOptions,
    build_finder: Callable[[FinderSpec, Predictor], ObjectFinder] = FinderSpec.build,
    search: ConceptSearch | None = None,
    asked_text: JsonObject | None = None,
) -> EverythingReport:
    """Find all objects of an image; `segment_everything` with its arguments in two objects.

    Parameters
    ----------
    image, predictor, output
        As in `segment_everything`.
    settings : EverythingSettings
        What to find, and how.
    options : RunOptions
        How to carry it out.
    build_finder : callable
        Makes the finder of this process.
    search : ConceptSearch, optional
        Keep only the objects of a concept.
    asked_text : dict, optional
        Further keywords of `segment_everything` that repeat the run: the phrase and its detector.

    Raises
    ------
    ConceptError
        If the concept is of another model than the predictor's.
    """
    source = image if isinstance(image, Image) else open_image(image)
    own_predictor = predictor_for_image(predictor, source)
    method = choose_method(settings.method, own_predictor)
    settings = replace(
        settings,
        method=method,
        branches=choose_branches(settings.branches, method, own_predictor),
        region=check_region(settings.region, source.shape, most_px=None),  # type: ignore[arg-type]
    )
    choose_side(settings, own_predictor)  # fails before a store is created
    if search is not None:
        search.check_model(own_predictor)
    if options.is_distributed:
        check_shareable(own_predictor)
    if options.client is not None:
        check_client(options.client)
    store, created = output_store(output, source)
    started = False
    try:
        with exclusive_use(store):
            times = [time.perf_counter()]
            job = _plan_job(own_predictor, store, settings, options, build_finder, search, asked_text)
            started = True
            labels = job.carry_out(options, times)
    except BaseException:
        close_after_error(store, output, delete=created and not started)
        raise
    seconds = [stop - start for start, stop in itertools.pairwise(times)]
    objects, first_label = store.journal.objects.count_between(labels.start, labels.stop - 1)
    return EverythingReport(
        settings.method,
        objects,
        labels.start if first_label is None else first_label,  # objects without pixels keep their ids
        job.run.plan.tile_count,
        job.run.failed,
        job.run.plan.factors,
        dict(zip(("find", "join", "write"), seconds, strict=True)),
        store,
        job.run.left_out,
    )


@dataclass(frozen=True)
class _ImageJob:
    """A planned run with its finder."""

    predictor: Predictor
    settings: EverythingSettings
    spec: FinderSpec
    finder: ObjectFinder
    run: ImageRun

    def carry_out(self, options: RunOptions, times: list[float]) -> range:
        """Find, merge and write the objects; adds the time after each part, and returns their ids."""
        progress = RunProgress(self.run, options.progress, options.on_tile)
        times[:] = [time.perf_counter()]
        if not self.run.merged:
            progress.preview_done()
            self._find(options, progress)
        times.append(time.perf_counter())
        objects = self.run.merge(self.spec.side)
        times.append(time.perf_counter())
        details = CommonDetails(self.predictor.model, self.settings.category)
        with self.run.store.noting(stage=self.settings.stage):
            labels = write_objects(self.run, objects, details, progress.tile_written, options.cancelled)
        times.append(time.perf_counter())
        self.run.finish()
        return labels

    def _find(self, options: RunOptions, progress: RunProgress) -> None:
        """Find the objects of the tiles that are missing, here or in other processes."""
        run, missing = self.run, self.run.missing()
        if not options.is_distributed:
            find_tiles(self.finder, missing, run.files, progress.tile_finished, options.cancelled)
        else:
            text = TileJob.of(run.files.folder, self.predictor, self.spec, run.plan).as_json()
            function = partial(find_tile_by_name, text)
            _pool(options).run(function, [tile.name for _, tile in missing], progress, options.cancelled)
        run.check_failures()


def _pool(options: RunOptions) -> TaskPool:
    """Return the pool that runs tiles in other processes, whose threads share the processor."""
    if options.client is not None:
        return DaskPool(options.client)
    return ProcessPool(options.workers, threads=max(1, (os.cpu_count() or 1) // options.workers))


def _plan_job(
    predictor: Predictor,
    store: LabelStore,
    settings: EverythingSettings,
    options: RunOptions,
    build_finder: Callable[[FinderSpec, Predictor], ObjectFinder],
    search: ConceptSearch | None,
    asked_text: JsonObject | None,
) -> _ImageJob:
    """Choose the windows, cut the region into tiles, and open the run in the store."""
    shape = predictor.image.shape
    region = Box(*settings.region) if settings.region is not None else Box(0, 0, *shape)
    window_side = _window_side(predictor, store, settings, region, options)
    side, finest = split_side(window_side, predictor.img_size)
    grid = {} if settings.grid is None else asdict(settings.grid)
    watershed = None if settings.watershed is None else asdict(settings.watershed)
    concept = None if search is None else search.spec(store)
    if concept is not None and settings.min_region_px:
        raise SettingsError(
            f"min_region_px is {settings.min_region_px}, which a search for a concept or a word does not use",
            parameter="min_region_px",
            remedy="leave {min_region_px} at 0",
        )
    spec = FinderSpec(settings.method, side, grid, watershed, settings.branches, concept, settings.min_region_px)
    factors = choose_factors(shape, side, finest, settings.searches_coarser)
    plan = plan_run(spec, region, shape, factors, settings.border)
    finder = build_finder(spec, predictor)
    if isinstance(finder, ConceptFinder):
        finder.begin({**describe_source(predictor), WINDOW: window_side})
    asked = {
        **describe_run(predictor, finder, plan, settings.overlap, settings.category),
        "call": _repeatable_call(settings, region, window_side),
        **({} if concept is None else {"find": concept.record()}),
        **({} if asked_text is None else {"words": asked_text}),
    }
    return _ImageJob(predictor, settings, spec, finder, ImageRun(store, plan, asked, options.resume))


def _window_side(
    predictor: Predictor, store: LabelStore, settings: EverythingSettings, region: Box, options: RunOptions
) -> int:
    """Return the level-0 pixels that one window covers; a run that is continued is not estimated again."""
    side = choose_side(settings, predictor)
    if side is None and options.resume:
        call = (unfinished_run(store) or {}).get("call")
        known = call.get("side") if isinstance(call, dict) else None
        side = known if isinstance(known, int) and known > 0 else None
    if side is None:
        side = estimate_side(predictor, region, settings.watershed, options.cancelled)
    return side


def _repeatable_call(settings: EverythingSettings, region: Box, window_side: int) -> JsonObject:
    """Return the keywords of `segment_everything` with which a script repeats the run."""
    resolved: JsonObject = {
        "region": list(region),
        "side": window_side,
        "coarser": settings.searches_coarser,
        "diameter_px": None,
        "level": None,
    }
    return {**asdict(settings), **resolved}


def unfinished_run(labels: LabelStore | str | Path) -> JsonObject | None:
    """Return settings and progress of the unfinished run in a store, or None if there is none.

    Parameters
    ----------
    labels : LabelStore or path
        The store.

    Returns
    -------
    dict or None
        The settings, ``tiles_done`` and ``tiles``.
    """
    return read_unfinished_run(labels.path if isinstance(labels, LabelStore) else Path(labels).expanduser())
