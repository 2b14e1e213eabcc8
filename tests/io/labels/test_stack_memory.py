"""Memory of a store does not grow with the planes of an object."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.io.labels.label_store import LabelStore

SIDE = 700


def peak_of(action):
    """Return what an action allocates at most, beyond what there was before, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def disc(planes):
    """An object on all planes, whose masks are made when they are asked for."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    return SimpleNamespace(
        planes=range(planes),
        scores={},
        prompts={},
        model="none",
        index=lambda plane: (plane,),
        mask=lambda plane: (y**2 + x**2 < (300 + plane % 7) ** 2, (0, 0, SIDE, SIDE)),
    )


@pytest.fixture
def peaks(tmp_path):
    """Peaks of each step with few planes and with many."""
    found = []
    for planes in (6, 48):
        with LabelStore.create(tmp_path / str(planes), shape=(planes, SIDE, SIDE)) as store:
            steps = {
                "commit": lambda store=store, planes=planes: store.commit_planes(disc(planes)),
                "undo": store.undo,
                "redo": store.redo,
                "erase": lambda store=store: store.erase(1),
                "rebuild": store.rebuild,
            }
            found.append({name: peak_of(step) for name, step in steps.items()})
    return found


def test_eight_times_the_planes_take_less_than_two_more_planes_of_memory(peaks):
    few, many = peaks
    plane = SIDE * SIDE * np.dtype(np.uint32).itemsize
    assert {
        name: round((many[name] - few[name]) / plane, 1) for name in few if many[name] - few[name] > 2 * plane
    } == {}
