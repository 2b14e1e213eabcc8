"""Score from which objects are filled in without a question, learned from what people accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

DEFAULT = 0.75
"""Threshold of a project in which fewer than `FEWEST` objects are judged."""
DEFAULT_EVEN = 0.64
"""Score in such a project at which as many objects are right as wrong."""
TARGET = 0.9
"""Share of objects at the threshold that people accept."""
FEWEST = 20
_LOWEST, _HIGHEST = 0.3, 0.95
_PRIOR_SLOPE, _SLOPE_SD, _OFFSET_SD = 20.0, 10.0, 1.0  # logits per unit of score, and logits: as weak as few objects
_LEAST_SLOPE = 2.0
_STEPS = 50
_LOGIT = float(np.log(TARGET / (1 - TARGET)))


@dataclass(frozen=True)
class ConfidenceThreshold:
    """Score from which objects of a project are filled in.

    Attributes
    ----------
    value : float
        Predicted IoU at which nine of ten objects are accepted.
    even : float
        Predicted IoU at which half of the objects are accepted.
    judged : int
        Number of automatic objects that people have judged.
    accepted : int
        How many of them they accepted.
    is_learned : bool
        Whether the value was learned from them, or is the default.
    """

    value: float
    even: float
    judged: int
    accepted: int
    is_learned: bool


def learn_threshold(judged: Iterable[tuple[float, bool]]) -> ConfidenceThreshold:
    """Return the score at which nine of ten objects are accepted, by a logistic regression of accepted on score.

    The regression is drawn towards the default threshold as if a few objects had been judged in its favour, so that
    objects that were all accepted lower the threshold step by step. With fewer than 20 objects it is the default.

    Parameters
    ----------
    judged : iterable of (float, bool)
        Score of each automatic object that was judged, and whether it was accepted.

    Examples
    --------
    >>> learn_threshold([(0.9, True)] * 10)
    ConfidenceThreshold(value=0.75, even=0.64, judged=10, accepted=10, is_learned=False)
    >>> good, bad = [(0.8, True)] * 30, [(0.75, False)] * 20
    >>> learn_threshold(good).value < 0.75 < learn_threshold(good + bad).value
    True
    """
    pairs = list(judged)
    scores = np.array([score for score, _ in pairs], float)
    accepted = np.array([is_accepted for _, is_accepted in pairs], bool)
    number, good = len(pairs), int(accepted.sum())
    if number < FEWEST:
        return ConfidenceThreshold(DEFAULT, DEFAULT_EVEN, number, good, False)
    offset, slope = _fit(scores - DEFAULT, accepted)
    slope = max(slope, _LEAST_SLOPE)
    value, even = (
        round(float(np.clip(DEFAULT + (logit - offset) / slope, _LOWEST, _HIGHEST)), 3) for logit in (_LOGIT, 0.0)
    )
    return ConfidenceThreshold(value, even, number, good, True)


def _fit(x: NDArray[np.float64], accepted: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the most probable offset and slope of the logit of acceptance, by Newton's method."""
    design = np.stack([np.ones_like(x), x], 1)
    prior, precision = np.array([_LOGIT, _PRIOR_SLOPE]), np.diag([_OFFSET_SD**-2, _SLOPE_SD**-2])

    def loss(weights: NDArray[np.float64]) -> float:
        logits, away = design @ weights, weights - prior
        return float(np.logaddexp(0, np.where(accepted, -logits, logits)).sum() + away @ precision @ away / 2)

    weights = prior
    for _ in range(_STEPS):
        share = 1 / (1 + np.exp(-np.clip(design @ weights, -50, 50)))
        gradient = design.T @ (share - accepted) + precision @ (weights - prior)
        hessian = (design.T * (share * (1 - share))) @ design + precision
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while loss(weights - size * step) > loss(weights) and size > 1e-6:
            size /= 2
        weights = weights - size * step
    return float(weights[0]), float(weights[1])
