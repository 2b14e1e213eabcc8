"""Find the objects of a concept in one tile: candidates, their scores, and labels of those that score enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam.concept import Concept
from napari_sam.errors import ConceptError
from napari_sam.io.candidates.candidate_files import CandidateFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.engine.automatic.object_finder import TileObjects
    from napari_sam.engine.concepts.candidate_finder import CandidateFinder
    from napari_sam.engine.geometry import Box
    from napari_sam.jobs.concept_search.concept_spec import ConceptSpec


@dataclass(frozen=True)
class _Searched:
    """Stands for a region whose candidates are on disk."""


class ConceptFinder:
    """Find the objects of a concept in a region; an `ObjectFinder`.

    The predicted IoU of its objects is their score: how sure the concept is of them.

    Parameters
    ----------
    finder : CandidateFinder
        Finds candidates.
    spec : ConceptSpec
        The concept, its threshold, and the folder of candidates.
    concept : Concept, optional
        The concept itself; read from its file by default.

    Raises
    ------
    ConceptError
        If the file of the concept is missing or damaged.
    """

    def __init__(self, finder: CandidateFinder, spec: ConceptSpec, concept: Concept | None = None) -> None:
        self.finder, self.threshold = finder, spec.threshold
        self._spec = spec
        self._concept = Concept.load(spec.path) if concept is None else concept
        self.finder.concept = self._concept  # prompts where the image is similar to its examples
        self._files = None if spec.candidates is None else CandidateFiles(spec.candidates)

    @property
    def method(self) -> str:
        """Name of the method that finds the candidates."""
        return self.finder.method

    @property
    def side(self) -> int:
        """Level-0 pixels that one window shows at factor 1."""
        return self.finder.side

    def settings(self) -> dict[str, Any]:
        """Return everything the result depends on besides the pixels, as JSON holds it."""
        return {**self.candidate_settings(), "concept": self._spec.digest, "threshold": self.threshold}

    def candidate_settings(self) -> dict[str, Any]:
        """Return what the candidates depend on, which is the same for any concept."""
        settings = self.finder.settings()
        return {**settings, "min_predicted_iou": self.finder.min_predicted_iou}

    def begin(self, source: Mapping[str, object]) -> None:
        """Prepare the folder of candidates, or check that it holds those of the same image.

        Parameters
        ----------
        source : mapping
            Image, model and magnification, as JSON.

        Raises
        ------
        StoreError
            If it holds something else.
        """
        if self._files is not None:
            self._files.begin({**source, "settings": self.candidate_settings()})

    def read(self, region: Box, factor: int) -> Any:
        """Read the pixels, unless the candidates of the region are on disk."""
        if self._files is not None and self._files.has(region, factor):
            return _Searched()
        return self.finder.read(region, factor)

    def is_blank(self, read: Any) -> bool:
        """Return whether the pixels have no structure."""
        return not isinstance(read, _Searched) and self.finder.is_blank(read)

    def compute(self, region: Box, factor: int, read: Any, cancelled: Callable[[], bool] | None = None) -> Any:
        """Run the network."""
        return read if isinstance(read, _Searched) else self.finder.compute(region, factor, read, cancelled)

    def finish(self, region: Box, factor: int, computed: Any) -> TileObjects:
        """Find the candidates of the network's output, keep them where asked to, and draw those of the concept."""
        if isinstance(computed, _Searched):
            if self._files is None:
                raise ConceptError("candidates were read without a folder of candidates")
            candidates = self._files.read(region, factor)
        else:
            candidates = self.finder.candidates(region, factor, computed)
            if self._files is not None:
                self._files.write(region, candidates)
        scores = self._concept.score(candidates.features, candidates.layout)
        kept = scores >= self.threshold
        return candidates.subset(kept).draw(region, scores[kept])[0]
