"""Jobs over all images of a project from Python, and that the command line continues them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_sam as ns
from napari_sam import samples
from napari_sam.cli import main
from napari_sam.errors import CancelledError, SettingsError

SETTINGS = ns.EverythingSettings(method="dense", branches="dense", diameter_px=50)
COMMAND = ("--method", "dense", "--diameter", "50", "--no-coarser", "--branches", "dense", "--device", "cpu", "--json")


@pytest.fixture
def project(tmp_path):
    """A project of two pieces of one image."""
    made = ns.Project.create(tmp_path / "p")
    for number, name in enumerate("ab"):
        piece = samples.nuclei()[60 + number * 160 : 188 + number * 160, 130:290]
        tifffile.imwrite(tmp_path / f"{name}.tif", piece)
    made.add(tmp_path / "a.tif", condition="wild type")
    made.add(tmp_path / "b.tif", condition="treated")
    return made


def options(**more):
    return ns.BatchOptions(device="cpu", **more)


def test_a_project_is_segmented_measured_and_continued(project, tmp_path, capsys):
    (tmp_path / "b.tif").rename(tmp_path / "away.tif")
    report = project.batch.everything(SETTINGS, options())
    assert (report.done, list(report.failed)) == ([str(tmp_path / "a.tif")], [str(tmp_path / "b.tif")])
    assert "has moved" in report.failed[str(tmp_path / "b.tif")]
    assert report.objects == project.images()[0].objects > 0
    (tmp_path / "away.tif").rename(tmp_path / "b.tif")
    assert main(["project", "everything", str(project.path), *COMMAND]) == 0
    states = [result["state"] for result in json.loads(capsys.readouterr().out)["results"]]
    assert states == ["skipped", "done"]  # the settings are the same, whoever gives them
    assert project.batch.everything(SETTINGS, options()).done == []
    measured = project.batch.measure()
    assert (len(measured.done), measured.objects) == (2, sum(image.objects for image in project.images()))
    assert pd.read_csv(measured.table)["condition"].tolist() == ["wild type", "treated"]
    assert len(project.batch.measure().skipped) == 2
    with pytest.raises(SettingsError, match="diameter_px 50, but diameter_px is 40"):
        project.batch.everything(ns.EverythingSettings(method="dense", branches="dense", diameter_px=40), options())


def test_objects_of_a_person_stay_unless_the_caller_says_otherwise(project, monkeypatch):
    with project.images()[0].labels() as labels:
        labels.paint(np.ones((9, 9), int), (1, 1))
    state = {"objects": 3}

    def found(image, predictor, output, settings, run):
        store = ns.LabelStore.open(output) if output.exists() else ns.LabelStore.create(output, like=image)
        store.paint(np.full((9, 9), 7), (20, 20))
        if state["objects"] == 0:
            store.close()
            raise CancelledError("stopped")
        return type("Report", (), {"objects": state["objects"], "failed": [], "labels": store})

    monkeypatch.setattr("napari_sam.jobs.segment_image.segment_image", found)
    monkeypatch.setattr("napari_sam.project.batch.project_batch._Predictor.loaded", lambda self: None)
    progress = []
    report = project.batch.everything(SETTINGS, options(progress=lambda done, total: progress.append((done, total))))
    assert "exists already" in next(iter(report.failed.values()))
    assert (len(report.done), progress) == (1, [(1, 2), (2, 2)])
    assert project.images()[0].objects == 1
    project.batch.everything(SETTINGS, options(existing="add", retry_failed=True))
    assert project.images()[0].objects == 2
    state["objects"] = 0
    with pytest.raises(CancelledError):
        project.batch.everything(SETTINGS, options(existing="overwrite"))
    state["objects"] = 3
    project.batch.everything(SETTINGS, options())
    assert [image.objects for image in project.images()] == [1, 1]


def test_a_word_that_is_no_choice_is_named():
    with pytest.raises(SettingsError, match="existing is 'replace'; choose one of '', 'resume'"):
        ns.BatchOptions(existing="replace")
