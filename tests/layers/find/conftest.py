"""Candidates of two kinds with invented features: kind A on the left, kind B on the right."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.concepts.candidates import Candidates
from napari_sam.engine.concepts.feature_layout import FeatureLayout
from napari_sam.engine.geometry import Box
from napari_sam.layers.find.search import Example, Found, Search, rank

LAYOUT = FeatureLayout.of_network("a" * 64, "default", 16)
PLACE = ("image", ())
SIDE, PITCH = 8, 20


def features_of(kinds, rng):
    """Return features (n, d) that tell kinds apart."""
    middle = np.random.default_rng(7).normal(0, 6, LAYOUT.width)  # far apart, in units of features
    rows = rng.normal(0, 0.3, (len(kinds), LAYOUT.width)) + np.where(np.array(kinds)[:, None], middle, -middle)
    rows[:, 2 * 16 :] *= 0.3
    rows[:, LAYOUT.slices["quality"]] = 0.9  # scores of good masks, which a concept takes into account
    return rows.astype(np.float32)


def two_kinds(rng, rows=4, columns=6):
    """Return squares in a grid; those of the left half are of kind A."""
    corners = [(PITCH * r, PITCH * c) for r in range(rows) for c in range(columns)]
    kinds = [c < columns // 2 for _ in range(rows) for c in range(columns)]
    boxes = np.array([(y, x, y + SIDE, x + SIDE) for y, x in corners], np.int64)
    ones = np.full(len(boxes), 0.9, np.float32)
    masks = tuple(np.ones((SIDE, SIDE), bool) for _ in boxes)
    return Candidates(boxes, masks, ones, ones, features_of(kinds, rng), LAYOUT), np.array(kinds)


def example(candidates, index, accepted=True, place=PLACE):
    """Return a candidate as an example with features."""
    box = Box(*candidates.boxes[index].tolist())
    return Example(np.ones((SIDE, SIDE), bool), box, accepted, place, candidates.features[index], candidates.layout)


@pytest.fixture
def found(rng):
    candidates, kinds = two_kinds(rng)
    return Found(candidates, Box(0, 0, 80, 120), PLACE), kinds


@pytest.fixture
def search(found):
    """A search with one example of kind A, and results."""
    made, _ = found
    searched = Search()
    searched.add_examples([example(made.candidates, 0)])
    learn(searched, made)
    return searched


def learn(search, found):
    """Rank the candidates by what was said."""
    search.take(found, rank(found, search.choices, search.loaded, "kind", search.ranking))
    search.threshold = 0.5
