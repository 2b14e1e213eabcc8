"""Objects of the dense decoder in a window, and their place in the cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam.engine.embeddings.embedding_cache import EmbeddingKey
from napari_sam.engine.embeddings.window_objects import WindowObjects, detect_objects, objects_key, used_cells
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.windows import Window

WINDOW = Window((0, 0, 32, 64), 64)
KEY = EmbeddingKey("a", (99, 99), "sha", "float32", Normalisation(), WINDOW, persistent=True)


class DiscRunner:
    """A dense decoder that sees one disc, whatever the embedding."""

    img_size = 64

    def __init__(self, has_judge=False):
        self.has_judge = has_judge

    def dense(self, embedding):
        ys, xs = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        distance = torch.hypot(ys - 16.0, xs - 20.0) / 8
        return torch.stack([(distance < 1).float(), distance.clamp(max=1), distance.clamp(max=1)])


def test_a_disc_becomes_one_object_and_the_padding_stays_empty():
    labels = detect_objects(DiscRunner(), WINDOW, None).labels
    assert labels.shape == (64, 64)
    assert labels.max() == labels[16, 20] == 1
    assert not labels[32:].any()


@pytest.mark.parametrize("dense_in_weights", [True, False])
def test_objects_last_only_where_the_fingerprint_covers_their_decoder(dense_in_weights):
    key = objects_key(KEY, dense_in_weights=dense_in_weights)
    assert key.persistent is dense_in_weights
    assert key.what != KEY.what


@pytest.mark.parametrize(("shape", "cells"), [((64, 64), (16, 16)), ((33, 64), (8, 16)), ((1, 64), (1, 16))])
def test_padding_is_not_used(shape, cells):
    assert used_cells(shape, 16, 64) == cells


def test_labels_are_integers():
    assert detect_objects(DiscRunner(), WINDOW, None).labels.dtype == np.int32


def test_maps_are_kept_only_for_a_judge():
    assert detect_objects(DiscRunner(), WINDOW, None).maps is None
    maps = detect_objects(DiscRunner(has_judge=True), WINDOW, None).maps
    assert torch.allclose(maps, DiscRunner().dense(None), atol=1e-3)


def test_objects_and_maps_come_back_from_the_cache_as_they_were():
    found = detect_objects(DiscRunner(has_judge=True), WINDOW, None)
    again = WindowObjects.unpacked(found.packed())
    assert np.array_equal(again.labels, found.labels)
    assert torch.equal(again.maps, found.maps)
    assert objects_key(KEY, dense_in_weights=True) != objects_key(KEY, dense_in_weights=True, with_maps=True)
