"""Find candidates: everything-mode with low thresholds, whose objects get features in the same pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.automatic.dense_finder import DenseFinder, DenseMaps, encoded_windows
from napari_sam.engine.automatic.dense_maps import check_region, dense_side
from napari_sam.engine.automatic.magnification import estimate_scale
from napari_sam.engine.automatic.object_proposals import propose_objects
from napari_sam.engine.automatic.prompted_objects import (
    EncodedWindow,
    RegionObject,
    best_window,
    object_iou,
    prompt_objects,
)
from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.concepts.object_features import MaskInWindow, extract_features
from napari_sam.engine.concepts.similar_regions import similar_regions
from napari_sam.engine.concepts.window_view import MOST_CHANNELS, WindowView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_sam.engine.automatic.dense_finder import DenseWindow
    from napari_sam.engine.concepts.concept_model import ConceptModel
    from napari_sam.engine.embeddings.embedder import Embedder, EmbedderHolder
    from napari_sam.engine.geometry import Box
    from src_models.watershed_settings import WatershedSettings

MIN_PREDICTED_IOU = 0.2
"""Least predicted IoU of candidates; everything-mode with the default model asks for twice as much."""


_SAME = 0.5  # IoU from which two candidates are one


@dataclass(frozen=True)
class SeenWindow(DenseMaps):
    """A window with its maps, its embedding and its pixels.

    Attributes
    ----------
    pixels : ndarray of uint8
        (h, w, 3) as the network sees them.
    """

    pixels: NDArray[np.uint8] | None = None


class CandidateFinder(DenseFinder):
    """Find the candidates of a region; as an `ObjectFinder` it gives those of everything-mode.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image, whose model has a dense decoder.
    settings, side, keep, branches
        As in `DenseFinder`.
    min_predicted_iou : float
        Least predicted IoU of a candidate.

    Attributes
    ----------
    concept : ConceptModel or None
        If set, the mask decoder is also prompted where the image is similar to its examples and no candidate lies.
    """

    keeps_features = True

    def __init__(
        self,
        predictor: EmbedderHolder,
        settings: WatershedSettings | None = None,
        side: int | None = None,
        *,
        keep: bool = False,
        branches: str = "auto",
        min_predicted_iou: float = MIN_PREDICTED_IOU,
    ) -> None:
        super().__init__(predictor, settings, side, keep=keep, branches=branches)
        self.min_predicted_iou = min_predicted_iou
        self.concept: ConceptModel | None = None

    def compute(
        self,
        region: Box,
        factor: int,
        read: list[DenseWindow],
        cancelled: Callable[[], bool] | None = None,
    ) -> list[DenseMaps]:
        """Encode the windows and compute their maps; pixels are kept for the features."""
        computed = super().compute(region, factor, read, cancelled)
        seen: list[DenseMaps] = []
        for window, dense in zip(read, computed, strict=True):
            pixels = self.embedder.pixels(window.window, window.shape) if window.pixels is None else window.pixels
            seen.append(
                SeenWindow(dense.window, dense.maps, dense.network_shape, dense.embedding, dense.features, pixels)
            )
        return seen

    def candidates(self, region: Box, factor: int, computed: Sequence[DenseMaps]) -> Candidates:
        """Return the objects of computed windows that may be of any kind, with their features.

        Parameters
        ----------
        region, factor
            As in `finish`.
        computed : list of DenseMaps
            The result of `compute`.
        """
        objects = [found for found in self._objects(region, factor, computed) if found.mask.any()]
        if self.concept is not None and self.prompts:
            objects += self._similar_objects(region, factor, computed, objects, self.concept)
        objects = [found for found in objects if found.predicted_iou >= self.min_predicted_iou]
        features, layout = features_in_windows(self.embedder, region, factor, computed, objects)
        corner = np.array(region[:2] * 2)
        boxes = np.array([found.box for found in objects], np.int64).reshape(-1, 4) * factor + corner
        return Candidates(
            boxes,
            tuple(found.mask for found in objects),
            np.array([found.predicted_iou for found in objects], np.float32),
            np.array([found.stability_score for found in objects], np.float32),
            features,
            layout,
            factor,
        )

    def _similar_objects(
        self,
        region: Box,
        factor: int,
        computed: Sequence[DenseMaps],
        objects: Sequence[RegionObject],
        concept: ConceptModel,
    ) -> list[RegionObject]:
        """Return further objects where the image is similar to a concept's examples."""
        windows = encoded_windows(region, factor, computed)
        proposals = [
            proposal
            for dense, window in zip(computed, windows, strict=True)
            for proposal in similar_regions(_view(self.embedder, dense, window), window, objects, concept, factor)
        ]
        model = self.embedder.model
        turn = self.embedder.priority_lock.background
        found = prompt_objects(model.runner, windows, proposals, with_masks=model.uses_hypotheses, device_turn=turn)
        added: list[RegionObject] = []
        for one in found:  # neighbouring windows may show the same object
            if all(object_iou(one, other) < _SAME for other in (*objects, *added)):
                added.append(one)
        return added

    def _objects(self, region: Box, factor: int, computed: Sequence[DenseMaps]) -> list[RegionObject]:
        """Return objects in label pixels of the region; they may overlap."""
        if self.prompts:
            return self.prompted(region, factor, list(computed))
        maps = self.maps(region, factor, list(computed))
        return [
            RegionObject(one.box, one.mask, one.predicted_iou, one.stability_score)
            for one in propose_objects(maps, self.watershed, self.map_scale)
            if not one.is_candidate
        ]


