"""Find the objects of a concept in an image of any size, or in a stack."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.concept import Concept
from napari_sam.engine.linking.link_settings import FrameLinking
from napari_sam.io.candidates.candidate_files import CandidateFiles
from napari_sam.jobs.concept_search.concept_spec import ConceptSearch
from napari_sam.jobs.find.find_settings import FindSettings
from napari_sam.jobs.report_html import failure_text, report_html, time_text
from napari_sam.jobs.run_options import RunOptions, settings_from
from napari_sam.jobs.segment_image import segment_image
from napari_sam.jobs.stacks.open_stack import open_stack
from napari_sam.jobs.stacks.segment_stack import StackRequest, segment_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.geometry import Box
    from napari_sam.engine.linking.link_settings import PlaneLinking
    from napari_sam.engine.tiling.find_tiles import TileFailure
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.stacks.stack_report import PlaneFailure
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class FindReport:
    """Result of `find`.

    Attributes
    ----------
    concept : str
        Name of the concept.
    threshold : float
        Least score of an object.
    objects : int
        Number of objects.
    ids : ndarray of int64
        (n,) ids of the objects, ascending.
    scores : ndarray of float32
        (n,) score of each object; in the table of the labels it is the ``predicted_iou``.
    counts : dict of str to int
        Number of "tiles" that were searched, or of "planes", and of objects that were "left_out" because they reach
        too far outside the region.
    failed : list of TileFailure or PlaneFailure
        Parts that could not be searched.
    seconds : dict of str to float
        Time by part of the work.
    labels : LabelStore
        The store with the objects, open for writing.
    """

    concept: str
    threshold: float
    objects: int
    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    counts: dict[str, int]
    failed: list[TileFailure] | list[PlaneFailure]
    seconds: dict[str, float]
    labels: LabelStore = field(repr=False)

    def _repr_html_(self) -> str:
        parts, total = next(((name, self.counts[name]) for name in ("tiles", "planes") if name in self.counts), ("", 0))
        facts = {
            "concept": self.concept,
            "objects found": self.objects,
            "threshold": f"{self.threshold:.2f}",
            parts: total,
            "failed": failure_text(self.failed, total, parts),
            "time": time_text(self.seconds),
        }
        return report_html("Objects of a kind", facts, self.labels)


def find(  # noqa: PLR0913 - the public contract
    image: Any,
    concept: Concept | str | Path,
    predictor: Predictor | str | Path | None = None,
    output: LabelStore | str | Path | None = None,
    *,
    threshold: float | None = None,
    category: str | None = None,
    region: tuple[int, int, int, int] | None = None,
    diameter_px: float | None = None,
    level: int | None = None,
    side: int | None = None,
    coarser: bool = False,
    overlap: str = "keep",
    border: str = "cut",
    settings: FindSettings | None = None,
    candidates: str | Path | None = None,
    linking: PlaneLinking | FrameLinking | None = None,
    planes: Sequence[int] | None = None,
    resume: bool | None = None,
    client: Any = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_tile: Callable[[Box, NDArray[np.uint32]], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FindReport:
    """Find all objects of a concept in an image of any size.

    The image is searched as by `segment_everything`, at low thresholds, and each candidate gets a score from the
    concept; those that score enough become objects. Tiles, resuming and clusters are as there.

    Parameters
    ----------
    image
        Whatever `open_image` accepts.
    concept : Concept, str or Path
        A concept, or its file.
    predictor : Predictor, str or Path, optional
        A predictor, whose own image is not changed, or the name or file of a model, which must be that of the concept;
        the model of the concept by default.
    output : LabelStore or path, optional
        Where the objects are written; a store is created at a path that does not exist. By default a temporary store,
        deleted when the process ends.
    threshold : float, optional
        Least score of an object, from 0 to 1; that of the concept by default.
    category : str, optional
        Class of the objects; the name of the concept by default.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1) in level-0 pixels, half-open; the whole image by default.
    diameter_px : float, optional
        Typical object diameter in level-0 pixels, which sets the magnification; that of the concept's examples by
        default. Give it where objects of the kind are larger or smaller than in the image of the examples.
    level : int, optional
        Reduce the image 2 ** level times along each axis, instead of `diameter_px`.
    side : int, optional
        Level-0 pixels that one window of the network covers, instead of `diameter_px` and `level`.
    coarser : bool
        Also search coarser levels for objects larger than half a window.
    overlap : {"keep", "replace"}
        "keep" leaves existing objects their pixels and drops new objects that are half covered by them; "replace"
        gives the pixels to the new objects.
    border : {"cut", "whole"}
        Whether objects end at the border of `region`, or those whose centre lies in it are followed outside it.
    settings : FindSettings, optional
        All arguments from `threshold` to `border` in one object, instead of them.
    candidates : str or Path, optional
        Folder in which all candidates are kept with their features. A later call with this folder, with any concept of
        the same model, needs no network; its magnification is that of the candidates unless another is given.
    linking : PlaneLinking or FrameLinking, optional
        Search all planes of a volume, or all frames of a movie, and link the objects so that each has one id.
    planes : sequence of int, optional
        With `linking`: the planes to search; all by default.
    resume : bool, optional
        True continues an unfinished run of the same settings in the output, False drops it. By default an unfinished
        run is an error, so that nothing is lost.
    client : distributed.Client, optional
        Cluster whose workers search the tiles; they must reach image, model and output by the same paths.
    workers : int
        Processes on this machine, if there is no client; 1 is this process.
    progress : callable, optional
        Called with the number of steps done and of all steps.
    on_tile : callable, optional
        Called with box (level-0 pixels) and labels (h, w) of each tile, with preliminary ids; from other threads.
    cancelled : callable, optional
        Polled between the steps; the work stops when it returns True.

    Returns
    -------
    FindReport

    Raises
    ------
    ConceptError
        If the concept cannot be read, has no accepted example, or was learned with another model than the predictor's.
    SettingsError
        If an argument is not allowed, or there is an unfinished run in the output.
    PromptError
        If the region lies outside the image.
    ImageError
        If the image cannot be opened, or has no such axis or planes.
    StoreError
        If the disk fails, every tile fails, or `candidates` holds those of another image; finished tiles are kept.
    LabelsError
        If the ids of the store are used up.
    CancelledError
        If `cancelled()` returned True; finished tiles are kept.

    Examples
    --------
    >>> import napari_sam as ns
    >>> concept = ns.Concept.from_examples("a.tif", labels, positive=[1, 7], negative=[3])  # doctest: +SKIP
    >>> report = ns.find("b.tif", concept, output="b.ome.zarr")                             # doctest: +SKIP
    """
    keywords = {
        "threshold": threshold,
        "category": category,
        "region": None if region is None else tuple(region),
        "diameter_px": diameter_px,
        "level": level,
        "side": side,
        "coarser": bool(coarser),
        "overlap": overlap,
        "border": border,
    }
    options = RunOptions(resume, client, workers, progress, on_tile, cancelled)
    chosen = settings_from(FindSettings, settings, keywords)
    search = concept_search(concept, chosen, candidates)
    found = chosen.for_concept(search.concept, _known_window(search, linking is not None))
    model = search.concept.layout.model if predictor is None else predictor
    if linking is None:
        report = segment_image(image, model, output, found, options, search=search)
        counts = {"tiles": report.tiles, "left_out": report.left_out}
        return _report(search, report, counts)
    stack = open_stack(image, "t" if isinstance(linking, FrameLinking) else "z")
    request = StackRequest(stack, planes, linking, found, search=search)
    linked = segment_stack(request, model, output, options)
    return _report(search, linked, {"planes": linked.planes, "gaps": linked.gaps})


def concept_search(
    concept: Concept | str | Path, settings: FindSettings, candidates: str | Path | None = None
) -> ConceptSearch:
    """Return what to look for.

    Parameters
    ----------
    concept, candidates
        As in `find`.
    settings : FindSettings
        With the threshold, which is that of the concept where it is None.

    Raises
    ------
    ConceptError
        If the concept cannot be read.
    """
    loaded = concept if isinstance(concept, Concept) else Concept.load(concept)
    threshold = loaded.threshold if settings.threshold is None else settings.threshold
    return ConceptSearch(loaded, float(threshold), None if candidates is None else Path(candidates).expanduser())


def _known_window(search: ConceptSearch, in_planes: bool) -> int | None:
    """Return the side of the windows in which candidates are known; None without any."""
    if search.candidates is None:
        return None
    folders = sorted(search.candidates.glob("plane*")) if in_planes else [search.candidates]
    return next((window for folder in folders if (window := CandidateFiles(folder).window_px) is not None), None)


def _report(search: ConceptSearch, report: Any, counts: dict[str, int]) -> FindReport:
    """Return the report of a run, with the scores of its objects."""
    store: LabelStore = report.labels
    ids = list(itertools.islice(store.journal.objects.labels_from(report.first_label), report.objects))
    rows = store.journal.objects.rows(ids)
    scores = np.array([rows[label].predicted_iou or 0.0 for label in ids], np.float32)
    return FindReport(
        search.concept.name,
        search.threshold,
        report.objects,
        np.array(ids, np.int64),
        scores,
        counts,
        report.failed,
        report.seconds,
        store,
    )
