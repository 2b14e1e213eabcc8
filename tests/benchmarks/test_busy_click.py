"""The processes that click beside busy ones."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from benchmarks.busy_click import Clicker, busy_cores
from benchmarks.click import Scene
from benchmarks.click_worker import click
from src_models.thread_waiting import WAITING_VARIABLES

REPORT = (
    "import json, os\n"
    "print('ready', flush=True)\n"
    "count, limit = input().split()\n"
    f"chosen = [float(os.environ[n]) for n in {WAITING_VARIABLES!r} if n in os.environ]\n"
    "print(json.dumps({'first': [int(count)], 'further': chosen}), flush=True)"
)


class SlowPredictor:
    """Takes 10 ms for a click, and remembers where the clicks were."""

    def __init__(self) -> None:
        self.cache: dict[str, int] = {"window": 1}
        self.points: list[tuple[float, float]] = []

    def set_image(self, image: np.ndarray) -> None:
        self.points.clear()

    def predict(self, points: list[tuple[float, float]]) -> None:
        time.sleep(0.01)
        self.points += points


@pytest.fixture
def scene():
    return Scene("squares", np.zeros((8, 8), np.uint8), [(1.0, 1.0), (5.0, 5.0)])


def test_the_first_click_is_in_a_new_window_and_counts_apart(scene):
    predictor = SlowPredictor()
    seconds = click(predictor, scene, 3, limit_s=60)
    assert (len(seconds["first"]), len(seconds["further"])) == (1, 3)
    assert predictor.cache == {}
    assert predictor.points == [(1, 1), (5, 5), (1, 1), (5, 5)]
    assert min(seconds["first"] + seconds["further"]) >= 0.01


def test_a_slow_turn_ends_after_one_further_click(scene):
    assert len(click(SlowPredictor(), scene, 1000, limit_s=0)["further"]) == 1


def test_a_variant_waits_as_it_is_told_to_and_not_as_the_environment_says(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    with Clicker(REPORT, {}) as clicker:
        assert clicker.click(7, 1.0) == {"first": [7], "further": []}
    with Clicker(REPORT, {"KMP_BLOCKTIME": "200"}) as clicker:
        assert clicker.click(7, 1.0) == {"first": [7], "further": [200.0]}


def test_a_process_that_ends_is_reported():
    with pytest.raises(SystemExit, match="status 3"), Clicker("raise SystemExit(3)", {}):
        pass


def test_all_cores_are_busy_and_free_again():
    with busy_cores() as processes:
        assert len(processes) == os.cpu_count()
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)
