"""Statistics in pieces, against numpy on the whole."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.labels.measurement.running_statistics import RunningStatistics


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_statistics_do_not_depend_on_the_pieces(pieces):
    values = np.random.default_rng(0).normal(1e6, 1, 700)
    statistics = RunningStatistics()
    for piece in np.split(values, pieces):
        statistics.add(piece)
    expected = (values.mean(), values.min(), values.max(), values.std())
    np.testing.assert_allclose(list(statistics.values().values()), expected, rtol=1e-9)
