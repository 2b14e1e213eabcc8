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
from napari_sam.engine.geometry import Box
from napari_sam.engine.tiling.find_tiles import TileFailure, find_tiles
from napari_sam.image_predictor import predictor_for_image
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.concept_search.concept_finder import ConceptFinder
from napari_sam.jobs.dask_pool import DaskPool, check_client
from napari_sam.jobs.image_run import ImageRun, describe_run, describe_source, read_unfinished_run
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.process_pool import ProcessPool
from napari_sam.jobs.run_options import RunOptions, settings_from
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

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_settings import GridSettings
    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.io.json_types import JsonObject
    from napari_sam.jobs.concept_search.concept_spec import ConceptSearch
    from napari_sam.jobs.process_pool import TaskPool
    from napari_sam.predictor import Predictor
    from src_models.watershed_settings import WatershedSettings


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


def segment_everything(  # noqa: PLR0913 - the public contract
    image: Any,
    predictor: Predictor | str | Path = "default",
    output: LabelStore | str | Path | None = None,
    method: str = "auto",
    *,
    region: tuple[int, int, int, int] | None = None,
    diameter_px: float | None = None,
    level: int | None = None,
    side: int | None = None,
    grid: GridSettings | None = None,
    watershed: WatershedSettings | None = None,
    branches: str = "auto",
    coarser: bool | None = None,
    overlap: str = "keep",
    category: str | None = None,
    border: str = "cut",
    settings: EverythingSettings | None = None,
    resume: bool | None = None,
    client: Any = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_tile: Callable[[Box, NDArray[np.uint32]], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EverythingReport:
    """Find all objects of an image of any size.

    The image is cut into overlapping tiles. Objects that neighbouring tiles agree on are merged and drawn across the
    border in one piece; objects larger than a tile are searched at coarser levels. The result does not depend on the
    order of the tiles or the number of workers. Each finished tile is on disk: after cancellation or a crash, the same
    call with ``resume=True`` continues and ends with the same labels.

    Parameters
    ----------
    image
        Whatever `open_image` accepts.
    predictor : Predictor, str or Path
        A predictor, whose own image is not changed, or the name or file of a model.
    output : LabelStore or path, optional
        Where the objects are written; a store is created at a path that does not exist. By default a temporary store,
        deleted when the process ends.
    method : {"auto", "grid", "dense"}
        Prompt with a grid of points, as SAM's automatic mask generator does, or run the dense decoder. "auto" takes
        "dense" if the model has a dense decoder.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    diameter_px : float, optional
        Typical object diameter in level-0 pixels; it sets the magnification.
    level : int, optional
        Reduce the image 2 ** level times along each axis, instead of `diameter_px`.
    side : int, optional
        Level-0 pixels that one window of the network covers, instead of `diameter_px` and `level`. Without any of the
        three, dense mode estimates the magnification from samples of the image, and grid mode uses full resolution.
    grid : GridSettings, optional
        Settings of grid mode; those of the model by default.
    watershed : WatershedSettings, optional
        Settings of dense mode; those of the model by default.
    branches : {"auto", "both", "dense"}
        Whether dense mode also prompts the mask decoder with its objects; "auto" does with the default model.
    coarser : bool, optional
        Also search coarser levels for objects larger than half a window; by default only without `diameter_px`.
    overlap : {"keep", "replace"}
        "keep" leaves existing objects their pixels and drops new objects that are half covered by them; "replace"
        gives the pixels to the new objects.
    category : str, optional
        Category of the new objects.
    border : {"cut", "whole"}
        Whether objects end at the border of `region`, or those whose centre lies in it are followed outside it.
    settings : EverythingSettings, optional
        All arguments from `method` to `border` in one object, instead of them.
    resume : bool, optional
        True continues an unfinished run of the same settings in the output, False drops it. By default an unfinished
        run is an error, so that nothing is lost.
    client : distributed.Client, optional
        Cluster whose workers find the objects; they must reach image, model and output by the same paths.
    workers : int
        Processes on this machine, if there is no client; 1 is this process.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    on_tile : callable, optional
        Called with box (level-0 pixels) and labels (h, w) of each tile of the finest factor, with preliminary ids;
        from other threads.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.

    Returns
    -------
    EverythingReport

    Raises
    ------
    SettingsError
        If an argument is not allowed, or there is an unfinished run in the output.
    PromptError
        If the region lies outside the image, or the model does not support the method.
    ImageError
        If the image cannot be opened.
    StoreError
        If the disk fails, or every tile fails; finished tiles are kept.
    LabelsError
        If the ids of the store are used up.
    CancelledError
        If `cancelled()` returned True; finished tiles are kept.

    Examples
    --------
    >>> import napari_sam as ns
    >>> from napari_sam.samples import nuclei
    >>> report = ns.segment_everything(nuclei())  # doctest: +SKIP
    >>> report.labels.table()                       # doctest: +SKIP
    """
    options = RunOptions(resume, client, workers, progress, on_tile, cancelled)
    keywords = {
        "method": method,
        "region": None if region is None else tuple(region),
        "diameter_px": diameter_px,
        "level": level,
        "side": side,
        "grid": grid,
        "watershed": watershed,
        "branches": branches,
        "coarser": None if coarser is None else bool(coarser),
        "overlap": overlap,
        "category": category,
        "border": border,
    }
    return segment_image(image, predictor, output, settings_from(EverythingSettings, settings, keywords), options)


def segment_image(
    image: Any,
    predictor: Predictor | str | Path,
    output: LabelStore | str | Path | None,
    settings: EverythingSettings,
    options: RunOptions,
    build_finder: Callable[[FinderSpec, Predictor], ObjectFinder] = FinderSpec.build,
    search: ConceptSearch | None = None,
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
            job = _plan_job(own_predictor, store, settings, options, build_finder, search)
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
) -> _ImageJob:
    """Choose the windows, cut the region into tiles, and open the run in the store."""
    shape = predictor.image.shape
    region = Box(*settings.region) if settings.region is not None else Box(0, 0, *shape)
    window_side = _window_side(predictor, store, settings, region, options)
    side, finest = split_side(window_side, predictor.img_size)
    grid = {} if settings.grid is None else asdict(settings.grid)
    watershed = None if settings.watershed is None else asdict(settings.watershed)
    concept = None if search is None else search.spec(store)
    spec = FinderSpec(settings.method, side, grid, watershed, settings.branches, concept)
    factors = choose_factors(shape, side, finest, settings.searches_coarser)
    plan = plan_run(spec, region, shape, factors, settings.border)
    finder = build_finder(spec, predictor)
    if isinstance(finder, ConceptFinder):
        finder.begin(describe_source(predictor))
    asked = {
        **describe_run(predictor, finder, plan, settings.overlap, settings.category),
        "call": _repeatable_call(settings, region, window_side),
        **({} if concept is None else {"find": concept.record()}),
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
