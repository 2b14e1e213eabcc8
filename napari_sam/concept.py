"""Concepts of the public interface: learned from labels of an image, saved as one small file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import ndimage

from napari_sam.engine.concepts.concept_bytes import LIMIT_BYTES, concept_from_bytes, concept_to_bytes
from napari_sam.engine.concepts.concept_model import ConceptModel
from napari_sam.engine.concepts.example_features import example_diameter, measure_examples
from napari_sam.engine.geometry import Box
from napari_sam.engine.showing.html import as_html, strip_of_scores
from napari_sam.errors import ConceptError, LabelsError
from napari_sam.image_predictor import predictor_for_image
from napari_sam.io.images.open_image import open_image
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.reading.own_plane import at_own_plane
from src_models.atomic import write_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from napari_sam.engine.concepts.example_features import Mask
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.predictor import Predictor


class Concept(ConceptModel):
    """What makes objects of one kind alike, learned from examples; it scores other objects.

    Make one with `from_examples` or `load`. Without a rejected example the score is the similarity to the accepted
    ones; with some, a logistic regression learns what tells them apart.

    Examples
    --------
    >>> import napari_sam as ns
    >>> from napari_sam.samples import nuclei, nuclei_labels
    >>> concept = ns.Concept.from_examples(nuclei(), nuclei_labels(), positive=[1], name="nucleus")  # doctest: +SKIP
    >>> concept.save("nucleus.concept")                                                              # doctest: +SKIP
    """

    @classmethod
    def from_examples(
        cls,
        image: Any,
        labels: LabelStore | ArrayLike,
        positive: Sequence[int] = (),
        negative: Sequence[int] = (),
        predictor: Predictor | str | Path | None = None,
        name: str | None = None,
    ) -> Self:
        """Learn a concept from objects of an image.

        Parameters
        ----------
        image
            Whatever `open_image` accepts.
        labels : LabelStore or array_like of int
            The objects: a label store, or a label image (h, w) of the image's shape, 0 being background.
        positive, negative : sequence of int
            Labels of objects of the kind, and of others. One of the kind is enough.
        predictor : Predictor, str or Path, optional
            A predictor, whose own image is not changed, or the name or file of a model; the default model by default.
        name : str, optional
            Name of the concept, any text.

        Raises
        ------
        ConceptError
            If no label of the kind is given, or an object lies outside the image.
        LabelsError
            If a label does not exist.
        """
        if not len(positive):
            raise ConceptError(
                "positive is empty", parameter="positive", remedy="give the label of at least one object of the kind"
            )
        masks, kinds = _examples(labels, positive, negative)
        return cls.from_masks(_image_of(image, labels), masks, kinds, predictor, name)

    @classmethod
    def from_masks(
        cls,
        image: Any,
        masks: Sequence[Mask],
        accepted: Sequence[bool] | None = None,
        predictor: Predictor | str | Path | None = None,
        name: str | None = None,
    ) -> Self:
        """Learn a concept from masks; parameters and errors as in `from_examples`.

        Parameters
        ----------
        image, predictor, name
            As in `from_examples`.
        masks : sequence of (ndarray of bool, (int, int, int, int))
            Pixels (h, w) of each object, and its box (y0, x0, y1, x1) in level-0 pixels.
        accepted : sequence of bool, optional
            Whether each is of the kind; all by default.
        """
        kinds = np.ones(len(masks), bool) if accepted is None else np.asarray(accepted, bool)
        boxed = [(np.asarray(mask, bool), Box(*map(int, box))) for mask, box in masks]
        if not kinds.any():
            raise ConceptError("no example is of the kind", parameter="accepted", remedy="accept at least one object")
        own = predictor_for_image("default" if predictor is None else predictor, open_image(image))
        diameter = example_diameter([mask for mask, of_kind in zip(boxed, kinds, strict=True) if of_kind])
        features, around = measure_examples(own, boxed, diameter)
        concept = cls(around.layout, "concept" if name is None else str(name))
        concept.diameter_px = diameter
        concept.add_population(around.features)
        concept.add(features, kinds)
        concept.fit()
        return concept

    def add_examples(
        self,
        image: Any,
        labels: LabelStore | ArrayLike,
        positive: Sequence[int] = (),
        negative: Sequence[int] = (),
        predictor: Predictor | str | Path | None = None,
    ) -> None:
        """Add objects of the same or another image, such as corrections, and learn again.

        Parameters
        ----------
        image, labels, positive, negative
            As in `from_examples`; at least one label, of either kind.
        predictor : Predictor, str or Path, optional
            A predictor, or the name or file of a model, which must be that of the concept; its model by default.

        Raises
        ------
        ConceptError
            If no label is given, an object lies outside the image, or the model is another one.
        LabelsError
            If a label does not exist.
        """
        if not len(positive) and not len(negative):
            raise ConceptError(
                "positive and negative are empty", parameter="positive", remedy="give the label of at least one object"
            )
        masks, kinds = _examples(labels, positive, negative)
        own = predictor_for_image(self.layout.model if predictor is None else predictor, _image_of(image, labels))
        features, around = measure_examples(own, masks, self.diameter_px)
        self.layout.check_same(around.layout)
        self.add_population(around.features)
        self.add(features, kinds)
        self.fit()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the concept to a file of at most 200 kB, complete or not at all.

        Raises
        ------
        ConceptError
            If there is no accepted example, the file cannot be written, or another kind of file is there.
        """
        self._check_examples()
        target = Path(path).expanduser()
        if target.is_file() and target.stat().st_size:
            try:
                Concept.load(target)
            except ConceptError as error:
                raise ConceptError(
                    f"{target}: exists and is no concept", parameter="path", remedy="choose another path"
                ) from error
        try:
            write_bytes(target, concept_to_bytes(self))
        except OSError as error:
            raise ConceptError(f"{target}: cannot be written: {error.strerror or error}", parameter="path") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a concept from a file.

        Raises
        ------
        ConceptError
            If the file is missing, damaged, too large or no concept.
        """
        source = Path(path).expanduser()
        try:
            with source.open("rb") as file:
                data = file.read(4 * LIMIT_BYTES + 1)
        except OSError as error:
            raise ConceptError(
                f"{source}: cannot be read: {error.strerror or error}",
                parameter="path",
                remedy="give a file written by Concept.save",
            ) from error
        read = concept_from_bytes(data, str(source))
        concept = cls(read.layout, read.name)
        concept.__dict__.update(read.__dict__)
        return concept

    def _repr_html_(self) -> str:
        accepted, rejected = self.examples
        diameter = self.diameter_px
        facts = {
            "name": self.name,
            "examples": f"{accepted} accepted, {rejected} rejected",
            "threshold": f"{self.threshold:.2f}",
            "diameter": None if diameter is None else f"{diameter:.0f} px",
            "model": self.layout.model,
        }
        if not accepted:
            return as_html("Concept", facts)
        scores = self.score(self.features)
        kinds = (scores[self.accepted].tolist(), scores[~self.accepted].tolist())
        return as_html("Concept", facts, strip_of_scores(*kinds, self.threshold, "Scores of the examples"))


def _image_of(source: Any, labels: LabelStore | ArrayLike) -> Image:
    """Open an image; of a file with a stack, the plane that a label store of a single plane was made on."""
    image = open_image(source)
    is_file = isinstance(source, str | Path)
    return at_own_plane(image, labels) if is_file and isinstance(labels, LabelStore) else image


def _examples(
    labels: LabelStore | ArrayLike, positive: Sequence[int], negative: Sequence[int]
) -> tuple[list[Mask], list[bool]]:
    """Return the masks of examples, and whether each is of the kind."""
    twice = set(positive) & set(negative)
    if twice:
        raise ConceptError(
            f"label {min(twice)} is both positive and negative",
            parameter="negative",
            remedy="give each label in one of both",
        )
    return masks_of([*positive, *negative], labels), [True] * len(positive) + [False] * len(negative)


def masks_of(labels: Sequence[int], source: LabelStore | ArrayLike) -> list[Mask]:
    """Return the masks of objects by their labels.

    Parameters
    ----------
    labels : sequence of int
        Labels of the objects.
    source : LabelStore or array_like of int
        A label store, or a label image (h, w).

    Raises
    ------
    LabelsError
        If a label does not exist, or the array is no label image.
    """
    if isinstance(source, LabelStore):
        return [source.mask(int(label)) for label in labels]
    image = np.asarray(source)
    if image.ndim != 2 or image.dtype.kind not in "iub":
        raise LabelsError(
            f"labels have the shape {image.shape} and the type {image.dtype}",
            parameter="labels",
            remedy="give a label store, or whole numbers (h, w)",
        )
    masks = []
    for label in labels:
        mask = image == label
        if label == 0 or not mask.any():
            raise LabelsError(f"label {label} does not exist", parameter="positive", remedy="give labels of objects")
        rows, cols = ndimage.find_objects(mask.astype(np.uint8))[0]
        masks.append((mask[rows, cols], Box(rows.start, cols.start, rows.stop, cols.stop)))
    return masks
