"""Classes suggested by a classifier that learns from the objects that the user has classified."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject

from napari_sam.errors import ConceptError
from napari_sam.widgets.objects.store_jobs import CLASSIFY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from qtpy.QtWidgets import QLabel

    from napari_sam.engine.concepts.object_classifier import ConfusionMatrix
    from napari_sam.io.images.lazy_image import Image
    from napari_sam.io.labels.label_store import LabelStore
    from napari_sam.jobs.classify.store_features import StoreFeatures
    from napari_sam.predictor import Predictor
    from napari_sam.widgets.dock_context import DockContext
    from napari_sam.widgets.objects.store_jobs import StoreJobs

    IsCancelled = Callable[[], bool]
    Measure = Callable[[Image, LabelStore, Predictor, IsCancelled], StoreFeatures]

_LEAST_CLASSES = 2
_MOST_SHOWN = 10  # classes whose confusion matrix is readable in a dock


@dataclass(frozen=True)
class Suggestions:
    """Classes that a classifier suggests.

    Attributes
    ----------
    classes : dict
        Class of each object without one of the user's, by id, the most doubtful first.
    examples : int
        Number of objects that it learned from.
    confusion : ConfusionMatrix or None
        Result of cross-validation; None if the examples are too few.
    """

    classes: dict[int, str]
    examples: int
    confusion: ConfusionMatrix | None


class ClassSuggestions(QObject):
    """Suggest classes, and learn again from those that the user corrects.

    Parameters
    ----------
    context : DockContext
        Parts of the dock.
    jobs : StoreJobs
        Measures the objects, and writes their classes.
    result : QLabel
        Shows how well the classes are told apart.
    measure : callable, optional
        Computes the features of all objects.
    """

    def __init__(self, context: DockContext, jobs: StoreJobs, result: QLabel, measure: Measure | None = None) -> None:
        super().__init__()
        self._context, self._jobs, self._result = context, jobs, result
        self._measure = measure or _measure
        self._measured: tuple[object, StoreFeatures] | None = None  # with what they were measured of
        context.labels.store_closing.connect(self._on_store_closing)

    def suggest(self) -> None:
        """Learn from the user's classes, and give all other objects the most likely one, in one step of undo."""
        read = self._context.images.read()
        if read is None:
            return
        image, session, suggested = read[1], self._context.session, dict(self._context.classes.suggested)
        model = session.model

        def learn(store: LabelStore, cancelled: IsCancelled) -> Suggestions:
            examples = own_classes(store, suggested)
            _check_examples(examples)
            measured = self._features(image, store, session.load(model), cancelled)
            return suggested_classes(measured, examples)

        self._jobs.query(learn, self._write, CLASSIFY)

    def _features(self, image: Image, store: LabelStore, predictor: Predictor, cancelled: IsCancelled) -> StoreFeatures:
        """Return the features of all objects, measured again only if there are others; runs in the engine's thread."""
        objects = tuple((row.label, row.area_px, row.y0, row.x0) for row in store.journal.objects.table())
        state = (store.path, image.identity, predictor.model, objects)
        if self._measured is None or self._measured[0] != state:
            self._measured = state, self._measure(image, store, predictor, cancelled)
        return self._measured[1]

    def _write(self, found: Suggestions) -> None:
        self._result.setText(confusion_text(found.confusion))
        self._result.setVisible(found.confusion is not None)
        if not found.classes:
            self._context.notifier.info("All objects have a class of yours: nothing is left to classify.")
            return
        self._jobs.change(lambda store: write_classes(store, found.classes), lambda _: self._written(found))

    def _written(self, found: Suggestions) -> None:
        self._context.classes.suggested = dict(found.classes)
        count = len(found.classes)
        self._context.notifier.info(
            f"Classified {count} object{'' if count == 1 else 's'}, learned from {found.examples}. On the page "
            "“Review”, look at the most doubtful classes first and correct them by key, then classify again."
        )

    def _on_store_closing(self) -> None:
        self._measured = None
        self._result.hide()


def own_classes(store: LabelStore, suggested: Mapping[int, str]) -> dict[int, str]:
    """Return the classes that a person gave or confirmed, by id of the object.

    A suggested class counts once the object was accepted in a review, or has another class.
    """
    reviewed = store.reviewed()
    classes = {row.label: row.category for row in store.journal.objects.table() if row.category is not None}
    return {label: c for label, c in classes.items() if suggested.get(label) != c or label in reviewed}


def write_classes(store: LabelStore, classes: Mapping[int, str | None]) -> None:
    """Give objects their classes in one step; none if all have them already."""
    rows = store.journal.objects.rows(sorted(classes))
    changed = {label: name for label, name in classes.items() if label in rows and rows[label].category != name}
    if changed:
        store.set_category(changed)


def suggested_classes(measured: StoreFeatures, examples: Mapping[int, str]) -> Suggestions:
    """Return the most likely classes of the objects that are no examples, the most doubtful first."""
    # Learning needs scikit-learn, which is slow to import.
    from napari_sam.engine.concepts.object_classifier import ObjectClassifier, certainty_of  # noqa: PLC0415

    classifier = ObjectClassifier(measured.layout)
    classifier.add(measured.of(list(examples)), list(examples.values()))
    waiting = [label for label in measured.labels if label not in examples]
    classes: dict[int, str] = {}
    if waiting:
        probabilities: NDArray[np.float64] = classifier.predict_proba(measured.of(waiting))
        order = np.argsort(certainty_of(probabilities), kind="stable")
        best = probabilities.argmax(1)
        classes = {waiting[i]: classifier.classes[best[i]] for i in order.tolist()}
    has_enough = sum(count > 1 for count in classifier.examples.values()) >= _LEAST_CLASSES
    return Suggestions(classes, len(examples), classifier.confusion() if has_enough else None)


def confusion_text(confusion: ConfusionMatrix | None) -> str:
    """Return how well classes are told apart, as HTML: the share of right ones, and the matrix if it is readable."""
    if confusion is None:
        return ""
    share = f"Cross-validation: {100 * confusion.accuracy:.0f} % right"
    if len(confusion.classes) > _MOST_SHOWN:
        return f"{share}."
    names = [escape(name) for name in confusion.classes]
    head = "".join(f"<td align=right>&nbsp;{i}</td>" for i in range(1, len(names) + 1))
    rows = "".join(
        f"<tr><td>{i}&nbsp;{name}</td>" + "".join(f"<td align=right>&nbsp;{n}</td>" for n in counts) + "</tr>"
        for i, (name, counts) in enumerate(zip(names, confusion.counts.tolist(), strict=True), start=1)
    )
    return f"{share} (rows: yours, columns: told)<table><tr><td></td>{head}</tr>{rows}</table>"


def _check_examples(examples: Mapping[int, str]) -> None:
    """Raise `ConceptError` unless two classes have an example."""
    count = len(set(examples.values()))
    if count < _LEAST_CLASSES:
        raise ConceptError(
            f"your objects have {count} class{'' if count == 1 else 'es'}, and two have to compete",
            remedy="give at least one object of each of two classes its class first",
        )


def _measure(image: Image, store: LabelStore, predictor: Predictor, cancelled: IsCancelled) -> StoreFeatures:
    from napari_sam.jobs.classify.store_features import store_features  # noqa: PLC0415 - slow to import

    return store_features(image, store, None, predictor, cancelled=cancelled)
