"""Segment all objects of a volume or a movie, and write them with one id through all planes."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.automatic.dense_maps import check_region
from napari_sam.engine.cluster.dask_client import check_client
from napari_sam.engine.geometry import Box
from napari_sam.errors import ImageError
from napari_sam.jobs.image_run import describe_source
from napari_sam.jobs.run_output import close_after_error
from napari_sam.jobs.stacks.fill_gaps import fill_gaps, filled_files
from napari_sam.jobs.stacks.follow_missing import follow_missing
from napari_sam.jobs.stacks.link_stack import link_stack, without_covered
from napari_sam.jobs.stacks.open_stack import choose_planes
from napari_sam.jobs.stacks.segment_plane import PlaneSegmenter
from napari_sam.jobs.stacks.stack_progress import StackProgress
from napari_sam.jobs.stacks.stack_report import StackReport
from napari_sam.jobs.stacks.stack_run import StackRun, read_unfinished_stack
from napari_sam.jobs.stacks.stack_store import stack_store
from napari_sam.jobs.stacks.write_stack import StackTarget, write_stack
from napari_sam.jobs.store_use import exclusive_use
from napari_sam.jobs.tile_plan import FinderSpec, choose_branches, choose_method, choose_side, estimate_side
from napari_sam.jobs.tile_task import check_shareable
from napari_sam.jobs.write_objects import CommonDetails
from napari_sam.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
    from napari_sam.engine.linking.plane_objects import Links
    from napari_sam.io.images.image_stack import ImageStack
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.plane_files import PlaneFiles
    from napari_sam.jobs.concept_search.concept_spec import ConceptSearch
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.jobs.run_options import RunOptions

_CACHE_BYTES = 64 << 20
_ESTIMATED_PLANES = 5  # from which the side of a window is estimated


@dataclass(frozen=True)
class StackRequest:
    """What to segment and link.

    Attributes
    ----------
    stack : ImageStack
        The planes.
    planes : sequence of int, optional
        Those to segment; all by default.
    linking : PlaneLinking or FrameLinking
        How they are linked: the planes of a volume, or the frames of a movie.
    settings : EverythingSettings
        What to find in each plane.
    on_plane : callable, optional
        Called with the index of each plane that is segmented.
    search : ConceptSearch, optional
        Keep only the objects of a concept.
    """

    stack: ImageStack
    planes: Sequence[int] | None
    linking: PlaneLinking | FrameLinking
    settings: EverythingSettings
    on_plane: Callable[[int], None] | None = None
    search: ConceptSearch | None = None


def segment_stack(
    request: StackRequest,
    predictor: Predictor | str | Path,
    output: LabelStore | str | Path | None,
    options: RunOptions,
    build_finder: Callable[[FinderSpec, Predictor], ObjectFinder] = FinderSpec.build,
) -> StackReport:
    """Segment and link all objects of a stack; `segment_volume` and `track` call it.

    Parameters
    ----------
    request : StackRequest
        What to segment and link.
    predictor : Predictor, str or Path
        A predictor, or the name or file of a model.
    output : LabelStore or path, optional
        As in `segment_volume`.
    options : RunOptions
        How to carry it out.
    build_finder : callable
        Makes the finder of this process.
    """
    stack = request.stack
    planes = choose_planes(stack, request.planes)
    segmenter = _segmenter(request, predictor, options, build_finder)
    if options.is_distributed:
        check_shareable(segmenter.predictor)
    if options.client is not None:
        check_client(options.client)
    store, created = stack_store(output, stack)
    started = False
    try:
        with exclusive_use(store):
            segmenter = _with_side(segmenter, planes, store)
            asked = _describe(request, segmenter, planes, store)
            job = _StackJob(request, segmenter, StackRun(store, planes, asked, options.resume))
            started = True
            return job.carry_out()
    except BaseException:
        close_after_error(store, output, delete=created and not started)
        raise


@dataclass(frozen=True)
class _StackJob:
    """A planned run."""

    request: StackRequest
    segmenter: PlaneSegmenter
    run: StackRun

    def carry_out(self) -> StackReport:
        """Segment, link and write the objects."""
        run, options = self.run, self.segmenter.options
        missing = [] if run.linked else run.missing()
        progress = StackProgress(len(run.planes), len(run.planes) - len(missing), options.progress)
        times = [time.perf_counter()]
        for plane in missing:
            self.segmenter.segment(run, plane, progress.within_plane)
            progress.plane_segmented()
            if self.request.on_plane is not None:
                self.request.on_plane(plane)
        run.check_failures()
        times.append(time.perf_counter())
        links, files = self._links(self._files(), progress)
        times.append(time.perf_counter())
        details = CommonDetails(self.segmenter.predictor.model, self.segmenter.settings.category)
        target = StackTarget(run, files, self.request.stack, details)
        labels = write_stack(target, links, progress.step, options.cancelled)
        times.append(time.perf_counter())
        report = self._report(links, labels, times)
        run.finish()
        progress.finish()
        return report

    def _files(self) -> PlaneFiles:
        """Return the objects of the planes, with those that were followed from other planes."""
        linking = self.request.linking
        if not linking.follow:
            return self.run.files
        return follow_missing(self.run.files, self.segmenter, linking, self.segmenter.options.cancelled)

    def _links(self, files: PlaneFiles, progress: StackProgress) -> tuple[Links, PlaneFiles]:
        """Link the planes, or read the links that an earlier call has made; return also the planes as linked."""
        run, settings, linking = self.run, self.segmenter.settings, self.request.linking
        filled = filled_files(run.files) if linking.fill_gaps else files
        links = run.files.links()
        if links is None:
            cancelled = self.segmenter.options.cancelled
            links = link_stack(files, linking, progress.step, cancelled)
            if linking.fill_gaps:
                links = fill_gaps(files, filled, self.segmenter, links, cancelled)
            if settings.overlap == "keep" and len(run.store):
                links = without_covered(links, filled, run.store, self.request.stack)
            run.files.write_links(links)
        return links, filled

    def _report(self, links: Links, labels: range, times: list[float]) -> StackReport:
        store = self.run.store
        objects, first_label = store.journal.objects.count_between(labels.start, labels.stop - 1)
        seconds = [stop - start for start, stop in itertools.pairwise(times)]
        return StackReport(
            method=self.segmenter.settings.method,
            axis=self.request.stack.axis,
            objects=objects,
            first_label=labels.start if first_label is None else first_label,
            planes=len(self.run.planes),
            failed=self.run.failed,
            found=sum(len(numbers) for numbers in links.numbers.values()),
            gaps=links.gaps,
            divisions=len(set(links.parents.values())),
            side=int(self.segmenter.settings.side or 0),
            seconds=dict(zip(("find", "link", "write"), seconds, strict=True)),
            labels=store,
        )


def _segmenter(
    request: StackRequest,
    predictor: Predictor | str | Path,
    options: RunOptions,
    build_finder: Callable[[FinderSpec, Predictor], ObjectFinder],
) -> PlaneSegmenter:
    """Return what segments the planes, before the side of a window is known."""
    stack = request.stack
    normalisation = stack.normalisation()
    if isinstance(predictor, Predictor):
        looking = predictor.sharing()
    else:
        looking = Predictor(predictor, cache=_CACHE_BYTES)
    looking.set_source(stack.image, normalisation)
    method = choose_method(request.settings.method, looking)
    settings = replace(
        request.settings,
        method=method,
        branches=choose_branches(request.settings.branches, method, looking),
        region=check_region(request.settings.region, stack.shape, most_px=None),  # type: ignore[arg-type]
        coarser=request.settings.searches_coarser,
    )
    choose_side(settings, looking)  # fails before a store is created
    if request.search is not None:
        request.search.check_model(looking)
    return PlaneSegmenter(stack, looking, normalisation, settings, options, build_finder, request.search)


def _with_side(segmenter: PlaneSegmenter, planes: Sequence[int], store: LabelStore) -> PlaneSegmenter:
    """Return the segmenter with one side of a window for all planes; a run that is continued keeps its own."""
    settings = segmenter.settings
    side = choose_side(settings, segmenter.predictor)
    if side is None and segmenter.options.resume:
        known = (read_unfinished_stack(store.path) or {}).get("side")
        side = known if isinstance(known, int) and known > 0 else None
    if side is None:
        side = _estimate_side(segmenter, planes)
    return replace(segmenter, settings=replace(settings, side=side, level=None, diameter_px=None))


def _estimate_side(segmenter: PlaneSegmenter, planes: Sequence[int]) -> int:
    """Return the median of the sides that suit some planes; planes that cannot be read are passed over."""
    region = Box(*segmenter.settings.region) if segmenter.settings.region else Box(0, 0, *segmenter.stack.shape)
    sides, problem = [], None
    for index in sorted({round(i) for i in np.linspace(0, len(planes) - 1, _ESTIMATED_PLANES)}):
        try:
            looking = segmenter.at_plane(planes[index])
            sides.append(estimate_side(looking, region, segmenter.settings.watershed, segmenter.options.cancelled))
        except ImageError as error:
            problem = error
    if problem is not None and not sides:
        raise problem
    return sorted(sides)[len(sides) // 2]


def _describe(
    request: StackRequest, segmenter: PlaneSegmenter, planes: Sequence[int], store: LabelStore
) -> dict[str, Any]:
    """Return everything that decides the result, as JSON: what must be equal to continue a run."""
    stack, settings, search = request.stack, segmenter.settings, request.search
    position = list(stack.image.plane)
    position[stack.position] = -1
    return {
        **describe_source(segmenter.predictor, whole_stack=True),
        "plane": position,
        "axis": stack.axis,
        "planes": [int(plane) for plane in planes],
        "side": settings.side,
        "overlap": settings.overlap,
        "stack_call": asdict(settings),
        **({} if search is None else {"find": search.spec(store).record()}),
        "linking": {"kind": type(request.linking).__name__, **asdict(request.linking)},
    }