def find_candidates(
    predictor: EmbedderHolder,
    region: tuple[int, int, int, int] | None = None,
    *,
    side: int | None = None,
    diameter_px: float | None = None,
    settings: WatershedSettings | None = None,
    concept: ConceptModel | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Candidates:
    """Find the candidates of a region that fits into memory.

    Parameters
    ----------
    predictor : EmbedderHolder
        A predictor with an image.
    region : (int, int, int, int), optional
        (y0, x0, y1, x1), level-0 pixels; the whole image by default.
    side : int, optional
        Level-0 pixels that a window shows; chosen from `diameter_px` by default, or estimated from the image.
    diameter_px : float, optional
        Diameter of a typical object, level-0 pixels.
    settings : WatershedSettings, optional
        As in `DenseFinder`.
    concept : ConceptModel, optional
        Look for more candidates where the image is similar to its examples; its diameter is used if none is given.
    progress : callable, optional
        Called with the number of windows done and their total.
    cancelled : callable, optional
        Called between windows; return True to stop.

    Raises
    ------
    PromptError
        If the region is empty, outside the image or too large, or the model has no dense decoder.
    CancelledError
        If `cancelled()` returned True.
    """
    embedder = predictor.embedder
    box = check_region(region, embedder.image.shape)
    diameter = concept.diameter_px if diameter_px is None and concept is not None else diameter_px
    finder = CandidateFinder(predictor, settings, side or candidate_side(predictor, box, diameter), keep=True)
    finder.concept = concept
    windows = finder.windows(box, 1)
    computed: list[DenseMaps] = []
    for i, window in enumerate(windows):
        computed += finder.compute(box, 1, [finder.read_window(window, 1)], cancelled)
        if progress is not None:
            progress(i + 1, len(windows))
    return finder.candidates(box, 1, computed)


def candidate_side(predictor: EmbedderHolder, region: Box, diameter_px: float | None = None) -> int | None:
    """Return the level-0 pixels that a window should show, by the diameter of objects or as everything-mode chooses."""
    if diameter_px is not None:
        return dense_side(diameter_px, predictor.embedder.img_size, predictor.embedder.image.shape)
    scale = estimate_scale(predictor, region)
    return None if scale is None else scale.side


def features_in_windows(
    embedder: Embedder, region: Box, factor: int, computed: Sequence[DenseMaps], objects: Sequence[RegionObject]
) -> tuple[NDArray[np.float32], FeatureLayout]:
    """Compute the features of objects, each in the window in which it is farthest from a border.

    Parameters
    ----------
    embedder : Embedder
        The network.
    region, factor
        The region whose label pixels the objects are in.
    computed : sequence of DenseMaps
        Windows with embeddings that cover the objects.
    objects : sequence of RegionObject
        The objects.

    Returns
    -------
    features : ndarray of float32
        (n, d).
    layout : FeatureLayout
        What they mean.
    """
    windows = encoded_windows(region, factor, computed)
    decoded = computed[0].features
    layout = FeatureLayout.of_network(
        embedder.model.weights,
        embedder.model.name,
        min(int(windows[0].embedding.shape[1]), MOST_CHANNELS),
        0 if decoded is None else int(decoded.shape[1]),
    )
    features = np.zeros((len(objects), layout.width), np.float32)
    numbers = np.array([best_window(found.box, windows) for found in objects], np.intp)
    for number in np.unique(numbers).tolist():
        dense, window = computed[number], windows[number]
        view = _view(embedder, dense, window)
        chosen = np.flatnonzero(numbers == number).tolist()
        corner, pitch = (float(window.box[0]), float(window.box[1])), (float(window.pitch[0]), float(window.pitch[1]))
        shape = (view.pixels.shape[0], view.pixels.shape[1])
        for index in chosen:
            found = objects[index]
            scores = (found.predicted_iou, found.stability_score)
            mask = MaskInWindow.resampled(found.mask, found.box, (corner, pitch), shape, scores)
            if mask is not None:
                features[index] = extract_features(view, [mask], layout)[0]
    return features, layout


def _view(embedder: Embedder, dense: DenseMaps, window: EncodedWindow) -> WindowView:
    """Prepare a window for measuring objects in it."""
    pixels = dense.pixels if isinstance(dense, SeenWindow) else None
    if pixels is None:
        pixels = embedder.pixels(dense.window, dense.network_shape)
    return WindowView.of(window.embedding, dense.features, dense.maps, pixels, embedder.img_size, dense.window.shape)
