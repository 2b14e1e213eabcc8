"""The store of embeddings on disk: what is whole is found, what is not is not used, and no disk stops a prediction."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr

from napari_sam.engine.embeddings.embedding_cache import CacheWarning, EmbeddingKey, EmbeddingStore
from napari_sam.engine.normalisation import Normalisation
from napari_sam.engine.windows import Window
from napari_sam.io.embedding_arrays import array_path
from napari_sam.io.embedding_store import SizeLimiter, ZarrEmbeddingStore

KEY = EmbeddingKey(
    "/a.tif|9|1",
    (900, 900),
    "sha",
    "float32",
    Normalisation((1.5,), (9.0,)),
    Window((0, 0, 64, 64), 64),
    persistent=True,
)


def _key(i=0, **other):
    return replace(KEY, window=Window((i, 0, i + 64, 64), 64), **other)


def _value(i=0, n=16):
    return torch.randn(1, 4, n, n, generator=torch.Generator().manual_seed(i)).half()


def _filled(store, count, **other):
    for i in range(count):
        store.put(_key(i, **other), _value(i), wait=True)
        store.flush()  # one after the other: their order counts
    return store


def _chunks(folder):
    return sorted(folder.glob("*/*/c.*"))


def test_an_embedding_is_read_by_another_store(tmp_path):
    store = _filled(ZarrEmbeddingStore(tmp_path), 2)
    other = ZarrEmbeddingStore(tmp_path)
    assert isinstance(store, EmbeddingStore)
    assert _key(1) in other
    assert torch.equal(other.get(_key(1)), _value(1))
    assert (other.get(_key(7)), _key(7) in other) == (None, False)


def test_any_reader_of_zarr_can_read_a_chunk(tmp_path):
    _filled(ZarrEmbeddingStore(tmp_path), 2)
    group = next(p for p in tmp_path.iterdir())
    array = zarr.open_group(group, mode="r")["64x64"]
    assert array.shape == (900, 900, 4, 16, 16)
    np.testing.assert_array_equal(array[1, 0], _value(1)[0].numpy())
    assert zarr.open_group(group, mode="r").attrs["napari_sam"]["image"] == "/a.tif|9|1"


def test_float32_takes_half_of_its_bytes_at_most(tmp_path):
    store = ZarrEmbeddingStore(tmp_path)
    store.put(_key(), _value(n=64).float())
    store.flush()
    assert 0 < store.size_bytes <= _value(n=64).numel() * 4 / 2
    assert torch.equal(store.get(_key()), _value(n=64))


def test_empty_labels_are_stored_too(tmp_path):
    store, key = ZarrEmbeddingStore(tmp_path), _key().of("objects-1")
    store.put(key, torch.zeros(8, 8, dtype=torch.int32))
    store.flush()
    assert torch.equal(ZarrEmbeddingStore(tmp_path).get(key), torch.zeros(8, 8, dtype=torch.int32))


def test_values_beyond_half_precision_are_not_stored(tmp_path):
    store = ZarrEmbeddingStore(tmp_path)
    store.put(_key(), torch.full((1, 4, 2, 2), 1e6))
    store.flush()
    assert store.get(_key()) is None
    assert store.problem is None


@pytest.mark.parametrize(
    "other",
    [
        {"image": "/a.tif|9|2"},
        {"weights": "sha2"},
        {"precision": "bfloat16"},
        {"normalisation": Normalisation((1.5,), (9.5,))},
        {"image_shape": (900, 901)},
        {"version": 99},
        {"window": Window((0, 0, 64, 64), 32)},
        {"window": Window((0, 0, 64, 63), 64)},
        {"what": "objects"},
    ],
)
def test_embeddings_of_other_inputs_are_never_used(tmp_path, other):
    store = _filled(ZarrEmbeddingStore(tmp_path), 1)
    assert replace(_key(), **other) not in store
    assert store.get(replace(_key(), **other)) is None


def test_a_group_renamed_by_hand_is_not_used(tmp_path, caplog):
    _filled(ZarrEmbeddingStore(tmp_path), 1, weights="old")
    new = array_path(tmp_path, _key()).parent
    next(tmp_path.iterdir()).rename(new)
    assert ZarrEmbeddingStore(tmp_path).get(_key()) is None
    assert "other embeddings" in caplog.text


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "folder"])
def test_a_damaged_entry_is_computed_again_and_replaced(tmp_path, caplog, damage):
    store = _filled(ZarrEmbeddingStore(tmp_path), 1)
    (chunk,) = _chunks(tmp_path)
    whole = chunk.read_bytes()
    if damage == "folder":
        chunk.unlink()
        chunk.mkdir()
    else:
        flipped = whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]
        chunk.write_bytes({"flipped": flipped, "short": whole[:100], "empty": b""}[damage])
    assert store.get(_key()) is None
    if damage != "folder":
        assert "encoded again" in caplog.text
        _filled(store, 1)
        assert torch.equal(store.get(_key()), _value())


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"shape": 3, "chunk_grid": 5}'])
@pytest.mark.parametrize("which", ["zarr.json", "64x64/zarr.json"])
def test_damaged_metadata_are_written_again(tmp_path, text, which):
    _filled(ZarrEmbeddingStore(tmp_path), 1)
    (next(tmp_path.iterdir()) / which).write_text(text)
    store = ZarrEmbeddingStore(tmp_path)
    assert store.get(_key()) is None
    _filled(store, 1)
    assert store.problem is None
    assert torch.equal(ZarrEmbeddingStore(tmp_path).get(_key()), _value())


def test_a_chunk_that_declares_gigabytes_is_not_read(tmp_path, caplog):
    _filled(ZarrEmbeddingStore(tmp_path), 1)
    path = next(tmp_path.iterdir()) / "64x64" / "zarr.json"
    found = json.loads(path.read_text())
    found["shape"][2:] = found["chunk_grid"]["configuration"]["chunk_shape"][2:] = [1 << 20, 1 << 10, 16]
    path.write_text(json.dumps(found))
    assert ZarrEmbeddingStore(tmp_path).get(_key()) is None
    assert "more than" in caplog.text


def test_the_least_recently_used_are_deleted_first_regardless_of_the_image(tmp_path):
    probe = _filled(ZarrEmbeddingStore(tmp_path / "probe"), 1)
    store = ZarrEmbeddingStore(tmp_path / "store", limit_bytes=int(probe.size_bytes * 4.5))
    _filled(store, 2)
    _filled(store, 2, image="/b.tif|1|1")
    assert store.get(_key(0)) is not None  # used just now
    store.put(_key(2, image="/b.tif|1|1"), _value(2))
    store.flush()
    assert _key(0) in store
    assert _key(1) not in store
    assert _key(2, image="/b.tif|1|1") in store
    assert store.size_bytes <= store.limit_bytes


def test_the_limiter_deletes_the_oldest_entries_and_keeps_the_newest(tmp_path):
    limiter = SizeLimiter(tmp_path, limit_bytes=250)
    (tmp_path / "group" / "array").mkdir(parents=True)
    chunks = [tmp_path / "group" / "array" / f"c.{i}" for i in range(4)]
    for second, chunk in enumerate(chunks):
        chunk.write_bytes(bytes(100))
        os.utime(chunk, (second, second))
        limiter.add(chunk)
    assert [chunk.exists() for chunk in chunks] == [False, False, True, True]
    assert limiter.measure() == 200


def test_a_file_that_another_process_writes_is_not_deleted(tmp_path):
    limiter = SizeLimiter(tmp_path, limit_bytes=10)
    (tmp_path / "group" / "array").mkdir(parents=True)
    entry, unfinished, abandoned = (tmp_path / "group" / "array" / f"c.{n}" for n in ("0", "1.__lock", "2.__lock"))
    for path in (unfinished, abandoned, entry):
        path.write_bytes(bytes(100))
    os.utime(abandoned, (1, 1))
    limiter.add(entry)
    assert [path.exists() for path in (entry, unfinished, abandoned)] == [True, True, False]


def test_the_limit_includes_entries_of_other_processes(tmp_path):
    _filled(ZarrEmbeddingStore(tmp_path), 12)
    one = _chunks(tmp_path)[0].stat().st_size
    store = ZarrEmbeddingStore(tmp_path, limit_bytes=5 * one)
    store.put(_key(20), _value(20))
    store.flush()
    assert store.size_bytes <= 5 * one
    assert _key(20) in store


def test_a_folder_that_cannot_be_created_emits_one_warning(tmp_path):
    (tmp_path / "file").write_text("")
    store = ZarrEmbeddingStore(tmp_path / "file" / "cache")
    store.put(_key(), _value())
    with pytest.warns(CacheWarning, match="predictions continue without"):
        store.flush()
    store.put(_key(), _value())  # a second warning would be an error
    store.flush()
    assert store.get(_key()) is None
    assert str(tmp_path / "file") in store.problem


def test_a_folder_that_vanishes_is_not_created_again(tmp_path):
    store = _filled(ZarrEmbeddingStore(tmp_path / "mount"), 1)
    shutil.rmtree(tmp_path / "mount")
    assert store.get(_key()) is None
    store.put(_key(1), _value(1))
    with pytest.warns(CacheWarning, match="vanished"):
        store.flush()
    assert not (tmp_path / "mount").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_still_read(tmp_path):
    _filled(ZarrEmbeddingStore(tmp_path), 1)
    for path in [tmp_path, *tmp_path.glob("*"), *tmp_path.glob("*/*/")]:
        path.chmod(0o555)
    store = ZarrEmbeddingStore(tmp_path)
    assert torch.equal(store.get(_key()), _value())
    store.put(_key(1), _value(1))
    with pytest.warns(CacheWarning):
        store.flush()


FULL = """
import resource, sys, warnings
warnings.simplefilter("error")
from tests.io.test_embedding_store import _key, _value, ZarrEmbeddingStore
store = ZarrEmbeddingStore(sys.argv[1])
store.put(_key(0), _value(0)); store.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.put(_key(1), _value(1))
try:
    store.flush()
