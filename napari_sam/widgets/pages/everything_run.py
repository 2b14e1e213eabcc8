"""A run over all objects in a thread of its own: progress, partial results, cancel and resume."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import Signal

from napari_sam.engine.automatic.grid_settings import GridSettings
from napari_sam.engine.linking.link_settings import FrameLinking, PlaneLinking
from napari_sam.errors import NapariSamError
from napari_sam.io.labels.review_queue import ReviewQueue
from napari_sam.jobs.image_run import read_unfinished_run
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.run_options import RunOptions
from napari_sam.jobs.stacks.open_stack import open_stack
from napari_sam.jobs.stacks.stack_run import read_unfinished_stack
from napari_sam.layers.partial_results import PartialFrame
from napari_sam.layers.stacks.stack_axes import TIME
from napari_sam.widgets.background_run import BackgroundRun
from src_models.watershed_settings import WatershedSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.segment_image import EverythingReport
    from napari_sam.jobs.stacks.stack_report import StackReport
    from napari_sam.predictor import Predictor
    from napari_sam.widgets.engine_session import EngineSession

Linking = PlaneLinking | FrameLinking
_LOADING, _PREPARING = "Loading the model…", "Getting ready…"
_SAMPLING = "Looking at samples to choose the magnification…"


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that was stopped, in a label store.

    Attributes
    ----------
    settings : EverythingSettings
        Settings that continue it.
    tiles, tiles_done : int
        Number of tiles, and of those that are finished; of planes, if objects are linked along `axis`.
    axis : str
        Axis along which objects are linked, "z" or "t"; empty for one plane.
    linking : PlaneLinking or FrameLinking, optional
        How objects are linked along it.
    """

    settings: EverythingSettings
    tiles: int
    tiles_done: int
    axis: str = ""
    linking: Linking | None = None

    @property
    def unit(self) -> str:
        """What is counted."""
        return {"": "tiles", "t": "frames"}.get(self.axis, "planes")

    @classmethod
    def of(cls, record: dict[str, Any]) -> UnfinishedRun:
        """Convert the record that `read_unfinished_run` returns."""
        call: dict[str, Any] = record.get("call") or {}
        grid, watershed = call.get("grid"), call.get("watershed")
        settings = EverythingSettings(
            method=record["method"],
            region=tuple(record["region"]),
            overlap=record["overlap"],
            side=call.get("side"),
            coarser=bool(call.get("coarser", True)),
            category=record.get("category"),
            border=call.get("border", "cut"),
            branches=call.get("branches", "auto"),
            min_iou=float(call.get("min_iou", 0.0)),
            stage=call.get("stage", "automatic"),
            grid=GridSettings(**grid) if isinstance(grid, dict) else None,
            watershed=WatershedSettings(**watershed) if isinstance(watershed, dict) else None,
        )
        return cls(settings, record["tiles"], min(record["tiles_done"], record["tiles"]))

    @classmethod
    def of_stack(cls, record: dict[str, Any]) -> UnfinishedRun:
        """Convert the record that `read_unfinished_stack` returns."""
        call: dict[str, Any] = dict(record["stack_call"])
        grid, watershed = call.get("grid"), call.get("watershed")
        call["grid"] = GridSettings(**grid) if isinstance(grid, dict) else None
        call["watershed"] = WatershedSettings(**watershed) if isinstance(watershed, dict) else None
        call["region"] = tuple(call["region"])
        given = dict(record.get("linking") or {})
        kind = {kind.__name__: kind for kind in (PlaneLinking, FrameLinking)}.get(given.pop("kind", ""))
        linking = None if kind is None else kind(**given)
        return cls(EverythingSettings(**call), record["planes"], record["planes_done"], record["axis"], linking)


@dataclass(frozen=True)
class RunHooks:
    """Functions that a run calls in its thread.

    Attributes
    ----------
    progress : callable
        Called with the number of steps done and that of all steps.
    on_tile : callable
        Called with box and labels of a finished tile.
    cancelled : callable
        Returns True once the run should stop.
    """

    progress: Callable[[int, int], None]
    on_tile: Callable[[tuple[int, int, int, int], NDArray[np.uint32]], None]
    cancelled: Callable[[], bool]


