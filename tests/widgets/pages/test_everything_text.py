"""Messages about runs."""

from __future__ import annotations

from types import SimpleNamespace

from napari_sam.engine.tiling.find_tiles import TileFailure
from napari_sam.jobs.job_settings import EverythingSettings
from napari_sam.widgets.pages.everything_run import UnfinishedRun
from napari_sam.widgets.pages.everything_text import left_out_text, result_text, unfinished_text


def test_an_unfinished_run_is_described():
    run = UnfinishedRun(EverythingSettings(method="grid", region=(0, 10, 100, 300)), 7, 3)
    assert "3 of 7 tiles of the region y 0–100, x 10–300 are done (grid)" in unfinished_text(run)


def report(objects, failed=()):
    return SimpleNamespace(method="dense", objects=objects, tiles=4, failed=list(failed))


def test_a_result_has_count_time_and_method():
    assert result_text(report(12), 8) == "Found 12 objects in 8 s (dense, 4 tiles)."
    assert "no new objects" in result_text(report(0), 8)


def test_of_many_failed_tiles_the_first_are_named():
    failed = [TileFailure((0, 0, 10 * k, 10), "a bad chunk") for k in range(1, 6)]
    text = result_text(report(1, failed), 8)
    assert "5 tiles failed: y 0–10, x 0–10: a bad chunk" in text
    assert text.endswith("and 2 more.")


def test_objects_that_were_left_out_are_counted():
    assert left_out_text(0) == ""
    assert "1 at the border of the region reaches too far outside it and was left out" in left_out_text(1)
    assert "2 at the border of the region reach too far" in left_out_text(2)
