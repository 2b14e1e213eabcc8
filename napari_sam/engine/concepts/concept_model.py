"""A concept: what makes objects of one kind alike, learned from a few accepted and rejected objects.

The score combines the predicted IoU of an object with its distance to the accepted examples (`similarity`), relative to
that of the whole objects around them. One example is enough for that. Where objects were rejected, a regularised
logistic regression on all features corrects the score, as strongly as cross-validation on the examples allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.engine.concepts.kernel_logistic import fit_correction, fit_dual, logistic
from napari_sam.engine.concepts.similarity import DIRECTIONS, SPREAD, Direction, weighted_distances
from napari_sam.errors import ConceptError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_sam.engine.concepts.feature_layout import FeatureLayout

DEFAULT_THRESHOLD = 0.5
WEIGHTS = {
    "contrast": 0.3,
    "embedding": 0.0,
    "surroundings": 0.0,
    "decoder": 0.3,
    "relative": 0.5,
    "maps": 0.1,
    "shape": 0.15,
    "larger": 0.1,
    "smaller": 0.5,
    "colour": 0.2,
    "texture": 1.0,
}
"""Weight of each of `MEASURES` in the distance of two objects, from the train splits of six data sets and mixtures."""

_STEEPNESS, _QUALITY, _INTERCEPT = 0.9, 5.5, -2.0  # of the logit: distance, predicted IoU, constant
_TYPICAL = 0.4  # quantile of the distances of whole objects nearby: the distance that costs nothing
_FEWEST_NEARBY = 4  # whole objects nearby whose mean embedding says something
_WHOLE = 0.4  # predicted IoU of whole objects
_NEAREST = 3  # an object is compared with so many accepted examples, those most like it
_VARIANCES = (1.0, 0.2)  # of the weights of the correction, to choose from by cross-validation
_FEWEST_TESTED = 2  # rejected examples with which the variance is chosen; with fewer it is the first
_MOST_TESTED = 40  # examples left out in turn
_SHARES = {"contrast": 2.0, "embedding": 1.0, "surroundings": 1.0, "decoder": 2.0, "maps": 0.5, "shape": 1.0}
_SHARES |= {"size": 1.0, "colour": 1.0, "texture": 2.0, "quality": 0.5}
_MARGIN = 0.5  # of the logits of rejected objects below the threshold
_MOST_COMPARED = 32  # accepted examples that an object is compared with
_MOST_EXAMPLES = 1000  # that the correction is fitted to
_MOST_NEARBY = 1000  # other objects that are kept in memory


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
    typical_distance : float
        Distance to the examples of a usual object around them, of any kind; learned from `add_population`.
    centre : ndarray of float32 or None
        (c,) mean direction of the embeddings of the objects around; None where there were too few.
    correction_shift : float
        Added to corrected logits, so that a few rejections do not lower the scores of all objects of the kind.
    diameter_px : float or None
        Median diameter of the accepted examples, level-0 pixels; it sets the magnification at which others are found.
    """

    def __init__(self, layout: FeatureLayout, name: str = "concept") -> None:
        self.layout, self.name = layout, name
        self.threshold = DEFAULT_THRESHOLD
        self.diameter_px: float | None = None
        self.features = np.zeros((0, layout.width), np.float32)
        self.accepted = np.zeros(0, bool)
        self.typical_distance = 0.0
        self.centre: NDArray[np.float32] | None = None
        self.correction_shift = 0.0
        self._nearby = np.zeros((0, layout.width), np.float32)
        self._middle: NDArray[np.float64] = np.zeros(0)
        self._correction: NDArray[np.float64] | None = None

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
        self._correction = None

    def add_population(self, features: ArrayLike, layout: FeatureLayout | None = None) -> None:
        """Take note of the objects around the examples, of whatever kind; their distances tell what is usual.

        Parameters
        ----------
        features, layout
            As in `add`.
        """
        rows = self._checked(features, layout)
        whole = rows[:, self.layout.slices["quality"].start] >= _WHOLE
        self._nearby = np.concatenate([self._nearby, rows[whole]])[-_MOST_NEARBY:]

    def fit(self) -> None:
        """Learn from the examples; takes milliseconds.

        Raises
        ------
        ConceptError
            If no example is accepted.
        """
        self._check_examples()
        self._correction = None
        if len(self._nearby) >= _FEWEST_NEARBY:
            self.centre = Direction.of("embedding", self._nearby, self.layout).unit.mean(0)
        if len(self._nearby):
            self.typical_distance = float(np.quantile(self._distance(self._nearby), _TYPICAL))
        if not self.accepted.all():
            kept = evenly(self.accepted, _MOST_EXAMPLES)
            offset = self._similarity_logits(self.features, leave_out=True)[kept]
            values = self._correction_features(self.features[kept])
            # Measured from the mean of the kind: rejecting objects must not lower the scores of all others.
            self._middle = values[self.accepted[kept]].mean(0)
            variance = _best_variance(values, self.accepted[kept], offset)
            self._correction = fit_correction(values - self._middle, self.accepted[kept], offset, variance)
            if len(self._nearby):
                rejected = kept[~self.accepted[kept]]
                self.correction_shift = self._shift(offset[~self.accepted[kept]], self.features[rejected])

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
        if self._correction is None and not self.accepted.all():
            self.fit()
        logits = self._similarity_logits(rows)
        if self._correction is not None:
            logits = logits + self._corrections(rows) + self.correction_shift
        return logistic(logits).astype(np.float32)

    def _shift(self, offset: NDArray[np.float64], rejected: NDArray[np.float32]) -> float:
        """Return a constant to add to corrected logits, so that few rejections do not lower all objects of the kind.

        Half of the objects around that were similar enough keep their logits or gain; no rejected object is accepted.
        """
        similar = self._nearby[self._similarity_logits(self._nearby) >= 0]
        if not len(similar):
            return 0.0
        lowered = -float(np.median(self._corrections(similar)))
        room = -float((offset + self._corrections(rejected)).max()) - _MARGIN
        return max(0.0, min(lowered, room))

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
        if rows.ndim != 2 or rows.shape[1] != self.layout.width or not np.isfinite(rows).all():
            raise ConceptError(
                f"features have the shape {rows.shape}, or values that are not finite; {self.layout.width} finite "
                "columns are needed",
                parameter="features",
                remedy="take them from Candidates.features of the same model",
            )
        return rows

    def _similarity_logits(self, rows: NDArray[np.float32], *, leave_out: bool = False) -> NDArray[np.float64]:
        """Return the logits of being a whole object like the accepted examples, (n,).

        With `leave_out`, `rows` are all examples, none of which is compared with itself.
        """
        excess = self._distance(rows, leave_out=leave_out) - self.typical_distance
        quality = rows[:, self.layout.slices["quality"].start].astype(np.float64)
        logits: NDArray[np.float64] = _QUALITY * quality + _INTERCEPT - _STEEPNESS * excess
        return logits

    def _distance(self, rows: NDArray[np.float32], *, leave_out: bool = False) -> NDArray[np.float64]:
        """Return the mean distance to the nearest accepted examples, (n,); parameters as in `_similarity_logits`."""
        examples = self.features[self.accepted]
        if not leave_out:  # many examples of one kind say little more than some of them
            examples = examples[np.linspace(0, len(examples) - 1, min(len(examples), _MOST_COMPARED)).astype(np.intp)]
        distances = weighted_distances(rows, examples, self.layout, WEIGHTS, self.centre)
        if leave_out and len(examples) > 1:
            distances[np.flatnonzero(self.accepted), np.arange(len(examples))] = np.inf
        most = max(1, min(_NEAREST, len(examples) - leave_out))
        nearest: NDArray[np.float64] = np.partition(distances, most - 1, axis=1)[:, :most].mean(1)
        return nearest

    def _correction_features(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the correction is linear in, (n, k): directions, and other features in units of their spread."""
        columns = [np.sqrt(_SHARES[name]) * Direction.of(name, rows, self.layout).unit for name in DIRECTIONS]
        return np.column_stack([*columns, self._scaled(rows)]).astype(np.float64)

    def _scaled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features that are no directions, in units of their spread."""
        columns = [rows[:, self.layout.slices[name]] for name in SPREAD]
        factors = [np.sqrt(_SHARES[name] / len(spread)) / np.array(spread) for name, spread in SPREAD.items()]
        return np.concatenate(columns, axis=1) * np.concatenate(factors).astype(np.float32)

    def _corrections(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the correction adds to the logits of objects, (n,)."""
        added = np.zeros(len(rows))
        if self._correction is None:
            return added
        start = 0
        for name in DIRECTIONS:
            direction = Direction.of(name, rows, self.layout)
            stop = start + direction.vectors.shape[1]
            added += direction.dot(np.sqrt(_SHARES[name]) * self._correction[start:stop])
            start = stop
        added += self._scaled(rows) @ self._correction[start:]
        return added - float(self._middle @ self._correction)


def _best_variance(values: NDArray[np.float64], accepted: NDArray[np.bool_], offset: NDArray[np.float64]) -> float:
    """Return the variance of the correction under which examples that were left out are the most likely.

    Where rejected objects differ from the kind in the same way, a strong correction finds others like them; where each
    is wrong in its own way, it only takes away from the objects of the kind.
    """
    if np.count_nonzero(~accepted) < _FEWEST_TESTED:
        return _VARIANCES[0]
    tested = evenly(accepted, _MOST_TESTED)
    values, accepted, offset = values[tested], accepted[tested], offset[tested]
    products = values @ values.T
    likelihoods = []
    for variance in _VARIANCES:
        total = 0.0
        for left_out in range(len(accepted)):
            others = np.arange(len(accepted)) != left_out
            kind = others & accepted
            if not kind.any():
                continue
            # Measured from the mean of the kind, as the correction is.
            to_mean = products[:, kind].mean(1)
            kernel = variance * (products - to_mean[:, None] - to_mean + to_mean[kind].mean())
            dual = fit_dual(kernel[np.ix_(others, others)], accepted[others], offset[others])
            logit = offset[left_out] + kernel[left_out, others] @ dual
            total -= float(np.logaddexp(0.0, -logit if accepted[left_out] else logit))
        likelihoods.append(total)
    return _VARIANCES[int(np.argmax(likelihoods))]


def evenly(accepted: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    """Return the indices of at most `most` examples, half of each kind where both have enough."""
    if len(accepted) <= most:
        return np.arange(len(accepted))
    kinds = np.flatnonzero(accepted), np.flatnonzero(~accepted)
    positive = min(len(kinds[0]), max(most // 2, most - len(kinds[1])))
    chosen = [
        kind[np.linspace(0, len(kind) - 1, count).astype(np.intp)]
        for kind, count in zip(kinds, (positive, most - positive), strict=True)
    ]
    return np.sort(np.concatenate(chosen))
