"""Stored results and their keys."""

from __future__ import annotations

import pytest

from napari_sam.errors import StoreError
from napari_sam.evaluation.runs.result_store import RESULT_FILE, ResultStore, measurement_key


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / RESULT_FILE).write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="cannot store results"):
        ResultStore(tmp_path)


def test_keys_depend_on_every_fact_but_not_on_their_order():
    known = measurement_key(experiment="e", settings={"a": 1}, sample=["d", "n", "i"])
    assert known == measurement_key(sample=["d", "n", "i"], settings={"a": 1}, experiment="e")
    assert known != measurement_key(experiment="e", settings={"a": 2}, sample=["d", "n", "i"])


@pytest.fixture
def store(tmp_path):
    with ResultStore(tmp_path / "new" / "folder") as results:
        yield results


def test_a_result_is_returned_by_its_key(store):
    store.put("k", "points", "default", "d", "s", 1.5, {"iou": [0.5]})
    assert store.get(["k", "unknown"]) == {"k": {"iou": [0.5]}}


def test_a_second_result_replaces_the_first(store):
    for value in (1, 2):
        store.put("k", "points", "default", "d", "s", 1.5, {"value": value})
    assert store.get(["k"]) == {"k": {"value": 2}}


def test_times_are_summed(store):
    store.put("a", "points", "default", "d", "s", 1.5, {})
    store.put("b", "points", "default", "d", "s", 2.0, {})
    assert store.seconds(["a", "b", "unknown"]) == 3.5


def test_results_survive_closing(tmp_path):
    with ResultStore(tmp_path) as store:
        store.put("k", "points", "default", "d", "s", 1.5, {"value": 1})
    with ResultStore(tmp_path) as store:
        assert store.get(["k"]) == {"k": {"value": 1}}


def test_a_closed_store_raises_a_store_error(tmp_path):
    store = ResultStore(tmp_path)
    store.close()
    with pytest.raises(StoreError, match="earlier results are stored"):
        store.get(["k"])


def test_the_key_of_version_0_1_is_unchanged():
    key = measurement_key(experiment="e", version=1, settings={}, model="", sample=["d", "n", "i"], seed=0)
    assert key == "03922b803420ca16895e4c59e2725687"
