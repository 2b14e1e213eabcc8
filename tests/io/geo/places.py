"""Comparison of coordinate reference systems by what they do."""

from __future__ import annotations

import numpy as np
import pyproj


def is_same_place(first, second, x=12_000.0, y=345_000.0):
    """Whether map coordinates are the same longitude and latitude in both systems."""
    degrees = [pyproj.Transformer.from_crs(c, "EPSG:4326", always_xy=True).transform(x, y) for c in (first, second)]
    return np.isfinite(degrees).all() and np.allclose(*degrees, rtol=0, atol=1e-9)
