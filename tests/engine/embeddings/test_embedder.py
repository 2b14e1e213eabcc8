"""The embedder: each window is encoded once, with the image and the normalisation it belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.engine.embeddings.embedder import Embedder
from napari_sam.engine.loaded_model import LoadedModel
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError, NoImageError
from napari_sam.io.images.open_image import open_image
from tests.engine.tiny import TinyRunner

WINDOW = Window((0, 0, 64, 64), 64)


@pytest.fixture
def embedder(rng):
    embedder = Embedder(LoadedModel("tiny", TinyRunner(), "sha"), hypotheses=True)
    embedder.set_source(open_image(rng.integers(0, 255, (100, 100), np.uint8)))
    return embedder


def test_a_window_is_encoded_once(embedder):
    first = embedder.embed(WINDOW)
    assert embedder.embed(WINDOW) is first
    assert embedder.model.runner.encoded == 1
    assert embedder.is_embedded(WINDOW)


def test_objects_are_detected_only_where_prompts_need_them(embedder):
    embedder.embedding(WINDOW)
    assert embedder.objects_key(embedder.key(WINDOW)) not in embedder.cache
    embedder.embed(WINDOW)
    assert embedder.objects_key(embedder.key(WINDOW)) in embedder.cache


def test_objects_of_a_previous_image_are_not_cached(embedder):
    stale = embedder.embedding(WINDOW)
    embedder.set_source(open_image(np.zeros((100, 100), np.uint8)))
    embedder.objects(WINDOW, stale)
    assert embedder.objects_key(embedder.key(WINDOW)) not in embedder.cache


def test_without_an_image_the_error_names_the_remedy():
    with pytest.raises(NoImageError, match="call set_image") as error:
        Embedder(LoadedModel("tiny", TinyRunner(), "sha")).key(WINDOW)
    assert error.value.remedy == "call set_image(...) first"


def test_keys_differ_by_normalisation_and_window(embedder):
    keys = {embedder.key(WINDOW), embedder.key(Window((0, 0, 32, 32), 64))}
    embedder.set_source(embedder.image, Normalisation((0.0,), (9.0,)))
    assert len(keys | {embedder.key(WINDOW)}) == 3


def test_a_sharing_embedder_has_its_own_image_and_the_same_cache(embedder):
    other = embedder.sharing()
    with pytest.raises(NoImageError):
        other.image  # noqa: B018
    assert (other.cache, other.priority_lock, other.model) == (embedder.cache, embedder.priority_lock, embedder.model)


@pytest.mark.parametrize("background", [False, True])
def test_cancelling_stops_before_the_network_runs(embedder, background):
    with pytest.raises(CancelledError):
        embedder.embed(WINDOW, lambda: True, background=background)
    assert embedder.model.runner.encoded == 0


def test_pixels_come_from_the_given_reader():
    calls = []

    def read(image, normalisation, window, shape=None):
        calls.append((window, shape))
        return np.zeros((64, 64, 3), np.uint8)

    embedder = Embedder(LoadedModel("tiny", TinyRunner(), "sha"), read_pixels=read)
    embedder.set_source(open_image(np.zeros((9, 9), np.uint8)))
    embedder.pixels(WINDOW, (5, 5))
    embedder.embed(WINDOW)
    assert calls == [(WINDOW, (5, 5)), (WINDOW, None)]
