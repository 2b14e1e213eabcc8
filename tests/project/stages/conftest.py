"""Automatic objects for the tests of the stages."""

from __future__ import annotations

import numpy as np


def write_automatic(store, number, stage="automatic"):
    """Write squares of 8 x 8 pixels with scores 0.50, 0.51, … as everything-mode does."""
    writer = store.run_writer(f"run {store.next_label}")
    with store.noting(stage=stage):
        begin = writer.begin({}, number)
        for k in range(number):
            label = begin.first_label + k
            details = {label: {"predicted_iou": 0.5 + k / 100, "model": "default"}}
            place = (10 * (label // 8), 10 * (label % 8))
            writer.write(np.full((8, 8), label), place, tile=f"t{k}", begin=begin, details=details)


def cut(store, label, rows):
    """Erase the first rows of an object, as the brush does."""
    y0, x0, _, x1 = store.row(label).box
    store.paint(np.zeros((rows, x1 - x0), int), (y0, x0))
