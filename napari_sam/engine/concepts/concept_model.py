"""A concept: what makes objects of one kind alike, learned from a few accepted and rejected objects.

With accepted objects only, the score is the similarity of features to them; each group of features is compared in
units of the differences between all objects seen, so that what every object of an image has in common does not count.
With rejected objects, a regularised logistic regression corrects that score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.errors import ConceptError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout

DEFAULT_THRESHOLD = 0.5
_SIMILARITY_GROUPS = ("embedding", "surroundings", "maps", "shape", "size", "colour", "texture")
_WEIGHTS = {
    "embedding": 3.0,
    "surroundings": 1.0,
    "maps": 1.0,
    "shape": 1.0,
    "size": 1.5,
    "colour": 1.5,
    "texture": 1.0,
}
_STEEPNESS, _MIDDLE = 8.0, 0.6  # of the logistic function that makes a score of a similarity
_REGULARISATION = 0.1  # C of the logistic regression
_DIRECTIONS = ("embedding", "surroundings")
_NEAREST = 3  # an object is compared with so many accepted examples, those most like it
_FLOOR = 1e-3  # least standard deviation


@dataclass(frozen=True)
class Population:
    """Mean and spread of the features of all objects seen, whatever their kind.

    Attributes
    ----------
    count : int
        Number of objects.
    mean, deviation : ndarray of float32
        (d,) each.
    """

    count: int
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Population:
        """Measure a table of features (n, d)."""
        mean, deviation = features.mean(0), features.std(0)
        return cls(len(features), mean.astype(np.float32), deviation.astype(np.float32))

    def with_more(self, other: Population) -> Population:
        """Return the population of both (parallel variance of Chan et al., 1979)."""
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        square = self.count * self.deviation**2 + other.count * other.deviation**2
        square += delta**2 * (self.count * other.count / count)
        return Population(count, mean.astype(np.float32), np.sqrt(square / count).astype(np.float32))

    def standardised(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features less their mean, over their standard deviation."""
        out = (features - self.mean) / np.maximum(self.deviation, np.float32(_FLOOR))
        return out.astype(np.float32)


