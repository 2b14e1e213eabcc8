"""Segment all objects of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.engine.linking.link_settings import PlaneLinking
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.run_options import RunOptions, settings_from
from napari_sam.jobs.stacks.open_stack import open_stack
from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.stacks.stack_report import StackReport
    from napari_sam.predictor import Predictor


def segment_volume(  # noqa: PLR0913 - the public contract
    stack: Any,
    predictor: Predictor | str | Path = "default",
    output: LabelStore | str | Path | None = None,
    method: str = "auto",
    *,
    axis: str = "z",
    planes: Sequence[int] | None = None,
    diameter_px: float | None = None,
    overlap: str = "keep",
    category: str | None = None,
    settings: EverythingSettings | None = None,
    linking: PlaneLinking | None = None,
    resume: bool | None = None,
    client: Any = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_plane: Callable[[int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StackReport:
    """Find all objects of a volume; each has one id through all its planes.

    Every plane is segmented like a single image of any size, at one magnification and with one normalisation for all.
    The objects of neighbouring planes are then linked by their overlap, as an assignment problem over all pairs of two
    planes, and objects that are missing in a plane are linked across it. Finished planes are on disk: after
    cancellation or a crash, the same call with ``resume=True`` continues and ends with the same labels. A plane that
    cannot be read is named in the report, and objects pass over it.

    Parameters
    ----------
    stack
        Whatever `open_image` accepts; an array of three axes is taken for (z, y, x). If it has other axes, such as t,
        the plane of the opened `Image` says where the volume lies along them.
    predictor : Predictor, str or Path
        A predictor, whose own image is not changed, or the name or file of a model.
    output : LabelStore or path, optional
        A store of the stack's shape; one is created at a path that does not exist. By default a temporary store,
        deleted when the process ends.
    method, diameter_px, overlap, category
        As in `segment_everything`.
    axis : str
        Axis that objects are followed along.
    planes : sequence of int, optional
        Planes to segment, such as ``range(10, 50)``; all by default.
    settings : EverythingSettings, optional
        All settings of a plane in one object, instead of `method`, `diameter_px`, `overlap` and `category`.
    linking : PlaneLinking, optional
        Smallest overlap and longest gap.
    resume : bool, optional
        True continues an unfinished run of the same settings in the output, False drops it. By default an unfinished
        run is an error, so that nothing is lost.
    client : distributed.Client, optional
        Cluster whose workers find the objects; they must reach image, model and output by the same paths.
    workers : int
        Processes on this machine, if there is no client; 1 is this process.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    on_plane : callable, optional
        Called with the index of each plane that is segmented.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.

    Returns
    -------
    StackReport

    Raises
    ------
    SettingsError
        If an argument is not allowed, or there is an unfinished run in the output.
    ImageError
        If the stack cannot be opened, or has no such axis or planes.
    PromptError
        If the region lies outside the image, or the model does not support the method.
    StoreError
        If the disk fails, the output is of another shape, or every plane fails; finished planes are kept.
    CancelledError
        If `cancelled()` returned True; finished planes are kept.

    Examples
    --------
    >>> import napari_sam as ns
    >>> report = ns.segment_volume("stack.ome.zarr", output="cells.ome.zarr")  # doctest: +SKIP
    >>> report.labels.table()[["label", "n_planes", "area_px"]]                # doctest: +SKIP
    """
    options = RunOptions(resume, client, workers, progress, cancelled=cancelled)
    keywords = {"method": method, "diameter_px": diameter_px, "overlap": overlap, "category": category}
    chosen = settings_from(EverythingSettings, settings, keywords)
    request = StackRequest(open_stack(stack, axis), planes, linking or PlaneLinking(), chosen, on_plane)
    return segment_stack(request, predictor, output, options)
