"""Stages of annotation on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_sam.cli import main
from napari_sam.io.labels.label_store import LabelStore
from napari_sam.jobs import segment_everything as everything
from napari_sam.project.project import Project
from tests.project.stages.conftest import write_automatic


@pytest.fixture
def project(tmp_path, rng):
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (20, 90), dtype=np.uint8))
    made = Project.create(tmp_path / "p", user="Ada")
    made.add(tmp_path / "a.tif")
    return made


@pytest.fixture
def chosen(monkeypatch):
    """Replace `segment_everything` by a stub that records its keywords."""
    recorded = []

    def stub(image, predictor, output, method, **choice):
        recorded.append((choice["min_iou"], choice["stage"]))
        output = output if isinstance(output, LabelStore) else LabelStore.create(output, like=image)
        return everything.EverythingReport(method, 0, 1, 1, [], [1], {}, output)

    monkeypatch.setattr(everything, "segment_everything", stub)
    return recorded


def run(capsys, *words):
    assert main(["project", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_confident_objects_are_found_above_the_threshold_of_the_project(project, chosen, capsys):
    run(capsys, "everything", project.path, "--confident", "--device", "cpu")
    run(capsys, "everything", project.path, "--confident", "--min-score", "0.6", "--overwrite", "--device", "cpu")
    run(capsys, "everything", project.path, "--overwrite", "--device", "cpu")
    assert chosen == [(0.75, "semi-automatic"), (0.6, "semi-automatic"), (0.0, "automatic")]


def test_an_audit_reports_the_agreement_of_what_was_reviewed(project, capsys):
    (image,) = project.images()
    with image.labels() as store:
        write_automatic(store, 6)
    result = run(capsys, "audit", project.path, "--sample", 4)
    assert (result["sample"], result["population"], result["left"], result["share"]) == (4, 6, 4, None)
    labels = result["waiting"][image.image_id]
    with image.labels() as store:
        for label in labels[1:]:
            store.review(label)
        store.review(labels[0], "rejected")
    assert main(["project", "audit", str(project.path)]) == 0
    text = capsys.readouterr().out
    assert "75.0% [30.1%, 95.4%]" in text
    assert "4 of 6 automatic objects" in text
    assert run(capsys, "audit", project.path, "--new")["number"] == 2
    assert main(["project", "audit", str(project.path), "--new", "--sample", "0"]) == 2
    assert "size is 0" in capsys.readouterr().err