except Warning as told:
    print(type(told).__name__, told)
store.put(_key(2), _value(2)); store.flush()
assert _key(1) not in store
assert store.get(_key(0)) is not None
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_emits_one_warning_and_reading_continues(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("CacheWarning embeddings cannot be kept in")
    assert "File too large" in ran.stdout
    assert len(_chunks(tmp_path)) == 1


def test_threads_write_and_read_one_store(tmp_path):
    stores = [ZarrEmbeddingStore(tmp_path) for _ in range(2)]

    def work(store, which):
        for i in range(which, 24, 3):
            store.put(_key(i), _value(i), wait=True)
            store.get(_key(i - 1))

    threads = [threading.Thread(target=work, args=(s, i)) for i in range(3) for s in stores]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for store in stores:
            store.flush()
    assert all(torch.equal(ZarrEmbeddingStore(tmp_path).get(_key(i)), _value(i)) for i in range(24))


WRITER = """
import sys
from tests.io.test_embedding_store import _key, _value, ZarrEmbeddingStore
store = ZarrEmbeddingStore(sys.argv[1], limit_bytes=30_000)
for i in range(60):
    store.put(_key(i % 20), _value(i % 20), wait=True)
    found = store.get(_key((i * 7) % 20))
    assert found is None or (found == _value((i * 7) % 20)).all()
store.flush()
assert store.problem is None, store.problem
"""


def test_processes_write_read_and_drop_in_one_store(tmp_path):
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [p.communicate(timeout=250)[1] for p in running]
    assert [p.returncode for p in running] == [0, 0], errors
    store = ZarrEmbeddingStore(tmp_path)
    found = [i for i in range(20) if _key(i) in store]
    assert found
    assert all(torch.equal(store.get(_key(i)), _value(i)) for i in found)


def _exchange(first, second):
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


@pytest.mark.parametrize("notes", [False, True])
def test_exchanged_entries_are_not_used(tmp_path, notes):
    _filled(ZarrEmbeddingStore(tmp_path), 2)
    first, second = _chunks(tmp_path)
    _exchange(first, second)
    if notes:
        _exchange(*(chunk.with_name(f"k{chunk.name[1:]}") for chunk in (first, second)))
    store = ZarrEmbeddingStore(tmp_path)
    assert [store.get(_key(i)) for i in range(2)] == [None, None]
    _filled(store, 2)
    assert torch.equal(ZarrEmbeddingStore(tmp_path).get(_key(1)), _value(1))


def test_exchanged_arrays_of_two_images_are_not_used(tmp_path):
    store = _filled(ZarrEmbeddingStore(tmp_path), 1)
    store.put(_key(image="/b.tif"), _value(5), wait=True)
    store.flush()
    first, second = (chunk.parent for chunk in _chunks(tmp_path))
    _exchange(first, second)
    store = ZarrEmbeddingStore(tmp_path)
    assert (store.get(_key()), store.get(_key(image="/b.tif"))) == (None, None)


def test_entries_of_version_0_1_are_used(tmp_path):
    _filled(ZarrEmbeddingStore(tmp_path), 1)
    for note in tmp_path.glob("*/*/k.*"):
        note.unlink()
    assert torch.equal(ZarrEmbeddingStore(tmp_path).get(_key()), _value())


def test_the_note_of_a_writer_that_was_killed_is_completed(tmp_path):
    _filled(ZarrEmbeddingStore(tmp_path), 2)
    notes = {note: note.read_bytes() for note in tmp_path.glob("*/*/k.*")}
    next(iter(notes)).unlink()
    store = ZarrEmbeddingStore(tmp_path)
    assert [store.touch(_key(i)) for i in range(2)] == [True, True]
    assert {note: note.read_bytes() for note in tmp_path.glob("*/*/k.*")} == notes


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", "3", "{", '{"attributes": [], "shape": 3}', ""])
def test_damaged_metadata_is_not_used(tmp_path, text):
    _filled(ZarrEmbeddingStore(tmp_path), 1)
    for path in (_chunks(tmp_path)[0].parent / "zarr.json", _chunks(tmp_path)[0].parents[1] / "zarr.json"):
        original = path.read_text()
        path.write_text(text)
        assert ZarrEmbeddingStore(tmp_path).get(_key()) is None
        path.write_text(original)
        _filled(ZarrEmbeddingStore(tmp_path), 1)


def test_deleting_an_entry_deletes_its_note(tmp_path):
    store = _filled(ZarrEmbeddingStore(tmp_path), 3)
    limiter = SizeLimiter(tmp_path, store.size_bytes // 2)
    limiter.add(_chunks(tmp_path)[0])
    assert len(_chunks(tmp_path)) == len(list(tmp_path.glob("*/*/k.*"))) < 3
