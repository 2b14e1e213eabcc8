"""Shards are recognised as sound or damaged without decoding them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore
from napari_sam.io.labels.recovery.shard_check import damaged_shard


@pytest.fixture
def level(tmp_path):
    with LabelStore.create(tmp_path / "s", shape=(2500, 2500)) as labels:
        rng = np.random.default_rng(0)
        labels.paint(rng.integers(0, 90, (700, 700)), (1700, 1800))  # in four shards
        labels.paint(np.ones((600, 600), int), (0, 0))  # repeated bytes
        labels.paint(rng.integers(0, 3, (300, 2)), (900, 250))
    return tmp_path / "s" / "0"


def test_sound_shards_pass(level):
    assert len(list((level / "c").rglob("*"))) == 6
    assert damaged_shard(level) is None


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: d[:100], lambda d: b"", lambda d: b"x" + d]
)
def test_a_changed_length_is_noticed(level, change):
    shard = level / "c" / "1" / "0"
    shard.write_bytes(change(shard.read_bytes()))
    assert damaged_shard(level) == shard
