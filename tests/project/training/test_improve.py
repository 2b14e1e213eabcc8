"""Training a project's model: versions, comparison, continuation, and going back."""

from __future__ import annotations

import io
import json
import sys

import pytest
import torch

import napari_sam as ns
from napari_sam.cli import main
from napari_sam.errors import CancelledError, ProjectError, StoreLockedError
from napari_sam.project.training.improve_settings import ImproveSettings
from napari_sam.project.training.model_versions import Gain, ModelVersion, ModelVersions
from src_models.checkpoints.checkpoint_files import load_network

SHORT = ImproveSettings(steps=2)


def _version(number, **changes):
    gain = Gain(0.5, 0.6, 0.05, 0.15)
    values = {"base": "default", "created": 1.0, "by": "Ada", "images": 3, "objects": 9, "validation_images": 1}
    return ModelVersion(number, **values, validation_objects=4, iou_1click=gain, clicks_to_085=gain, better=True)


def test_a_version_is_trained_compared_and_put_in_use(project):
    parts = []
    version = project.improve(SHORT, device="cpu", progress=lambda *report: parts.append(report))
    assert (version.number, version.base, version.by) == (1, "default", "Ada")
    assert version.images + version.validation_images == 4
    assert version.validation_objects > 0
    assert 0 < version.iou_1click.before < 1
    assert 1 <= version.clicks_to_085.before <= 5
    assert [part for part, done, total in parts if done == total] == ["training", "comparing"]
    assert project.versions.all() == [version]
    assert project.model == "default"
    assert not list((project.path / "models" / ".training").iterdir())
    project.use_model(1)
    again = ns.Project(project.path)
    assert again.model == str(project.versions.path(1))
    before, after = (load_network(name).state_dict() for name in ("default", again.model))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "mask_decoder" in changed
    assert not changed & {"image_encoder", "mask_judge"}  # the encoder is fixed on a CPU, the judge is kept
    project.use_model(0)
    assert project.model == "default"
    assert [event["event"] for event in project.history()][-3:] == ["improved", "model", "model"]


def test_a_stopped_training_continues(project):
    asked = iter(range(99))
    settings = ImproveSettings(steps=3)
    with pytest.raises(CancelledError, match="stopped at step 1 of 3"):
        project.improve(settings, device="cpu", cancelled=lambda: next(asked) == 1)
    assert project.versions.all() == []
    (run,) = project.versions.training_folder.glob("*/run")
    (run / "log.csv").write_text("step,loss\n1,0.5\n2,0.4\n")  # a killed run logs steps after its last checkpoint
    assert project.versions.has_unfinished_training
    steps, losses = [], []
    project.improve(
        settings,
        device="cpu",
        progress=lambda part, done, _: steps.append((part, done)),
        losses=lambda *loss: losses.append(loss),
    )
    assert [step for step, _ in losses] == [1, 2, 3]
    assert losses[0][1] == 0.5
    assert not project.versions.has_unfinished_training
    assert [done for part, done in steps if part == "training"] == [2, 3]


def test_one_person_trains_at_a_time(project):
    message = r"the model of project is open for Ada.*wait until the training there has ended"
    with project._folder.model_lock(), pytest.raises(StoreLockedError, match=message):
        project.improve(SHORT)


def test_a_training_stops_if_another_one_took_over_its_lock(project, monkeypatch):
    lock = project._folder.model_lock()
    monkeypatch.setattr(project._folder, "model_lock", lambda: lock)
    with pytest.raises(CancelledError, match="stopped at step 1 of 3"):
        project.improve(ImproveSettings(steps=3), device="cpu", progress=lambda *_: setattr(lock, "lost", True))


def test_versions_are_listed_used_and_missing_ones_refused(tmp_path):
    versions = ModelVersions(tmp_path / "models")
    model = tmp_path / "m.safetensors"
    model.write_bytes(b"weights")
    assert (versions.all(), versions.current()) == ([], 0)
    first, second = (versions.add(model, _version) for _ in range(2))
    assert [version.number for version in versions.all()] == [1, 2]
    assert versions.all()[0] == first
    assert second.iou_1click.difference == pytest.approx(0.1)
    versions.use(2)
    assert ModelVersions(tmp_path / "models").current() == 2
    with pytest.raises(ProjectError, match="version is 3; choose 0 for the first model, or one of 1, 2"):
        versions.use(3)
    versions.path(2).unlink()
    assert versions.current() == 0
    (tmp_path / "models" / "0001" / "version.json").write_text("{}")
    with pytest.raises(ProjectError, match=r"version\.json: no version of a model"):
        versions.all()


def test_the_commands_train_list_and_use_versions(project, capsys):
    folder = str(project.path)
    assert main(["project", "improve", folder, "--steps", "1", "--device", "cpu", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["number"], result["in_use"]) == (1, "default")
    assert main(["project", "use", folder, "1"]) == 0
    assert main(["project", "models", folder]) == 0
    out = capsys.readouterr().out
    assert "in use: " in out
    assert "1 click" in out
    assert main(["project", "use", folder, "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"in_use": "default"}
    assert main(["project", "use", folder, "7"]) == 2
    assert "version is 7" in capsys.readouterr().err


def test_events_tell_another_program_how_far_a_training_is(project, capsys, monkeypatch, tmp_path):
    command = ["project", "improve", str(project.path), "--steps", "2", "--device", "cpu", "--events"]

    def events():
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))  # the other program has ended
    assert main(command) == 2
    (event,) = events()
    assert event["event"] == "stopped"
    assert "stopped at step 0 of 2" in event["message"]
    assert main(["project", "improve", str(tmp_path), "--events"]) == 2
    (event,) = events()
    assert event["event"] == "failed"
    assert "is no project" in event["message"]


def test_a_model_without_attention_layers_gets_no_low_rank_updates(project):
    with pytest.raises(ns.errors.TrainingError, match="has no attention layers"):
        project.improve(ImproveSettings(encoder="low-rank", steps=1), device="cpu")