@dataclass(frozen=True)
class RunRequest:
    """What to find, and where to write it.

    Attributes
    ----------
    image : Image
        Image to segment.
    predictor : Predictor
        Predictor of the model.
    store : LabelStore
        Store to write the objects into.
    settings : EverythingSettings
        Region, method and their settings.
    resume : bool or None
        Continue the unfinished run of the store; False replaces it, and None refuses to start beside it.
    axis : str
        Axis of the image along which objects are linked, "z" or "t"; empty for the image's plane alone.
    linking : PlaneLinking or FrameLinking, optional
        How objects are linked along it.
    """

    image: Image
    predictor: Predictor
    store: LabelStore
    settings: EverythingSettings
    resume: bool | None
    axis: str = ""
    linking: Linking | None = None


class EverythingEngine(Protocol):
    """Finds all objects of an image."""

    def segment(self, request: RunRequest, hooks: RunHooks) -> EverythingReport | StackReport:
        """Find all objects, and write them into the store."""
        ...

    def unfinished(self, path: Path) -> UnfinishedRun | None:
        """Return the unfinished run of the store at `path`."""
        ...


class JobsEngine:
    """The engine of `napari_sam.jobs`."""

    def segment(self, request: RunRequest, hooks: RunHooks) -> EverythingReport | StackReport:
        """Find all objects, and write them into the store."""
        from napari_sam.jobs.segment_everything import segment_everything  # noqa: PLC0415 - imports torch
        from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack  # noqa: PLC0415

        if request.axis:
            linking = request.linking or (FrameLinking() if request.axis == TIME else PlaneLinking())
            stack = StackRequest(open_stack(request.image, request.axis), None, linking, request.settings)
            options = RunOptions(request.resume, progress=hooks.progress, cancelled=hooks.cancelled)
            return segment_stack(stack, request.predictor, request.store, options)
        return segment_everything(
            request.image,
            request.predictor,
            request.store,
            **{f.name: getattr(request.settings, f.name) for f in fields(request.settings)},
            resume=request.resume,
            progress=hooks.progress,
            on_tile=hooks.on_tile,
            cancelled=hooks.cancelled,
        )

    def unfinished(self, path: Path) -> UnfinishedRun | None:
        """Return the unfinished run of the store at `path`."""
        try:
            record = read_unfinished_run(path)
            if record is not None:
                return UnfinishedRun.of(record)
            of_stack = read_unfinished_stack(path)
            return None if of_stack is None else UnfinishedRun.of_stack(of_stack)
        except (NapariSamError, KeyError, TypeError, ValueError):  # damaged: it can be discarded, not continued
            return UnfinishedRun(EverythingSettings(), 0, 0)


class EverythingRun(BackgroundRun):
    """Run the engine in the background.

    Parameters
    ----------
    session : EngineSession
        Session with the model.
    engine : EverythingEngine
        Engine that finds the objects.

    Signals
    -------
    tile_found : TileColours
        Labels of a finished tile, as the partial layer shows them.
    """

    tile_found = Signal(object)

    def __init__(self, session: EngineSession, engine: EverythingEngine) -> None:
        super().__init__()
        self._session, self._engine = session, engine

    def start(
        self,
        image: Image,
        store: LabelStore,
        settings: EverythingSettings,
        resume: bool | None,
        axis: str = "",
        linking: Linking | None = None,
    ) -> None:
        """Start a run, or continue an unfinished one; the arguments are those of `RunRequest`."""
        model, frame = self._session.model, PartialFrame.of(settings.region or (0, 0, *image.shape))

        def on_tile(box: tuple[int, int, int, int], labels: NDArray[np.uint32]) -> None:
            tile = frame.sample(box, labels)
            if tile is not None:
                self.tile_found.emit(tile)

        def job(cancelled: Callable[[], bool]) -> EverythingReport | StackReport:
            self.activity_changed.emit(_LOADING)
            predictor = self._session.load(model)
            dense = settings.method == "dense" or (settings.method == "auto" and predictor.can_dense)
            known = settings.diameter_px or settings.level is not None or settings.side or resume
            self.activity_changed.emit(_SAMPLING if dense and not known else _PREPARING)
            request = RunRequest(image, predictor, store, settings, resume, axis, linking)
            report = self._engine.segment(request, RunHooks(self.progressed.emit, on_tile, cancelled))
            ReviewQueue(store)  # makes its index here rather than in the GUI thread
            return report

        self.submit(job, store)

    def unfinished(self, path: Path) -> UnfinishedRun | None:
        """Return the unfinished run of the store at `path`."""
        return self._engine.unfinished(path)
