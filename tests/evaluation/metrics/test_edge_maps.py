"""Boundary maps of simple images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.evaluation.metrics.edge_maps import canny_edges, edge_nms, gradient, sobel_edges


def test_suppression_keeps_the_middle_of_a_ridge():
    ridge = np.zeros((21, 21))
    ridge[:, 8:13] = [0.2, 0.6, 1.0, 0.6, 0.2]
    thin = edge_nms(ridge)
    assert (thin[3:-3, 10] == 1).all()
    assert (thin[3:-3, [9, 11]] == 0).all()


@pytest.mark.parametrize("detector", [sobel_edges, canny_edges])
def test_a_step_gives_one_line(detector):
    grey = np.zeros((40, 40))
    grey[:, 20:] = 1.0
    edges = detector(grey)
    assert set(np.nonzero(edges[5:-5] > 0.5)[1]) <= {19, 20}
    assert edges.max() <= 1


def test_the_gradient_points_across_a_step():
    grey = np.zeros((20, 20))
    grey[10:] = 1.0
    size, direction = gradient(grey, 1.0)
    assert size[10, 10] > size[3, 10]
    assert direction[10, 10] == pytest.approx(np.pi / 2)


def test_an_even_image_has_no_edges():
    assert canny_edges(np.full((12, 12), 0.4)).max() == 0
    assert sobel_edges(np.full((12, 12), 0.4)).max() == 0
