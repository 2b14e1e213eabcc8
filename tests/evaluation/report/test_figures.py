"""Figures from few estimates."""

from __future__ import annotations

import math

import numpy as np

from napari_sam.evaluation.experiments.experiment import Estimate
from napari_sam.evaluation.metrics.bootstrap import Interval
from napari_sam.evaluation.report.figures import (
    data_set_bars,
    distance_curves,
    edge_curves,
    model_sizes,
    new_figure,
    point_curves,
)


def estimate(metric, value=0.5, low=0.4, protocol="center", dataset="d"):
    return Estimate("m", dataset, protocol, metric, Interval(value, low, 0.6, 10, 3))


def test_curves_without_random_points_are_drawn():
    assert point_curves([estimate("IoU@1"), estimate("IoU@3"), estimate("oracle@1")]).startswith(b"\x89PNG")


def test_bars_of_undefined_intervals_are_drawn():
    assert data_set_bars([estimate("mSA", low=math.nan)], "center", "mSA").startswith(b"\x89PNG")


def test_models_are_drawn_by_their_size():
    assert model_sizes([estimate("IoU@1")], {"m": 8_000_000, "unknown": 1}).startswith(b"\x89PNG")


def test_boundaries_are_drawn_by_method():
    counts = np.array([[[8, 4], [10, 10], [8, 4], [16, 4]]])
    assert edge_curves({"sobel": counts}).startswith(b"\x89PNG")


def test_a_figure_has_axes_side_by_side():
    figure, axes = new_figure(3, 2.0, 1.0)
    assert len(axes) == 3
    assert figure.get_size_inches().tolist() == [6.0, 1.0]


def test_the_decay_from_the_clicked_plane_is_drawn_without_what_is_undefined():
    cells = [estimate(f"IoU@{n}", value, protocol="planes") for n, value in ((0, 0.9), (4, 0.6), (16, math.nan))]
    assert distance_curves(cells).startswith(b"\x89PNG")
    assert distance_curves([estimate("IoU", protocol="followed")]).startswith(b"\x89PNG")
