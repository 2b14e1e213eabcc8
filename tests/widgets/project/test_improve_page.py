"""Training in the window: start, curve, stop, comparison, versions; the process is a fake one that is quick."""

from __future__ import annotations

import shutil
import sys

import pytest
from qtpy.QtTest import QTest

from napari_sam.project.training.model_versions import Gain, ModelVersion
from napari_sam.widgets.project.improve_run import improve_command
from napari_sam.widgets.qt_helpers import Fold
from src_models.checkpoints.registry import model_info
from tests.widgets.pages.test_everything_page import press
from tests.widgets.project.conftest import settle

FAKE = """
import json, os, sys, threading

def say(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)

closed = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
print("a line of some library", flush=True)
for step in range(1, 6):
    say("progress", part="training", done=step, total=10)
    say("loss", step=step, loss=1 / step)
how = sys.argv[1]
if how == "wait":
    closed.wait()
    say("stopped", message="stopped at step 5 of 10; what was trained is kept")
    sys.exit(2)
if how == "fail":
    say("failed", message="1 image of 4 with accepted objects: too few")
    sys.exit(2)
if how == "kill":
    os.kill(os.getpid(), 9)
if how == "crash":
    raise RuntimeError("boom")
say("progress", part="comparing", done=3, total=3)
say("finished", number=int(how))
"""


def version(number, *, better=True):
    iou, clicks = Gain(0.71, 0.78, 0.03, 0.11), Gain(2.9, 2.1, -1.1, -0.5)
    return ModelVersion(number, "default", 1.0, "Ada", 3, 9, 2, 31, iou, clicks, better)


@pytest.fixture
def training(page, tmp_path):
    """The page with the part for training open; `page.how` tells the fake process what to do."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    page.improve, page.how, page.commands = page.panel.project.improve, "wait", []

    def command(folder, device, scheduler):
        page.commands.append((folder, device, scheduler))
        return [sys.executable, str(script), page.how]

    page.dock.project.improve.command = command
    folds = page.panel.project.findChildren(Fold)
    press(page, next(fold for fold in folds if fold.content is page.improve).header)
    page.panel.project.improve.window().resize(1300, 950)
    settle(page)
    return page


def add_version(project, tmp_path, *, better=True):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    return project.versions.add(weights, lambda number: version(number, better=better))


def wait_for_end(page):
    page.wait(lambda: not page.dock.project.improve.run.is_running)
    settle(page)


def test_a_training_shows_progress_and_a_curve_and_stops_when_asked(training, project):
    improve = training.improve
    press(training, improve.run.start)
    training.wait(lambda: len(improve.curve.losses) == 5)
    assert improve.curve.losses[-1] == (5, 0.2)
    assert improve.curve.steps == 10
    assert improve.run.progress.format() == "step 5 of 10"
    assert training.commands == [(project.path, "auto", "")]
    pixels = improve.curve.grab().toImage()
    colours = {pixels.pixelColor(x, y).name() for x in range(pixels.width()) for y in range(pixels.height())}
    assert "#2dd4bf" in colours
    run = project.versions.training_folder / "0123abcd" / "run"  # what the command leaves
    run.mkdir(parents=True)
    press(training, improve.run.cancel)
    wait_for_end(training)
    assert "stopped at step 5 of 10" in improve.run.message.text()
    assert "Resume" in improve.run.start.text()
    assert training.errors == []


def test_a_cluster_trains_where_its_address_is_given(training, project):
    training.how = "fail"
    QTest.keyClicks(training.improve.scheduler, " tcp://gpu:8786 ")
    press(training, training.improve.run.start)
    wait_for_end(training)
    assert training.commands == [(project.path, "auto", "tcp://gpu:8786")]
    assert improve_command(project.path, "auto", "tcp://gpu:8786")[-3:] == ["--scheduler", "tcp://gpu:8786", "--events"]


def test_a_better_model_is_compared_offered_used_and_rolled_back(training, project, tmp_path):
    add_version(project, tmp_path)
    weights = project.versions.path(1)
    shutil.copyfile(model_info("default").path, weights)
    training.how = "1"
    improve = training.improve
    press(training, improve.run.start)
    wait_for_end(training)
    text = improve.run.message.text()
    assert "Version 1 is better" in text
    assert "31 objects of 2 images" in text
    assert "IoU after one click: 0.71 → 0.78, +0.07 (95 %: +0.03 to +0.11)" in text
    assert "Clicks to IoU 0.85: 2.90 → 2.10, −0.80 (95 %: −1.10 to −0.50)" in text
    assert training.dock.session.model == "default"
    press(training, improve.use)
    training.wait(lambda: training.dock.session.model == str(weights))
    assert training.panel.model.currentText() == "screen, version 1"
    assert project.model == str(weights)
    assert not improve.use.isVisible()
    versions = improve.versions
    assert [versions.itemText(n) for n in range(versions.count())] == ["1: IoU 0.78 (in use)", "0: first model"]
    versions.setCurrentIndex(1)
    press(training, improve.use_version)
    training.wait(lambda: training.dock.session.model == "default")
    assert project.model == "default"


def test_a_model_that_is_not_better_is_not_offered(training, project, tmp_path):
    add_version(project, tmp_path, better=False)
    training.how = "1"
    press(training, training.improve.run.start)
    wait_for_end(training)
    assert "is not better" in training.improve.run.message.text()
    assert not training.improve.use.isVisible()
    assert training.improve.versions.itemText(0) == "1: IoU 0.78, not better"


@pytest.mark.parametrize(
    ("how", "named"),
    [("fail", "too few"), ("kill", "ended by signal 9; what was saved is kept"), ("crash", "RuntimeError: boom")],
)
def test_a_failure_is_told_and_leaves_the_page_usable(training, how, named):
    training.how = how
    press(training, training.improve.run.start)
    wait_for_end(training)
    assert any(named in message for message in training.errors)
    assert named in training.improve.run.message.text()
    assert training.improve.run.start.isEnabled()


def test_a_used_version_is_given_to_the_dock_with_the_next_image(training, project, tmp_path):
    add_version(project, tmp_path)
    project.use_model(1)
    training.dock.project.read()
    settle(training)
    assert training.dock.session.model == "default"
    training.dock.project.open_next()
    training.wait(lambda: training.dock.session.model == project.model)


def test_another_project_waits_for_the_training_and_closing_ends_it(training, project, tmp_path):
    press(training, training.improve.run.start)
    training.wait(lambda: len(training.improve.curve.losses) == 5)
    training.dock.project.open_project(str(tmp_path))
    assert "being trained" in training.errors[0]
    process = training.dock.project.improve.run._process
    training.dock.shutdown()
    assert process.wait(60) == 2  # it saved and stopped