class ConceptModel:
    """Scores of objects, learned from examples.

    Parameters
    ----------
    layout : FeatureLayout
        What the features mean, and of which network they are.
    name : str
        Name of the concept, any text.

    Attributes
    ----------
    threshold : float
        Score from which objects count as of the kind.
    diameter_px : float or None
        Median diameter of the accepted examples, level-0 pixels; it sets the magnification at which others are found.
    """

    def __init__(self, layout: FeatureLayout, name: str = "concept") -> None:
        self.layout, self.name = layout, name
        self.threshold = DEFAULT_THRESHOLD
        self.diameter_px: float | None = None
        self.features = np.zeros((0, layout.width), np.float32)
        self.accepted = np.zeros(0, bool)
        self.population: Population | None = None
        self._coefficients: NDArray[np.float64] | None = None

    @property
    def examples(self) -> tuple[int, int]:
        """Number of accepted and of rejected examples."""
        accepted = int(np.count_nonzero(self.accepted))
        return accepted, len(self.accepted) - accepted

    def add(self, features: ArrayLike, accepted: ArrayLike, layout: FeatureLayout | None = None) -> None:
        """Add examples; `fit` takes them into account.

        Parameters
        ----------
        features : array_like of float
            (n, d), or (d,) for one object.
        accepted : bool or array_like of bool
            Whether the objects are of the kind; one value, or (n,).
        layout : FeatureLayout, optional
            Of the features, to be compared with that of the concept.

        Raises
        ------
        ConceptError
            If the features are of another model, of the wrong width, or not finite.
        """
        rows = self._checked(features, layout)
        self.features = np.concatenate([self.features, rows])
        self.accepted = np.concatenate([self.accepted, np.broadcast_to(np.asarray(accepted, bool), len(rows))])
        self._coefficients = None

    def add_population(self, features: ArrayLike, layout: FeatureLayout | None = None) -> None:
        """Take note of objects whose kind is unknown, such as all candidates of an image: they tell what is usual."""
        rows = self._checked(features, layout)
        if len(rows):
            more = Population.of(rows)
            self.population = more if self.population is None else self.population.with_more(more)

    def fit(self) -> None:
        """Learn from the examples.

        Raises
        ------
        ConceptError
            If no example is accepted.
        """
        self._check_examples()
        self._coefficients = None
        if not self.accepted.all():
            self._coefficients = self._regression()

    def score(self, features: ArrayLike, layout: FeatureLayout | None = None) -> NDArray[np.float32]:
        """Return how sure it is that objects are of the kind, (n,) from 0 to 1.

        Parameters
        ----------
        features, layout
            As in `add`.

        Raises
        ------
        ConceptError
            As `add` and `fit`.
        """
        rows = self._checked(features, layout)
        self._check_examples()
        if self._coefficients is None and not self.accepted.all():
            self.fit()
        logits = self._logits(self._similarity(rows))
        if self._coefficients is not None:
            logits = self._columns(rows, self._similarity(rows)) @ self._coefficients[:-1] + self._coefficients[-1]
        scores: NDArray[np.float32] = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
        return scores

    def _check_examples(self) -> None:
        if not self.accepted.any():
            raise ConceptError(
                f"concept {self.name!r} has no accepted example",
                parameter="positive",
                remedy="accept at least one object of the kind",
            )

    def _checked(self, features: ArrayLike, layout: FeatureLayout | None) -> NDArray[np.float32]:
        if layout is not None:
            self.layout.check_same(layout)
        rows = np.atleast_2d(np.asarray(features, np.float32))
        if rows.shape[1] != self.layout.width or not np.isfinite(rows).all():
            raise ConceptError(
                f"features have the shape {rows.shape}, or values that are not finite; {self.layout.width} finite "
                "columns are needed",
                parameter="features",
                remedy="take them from Candidates.features of the same model",
            )
        return rows

    def _standardised(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        population = self.population or Population.of(self.features)
        return population.standardised(rows)

    def _similarity(self, rows: NDArray[np.float32], *, leave_out: bool = False) -> NDArray[np.float64]:
        """Return the weighted mean of the groups' cosine similarities to the accepted examples, (n,)."""
        examples, values = self.features[self.accepted], rows
        slices, total = self.layout.slices, np.zeros(len(rows))
        weight = 0.0
        for group in _SIMILARITY_GROUPS:
            pair = values[:, slices[group]], examples[:, slices[group]]
            similar = _cosine(*pair) if group in _DIRECTIONS else _closeness(*pair)
            if leave_out:  # an example must not be compared with itself
                own = np.flatnonzero(self.accepted)
                similar[own, np.arange(len(own))] = -np.inf if len(own) > 1 else 1.0
            most = max(1, min(_NEAREST, similar.shape[1] - leave_out))
            similar = np.sort(similar, 1)[:, -most:].mean(1)
            total += _WEIGHTS[group] * similar
            weight += _WEIGHTS[group]
        out: NDArray[np.float64] = total / weight
        return out

    def _logits(self, similarity: NDArray[np.float64]) -> NDArray[np.float64]:
        return _STEEPNESS * (similarity - _MIDDLE)

    def _columns(self, rows: NDArray[np.float32], similarity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the logistic regression sees: the logit of the similarity, and the features."""
        values = np.clip(self._standardised(rows), -4, 4).astype(np.float64)
        for group in self.layout.slices.values():  # each group weighs the same, whatever its width
            values[:, group] /= np.sqrt(group.stop - group.start)
        return np.column_stack([self._logits(similarity), values])

    def _regression(self) -> NDArray[np.float64]:
        """Fit a logistic regression to the examples; return its weights and its intercept."""
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow to import

        columns = self._columns(self.features, self._similarity(self.features, leave_out=True))
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=500)
        model.fit(columns, self.accepted)
        return np.concatenate([model.coef_[0], model.intercept_])


def _closeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 1 less the mean absolute difference of all rows, (n, m)."""
    difference = np.abs(a[:, None] - b[None]).mean(-1, dtype=np.float64)
    close: NDArray[np.float64] = 1 - difference
    return close


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine similarity of all rows, (n, m)."""
    norms = [np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6) for x in (a, b)]
    similar: NDArray[np.float64] = ((a / norms[0]) @ (b / norms[1]).T).astype(np.float64)
    return similar
