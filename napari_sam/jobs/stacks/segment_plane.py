"""Segment one plane of a stack with everything-mode, and keep its objects in a file."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.geometry import Box
from napari_sam.engine.linking.count_overlaps import ObjectExtents
from napari_sam.engine.tiling.find_tiles import failure_reason, is_tile_error
from napari_sam.errors import NothingSegmentedError, SettingsError
from napari_sam.io.plane_files import BLOCK_PX
from napari_sam.jobs.run_options import RunOptions
from napari_sam.jobs.segment_image import segment_image, unfinished_run
from napari_sam.jobs.tile_plan import FinderSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.object_finder import ObjectFinder
    from napari_sam.engine.linking.plane_objects import PlaneObjects
    from napari_sam.engine.normalisation import Normalisation
    from napari_sam.io.images.image_stack import ImageStack
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.io.plane_files import Block
    from napari_sam.jobs.concept_search.concept_spec import ConceptSearch
    from napari_sam.jobs.job_settings import EverythingSettings
    from napari_sam.jobs.stacks.stack_run import StackRun
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class PlaneSegmenter:
    """Segments the planes of a stack, all with the same settings.

    Attributes
    ----------
    stack : ImageStack
        The planes.
    predictor : Predictor
        The network.
    normalisation : Normalisation
        That of all planes.
    settings : EverythingSettings
        With the side of a window, so that all planes are seen at one magnification.
    options : RunOptions
        How to carry it out.
    build_finder : callable
        Makes the finder of this process.
    search : ConceptSearch, optional
        Keep only the objects of a concept.
    """

    stack: ImageStack
    predictor: Predictor
    normalisation: Normalisation
    settings: EverythingSettings
    options: RunOptions
    build_finder: Callable[[FinderSpec, Predictor], ObjectFinder] = FinderSpec.build
    search: ConceptSearch | None = None

    def at_plane(self, plane: int) -> Predictor:
        """Return a predictor that looks at a plane."""
        predictor = self.predictor.sharing()
        predictor.set_source(self.stack.plane(plane), self.normalisation)
        return predictor

    def segment(self, run: StackRun, plane: int, progress: Callable[[int, int], None]) -> None:
        """Segment a plane and write its file; a plane that cannot be read or segmented is recorded as failed.

        Parameters
        ----------
        run : StackRun
            Receives the objects.
        plane : int
            Index along the axis.
        progress : callable
            Called with the number of steps done and of all steps.

        Raises
        ------
        CancelledError
            If `cancelled()` returned True; finished tiles are kept.
        StoreError, SettingsError, DeviceError
            If the other planes would fail, too.
        """
        scratch = run.files.folder / f"plane{plane:06d}.ome.zarr"
        try:
            self._segment(run, plane, scratch, progress)
        except NothingSegmentedError as error:
            run.fail(plane, error.message)
        except Exception as error:
            if not is_tile_error(error):
                raise
            run.fail(plane, failure_reason(error))
        shutil.rmtree(scratch, ignore_errors=True)

    def _segment(self, run: StackRun, plane: int, scratch: Path, progress: Callable[[int, int], None]) -> None:
        resume = _is_unfinished(scratch)
        options = self.options
        options = RunOptions(resume or None, options.client, options.workers, progress, cancelled=options.cancelled)
        predictor = self.at_plane(plane)
        search = None if self.search is None else self.search.at_plane(plane)
        image = self.stack.plane(plane)
        report = segment_image(image, predictor, scratch, self.settings, options, self.build_finder, search)
        with report.labels as labels:
            run.files.write(*_plane_content(labels, plane))
        for number, failure in enumerate(report.failed):
            run.fail(plane, f"tile {tuple(failure.box)}: {failure.reason}", number)


def _is_unfinished(scratch: Path) -> bool:
    """Whether a plane's segmentation can be continued; what cannot is deleted."""
    if not scratch.exists():
        return False
    try:
        if unfinished_run(scratch) is not None:
            return True
    except SettingsError:
        pass  # its record is damaged
    shutil.rmtree(scratch)
    return False


def _plane_content(labels: LabelStore, plane: int) -> tuple[PlaneObjects, Iterator[tuple[Block, NDArray[np.uint32]]]]:
    """Return the table of a segmented plane, and its blocks that show objects."""
    rows = sorted(labels.journal.objects.table(), key=lambda row: row.label)
    ids = np.array([row.label for row in rows], np.int64)
    extents = ObjectExtents(ids)
    for (row, column), block in _blocks(labels):
        extents.add(block, (row * BLOCK_PX, column * BLOCK_PX))
    score = np.array([1.0 if row.predicted_iou is None else row.predicted_iou for row in rows], np.float32)
    return extents.table(plane, score), _blocks(labels)


def _blocks(labels: LabelStore) -> Iterator[tuple[Block, NDArray[np.uint32]]]:
    """Iterate over the blocks of a store that show objects."""
    height, width = labels.shape
    for row, column in itertools.product(range(-(-height // BLOCK_PX)), range(-(-width // BLOCK_PX))):
        y, x = row * BLOCK_PX, column * BLOCK_PX
        box = Box(y, x, min(height, y + BLOCK_PX), min(width, x + BLOCK_PX))
        if labels.journal.objects.any_in_box(box, ()):
            yield (row, column), labels.read(box)
