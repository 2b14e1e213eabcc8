"""The simulated annotator: parts of large images, and what a model asks of people."""

from __future__ import annotations

import numpy as np

from benchmarks.annotator import CLICKS, measure, parts_of
from napari_sam.evaluation.datasets.ground_truth import truth_from_labels
from napari_sam.evaluation.datasets.labelled_samples import Sample


def sample(pixels, labels):
    return Sample("set", "a", None, lambda: truth_from_labels(labels), lambda: pixels)


def test_large_images_become_parts_with_objects():
    labels = np.zeros((900, 300), np.int32)
    labels[10:20, 10:20], labels[850:880, 200:230] = 1, 2
    pixels = np.arange(900, dtype=np.uint16)[:, None] + np.zeros((1, 300), np.uint16)
    parts = list(parts_of([sample(pixels, labels)]))
    assert [(rgb.shape, np.unique(part).tolist()) for rgb, part in parts] == [
        ((300, 300, 3), [0, 1]),
        ((300, 300, 3), [0, 2]),
    ]


def test_objects_that_are_found_need_no_click(nuclei):
    image, labels = (a[:256, :256] for a in nuclei)
    measured = measure([sample(image, labels)], "default", 3, 0.5)
    assert measured.objects == len(np.unique(labels)) - 1
    assert 0 < measured.touched < 1
    assert measured.clicks_with_filling < measured.clicks <= CLICKS
    assert (measured.data, measured.images, measured.minutes) == ("set", 3, 0.5)
