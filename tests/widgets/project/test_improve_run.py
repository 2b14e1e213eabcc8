"""The real command in a process of its own, as the page runs it."""

from __future__ import annotations

import numpy as np

from napari_sam import samples
from napari_sam.widgets.project.improve_run import Improved, ImproveRun, improve_command


def test_the_command_reports_steps_losses_and_the_version(qtbot, project):
    labels = samples.nuclei_labels().astype("int64")
    for number, image in enumerate(project.images()[:2]):
        part = labels[:128, 128 * number : 128 * number + 128]
        largest = np.bincount(part.ravel())[1:].argmax() + 1  # one object each: comparing takes most of the time
        with image.labels() as store:
            store.paint(part * (part == largest), (0, 0))
        image.state = "done"
    run, steps, losses, outcomes = ImproveRun(), [], [], []
    run.part_progressed.connect(lambda *step: steps.append(step))
    run.loss_measured.connect(lambda *loss: losses.append(loss))
    run.finished.connect(outcomes.append)
    run.begin([*improve_command(project.path, "cpu"), "--steps", "2"])
    qtbot.waitUntil(lambda: bool(outcomes), timeout=300_000)
    run.close()
    assert outcomes[0].error is None
    assert outcomes[0].value == Improved(1)
    assert [step for step in steps if step[0] == "training"] == [("training", 1, 2), ("training", 2, 2)]
    assert steps[-1][0] == "comparing"
    assert [step for step, _ in losses] == [1, 2]
    assert all(loss > 0 for _, loss in losses)
    assert project.versions.all()[0].number == 1
