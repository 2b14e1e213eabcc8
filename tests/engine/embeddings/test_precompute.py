"""Precompute and prefetching: every window that clicks need, none twice, also after a crash."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_sam.cli import main
from napari_sam.engine.embeddings.precompute import click_side, grid_windows, precompute
from napari_sam.engine.embeddings.prefetch import Prefetcher, windows_in_view
from napari_sam.engine.interactive.prompts import parse_prompt
from napari_sam.engine.interactive.window_choice import choose_window
from napari_sam.engine.window_pixels import read_window
from napari_sam.engine.windows import Hints, grid_window
from napari_sam.errors import CancelledError, PromptError, SettingsError, StoreError
from napari_sam.io.embedding_store import ZarrEmbeddingStore
from tests.engine import tiny
from tests.engine.tiny import tiny_predictor


@pytest.fixture
def picture(tmp_path, rng):
    """An image file of 200 x 300; the network sees 64 x 64."""
    path = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 255, (200, 300), dtype=np.uint8)).save(path)
    return path


def _predictor(tmp_path, picture, **kwargs):
    predictor = tiny_predictor(ZarrEmbeddingStore(tmp_path / "cache"), **kwargs)
    predictor.set_image(picture)
    return predictor


def _digest(folder):
    """Of all files but the locks that a killed writer leaves."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(("__lock", ".part")))
    return hashlib.sha256(b"".join(str(p.relative_to(folder)).encode() + p.read_bytes() for p in files)).hexdigest()


@settings(max_examples=60)
@given(st.data())
def test_every_click_in_a_region_has_its_window_in_the_plan(data):
    shape = data.draw(st.tuples(st.integers(1, 700), st.integers(1, 700)))
    y0, x0 = (data.draw(st.integers(0, n - 1)) for n in shape)
    y1, x1 = data.draw(st.integers(y0 + 1, shape[0])), data.draw(st.integers(x0 + 1, shape[1]))
    diameter = data.draw(st.sampled_from([None, 3.0, 20.0, 50.0, 1000.0]))
    plan = grid_windows((y0, x0, y1, x1), click_side(shape, 64, diameter), shape, 64)
    click = data.draw(st.floats(y0, y1 - 1)), data.draw(st.floats(x0, x1 - 1))
    assert choose_window(parse_prompt(shape, points=[click]), shape, 64, Hints(diameter_px=diameter)) in plan


def test_a_plan_has_no_window_that_no_click_asks_for():
    plan = grid_windows((70, 0, 100, 200), 64, (200, 300), 64)
    asked = {grid_window((y, x), 64, (200, 300), 64) for y in range(70, 100) for x in range(200)}
    assert set(plan) == asked
    assert len(plan) == len(asked)


@pytest.mark.parametrize("diameter", [None, 30.0])
def test_after_precompute_no_click_is_encoded(tmp_path, picture, diameter):
    first = _predictor(tmp_path, picture, hypotheses=True)
    report = precompute(first, (20, 30, 120, 160), diameter_px=diameter)
    assert report.encoded == report.windows == first.runner.encoded
    predictor = _predictor(tmp_path, picture, hypotheses=True)
    for y in range(20, 120, 9):
        for x in range(30, 160, 9):
            predictor.predict(points=[(y, x)], hints=Hints(diameter_px=diameter))
    assert predictor.runner.encoded == 0


def test_larger_objects_find_their_windows_too(tmp_path, picture):
    predictor = _predictor(tmp_path, picture)
    report = precompute(predictor, (100, 100, 110, 110))
    assert report.sides_px == (64, 128, 256, 300)
    predictor.embed(predictor.window_for(points=[(105, 105)], hints=Hints(diameter_px=32)))
    assert predictor.runner.encoded == report.encoded


def test_a_second_run_encodes_nothing_and_changes_nothing(tmp_path, picture):
    first = precompute(_predictor(tmp_path, picture))
    before = _digest(tmp_path / "cache")
    second = precompute(_predictor(tmp_path, picture))
    assert (second.windows, second.encoded) == (first.windows, 0)
    assert _digest(tmp_path / "cache") == before


