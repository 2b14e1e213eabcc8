"""A run reports its progress, and can be cancelled and resumed."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam.errors import CancelledError
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.widgets.pages.everything_run import EverythingRun, UnfinishedRun

IMAGE = SimpleNamespace(shape=(40, 50))
RECORD = {
    "region": [0, 0, 30, 40],
    "method": "grid",
    "overlap": "replace",
    "category": "cell",
    "tiles": 4,
    "tiles_done": 5,
    "call": {"side": 512, "coarser": False, "grid": {"points_per_side": 16}, "watershed": None},
}


class FakeEngine:
    """Finds one tile, and waits for a signal of the test."""

    def __init__(self):
        self.requests, self.go = [], threading.Event()

    def segment(self, request, hooks):
        self.requests.append(request)
        hooks.on_tile((0, 0, 4, 4), np.ones((4, 4), np.uint32))
        hooks.progress(1, 2)
        while not self.go.wait(0.01):
            if hooks.cancelled():
                raise CancelledError("cancelled")
        return "report"

    def unfinished(self, path):
        return UnfinishedRun.of(RECORD)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def run(engine, qtbot):
    session = SimpleNamespace(model="default", load=lambda model: SimpleNamespace(can_dense=True))
    made = EverythingRun(session, engine)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    with LabelStore.create(tmp_path / "labels.ome.zarr", shape=(40, 50)) as made:
        yield made


@pytest.fixture
def outcomes(run):
    collected = []
    run.finished.connect(collected.append)
    return collected


def test_progress_tiles_and_the_report_arrive(qtbot, run, engine, store, outcomes):
    tiles, steps = [], []
    run.tile_found.connect(tiles.append)
    run.progressed.connect(lambda done, total: steps.append((done, total)))
    run.start(IMAGE, store, EverythingSettings(), None)
    assert run.is_running
    qtbot.waitUntil(lambda: bool(steps), timeout=60_000)
    engine.go.set()
    qtbot.waitUntil(lambda: bool(outcomes), timeout=60_000)
    assert (steps, len(tiles)) == ([(1, 2)], 1)
    assert outcomes[0].value == "report"
    assert not run.is_running
    assert not run.was_cancelled(outcomes[0])


def test_a_cancelled_run_ends_without_error(qtbot, run, engine, store, outcomes):
    run.start(IMAGE, store, EverythingSettings(), None)
    qtbot.waitUntil(lambda: bool(engine.requests), timeout=60_000)
    run.cancel()
    qtbot.waitUntil(lambda: bool(outcomes), timeout=60_000)
    assert run.was_cancelled(outcomes[0])
    assert (outcomes[0].value, outcomes[0].error) == (None, None)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (EverythingSettings(), "samples"),
        (EverythingSettings(diameter_px=30), "Getting ready"),
        (EverythingSettings(level=1), "Getting ready"),
        (EverythingSettings(method="grid"), "Getting ready"),
    ],
)
def test_samples_are_announced_only_if_the_magnification_is_unknown(qtbot, run, engine, store, settings, text):
    activities = []
    run.activity_changed.connect(activities.append)
    engine.go.set()
    run.start(IMAGE, store, settings, None)
    qtbot.waitUntil(lambda: len(activities) == 2, timeout=60_000)
    assert text in activities[1]
    qtbot.waitUntil(lambda: not run.is_running, timeout=60_000)


def test_an_unfinished_run_continues_with_its_own_settings():
    run = UnfinishedRun.of(RECORD)
    settings = run.settings
    assert (settings.method, settings.region, settings.overlap) == ("grid", (0, 0, 30, 40), "replace")
    assert (settings.side, settings.coarser, settings.category) == (512, False, "cell")
    assert settings.grid.points_per_side == 16
    assert settings.diameter_px is None
    assert (run.tiles, run.tiles_done) == (4, 4)


def test_a_record_of_version_0_1_without_its_call_can_be_read():
    record = {k: v for k, v in RECORD.items() if k not in ("call", "category")}
    assert UnfinishedRun.of(record).settings.coarser is True
