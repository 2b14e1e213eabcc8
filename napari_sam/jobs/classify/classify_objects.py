"""Give the objects of a label store the classes that a classifier learns from those classified by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.engine.concepts.object_classifier import ConfusionMatrix, ObjectClassifier, certainty_of
from napari_sam.engine.showing.html import as_html, strip_of_scores
from napari_sam.errors import ConceptError
from napari_sam.io.labels.measurement.measure import open_fitting
from napari_sam.jobs.classify.store_features import store_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.predictor import Predictor


@dataclass(frozen=True)
class ClassifyReport:
    """What a classifier makes of the objects of a store.

    Attributes
    ----------
    labels : tuple of int
        Ids of the objects that had no class, the most doubtful first.
    categories : tuple of str
        Most probable class of each.
    certainty : ndarray of float64
        (n,) difference of the two highest probabilities of each, from 0 to 1.
    written : tuple of int
        Ids of the objects that got their class.
    confusion : ConfusionMatrix or None
        Result of cross-validation of the examples; None if they are too few.
    classifier : ObjectClassifier
        The classifier, to classify the objects of other images.
    """

    labels: tuple[int, ...]
    categories: tuple[str, ...]
    certainty: NDArray[np.float64]
    written: tuple[int, ...]
    confusion: ConfusionMatrix | None
    classifier: ObjectClassifier

    def table(self) -> pd.DataFrame:
        """Return a table of the objects: label, category and certainty, the most doubtful first."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        columns = {"label": self.labels, "category": self.categories, "certainty": self.certainty}
        return pd.DataFrame(columns)

    def _repr_html_(self) -> str:
        counts = Counter(self.categories)
        facts: dict[str, object] = {"objects without a class": len(self.labels), "of them written": len(self.written)}
        facts |= {f"most likely {name}": count for name, count in counts.most_common()}
        if self.confusion is not None:
            facts["examples classified correctly"] = f"{self.confusion.accuracy:.0%} (cross-validation)"
        return as_html(
            "Classes of objects", facts, strip_of_scores(self.certainty.tolist(), [], None, "Certainty of the classes")
        )


def classify_objects(
    image: Any,
    labels: LabelStore,
    predictor: Predictor | str | Path = "default",
    *,
    classifier: ObjectClassifier | None = None,
    certainty: float = 0.0,
    write: bool = True,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ClassifyReport:
    """Classify the objects of a store that have no class.

    Parameters
    ----------
    image
        Whatever `open_image` accepts: the image of the objects.
    labels : LabelStore
        The objects. Those with a class are the examples.
    predictor : Predictor, str or Path
        A predictor, whose own image is not changed, or the name or file of a model.
    classifier : ObjectClassifier, optional
        A classifier that has examples already, such as that of another image; those of the store are added to it.
    certainty : float
        Least certainty, from 0 to 1, of objects that get their class.
    write : bool
        Write the classes into the store, in one step of undo.
    progress : callable, optional
        Called with the number of objects measured and of all objects.
    cancelled : callable, optional
        Called between objects, which stop when it returns True; nothing is written then.

    Raises
    ------
    ConceptError
        If the examples are of fewer than two classes, or of another model than the classifier.
    ImageError
        If the image does not fit the labels.
    CancelledError
        If `cancelled` returned True.
    """
    if not 0 <= certainty <= 1:
        raise ConceptError(f"certainty {certainty!r}", parameter="certainty", remedy="give a number from 0 to 1")
    examples = {row.label: row.category for row in labels.journal.objects.table() if row.category is not None}
    known = set(examples.values()) | set(() if classifier is None else classifier.classes)
    if len(known) < 2:
        raise ConceptError(
            f"the objects have {len(known)} class{'' if len(known) == 1 else 'es'}, and two have to compete",
            parameter="labels",
            remedy="classify at least one object of each of two classes first",
        )
    measured = store_features(open_fitting(image, labels), labels, None, predictor, progress, cancelled)
    trained = _trained(classifier, measured.layout)
    if examples:
        trained.add(measured.of(list(examples)), [str(name) for name in examples.values()], measured.layout)
    waiting = [label for label in measured.labels if label not in examples]
    names: tuple[str, ...] = ()
    sure = np.zeros(0)
    if waiting:
        probabilities = trained.predict_proba(measured.of(waiting), measured.layout)
        sure = certainty_of(probabilities)
        order = np.argsort(sure, kind="stable")
        waiting, sure = [waiting[i] for i in order], sure[order]
        names = tuple(trained.classes[i] for i in probabilities[order].argmax(1))
    written = {label: name for label, name, value in zip(waiting, names, sure, strict=True) if value >= certainty}
    if write and written:
        labels.set_category(written)
    return ClassifyReport(tuple(waiting), names, sure, tuple(written) if write else (), _confusion(trained), trained)


def _trained(classifier: ObjectClassifier | None, layout: FeatureLayout) -> ObjectClassifier:
    """Return a classifier for features of a layout: a copy of the one given, which is not changed."""
    if classifier is None:
        return ObjectClassifier(layout)
    return classifier.copy(layout)


def _confusion(classifier: ObjectClassifier) -> ConfusionMatrix | None:
    """Return the result of cross-validation, if two classes have two examples."""
    counts: Sequence[int] = list(classifier.examples.values())
    return classifier.confusion() if sum(count >= 2 for count in counts) >= 2 else None
