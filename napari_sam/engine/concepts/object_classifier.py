"""Several classes of objects that compete: probabilities, certainty, cross-validation, and the most doubtful objects.

The features are those of concepts, or any other table of numbers, such as measured values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_sam.errors import ConceptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.concepts.concept_model import ConceptModel
    from napari_sam.engine.concepts.feature_layout import FeatureLayout

METHODS = ("logistic", "forest")
_REGULARISATION = 1.0  # C of the logistic regression
_TREES, _LEAST_LEAF = 200, 2
_OUTLIER = 4.0  # standard deviations at which a feature is cut
_FLOOR = 1e-6  # least standard deviation
_SEED = 0


class _Model(Protocol):
    """What scikit-learn's classifiers have."""

    classes_: NDArray[np.int64]

    def fit(self, columns: NDArray[np.float64], targets: NDArray[np.int64]) -> _Model:
        """Learn."""
        ...

    def predict_proba(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, k) probabilities."""
        ...


@dataclass(frozen=True)
class ConfusionMatrix:
    """How a classifier assigns examples that it did not learn from.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes.
    counts : ndarray of int64
        (k, k) number of examples by true class (row) and predicted class (column).
    left_out : tuple of str
        Classes with a single example, which cannot be tested; their examples count in no row.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    left_out: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """Share of examples that get their own class; NaN without any."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else float("nan")

    @property
    def recall(self) -> dict[str, float]:
        """Share of the examples of each class that get it, by name; NaN for a class without tested examples."""
        return self._shares(self.counts.sum(1))

    @property
    def precision(self) -> dict[str, float]:
        """Share of the examples that get a class and are of it, by name; NaN for a class that none gets."""
        return self._shares(self.counts.sum(0))

    def _shares(self, totals: NDArray[np.int64]) -> dict[str, float]:
        right = np.diagonal(self.counts)
        return {name: float(right[i] / totals[i]) if totals[i] else float("nan") for i, name in enumerate(self.classes)}


class ObjectClassifier:
    """Assign objects to classes, learned from examples of each.

    Columns are standardised by the examples. Those of a group of features weigh the same together, whatever the width
    of the group. Classes weigh the same, whatever their number of examples.

    Parameters
    ----------
    layout : FeatureLayout, optional
        What the features mean, and of which network they are; None for other tables of numbers.
    method : {"logistic", "forest"}
        Regularised multinomial logistic regression, or random forest, both of scikit-learn.

    Raises
    ------
    ConceptError
        If the method is unknown.

    Examples
    --------
    >>> classifier = ObjectClassifier()
    >>> classifier.add([[1.0, 10.0], [1.2, 11.0]], "round")
    >>> classifier.add([[4.0, 10.5], [4.1, 9.0]], "long")
    >>> classifier.predict([[1.1, 9.0], [4.2, 11.0]])
    ['round', 'long']
    """

    def __init__(self, layout: FeatureLayout | None = None, method: str = "logistic") -> None:
        if method not in METHODS:
            raise ConceptError(f"method {method!r}", parameter="method", remedy=f"use one of {', '.join(METHODS)}")
        self.layout, self.method = layout, method
        self._features: NDArray[np.float64] | None = None
        self._targets: list[str] = []
        self._fitted: _Fitted | None = None

    @classmethod
    def from_concepts(cls, concepts: Sequence[ConceptModel], method: str = "logistic") -> ObjectClassifier:
        """Return a classifier in which concepts compete: each is a class of its name, with its accepted examples.

        Raises
        ------
        ConceptError
            If there are fewer than two concepts of different names, or they are of different models.
        """
        if len({concept.name for concept in concepts}) < 2:
            raise ConceptError(
                f"{len(concepts)} concepts cannot compete", parameter="concepts", remedy="give two of different names"
            )
        classifier = cls(concepts[0].layout, method)
        for concept in concepts:
            classifier.add(concept.features[concept.accepted], concept.name, concept.layout)
        return classifier

    def copy(self, layout: FeatureLayout | None = None) -> ObjectClassifier:
        """Return a classifier with the same examples, to which others can be added.

        Raises
        ------
        ConceptError
            If `layout` is given and is not that of the examples.
        """
        if layout is not None and self.layout is not None:
            self.layout.check_same(layout, "classifier")
        copied = ObjectClassifier(self.layout or layout, self.method)
        copied._features, copied._targets = self._features, list(self._targets)
        return copied

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order in which their first examples came."""
        return tuple(dict.fromkeys(self._targets))

    @property
    def examples(self) -> dict[str, int]:
        """Number of examples of each class, by name."""
        return {name: self._targets.count(name) for name in self.classes}

    def add(self, features: ArrayLike, classes: str | Sequence[str], layout: FeatureLayout | None = None) -> None:
        """Add examples; the next prediction takes them into account.

        Parameters
        ----------
        features : array_like of float
            (n, d), or (d,) for one object.
        classes : str or sequence of str
            Name of the class of all, or of each (n,).
        layout : FeatureLayout, optional
            Of the features, to be compared with that of the classifier.

        Raises
        ------
        ConceptError
            If the features are of another model or width, or not finite, or there is not one class for each.
        """
        rows = self._checked(features, layout)
        names = [classes] * len(rows) if isinstance(classes, str) else list(classes)
        if len(names) != len(rows) or not all(isinstance(name, str) and name for name in names):
            raise ConceptError(
                f"{len(names)} classes for {len(rows)} objects, or a class without a name",
                parameter="classes",
                remedy="give the name of a class for each object",
            )
        self._features = rows if self._features is None else np.concatenate([self._features, rows])
        self._targets += names
        self._fitted = None

    def fit(self) -> None:
        """Learn from the examples; predictions do this by themselves.

        Raises
        ------
        ConceptError
            If there are fewer than two classes.
        """
        features, targets = self._examples()
        self._fitted = _Fitted(features, targets, self.layout, self.method)

    def predict_proba(self, features: ArrayLike, layout: FeatureLayout | None = None) -> NDArray[np.float64]:
        """Return the probability of each class, (n, k) in the order of `classes`; rows sum to 1.

        Parameters
        ----------
        features, layout
            As in `add`, like the errors.
        """
        rows = self._checked(features, layout)
        if self._fitted is None:
            self.fit()
        assert self._fitted is not None  # noqa: S101 - fit raises an error or sets it
        return self._fitted.probabilities(rows, len(self.classes))

    def predict(self, features: ArrayLike, layout: FeatureLayout | None = None) -> list[str]:
        """Return the most probable class of each object; parameters and errors as in `add`."""
        names = self.classes
        return [names[i] for i in self.predict_proba(features, layout).argmax(1)]

    def certainty(self, features: ArrayLike, layout: FeatureLayout | None = None) -> NDArray[np.float64]:
        """Return the difference of the two highest probabilities of each object, (n,) from 0 to 1."""
        return certainty_of(self.predict_proba(features, layout))

    def most_doubtful(
        self, features: ArrayLike, count: int | None = None, layout: FeatureLayout | None = None
    ) -> NDArray[np.intp]:
        """Return the indices of the objects of least certainty, the least certain first.

        A person who classifies these next teaches the classifier most ("margin sampling", Scheffer et al., 2001).
        """
        return np.argsort(self.certainty(features, layout), kind="stable")[:count]

    def confusion(self, folds: int = 5) -> ConfusionMatrix:
        """Test the classifier by stratified cross-validation: each example is predicted from those of the other folds.

        Parameters
        ----------
        folds : int
            Number of folds, at most; a class with fewer examples reduces it, and one with a single example is left
            out.

        Raises
        ------
        ConceptError
            If fewer than two classes have two examples.
        """
        features, targets = self._examples()
        counts = np.bincount(targets, minlength=len(self.classes))
        tested = np.flatnonzero(counts >= 2)
        if len(tested) < 2 or folds < 2:
            raise ConceptError(
                f"{len(tested)} classes have two examples or more, and there are {folds} folds",
                parameter="folds",
                remedy="classify two objects of two classes at least, and give two folds or more",
            )
        from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415 - slow to import

        kept = np.isin(targets, tested)
        features, targets = features[kept], targets[kept]
        splitter = StratifiedKFold(int(min(folds, counts[tested].min())), shuffle=True, random_state=_SEED)
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        for learned, held_out in splitter.split(features, targets):
            model = _Fitted(features[learned], targets[learned], self.layout, self.method)
            predicted = model.probabilities(features[held_out], len(self.classes)).argmax(1)
            np.add.at(matrix, (targets[held_out], predicted), 1)
        left_out = tuple(name for i, name in enumerate(self.classes) if counts[i] < 2)
        return ConfusionMatrix(self.classes, matrix, left_out)

    def _examples(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the features of the examples, and the number of the class of each."""
        names = self.classes
        if self._features is None or len(names) < 2:
            raise ConceptError(
                f"the examples are of {len(names)} class{'' if len(names) == 1 else 'es'} "
                f"({', '.join(map(repr, names)) or 'none'}), and two have to compete",
                parameter="classes",
                remedy="classify at least one object of another class",
            )
        number = {name: i for i, name in enumerate(names)}
        return self._features, np.array([number[name] for name in self._targets], np.int64)

    def _checked(self, features: ArrayLike, layout: FeatureLayout | None) -> NDArray[np.float64]:
        if layout is not None and self.layout is not None:
            self.layout.check_same(layout, "classifier")
        try:
            rows = np.atleast_2d(np.asarray(features, np.float64))
        except (TypeError, ValueError):
            rows = np.full((1, 1), np.nan)
        width = self.layout.width if self.layout is not None else rows.shape[-1]
        if self._features is not None:
            width = self._features.shape[1]
        if rows.ndim != 2 or rows.shape[1] != width or not np.isfinite(rows).all():
            raise ConceptError(
                f"features have the shape {rows.shape}, or values that are not finite; {width} finite columns are "
                "needed",
                parameter="features",
                remedy="give the same columns for all objects, and replace missing values",
            )
        return rows


class _Fitted:
    """A classifier that has learned.

    Parameters
    ----------
    features : ndarray of float64
        (n, d) features of the examples.
    targets : ndarray of int64
        (n,) numbers of their classes.
    layout : FeatureLayout or None
        Groups of the features.
    method : str
        One of `METHODS`.
    """

    def __init__(
        self, features: NDArray[np.float64], targets: NDArray[np.int64], layout: FeatureLayout | None, method: str
    ) -> None:
        self._mean, self._deviation = features.mean(0), np.maximum(features.std(0), _FLOOR)
        groups = [slice(i, i + 1) for i in range(features.shape[1])] if layout is None else [*layout.slices.values()]
        self._weight = np.ones(features.shape[1])
        for group in groups:
            self._weight[group] = 1 / np.sqrt(group.stop - group.start)
        self._only = int(targets[0]) if (targets == targets[0]).all() else None  # of a small fold
        if self._only is None:
            self._model = _new_model(method).fit(self._columns(features), targets)

    def probabilities(self, features: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Return (n, count) probabilities by the number of the class; 0 for classes without examples."""
        out = np.zeros((len(features), count))
        if self._only is not None:
            out[:, self._only] = 1
        elif len(features):
            out[:, self._model.classes_] = self._model.predict_proba(self._columns(features))
        return out

    def _columns(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        standardised = np.clip((features - self._mean) / self._deviation, -_OUTLIER, _OUTLIER)
        columns: NDArray[np.float64] = standardised * self._weight
        return columns


def certainty_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the difference of the two highest probabilities in each row.

    >>> certainty_of(np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])).tolist()
    [0.25, 1.0]
    """
    highest = np.sort(probabilities, axis=1)
    certainty: NDArray[np.float64] = highest[:, -1] - highest[:, -2]
    return certainty


def _new_model(method: str) -> _Model:
    """Return a classifier of scikit-learn that has not learned yet."""
    if method == "forest":
        from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - slow to import

        forest: _Model = RandomForestClassifier(
            _TREES, min_samples_leaf=_LEAST_LEAF, class_weight="balanced_subsample", random_state=_SEED, n_jobs=1
        )
        return forest
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow to import

    regression: _Model = LogisticRegression(C=_REGULARISATION, class_weight="balanced", max_iter=1000)
    return regression