def test_a_cancelled_run_keeps_its_windows_and_resumes(tmp_path, picture):
    predictor, seen = _predictor(tmp_path, picture), []
    with pytest.raises(CancelledError, match="at 5 of"):
        precompute(predictor, progress=lambda done, total: seen.append((done, total)), cancelled=lambda: len(seen) == 5)
    again = _predictor(tmp_path, picture)
    report = precompute(again)
    assert seen[-1] == (5, report.windows)
    assert report.encoded == report.windows - 5


def test_batches_are_the_same_whatever_is_there_already(tmp_path, picture, monkeypatch):
    monkeypatch.setattr("napari_sam.engine.embeddings.precompute._BATCH", 4)
    batches = []
    for region in [(0, 0, 60, 60), None]:
        predictor = _predictor(tmp_path, picture)
        predictor.runner.device, encode = _Gpu(), predictor.runner.encode
        predictor.runner.encode = lambda images, encode=encode: (batches.append(len(images)), encode(images))[1]
        precompute(predictor, region, coarser=False)
    assert batches[0] == 4
    assert max(batches) == 4


class _Gpu:
    """What precompute asks of a device."""

    type = "cuda"


@pytest.mark.parametrize("bad", [{"side": 0}, {"diameter_px": -1.0}, {"diameter_px": float("nan")}])
def test_sizes_must_be_positive(tmp_path, picture, bad):
    with pytest.raises(SettingsError, match=next(iter(bad))):
        precompute(_predictor(tmp_path, picture), **bad)


@pytest.mark.parametrize("region", [(200, 0, 210, 10), (10, 10, 10, 20), (-9, -9, 0, 0)])
def test_a_region_outside_is_refused(tmp_path, picture, region):
    with pytest.raises(PromptError, match="outside the image of shape \\(200, 300\\)"):
        precompute(_predictor(tmp_path, picture), region)


def test_what_would_not_fit_is_refused_before_it_drops_its_own_beginning(tmp_path, picture):
    predictor = tiny_predictor(ZarrEmbeddingStore(tmp_path / "cache", limit_bytes=10_000))
    predictor.set_image(picture)
    with pytest.raises(SettingsError, match="smaller region"):
        precompute(predictor)
    assert predictor.runner.encoded == 1


def test_going_on_does_not_drop_what_an_earlier_run_did(tmp_path, picture, rng):
    first = _predictor(tmp_path, picture)
    precompute(first, (0, 0, 60, 60), coarser=False)
    other = tmp_path / "other.png"
    Image.fromarray(rng.integers(0, 255, (200, 300), dtype=np.uint8)).save(other)
    precompute(_predictor(tmp_path, other), coarser=False)
    predictor = tiny_predictor(ZarrEmbeddingStore(tmp_path / "cache", limit_bytes=100_000))  # both images take 160 kB
    predictor.set_image(picture)
    precompute(predictor, coarser=False)
    plan = grid_windows((0, 0, 200, 300), 64, (200, 300), 64)
    assert all(predictor.cache.touch(predictor.key(w)) for w in plan)
    assert predictor.cache.store.size_bytes <= 100_000


def test_an_array_in_memory_is_precomputed_into_memory(tmp_path):
    predictor = tiny_predictor(ZarrEmbeddingStore(tmp_path / "cache"))
    predictor.set_image(np.zeros((200, 300), np.uint8))
    report = precompute(predictor)
    assert len(predictor.cache) == report.windows
    assert not (tmp_path / "cache").exists()


@pytest.mark.filterwarnings("ignore::napari_sam.engine.embeddings.embedding_cache.CacheWarning")
def test_a_disk_that_fails_stops_the_run_with_its_reason(tmp_path, picture):
    (tmp_path / "file").write_text("")
    predictor = tiny_predictor(ZarrEmbeddingStore(tmp_path / "file" / "cache"))
    predictor.set_image(picture)
    with pytest.raises(StoreError, match="cannot be kept in"):
        precompute(predictor)


