"""Logistic regression that corrects a score one has already, from few examples of many features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_STEPS = 500
_CONVERGED = 1e-3  # of the gradient, which is at most 1
_CURVATURE = 0.25  # the largest of the logistic loss
_MOST_LOGIT = 30.0


def fit_correction(
    features: NDArray[np.float64], accepted: NDArray[np.bool_], offset: NDArray[np.float64], variance: float
) -> NDArray[np.float64]:
    """Fit weights w so that the logistic function of ``offset + features @ w`` tells accepted from rejected objects.

    Parameters
    ----------
    features : ndarray of float64
        (n, d), usually with d far greater than n.
    accepted : ndarray of bool
        (n,) the classes.
    offset : ndarray of float64
        (n,) logits that are known already, and that objects unlike all examples keep.
    variance : float
        Of the normal prior of each weight: less of it regularises more.

    Returns
    -------
    ndarray of float64
        (d,) weights.

    Notes
    -----
    Kernel logistic regression (Zhu & Hastie, 2005) in the n-dimensional space of the examples, by steps with the
    largest possible curvature, which cannot overshoot (Böhning & Lindsay, 1988) and share one inverse matrix.
    `sklearn.linear_model.LogisticRegression` minimises the same loss, but takes no offset.
    """
    kernel = variance * (features @ features.T)
    weights: NDArray[np.float64] = variance * (features.T @ fit_dual(kernel, accepted, offset))
    return weights


def fit_dual(
    kernel: NDArray[np.float64], accepted: NDArray[np.bool_], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit the coefficients (n,) of the examples in the weights of `fit_correction`, given their kernel (n, n)."""
    target = accepted.astype(np.float64)
    solution = np.linalg.inv(kernel + np.eye(len(target)) / _CURVATURE)
    dual = np.zeros(len(target))
    for _ in range(_MOST_STEPS):
        change = kernel @ dual
        slope = target - logistic(offset + change)
        if float(np.abs(slope - dual).max(initial=0)) < _CONVERGED:
            break
        dual = solution @ (change + slope / _CURVATURE)
    return dual


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic function, safe from overflow.

    >>> logistic(np.array([0.0, -1e9])).round(3).tolist()
    [0.5, 0.0]
    """
    values: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -_MOST_LOGIT, _MOST_LOGIT)))
    return values
