"""The public function that finds all objects of an image, of any kind or those that fit a phrase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.jobs.run_options import RunOptions, settings_from
from napari_sam.jobs.segment_image import EverythingReport, segment_image
from napari_sam.jobs.text.segment_text import segment_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.engine.automatic.grid_settings import GridSettings
    from napari_sam.engine.geometry import Box
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.predictor import Predictor
    from napari_sam.text.text_detector import TextDetector
    from napari_sam.text.text_search import TextSearch
    from src_models.watershed_settings import WatershedSettings


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
    min_iou: float = 0.0,
    min_stability: float = 0.0,
    min_region_px: int = 0,
    stage: str = "automatic",
    text: str | None = None,
    detector: TextSearch | TextDetector | str | Path | None = None,
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
    min_iou : float
        Leave out objects of a lower predicted IoU.
    min_stability : float
        Leave out objects of a lower stability score.
    min_region_px : int
        Of the objects of dense mode, fill holes and remove separate parts with fewer pixels of the network's input.
    stage : {"automatic", "semi-automatic"}
        Stage of annotation that is noted with the objects.
    text : str, optional
        Keep the objects that fit a phrase, such as "nuclei larger than 50 µm": by a concept of the vocabulary, or by
        a detector; its name is their category by default. Objects that miss the phrase's conditions are deleted when
        all are written, as a change of its own.
    detector : TextSearch, TextDetector, str or Path, optional
        Open-vocabulary model for words outside the vocabulary, as in `Predictor.predict`.
    settings : EverythingSettings, optional
        All arguments from `method` to `stage` in one object, instead of them.
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
        If the region lies outside the image, the model does not support the method, or the text cannot be answered.
    ConceptError
        If the concept of the text is of another model.
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
        "min_iou": float(min_iou),
        "min_stability": float(min_stability),
        "min_region_px": min_region_px,
        "stage": stage,
    }
    chosen = settings_from(EverythingSettings, settings, keywords)
    if text is not None:
        return segment_text(image, (text, detector), predictor, output, chosen, options)
    return segment_image(image, predictor, output, chosen, options)
