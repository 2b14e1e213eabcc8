"""What a run over a whole image looks for: a concept, its threshold, and where candidates are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam.errors import ConceptError
from napari_sam.io.labels.store_access import CONCEPTS_FOLDER

if TYPE_CHECKING:
    from napari_sam.concept import Concept
    from napari_sam.io.json_types import JsonObject
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class ConceptSpec:
    """A concept in plain values, for the record of a run and for other processes.

    Attributes
    ----------
    path : str
        File of the concept.
    digest : str
        Hash of its content.
    threshold : float
        Least score of an object.
    candidates : str or None
        Folder of `CandidateFiles`; None if candidates are not kept.
    """

    path: str
    digest: str
    threshold: float
    candidates: str | None = None

    def record(self) -> JsonObject:
        """Return what decides the result, as JSON."""
        return {"concept": Path(self.path).name, "threshold": self.threshold}


@dataclass(frozen=True)
class ConceptSearch:
    """A concept to look for.

    Attributes
    ----------
    concept : Concept
        The concept.
    threshold : float
        Least score of an object.
    candidates : Path or None
        Folder in which candidates are kept; None if they are not.
    """

    concept: Concept
    threshold: float
    candidates: Path | None = None

    def at_plane(self, plane: int) -> ConceptSearch:
        """Return the search in a plane of a stack, whose candidates are kept in a folder of their own."""
        if self.candidates is None:
            return self
        return replace(self, candidates=self.candidates / f"plane{plane:06d}")

    def check_model(self, predictor: Predictor) -> None:
        """Refuse a model that is not the one of the concept.

        Raises
        ------
        ConceptError
            If the concept was learned with another model; the message names both.
        """
        model = predictor.embedder.model
        self.concept.layout.check_model(model.weights, model.name)
        if not predictor.can_dense:
            raise ConceptError(
                f"model {model.name!r} has no dense decoder, which suggests the objects that a concept ranks",
                parameter="predictor",
                remedy="use {model=default}, and learn the concept with it",
            )

    def spec(self, store: LabelStore) -> ConceptSpec:
        """Write the concept into a label store, and return it in plain values.

        Raises
        ------
        ConceptError
            If the concept has no accepted example, or cannot be written.
        """
        folder = store.path / CONCEPTS_FOLDER
        folder.mkdir(exist_ok=True)
        draft = folder / "draft.concept"
        self.concept.save(draft)
        digest = hashlib.sha256(draft.read_bytes()).hexdigest()[:16]
        path = folder / f"{digest}.concept"
        draft.replace(path)
        kept = None if self.candidates is None else str(self.candidates.absolute())
        return ConceptSpec(str(path.absolute()), digest, self.threshold, kept)
