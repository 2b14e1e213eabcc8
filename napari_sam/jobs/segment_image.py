"""All objects of an image of any size, found, joined and written into a label store."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import threading
import time
import weakref
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam.engine.automatic.dense_maps import check_region
from napari_sam.engine.geometry import Box
from napari_sam.engine.tiling.find_tiles import TileFailure, find_tiles
from napari_sam.errors import PromptError, SettingsError, StoreError
from napari_sam.io.images.lazy_image import Image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.tile_files import TileFiles
from napari_sam.jobs.run_output import leave, output_store, predictor_for
from napari_sam.jobs.run_plan import (
    FinderSpec,
    Work,
    check_shareable,
    choose_factors,
    choose_method,
    choose_side,
    estimate_side,
    plan_run,
    split_side,
    whole_number,
)
from napari_sam.jobs.tile_run import UNFINISHED, Run, Steps, about_run
from napari_sam.jobs.tile_workers import check_client, run_on_client, run_on_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_settings import GridSettings
    from napari_sam.predictor import Predictor
    from src_models.watershed_settings import WatershedSettings


_running: weakref.WeakSet[LabelStore] = weakref.WeakSet()
_running_lock = threading.Lock()


@dataclass(frozen=True)
class EverythingReport:
    """What a run found.

    Attributes
    ----------
    method : str
        "grid" or "dense".
    objects : int
        How many objects have pixels.
    first_label : int
        Id of the first; those of the run follow.
    tiles : int
        How many tiles were looked at, at all factors.
    failed : list of TileFailure
        Tiles that could not be done; what they hide can be found later by a run on their region.
    factors : list of int
        Level-0 pixels per pixel of the labels as they were found, finest first.
    seconds : dict of str to float
        Time for finding, joining and writing, in this call.
    labels : LabelStore
        Where the objects are, open for writing.
    """

    method: str
    objects: int
    first_label: int
    tiles: int
    failed: list[TileFailure]
    factors: list[int]
    seconds: dict[str, float]
    labels: LabelStore = field(repr=False)


def segment_everything(  # noqa: PLR0913 - the public contract
    image: Any,
    predictor: Predictor | str | Path = "default",
    output: LabelStore | str | Path | None = None,
    method: str = "auto",
    *,
    region: Box | None = None,
    diameter_px: float | None = None,
    level: int | None = None,
    side: int | None = None,
    grid: GridSettings | None = None,
    watershed: WatershedSettings | None = None,
    coarser: bool | None = None,
    overlap: str = "keep",
    category: str | None = None,
    resume: bool | None = None,
    client: Any = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_tile: Callable[[Box, NDArray[np.uint32]], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EverythingReport:
    """Find all objects of an image, however large it is.

    The image is cut into overlapping tiles; objects that neighbouring tiles agree on become one, and are drawn across
    the border in one piece. What is larger than a tile is looked for at coarser levels. The result does not depend on
    the order of tiles or the number of workers. Each finished tile is on disk: a run that was cancelled or killed goes
    on with ``resume=True``, and ends with the same labels.

    Parameters
    ----------
    image
        Whatever `open_image` accepts.
    predictor : Predictor, str or Path
        A predictor, whose own image stays as it is, or the name or file of a model.
    output : LabelStore or path, optional
        Where the objects go; a store is made at a path where there is none. Without it they go to a temporary store,
        deleted when the process ends.
    method : {"auto", "grid", "dense"}
        Points on a grid, as SAM's automatic mask generator, or the dense decoder. Auto takes dense where the model
        has such a decoder.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    diameter_px : float, optional
        Typical diameter of the objects, level-0 pixels: decides how far the image is magnified or reduced.
    level : int, optional
        Instead: reduce the image 2 ** level times along each axis.
    side : int, optional
        Instead: how many level-0 pixels a window of the network shows. Without any of these the dense mode looks at
        some samples in several magnifications and takes the one it is surest in; the grid mode takes full resolution.
    grid : GridSettings, optional
        Of the grid mode.
    watershed : WatershedSettings, optional
        Of the dense mode; by default those of the model.
    coarser : bool, optional
        Also look at coarser levels, for objects larger than half a window; by default unless a diameter is given.
    overlap : {"keep", "replace"}
        Whether objects that the store has already keep their pixels. With "keep", a found object that is half covered
        by them is left out.
    category : str, optional
        What kind of objects they are.
    resume : bool, optional
        True goes on with a run of the same settings that lies unfinished in the output; False drops such a run. By
        default one is an error, so that nothing is lost.
    client : distributed.Client, optional
        Workers of this cluster find the objects; they must reach image, model and output by the same paths.
    workers : int
        Without a client: so many processes on this machine; 1 is this process.
    progress : callable, optional
        Called with steps done and their number.
    on_tile : callable, optional
        Called with the box (level-0 pixels) and labels (h, w) of each tile that was found, with preliminary ids; from
        other threads. Only at the finest factor.
    cancelled : callable, optional
        Asked between the steps; when it returns True the work stops.

    Returns
    -------
    EverythingReport

    Raises
    ------
    SettingsError
        If an argument means nothing, or an unfinished run lies in the output.
    PromptError
        If the region lies outside the image, or the model cannot do the method.
    ImageError
        If the image cannot be opened.
    StoreError
        If the disk fails, or not one tile could be done; tiles that were done are kept.
    LabelsError
        If the ids of the store are used up.
    CancelledError
        If `cancelled` said so; tiles that were done are kept.

    Examples
    --------
    >>> import napari_sam as ns
    >>> from napari_sam.samples import nuclei
    >>> report = ns.segment_everything(nuclei())  # doctest: +SKIP
    >>> report.labels.table()                       # doctest: +SKIP
    """
    coarser = diameter_px is None if coarser is None else bool(coarser)
    wish = _Wish(method, region, side, diameter_px, level, grid, watershed, coarser, overlap, category)
    _check_process(workers)
    _check(wish)
    workers = whole_number("workers", workers, 1)
    source = image if isinstance(image, Image) else open_image(image)
    own = predictor_for(predictor, source)
    wish = replace(wish, method=choose_method(method, own), region=check_region(region, source.shape, most_px=None))
    wish.shown(own)  # before a store is made for what makes no sense
    if client is not None or workers > 1:
        check_shareable(own)
        check_client(client)
    store, made = output_store(output, source)
    started = False
    try:
        with _alone(store):
            job = _Job(own, store, wish, resume, cancelled)
            steps = Steps(progress, job.run, on_tile)
            times = [time.perf_counter()]
            started = True
            if not job.run.merged:
                steps.show_done()
                job.find(client, workers, steps, cancelled)
            times.append(time.perf_counter())
            scene = job.run.join(job.spec.side)
            times.append(time.perf_counter())
            job.run.write(scene, own.model, category, steps, cancelled)
            times.append(time.perf_counter())
            job.run.files.clear()
    except BaseException:
        leave(store, output, delete=made and not started)
        raise
    parts = ("find", "join", "write")
    seconds = {name: b - a for name, (a, b) in zip(parts, itertools.pairwise(times), strict=True)}
    run, plan = job.run, job.plan
    return EverythingReport(
        wish.method, run.objects(), run.first_label, len(plan.tiles), run.failed, plan.factors, seconds, store
    )


@dataclass(frozen=True)
class _Wish:
    """What the caller asked for; as `segment_everything`."""

    method: str
    region: Box | None
    side: int | None
    diameter_px: float | None
    level: int | None
    grid: GridSettings | None
    watershed: WatershedSettings | None
    coarser: bool
    overlap: str
    category: str | None

    def shown(self, predictor: Predictor) -> int | None:
        """Level-0 pixels that a window is to show; None if that is to be found out."""
        points = 32 if self.grid is None else self.grid.points_per_side
        return self.side or choose_side(self.method, predictor, self.diameter_px, self.level, points)


class _Job:
    """One call: which windows, which tiles, and the run on disk they belong to."""

    def __init__(
        self,
        predictor: Predictor,
        store: LabelStore,
        wish: _Wish,
        resume: bool | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.predictor = predictor
        shape, box = predictor.image.shape, wish.region or Box(0, 0, *predictor.image.shape)
        shown = wish.shown(predictor)
        if shown is None and resume:  # what was seen then is not to be looked for again
            shown = ((unfinished_run(store) or {}).get("call") or {}).get("side")
        if shown is None:
            shown = estimate_side(predictor, box, wish.watershed, cancelled)
        side, finest = split_side(shown, predictor.img_size)
        grid = {} if wish.grid is None else asdict(wish.grid)
        self.spec = FinderSpec(wish.method, side, grid, None if wish.watershed is None else asdict(wish.watershed))
        self.plan = plan_run(self.spec, box, shape, choose_factors(shape, side, finest, wish.coarser))
        self.finder = self.spec.build(predictor)
        about = about_run(predictor, self.finder, self.plan, wish.overlap, wish.category)
        call = {**asdict(wish), "region": list(box), "side": shown, "diameter_px": None, "level": None}
        self.run = Run(store, self.plan, {**about, "call": call}, resume)  # the call: for a script that does it again

    def find(self, client: Any, workers: int, steps: Steps, cancelled: Callable[[], bool] | None) -> None:
        """Find the objects of the tiles that are not done."""
        run = self.run
        if client is None and workers == 1:
            find_tiles(self.finder, run.missing(), run.files, steps.found, cancelled)
        else:
            work = Work.of(run.files.folder, self.predictor, self.spec, self.plan)
            names = [tile.name for _, tile in run.missing()]
            if client is None:
                run_on_processes(work, names, workers, steps.named, cancelled)
            else:
                run_on_client(client, work, names, steps.named, cancelled)
        run.check_failures()


def unfinished_run(labels: LabelStore | str | Path) -> dict[str, Any] | None:
    """What lies unfinished in a store: its settings, and ``tiles_done`` of ``tiles``; None if nothing does.

    Parameters
    ----------
    labels : LabelStore or path
        The store.
    """
    path = labels.path if isinstance(labels, LabelStore) else Path(labels).expanduser()
    files = TileFiles(path / UNFINISHED)
    found = files.description()
    return None if found is None else {**found["about"], "tiles": found["tiles"], "tiles_done": len(files.done())}


def _check(wish: _Wish) -> None:
    """Refuse settings that mean nothing."""
    if wish.overlap not in ("keep", "replace"):
        raise SettingsError(f"overlap {wish.overlap!r}: use 'keep' or 'replace'")
    if wish.region is not None and len(wish.region) != 4:
        raise PromptError(f"region {wish.region}: give four numbers (y0, x0, y1, x1), level-0 pixels")
    if wish.side is not None:
        whole_number("side", wish.side, 1)
        if wish.level is not None or wish.diameter_px is not None:
            raise SettingsError(f"side {wish.side}: give neither level nor diameter_px beside it")


def _check_process(workers: Any) -> None:
    """Refuse to begin in a worker process that only wanted to import the caller's script."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SettingsError(
            f"workers {workers}: other processes import your script, and so run it again; put the call under "
            "if __name__ == '__main__':"
        )


@contextlib.contextmanager
def _alone(store: LabelStore) -> Iterator[None]:
    """Keep a second run off a store."""
    with _running_lock:
        if store in _running:
            raise StoreError(f"{store.path}: a run is writing into this store; wait for it, or cancel it")
        _running.add(store)
    try:
        yield
    finally:
        with _running_lock:
            _running.discard(store)