def _start(picture, folder, seconds="0.01"):
    command = [sys.executable, "-m", "tests.engine.tiny", str(picture), str(folder), seconds]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(tmp_path, picture, rng):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    tiny.main(str(picture), str(whole))
    for stop in sorted(rng.integers(1, 60, 5)):
        process = _start(picture, torn)
        for line in process.stdout:
            if line.startswith("encoded") or int(line) >= stop:
                break
        time.sleep(rng.uniform(0, 0.03))  # anywhere within a window
        process.send_signal(signal.SIGKILL)
        process.communicate()
    left = int(subprocess.check_output([*_start_arguments(picture, torn)], text=True).split()[-1])
    assert left > 0
    assert _digest(torn) == _digest(whole)


def _start_arguments(picture, folder):
    return [sys.executable, "-m", "tests.engine.tiny", str(picture), str(folder), "0"]


def test_two_processes_precompute_one_image_together(tmp_path, picture):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    tiny.main(str(picture), str(whole))
    running = [_start(picture, shared) for _ in range(2)]
    assert [p.wait(200) for p in running] == [0, 0]
    for process in running:
        process.stdout.close()
    assert _digest(shared) == _digest(whole)


def test_the_command_encodes_and_a_predictor_finds_it(tmp_path, picture, capsys, default_predictor):
    arguments = ["precompute", str(picture), "--cache", str(tmp_path / "cache"), "--device", "cpu", "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["windows"], result["encoded"], result["window sides"]) == (1, 1, [300])
    store = ZarrEmbeddingStore(tmp_path / "cache")
    assert result["cache bytes"] == store.size_bytes > 0
    default_predictor.set_image(picture)
    key = default_predictor.key(default_predictor.window_for(points=[(9, 9)]))
    assert key in store
    assert default_predictor.embedder.objects_key(key) in store


@pytest.mark.parametrize("wrong", [["--region", "5,5"], ["--region", "a,b,c,d"], ["--limit", "0"], ["--diameter", "0"]])
def test_the_command_refuses_what_it_cannot_do(tmp_path, picture, capsys, wrong):
    try:
        status = main(["precompute", str(picture), "--cache", str(tmp_path / "cache"), *wrong])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert wrong[1] in capsys.readouterr().err


def test_an_interrupted_command_keeps_its_embeddings(tmp_path, picture, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sam.cli.commands.precompute_command.ProgressLine.__call__", stop)
    assert main(["precompute", str(picture), "--cache", str(tmp_path / "cache"), "--device", "cpu"]) == 130
    assert "continue with the same command" in capsys.readouterr().err
    assert ZarrEmbeddingStore(tmp_path / "cache").size_bytes > 0


def test_the_nearest_window_is_first_and_answers_a_click_at_the_cursor():
    found = windows_in_view((0, 0, 2000, 2000), (810, 333), (4000, 4000), 512, Hints(view_px=600), limit=9)
    prompt = parse_prompt((4000, 4000), points=[(810, 333)])
    assert found[0] == choose_window(prompt, (4000, 4000), 512, Hints(view_px=600))
    middles = [((a + c) / 2, (b + d) / 2) for a, b, c, d in (w.bbox for w in found)]
    far = [np.hypot(y - 810, x - 333) for y, x in middles]
    assert far == sorted(far)
    assert len(found) == 9


@pytest.mark.parametrize("view", [(-900, -900, -5, -5), (0, 4000, 9, 5000), (0, 0, float("nan"), 9), (9, 9, 9, 9)])
def test_a_view_beside_the_image_has_no_windows(view):
    assert windows_in_view(view, None, (4000, 4000), 512) == []


def test_a_whole_slide_in_view_is_bounded_work():
    found = windows_in_view((0, 0, 80_000, 240_000), (40_000, 9.5), (80_000, 240_000), 512, Hints(diameter_px=5))
    assert len(found) == 16
    assert max(found[0].shape) == 64


def test_a_prefetcher_embeds_what_is_in_view(tmp_path, picture):
    predictor = _predictor(tmp_path, picture)
    prefetcher = Prefetcher(predictor, delay_s=0)
    prefetcher.update((0, 0, 100, 100), (50, 50))
    assert prefetcher.wait_idle(60)
    assert all(predictor.is_embedded(w) for w in windows_in_view((0, 0, 100, 100), (50, 50), (200, 300), 64))
    prefetcher.close()
    prefetcher.update((100, 100, 200, 200))  # closed: nothing happens
    assert predictor.runner.encoded == 9


def test_a_plan_is_dropped_when_the_view_moves(tmp_path, picture):
    predictor, first, go = _predictor(tmp_path, picture), threading.Event(), threading.Event()
    encode, seen = predictor.embedder.embed, []

    def watched(window, cancelled=None, *, background=False):
        seen.append(window)
        first.set()
        assert go.wait(60)
        return encode(window, cancelled, background=background)

    predictor.embedder.embed = watched
    prefetcher = Prefetcher(predictor, limit=4, delay_s=0)
    prefetcher.update((0, 0, 64, 64), (5, 5))
    assert first.wait(60)
    prefetcher.update((140, 240, 200, 300), (199, 299))
    go.set()
    assert prefetcher.wait_idle(60)
    wanted = windows_in_view((140, 240, 200, 300), (199, 299), (200, 300), 64, limit=4)
    assert seen[1:] == wanted
    assert not predictor.is_embedded(seen[0])  # it had not begun yet
    prefetcher.close()


def test_prefetching_waits_while_a_prediction_is_wanted(tmp_path, picture):
    predictor = _predictor(tmp_path, picture)
    prefetcher = Prefetcher(predictor, delay_s=0)
    with prefetcher.hold():
        prefetcher.update((0, 0, 200, 300))
        assert not prefetcher.wait_idle(0.2)
        predictor.predict(points=[(100, 100)])
        assert predictor.runner.encoded == 1
    assert prefetcher.wait_idle(60)
    assert predictor.runner.encoded > 1
    prefetcher.close()


def test_a_click_waits_for_one_window_at_most(tmp_path, picture):
    predictor = _predictor(tmp_path, picture)
    began, go, order, encode = threading.Event(), threading.Event(), [], predictor.runner.encode

    def watched(images):
        order.append(threading.current_thread().name)
        if len(order) == 1:
            began.set()
            assert go.wait(60)
        return encode(images)

    predictor.runner.encode = watched
    prefetcher = Prefetcher(predictor, delay_s=0)
    prefetcher.update((0, 0, 64, 64), (5, 5))
    assert began.wait(60)
    click = threading.Thread(target=predictor.predict, kwargs={"points": [(190, 290)]}, name="click")
    click.start()
    while not predictor.priority_lock.waiting:
        time.sleep(0.001)
    go.set()
    click.join()
    assert order[:2] == ["prefetch", "click"]
    assert prefetcher.wait_idle(60)
    prefetcher.close()


def test_a_place_that_cannot_be_read_is_left_to_the_click(tmp_path, picture):
    def broken(image, normalisation, window, shape=None):
        if window.bbox[:2] == (0, 0):
            raise OSError("network gone")
        return read_window(image, normalisation, window, shape)

    predictor = _predictor(tmp_path, picture, read_pixels=broken)
    prefetcher = Prefetcher(predictor, delay_s=0)
    prefetcher.update((0, 0, 64, 64), (5, 5))
    assert prefetcher.wait_idle(60)
    assert predictor.runner.encoded == 3
    prefetcher.close()


def test_bytes_of_the_disk_do_not_depend_on_what_is_encoded_when(tmp_path, picture):
    """A click first, then precompute: the same as precompute alone."""
    alone = tmp_path / "alone"
    first = tiny_predictor(ZarrEmbeddingStore(alone), dtype=torch.bfloat16)
    first.set_image(picture)
    precompute(first)
    second = _predictor(tmp_path, picture, dtype=torch.bfloat16)
    second.predict(points=[(100, 100)])
    precompute(second)
    assert _digest(alone) == _digest(tmp_path / "cache")
