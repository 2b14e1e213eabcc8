"""Embeddings in memory and on disk, and which of them a predictor reuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from napari_sam import Predictor
from napari_sam.engine.embeddings.embedding_cache import EmbeddingCache, EmbeddingKey
from napari_sam.engine.embeddings.precompute import precompute
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Window
from napari_sam.errors import CancelledError
from napari_sam.io.embedding_store import ZarrEmbeddingStore
from tests.engine.tiny import tiny_predictor

KEY = EmbeddingKey("a.tif|9|1", (128, 128), "sha", "float32", Normalisation(), Window((0, 0, 64, 64), 64))


def test_the_least_recently_used_go_first():
    cache = EmbeddingCache(limit_bytes=12)
    for name in "abc":
        cache.put(name, torch.zeros(1))
    cache.get("a")
    cache.put("d", torch.zeros(1))
    assert [name in cache for name in "abcd"] == [True, False, True, True]
    assert cache.size_bytes == 12


def test_one_embedding_larger_than_the_limit_is_kept():
    cache = EmbeddingCache(limit_bytes=12)
    cache.put("a", torch.zeros(1))
    cache.put("b", torch.zeros(100))
    assert ("a" in cache, "b" in cache, cache.size_bytes) == (False, True, 400)


def test_what_falls_off_the_device_is_held_on_the_host():
    class OnDevice:
        device, nbytes = torch.device("cuda"), 4

        def cpu(self):
            return torch.ones(1)

    cache = EmbeddingCache(limit_bytes=8)
    for name in "abcde":
        cache.put(name, OnDevice())
    assert [name in cache for name in "abcde"] == [False, True, True, True, True]
    assert torch.equal(cache.get("c", torch.device("cpu")), torch.ones(1))
    assert cache.size_bytes == 16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_holds_its_limit_and_the_host_the_rest():
    cache, gpu = EmbeddingCache(limit_bytes=8), torch.device("cuda")
    for i, name in enumerate("abc"):
        cache.put(name, torch.full((1,), float(i), device=gpu))
    assert (cache._device.size_bytes, cache._host.size_bytes) == (8, 4)
    back = cache.get("a", gpu, torch.float32)
    assert back.device.type == "cuda"
    assert back.item() == 0
    assert (cache._device.size_bytes, cache._host.size_bytes) == (8, 4)  # "b" has changed places with it


@pytest.mark.parametrize("cache", [None, 5000, EmbeddingCache(7), ZarrEmbeddingStore("/nowhere")])
def test_a_predictor_takes_any_kind_of_cache(cache):
    from napari_sam.predictor import make_cache

    made = make_cache(cache)
    limit = {None: 1 << 30, 5000: 5000}.get(cache if isinstance(cache, int) else None, 1 << 30)
    assert made.limit_bytes == (7 if isinstance(cache, EmbeddingCache) else limit)
    assert made.store is (cache if isinstance(cache, ZarrEmbeddingStore) else None)


def test_a_folder_makes_a_cache_on_disk(tmp_path):
    predictor = Predictor("default", device="cpu", cache=tmp_path / "cache")
    assert predictor.cache.store.folder == tmp_path / "cache"
    assert not (tmp_path / "cache").exists()  # nothing is written before there is something


def test_another_process_finds_what_this_one_encoded(tmp_path, picture):
    one, other = (tiny_predictor(ZarrEmbeddingStore(tmp_path / "cache"), hypotheses=True) for _ in range(2))
    one.set_image(picture)
    first = one.predict(points=[(70, 80)])
    one.cache.flush()
    other.set_image(picture)
    assert other.is_embedded(first.window)
    again = other.predict(points=[(70, 80)])
    assert other.runner.encoded == 0
    assert (again.mask == first.mask).all()


def test_arrays_in_memory_never_go_to_disk(tmp_path):
    predictor = tiny_predictor(ZarrEmbeddingStore(tmp_path / "cache"))
    predictor.set_image(np.zeros((200, 200), np.uint8))
    predictor.predict(points=[(9, 9)])
    predictor.cache.flush()
    assert len(predictor.cache) == 1
    assert not (tmp_path / "cache").exists()


def test_an_image_changed_on_disk_is_encoded_again(tmp_path, picture):
    store = ZarrEmbeddingStore(tmp_path / "cache")
    _encode(tiny_predictor(store), picture)
    Image.fromarray(np.zeros((200, 300), np.uint8)).save(picture)
    assert _encode(tiny_predictor(store), picture) == 1


def test_another_model_precision_or_normalisation_is_encoded_again(tmp_path, picture):
    store = ZarrEmbeddingStore(tmp_path / "cache")
    assert _encode(tiny_predictor(store), picture) == 1
    assert _encode(tiny_predictor(store), picture) == 0
    assert _encode(tiny_predictor(store, weights="others"), picture) == 1
    assert _encode(tiny_predictor(store, dtype=torch.bfloat16), picture) == 1
    assert _encode(tiny_predictor(store), picture, Normalisation((0.0,), (100.0,))) == 1


def test_an_image_set_while_a_window_is_read_does_not_get_its_embedding(picture):
    def slow(image, normalisation, window, shape=None):
        pixels = read_window(image, normalisation, window, shape)
        predictor.set_image(np.zeros((200, 200), np.uint8))
        return pixels

    predictor = tiny_predictor(read_pixels=slow)
    predictor.set_image(picture)
    window = predictor.window_for(points=[(9, 9)])
    with pytest.raises(CancelledError, match="another image"):
        predictor.embed(window)
    assert len(predictor.cache) == 0


def test_masks_from_the_disk_agree_with_those_from_the_network(tmp_path, nuclei):
    """Float32 embeddings rounded to half precision: the only loss there is."""
    image, labels = nuclei
    path = tmp_path / "nuclei.png"
    Image.fromarray(image).save(path)
    points = [tuple(np.argwhere(labels == i).mean(0).round()) for i in range(1, 32, 3)]
    predictor = Predictor("default", "cpu", "float32")
    predictor.set_image(path)
    before = predictor.predict_many([{"points": [p]} for p in points])
    predictor.cache = EmbeddingCache(store=ZarrEmbeddingStore(tmp_path / "cache"))
    precompute(predictor, coarser=False)
    assert len(predictor.cache) == 0  # what follows comes from the disk
    after = predictor.predict_many([{"points": [p]} for p in points])
    ious = [_iou(a, b, image.shape) for a, b in zip(before, after, strict=True)]
    assert np.mean(ious) >= 0.995


def test_bfloat16_embeddings_come_back_exactly(tmp_path, picture):
    store = ZarrEmbeddingStore(tmp_path / "cache")
    tiny = torch.tensor([1e-30, -3e20, 0.3, 0.0]).bfloat16().reshape(1, 4, 1, 1)
    store.put(_persistent(precision="bfloat16"), tiny)
    store.flush()
    assert torch.equal(store.get(_persistent(precision="bfloat16")), tiny)


def _persistent(**other):
    from dataclasses import replace

    return replace(KEY, persistent=True, **other)


def _encode(predictor, path, normalisation=None):
    """How many windows one click encodes."""
    from napari_sam.io.images.open_image import open_image

    predictor.set_source(open_image(path), normalisation)
    predictor.embed(predictor.window_for(points=[(9, 9)]))
    predictor.cache.flush()
    return predictor.runner.encoded


def _iou(a, b, shape):
    x, y = a.full_mask(shape), b.full_mask(shape)
    return (x & y).sum() / max(1, (x | y).sum())


@pytest.fixture
def picture(tmp_path, rng):
    """An image file of 200 x 300."""
    path = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 255, (200, 300), dtype=np.uint8)).save(path)
    return path
